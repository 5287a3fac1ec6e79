//! As whom runs act, and who may say so.

use std::{sync::Arc, time::Duration};

use sandmill_dispatch::{Due, Refused, StartRequest, StartTerms};
use sandmill_model::{
    Clock, Code, Limits, Manifest, OutcomeKind, RunId, SystemClock, Timestamp, WorkspaceId,
    audit::{ActorKind, AuditOutcome, Record},
    auth::Principal,
    code::Refusal,
    role::Role,
    run::NewRun,
};
use sandmill_store::{
    Store,
    members::{MemberPut, NewMember},
    service_accounts::NewServiceAccount,
    users::NewUser,
};

use crate::fake::{Bench, PATH, arguments, deploy_with, principal, request_of};

/// Makes a user and member.
pub(crate) async fn person(store: &Store, workspace: WorkspaceId, name: &str, role: Role) {
    let (user, now) = (name.parse().unwrap(), SystemClock.now());
    let new = NewUser {
        name: name.parse().unwrap(),
        email: None,
        display_name: name.to_owned(),
        password: None,
        is_instance_admin: false,
        by: "u/admin".into(),
        now,
    };
    store.users.create(new).await.unwrap().unwrap();
    let put = store.members.put(NewMember { workspace, user, role, by: "u/admin".into(), now }).await.unwrap();
    assert_eq!(put, MemberPut::Done);
}

pub(crate) async fn account(store: &Store, workspace: WorkspaceId, name: &str, scopes: &[&str], users: &[&str]) {
    let new = NewServiceAccount {
        workspace,
        name: name.parse().unwrap(),
        description: String::new(),
        scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
        users: users.iter().map(|who| who.parse().unwrap()).collect(),
        by: "u/admin".into(),
        now: SystemClock.now(),
    };
    store.service_accounts.put(new).await.unwrap().unwrap();
}

pub(crate) fn manifest(run_as: &str) -> Manifest {
    Manifest { run_as: Some(run_as.parse().unwrap()), ..Manifest::default() }
}

/// A start by somebody with all the scopes that are named.
fn start(bench: &Bench, who: &str, scope: &str, run_as: Option<&str>) -> StartRequest {
    let principal = Principal { identity: who.into(), ..principal(scope) };
    let terms = StartTerms { run_as: run_as.map(|text| text.parse().unwrap()), ..StartTerms::default() };
    StartRequest { principal: Arc::new(principal), terms, ..request_of(&bench.workspace, arguments("{}")) }
}

