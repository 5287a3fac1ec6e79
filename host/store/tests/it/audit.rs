//! The audit log: chains stay whole whoever appends, and what somebody does to the rows shows.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use sandmill_model::{
    AuditId, Clock, Timestamp, TokenId, WorkspaceId,
    audit::{Actor, ActorKind, AuditOutcome, Broken, Entry, Link, Origin, Record, Verifier},
};
use sandmill_store::{
    Store,
    audit::{Chain, Ends, Filter, Page, Pattern},
    removal::Step,
    resources::{NewResource, Sharing},
    upkeep,
    variables::NewVariable,
    workspaces::Status,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::fixture::{self, Database, key_text, on_both, path, tick, workspace};

on_both![
    an_entry_comes_back,
    chains_are_apart,
    many_append_at_once,
    what_is_done_to_rows_shows,
    what_was_begun_ends_or_is_closed,
    lists_are_filtered_and_paged,
    old_entries_are_let_go,
    upkeep_closes_and_lets_go,
    secrets_are_shown_as_digests,
    of_a_deleted_workspace_the_entries_of_the_installation_stay,
];

fn record(chain: Chain, action: &str, target: &str) -> Record {
    let now = tick();
    Record {
        id: AuditId::new(now),
        workspace: chain,
        actor: Actor { kind: ActorKind::Token, identity: Some("u/ann".into()), token: Some(TokenId::new(now)) },
        origin: Origin { address: Some("192.0.2.7".to_owned()), user_agent: Some("curl/8 ✓".to_owned()) },
        request_id: "req-1".to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        outcome: AuditOutcome::Done,
        attempts: 1,
        before: None,
        after: Some(fixture::json(r#"{"n":1.50,"text":"a\u0000b"}"#)),
    }
}

async fn append(store: &Store, record: Record) -> Link {
    store.audit.append(record, tick()).await.unwrap()
}

async fn all(store: &Store, chain: Chain) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(store.audit.ends(chain).await.unwrap().anchor.number, |last| last.number);
        let page = store.audit.entries(chain, after, 7).await.unwrap();
        if page.is_empty() {
            return entries;
        }
        entries.extend(page);
    }
}

async fn verify(store: &Store, chain: Chain) -> Result<Link, Broken> {
    let ends = store.audit.ends(chain).await.unwrap();
    let mut verifier = Verifier::new(ends.anchor, Some(ends.head));
    all(store, chain).await.iter().try_for_each(|entry| verifier.add(entry))?;
    verifier.finish().map(|()| verifier.last())
}

async fn an_entry_comes_back(database: Database) {
    let store = database.open().await;
    let own = Some(workspace());
    assert_eq!(store.audit.ends(own).await.unwrap().head, Link::START);
    let full = record(own, "variables.put", "f/a/b");
    let bare = Record {
        actor: Actor::nameless(ActorKind::Anonymous),
        origin: Origin::default(),
        outcome: AuditOutcome::Denied,
        attempts: 17,
        after: None,
        ..record(own, "auth.failed", "")
    };
    append(&store, full.clone()).await;
    let head = append(&store, bare.clone()).await;
    let entries = all(&store, own).await;
    assert_eq!(entries.iter().map(|entry| (entry.number, &entry.record)).collect::<Vec<_>>(), [(1, &full), (2, &bare)]);
    assert_eq!((entries[0].previous, entries[1].previous), (Link::START.hash, entries[0].hash));
    assert_eq!((verify(&store, own).await, store.audit.ends(own).await.unwrap().head), (Ok(head), head));
}

async fn chains_are_apart(database: Database) {
    let store = database.open().await;
    let (one, other) = (Some(workspace()), Some(workspace()));
    for chain in [one, other, None, one] {
        append(&store, record(chain, "scripts.deploy", "f/a/b")).await;
    }
    for (chain, count) in [(one, 2), (other, 1), (None, 1), (Some(workspace()), 0)] {
        let entries = all(&store, chain).await;
        assert_eq!(entries.len(), count);
        assert!(entries.iter().all(|entry| entry.record.workspace == chain));
        verify(&store, chain).await.unwrap();
    }
}

/// Two nodes, many callers, three chains.
async fn many_append_at_once(database: Database) {
    const EACH: usize = 40;
    let stores = [database.open().await, database.open().await];
    let chains = [Some(workspace()), Some(workspace()), None];
    let heads = join_all((0..EACH * chains.len()).map(|index| {
        let (store, chain) = (&stores[index % 2], chains[index % 3]);
        async move { (chain, append(store, record(chain, "scripts.deploy", &format!("f/a/n{index}"))).await.number) }
    }));
    let heads = heads.await;
    for chain in chains {
        let mut numbers: Vec<u64> = heads.iter().filter(|(of, _)| *of == chain).map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=EACH as u64).collect::<Vec<_>>());
        assert_eq!(verify(&stores[0], chain).await.unwrap().number, EACH as u64);
    }
    assert_eq!(database.deadlocks().await, 0);
}

async fn what_is_done_to_rows_shows(database: Database) {
    type Case = (&'static str, fn(&str) -> String, Broken);
    let store = database.open().await;
    let cases: [Case; 6] = [
        ("changed", |of| format!("UPDATE audit_entries SET target = 'f/x/y' WHERE {of} AND number = 3"), Broken::Changed(3)),
        ("told otherwise", |of| format!("UPDATE audit_entries SET outcome = 'denied' WHERE {of} AND number = 2"), Broken::Changed(2)),
        ("removed", |of| format!("DELETE FROM audit_entries WHERE {of} AND number = 4"), Broken::Missing { from: 4, to: 4 }),
        ("cut off", |of| format!("DELETE FROM audit_entries WHERE {of} AND number > 3"), Broken::CutOff { last: 3, noted: 5 }),
        (
            "swapped",
            |of| {
                format!(
                    "UPDATE audit_entries SET number = 99 WHERE {of} AND number = 2; UPDATE audit_entries SET number = 2 WHERE {of} AND number = 3;
                     UPDATE audit_entries SET number = 3 WHERE {of} AND number = 99"
                )
            },
            Broken::Changed(2),
        ),
        (
            "inserted",
            |of| {
                format!(
                    "UPDATE audit_entries SET number = 7 WHERE {of} AND number = 5; UPDATE audit_entries SET number = 5 WHERE {of} AND number = 4;
                     INSERT INTO audit_entries SELECT workspace, 4, id, recorded_at, actor_kind, identity, token, address, user_agent, request_id,
                         operation, target, outcome, attempts, value_before, value_after, previous, hash
                     FROM audit_entries WHERE {of} AND number = 3"
                )
            },
            Broken::Changed(4),
        ),
    ];
    for (what, statement, expected) in cases {
        let own = workspace();
        for number in 1..=5 {
            append(&store, record(Some(own), "scripts.deploy", &format!("f/a/n{number}"))).await;
        }
        verify(&store, Some(own)).await.unwrap();
        let of = format!("workspace = X'{}'", own.0.simple());
        database.execute(&statement(&of)).await;
        assert_eq!(verify(&store, Some(own)).await, Err(expected), "{what}");
    }
    // Whoever takes the head back as well is found out by whoever has noted it.
    let own = workspace();
    for number in 1..=3 {
        append(&store, record(Some(own), "scripts.deploy", &format!("f/a/n{number}"))).await;
    }
    let noted = store.audit.ends(Some(own)).await.unwrap().head;
    let of = format!("workspace = X'{}'", own.0.simple());
    database.execute(&format!("DELETE FROM audit_entries WHERE {of} AND number = 3")).await;
    database
        .execute(&format!(
            "UPDATE audit_heads SET number = 2, hash = (SELECT hash FROM audit_entries WHERE {of} AND number = 2) WHERE {of}"
        ))
        .await;
    assert_eq!(verify(&store, Some(own)).await.map(|head| head.number), Ok(2));
    append(&store, record(Some(own), "scripts.deploy", "f/a/other")).await;
    let mut verifier = Verifier::new(Link::START, Some(noted));
    let found = all(&store, Some(own)).await.iter().try_for_each(|entry| verifier.add(entry));
    assert_eq!(found, Err(Broken::NotAsNoted(3)));
}

async fn what_was_begun_ends_or_is_closed(database: Database) {
    let store = database.open().await;
    let own = Some(workspace());
    let [ended, given_up, lost] = ["ended", "given up", "lost"].map(|target| record(own, "scripts.deploy", target));
    for begun in [&ended, &given_up, &lost] {
        store.audit.begin(begun.clone(), tick()).await.unwrap();
    }
    assert_eq!(all(&store, own).await, []);
    append(&store, ended).await;
    store.audit.give_up(own, given_up.id).await.unwrap();
    let before = tick();
    let later = record(own, "scripts.deploy", "later");
    store.audit.begin(later, tick()).await.unwrap();
    assert_eq!(store.audit.close(before, tick()).await.unwrap(), 1);
    assert_eq!(store.audit.close(before, tick()).await.unwrap(), 0);
    let entries: Vec<(String, AuditOutcome)> =
        all(&store, own).await.into_iter().map(|entry| (entry.record.target, entry.record.outcome)).collect();
    assert_eq!(entries, [("ended".to_owned(), AuditOutcome::Done), ("lost".to_owned(), AuditOutcome::Unknown)]);
    verify(&store, own).await.unwrap();
}

async fn lists_are_filtered_and_paged(database: Database) {
    let store = database.open().await;
    let own = Some(workspace());
    append(&store, record(own, "scripts.deploy", "f/a/b")).await;
    append(&store, Record { outcome: AuditOutcome::Denied, ..record(own, "access.denied", "PUT /x") }).await;
    let between = tick();
    append(&store, record(own, "variables.put", "f/a/b")).await;
    append(&store, record(own, "variables.delete", "f/a/bc")).await;
    let numbers = async |filter: Filter| {
        let page = store.audit.list(own, filter, None, 10).await.unwrap();
        assert_eq!(page.next, None);
        page.entries.iter().map(|entry| entry.number).collect::<Vec<_>>()
    };
    let of = |pattern: &str| Some(Pattern::of(pattern));
    assert_eq!(numbers(Filter::default()).await, [4, 3, 2, 1]);
    assert_eq!(numbers(Filter { action: of("variables.*"), ..Filter::default() }).await, [4, 3]);
    assert_eq!(numbers(Filter { action: of("variables.put"), ..Filter::default() }).await, [3]);
    assert_eq!(numbers(Filter { action: of("variables"), ..Filter::default() }).await, [0_u64; 0]);
    assert_eq!(numbers(Filter { target: of("f/a/b"), ..Filter::default() }).await, [3, 1]);
    assert_eq!(numbers(Filter { target: of("f/a/b*"), action: of("*"), ..Filter::default() }).await, [4, 3, 1]);
    assert_eq!(numbers(Filter { target: of("f/a/%*"), ..Filter::default() }).await, [0_u64; 0]);
    assert_eq!(numbers(Filter { outcome: Some(AuditOutcome::Denied), ..Filter::default() }).await, [2]);
    assert_eq!(numbers(Filter { from: Some(between), ..Filter::default() }).await, [4, 3]);
    assert_eq!(numbers(Filter { until: Some(between), ..Filter::default() }).await, [2, 1]);
    assert_eq!(numbers(Filter { actor: Some("u/ann".to_owned()), ..Filter::default() }).await.len(), 4);
    assert_eq!(numbers(Filter { actor: Some("u/an".to_owned()), ..Filter::default() }).await, [0_u64; 0]);
    let page = async |before| {
        let Page { entries, next } = store.audit.list(own, Filter::default(), before, 2).await.unwrap();
        (entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), next)
    };
    assert_eq!((page(None).await, page(Some(3)).await), ((vec![4, 3], Some(3)), (vec![2, 1], None)));
    assert_eq!(page(Some(1)).await, (vec![], None));
}