/// As whom the run acts that was started.
async fn acts_as(bench: &Bench, request: StartRequest) -> Result<String, Refusal> {
    match bench.dispatch.accept(request).await {
        Ok(accepted) => Ok(bench.record_when(accepted.run, |_| true).await.summary.run_as),
        Err(Refused::Refusal(refusal)) => Err(refusal),
        Err(refused) => panic!("{refused}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_starts_names_what_they_may_use() {
    let bench = Bench::start(true).await;
    let of = bench.workspace.id;
    person(&bench.store, of, "ann", Role::Developer).await;
    person(&bench.store, of, "bob", Role::Operator).await;
    account(&bench.store, of, "deployer", &["runs:start:f/*"], &["u/ann"]).await;
    for (who, scope, run_as, expected) in [
        ("u/ann", "*:*", None, Some("u/ann")),
        ("u/ann", "*:*", Some("s/deployer"), Some("s/deployer")),
        ("u/ann", "*:start", Some("s/deployer"), Some("s/deployer")),
        ("u/ann", "runs:start", Some("u/ann"), Some("u/ann")),
        // A token that starts runs alone uses nothing that its owner may use.
        ("u/ann", "runs:start", Some("s/deployer"), None),
        ("u/ann", "*:start", Some("u/bob"), None),
        ("u/ann", "*:*", Some("s/other"), None),
        ("u/ann", "*:*", Some("g/ops"), None),
        ("u/bob", "*:*", Some("s/deployer"), None),
        ("u/admin", "*:*", Some("u/ann"), None),
        ("s/deployer", "*:*", Some("s/deployer"), Some("s/deployer")),
        ("u/nobody", "*:*", Some("s/deployer"), None),
    ] {
        let found = acts_as(&bench, start(&bench, who, scope, run_as)).await;
        let found = found.map_err(|refusal| refusal.code);
        assert_eq!(found, expected.map(str::to_owned).ok_or(Code::Forbidden), "{who} {scope} {run_as:?}");
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_names_what_its_deployer_may_use_at_each_start() {
    let bench = Bench::start(true).await;
    let of = bench.workspace.id;
    person(&bench.store, of, "test", Role::Developer).await;
    account(&bench.store, of, "deployer", &[], &["u/test"]).await;
    deploy_with(&bench.store, &bench.workspace, manifest("s/deployer")).await;
    let by_stranger = || start(&bench, "u/eve", "runs:start", None);
    assert_eq!(acts_as(&bench, by_stranger()).await.unwrap(), "s/deployer");
    assert_eq!(acts_as(&bench, start(&bench, "u/eve", "runs:start", Some("u/eve"))).await.unwrap(), "u/eve", "less is always free");
    account(&bench.store, of, "deployer", &[], &[]).await;
    let refused = acts_as(&bench, by_stranger()).await.unwrap_err();
    assert_eq!(refused.code, Code::Forbidden);
    assert!(refused.detail.contains("must deploy it again"), "{}", refused.detail);
    assert!(!refused.detail.contains("s/deployer") && !refused.detail.contains("u/test"), "{}", refused.detail);
    account(&bench.store, of, "deployer", &[], &["u/test"]).await;
    assert_eq!(acts_as(&bench, by_stranger()).await.unwrap(), "s/deployer");
    bench.store.members.remove(of, &"test".parse().unwrap()).await.unwrap();
    assert_eq!(acts_as(&bench, by_stranger()).await.unwrap_err().code, Code::Forbidden);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_not_for_another_identity() {
    let bench = Bench::start(true).await;
    person(&bench.store, bench.workspace.id, "ann", Role::Developer).await;
    account(&bench.store, bench.workspace.id, "deployer", &[], &["u/ann"]).await;
    let keyed = |run_as: Option<&str>| {
        let request = start(&bench, "u/ann", "*:*", run_as);
        let terms = StartTerms { idempotency_key: Some("once".to_owned()), ..request.terms.clone() };
        StartRequest { terms, ..request }
    };
    let first = bench.dispatch.accept(keyed(None)).await.unwrap();
    assert_eq!(bench.dispatch.accept(keyed(None)).await.unwrap().run, first.run);
    assert_eq!(acts_as(&bench, keyed(Some("s/deployer"))).await.unwrap_err().code, Code::IdempotencyMismatch);
    bench.stop().await;
}

/// What the audit log says that runs were denied: the run, as whom it acts, and the scope.
pub(crate) async fn denied(store: &Store, workspace: WorkspaceId) -> Vec<(String, String, String)> {
    let entries = store.audit.entries(Some(workspace), 0, 100).await.unwrap();
    let told = entries.into_iter().map(|entry| {
        let Record { actor, action, target, outcome, .. } = entry.record;
        assert_eq!((action.as_str(), outcome, actor.kind), ("access.denied", AuditOutcome::Denied, ActorKind::Run));
        (actor.token.unwrap().to_string(), actor.identity.unwrap().to_string(), target)
    });
    told.collect()
}

/// How a run ended.
async fn outcome(bench: &Bench, run: RunId) -> (OutcomeKind, String) {
    let record = bench.record_when(run, |record| record.summary.status.has_ended()).await;
    (record.summary.outcome.unwrap(), record.error.map_or_else(String::new, |error| error.message))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_away_while_a_run_waited_it_does_not_act_as() {
    let bench = Bench::start(true).await;
    let of = bench.workspace.id;
    bench.dispatch.on_denied(|_, _| true);
    person(&bench.store, of, "ann", Role::Developer).await;
    person(&bench.store, of, "test", Role::Developer).await;
    for name in ["kept", "taken"] {
        account(&bench.store, of, name, &[], &["u/ann"]).await;
    }
    account(&bench.store, of, "named", &[], &["u/test"]).await;
    let later = |who: &str, run_as: Option<&str>| {
        let request = start(&bench, who, "*:*", run_as);
        let terms = StartTerms { due: Some(Due::In(Duration::from_secs(2))), ..request.terms.clone() };
        StartRequest { terms, ..request }
    };
    let kept = bench.dispatch.accept(later("u/ann", Some("s/kept"))).await.unwrap().run;
    let taken = bench.dispatch.accept(later("u/ann", Some("s/taken"))).await.unwrap().run;
    // By the manifest: whoever deployed it answers for it, and not who starts it.
    deploy_with(&bench.store, &bench.workspace, manifest("s/named")).await;
    bench.dispatch.deployed(of, &PATH.parse().unwrap());
    let named = bench.dispatch.accept(later("u/eve", None)).await.unwrap().run;
    for name in ["taken", "named"] {
        account(&bench.store, of, name, &[], &[]).await;
    }
    assert_eq!(outcome(&bench, kept).await.0, OutcomeKind::Ok);
    for (run, identity) in [(taken, "s/taken"), (named, "s/named")] {
        let (kind, message) = outcome(&bench, run).await;
        assert_eq!(kind, OutcomeKind::Denied, "{message}");
        assert!(message.contains(identity) && !message.contains("u/test"), "{message}");
    }
    let executed = bench.executor.executed.lock().unwrap().clone();
    assert!(executed.iter().all(|(run, _)| *run == kept), "{executed:?}");
    let mut told = denied(&bench.store, of).await;
    told.sort();
    let mut expected =
        [(taken, "s/taken"), (named, "s/named")].map(|(run, who)| (run.to_string(), who.to_owned(), format!("identities:start:{who}")));
    expected.sort();
    assert_eq!(told, expected);
    bench.stop().await;
}

/// How a run ended that was accepted so long ago, to start so much later.
async fn waited(bench: &Bench, who: &str, waited_s: i64, planned_s: u64) -> (OutcomeKind, String) {
    let now = SystemClock.now();
    let created_at = Timestamp::from_micros(now.micros() - waited_s * 1_000_000);
    let run = NewRun {
        id: RunId::new(now),
        workspace: bench.workspace.id,
        workspace_name: "default".into(),
        path: PATH.parse().unwrap(),
        number: 1,
        version: bench.version,
        input: arguments("{}"),
        limits: Limits::default(),
        run_as: who.into(),
        answered_by: None,
        stages_state: false,
        created_at,
        scheduled_for: created_at.plus(Duration::from_secs(planned_s)),
        policy: Arc::default(),
        dedup: None,
        cause: None,
        lineage: None,
        trace: None,
        labels: Arc::default(),
    };
    let id = run.id;
    bench.store.queue.enqueue(vec![run]).await.unwrap();
    outcome(bench, id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_left_does_not_act_in_what_waited() {
    let bench = Bench::start(true).await;
    let of = bench.workspace.id;
    for name in ["ann", "bob"] {
        person(&bench.store, of, name, Role::Developer).await;
    }
    bench.store.members.remove(of, &"bob".parse().unwrap()).await.unwrap();
    // A token may act as somebody who is no user.
    for (who, waited_s, planned_s, expected) in [
        ("u/ann", 120, 120, OutcomeKind::Ok),
        ("u/ann", 120, 0, OutcomeKind::Ok),
        ("u/bob", 120, 120, OutcomeKind::Denied),
        // It was to start at once, and waited for something else: a rate, a slot, fuel.
        ("u/bob", 120, 0, OutcomeKind::Denied),
        ("u/bob", 30, 30, OutcomeKind::Ok),
        ("u/bob", 30, 0, OutcomeKind::Ok),
        ("u/nobody", 120, 120, OutcomeKind::Ok),
        ("u/nobody", 120, 0, OutcomeKind::Ok),
        ("u/admin", 120, 0, OutcomeKind::Ok),
    ] {
        let (kind, message) = waited(&bench, who, waited_s, planned_s).await;
        assert_eq!(kind, expected, "{who} after {waited_s} s, planned {planned_s} s: {message}");
    }
    // What was found a moment ago is forgotten with what changes.
    bench.store.members.remove(of, &"ann".parse().unwrap()).await.unwrap();
    bench.dispatch.tell_members(of);
    assert_eq!(waited(&bench, "u/ann", 120, 0).await.0, OutcomeKind::Denied);
    bench.stop().await;
}