async fn old_entries_are_let_go(database: Database) {
    let store = database.open().await;
    let own = Some(workspace());
    assert_eq!(store.audit.forget(own, tick()).await.unwrap(), 0, "there is no chain");
    for number in 1..=3 {
        append(&store, record(own, "scripts.deploy", &format!("f/a/n{number}"))).await;
    }
    let (whole, cut) = (all(&store, own).await, tick());
    append(&store, record(own, "scripts.deploy", "f/a/n4")).await;
    assert_eq!(store.audit.forget(own, cut).await.unwrap(), 3);
    assert_eq!(store.audit.forget(own, cut).await.unwrap(), 0);
    let ends = store.audit.ends(own).await.unwrap();
    assert_eq!((ends.anchor, ends.head.number), (whole[2].link(), 4));
    verify(&store, own).await.unwrap();
    assert_eq!(store.audit.list(own, Filter::default(), None, 10).await.unwrap().entries.len(), 1);
    assert_eq!(store.audit.forget(own, tick()).await.unwrap(), 1, "all of it");
    assert_eq!(append(&store, record(own, "scripts.deploy", "f/a/n5")).await.number, 5);
    verify(&store, own).await.unwrap();
}

struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

async fn upkeep_closes_and_lets_go(database: Database) {
    let store = database.open().await;
    let at = |days: u64| Timestamp::from_micros(1_900_000_000_000_000).plus(Duration::from_secs(days * 86_400));
    let ensure = async |name: &str| store.workspaces.ensure(WorkspaceId::new(tick()), name, tick()).await.unwrap().id;
    let (short, long) = (ensure("short").await, ensure("long").await);
    let patch = json!({"audit_days": 10});
    store.workspaces.set(short, patch.as_object().unwrap().clone()).await.unwrap().unwrap();
    for chain in [Some(short), Some(long), None] {
        store.audit.append(record(chain, "scripts.deploy", "old"), at(0)).await.unwrap();
        store.audit.append(record(chain, "scripts.deploy", "new"), at(20)).await.unwrap();
    }
    store.audit.begin(record(Some(long), "scripts.deploy", "lost"), at(19)).await.unwrap();
    let look = async |days, audit_days| {
        let options = upkeep::Options { node: "node".into(), retention_days: 0, audit_days };
        let service = upkeep::Service::new(store.clone(), Arc::new(Still(at(days))), options);
        service.look(&CancellationToken::new()).await.unwrap();
    };
    look(21, 365).await;
    let targets = async |chain| all(&store, chain).await.into_iter().map(|entry| entry.record.target).collect::<Vec<_>>();
    assert_eq!(
        (targets(Some(short)).await, targets(Some(long)).await),
        (vec!["new".to_owned()], ["old", "new", "lost"].map(str::to_owned).to_vec())
    );
    look(370, 0).await;
    assert_eq!((targets(Some(short)).await.len(), targets(Some(long)).await.len(), targets(None).await.len()), (0, 3, 2), "for ever");
    look(370, 365).await;
    assert_eq!((targets(Some(long)).await.len(), targets(None).await.len()), (2, 1), "as the operator says where nothing else is said");
    for chain in [Some(short), Some(long), None] {
        verify(&store, chain).await.unwrap();
    }
}

async fn secrets_are_shown_as_digests(database: Database) {
    let store = database.open_sealed().await;
    let (own, other) = (workspace(), workspace());
    let put = async |of: WorkspaceId, at: &str, text: &str| {
        let (text, now) = (Some(text.to_owned()), tick());
        let new = NewVariable { workspace: of, path: path(at), secret: true, text, description: String::new(), by: "u/ann".into(), now };
        store.variables.put(new).await.unwrap().unwrap();
    };
    let digest = async |store: &Store, of: WorkspaceId, at: &str| {
        let shown = store.shown.variable(of, &path(at)).await.unwrap().unwrap();
        assert!(!shown.as_str().contains("hunter2"), "{shown:?}");
        shown.read::<Value>().unwrap()["digest"].as_str().map(str::to_owned)
    };
    put(own, "f/a/one", "hunter2").await;
    let first = digest(&store, own, "f/a/one").await.unwrap();
    assert!(first.starts_with("hmac-sha256:") && first.len() > 64, "{first}");
    put(own, "f/a/one", "hunter2").await;
    assert_eq!(digest(&store, own, "f/a/one").await, Some(first.clone()), "the same secret");
    put(own, "f/a/one", "hunter3").await;
    assert_ne!(digest(&store, own, "f/a/one").await, Some(first.clone()));
    put(own, "f/a/two", "hunter2").await;
    put(other, "f/a/one", "hunter2").await;
    assert_ne!(digest(&store, own, "f/a/two").await, Some(first.clone()), "another path");
    assert_ne!(digest(&store, other, "f/a/one").await, Some(first.clone()), "another workspace");

    let value = fixture::json(r#"{"host": "db", "database": "d", "user": "u", "password": "hunter2"}"#);
    let kind = "postgresql".parse().unwrap();
    let (description, sharing) = (String::new(), Sharing::None);
    let new = NewResource { workspace: own, path: path("f/a/db"), kind, value, description, sharing, by: "u/ann".into(), now: tick() };
    store.resources.put(new).await.unwrap().unwrap();
    let shown = store.shown.resource(own, &path("f/a/db")).await.unwrap().unwrap();
    let value: Value = shown.read().unwrap();
    assert!(!shown.as_str().contains("hunter2") && value["fields"]["host"] == "db", "{value}");
    assert!(value["secrets"]["/password"].as_str().unwrap().starts_with("hmac-sha256:"), "{value}");
    assert_eq!(store.shown.resource(own, &path("f/a/none")).await.unwrap(), None);

    let bare = database.open().await;
    assert_eq!(digest(&bare, own, "f/a/one").await, None, "without keys there is no digest, and no error");
    put(own, "f/a/one", "hunter2").await;
    drop(store);
    let other_key = database.open_with(&format!("{}\n{}", key_text(2), key_text(1))).await.unwrap();
    assert_ne!(digest(&other_key, own, "f/a/one").await, Some(first), "another instance key");
}

/// The log of a workspace goes with it; who made it, changed it and deleted it is in that of the installation.
async fn of_a_deleted_workspace_the_entries_of_the_installation_stay(database: Database) {
    let store = database.open().await;
    let gone = store.workspaces.ensure(workspace(), "gone", tick()).await.unwrap().id;
    append(&store, record(None, "workspaces.create", "gone")).await;
    append(&store, record(Some(gone), "variables.put", "f/a/b")).await;
    store.audit.begin(record(Some(gone), "variables.put", "f/a/c"), tick()).await.unwrap();
    append(&store, record(None, "workspaces.delete", "gone")).await;
    store.workspaces.change_status(gone, Status::Deleting, tick()).await.unwrap().unwrap();
    while store.removals.step(gone, tick()).await.unwrap() == Step::More {}
    assert_eq!(all(&store, Some(gone)).await, []);
    assert_eq!(store.audit.ends(Some(gone)).await.unwrap(), Ends { anchor: Link::START, head: Link::START });
    let now = tick();
    assert_eq!(store.audit.close(now, now).await.unwrap(), 0, "what was begun in it is gone, too");
    let stay = all(&store, None).await;
    let actions: Vec<&str> = stay.iter().map(|entry| entry.record.action.as_str()).collect();
    assert_eq!(actions, ["workspaces.create", "workspaces.delete"]);
    let mut verifier = Verifier::new(Link::START, None);
    assert!(stay.iter().all(|entry| verifier.add(entry).is_ok()));
}
