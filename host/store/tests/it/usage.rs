//! What workspaces use.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sandmill_model::{
    BoxFuture, Clock, Digest, JsonText, Language, OutcomeKind, Quotas, Timestamp, WorkspaceId,
    run::FinishedRun,
    version::{ComponentModel, Entry, ProgramSpec},
};
use sandmill_store::{
    Store,
    plans::Plan,
    queue::{Completion, Logged},
    removal::Step,
    resources::{NewResource, Sharing},
    state::StateScope,
    upkeep::{self, Objects},
    usage::{Addition, Count, Kept, OutcomeUsage, SAMPLED_EVERY, Sums, Traffic, day_of, minute_of},
    variables::NewVariable,
    workspaces::{Change, Status},
};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Database, claim, complete, deployment, finished, join, json, line, new_run, on_both, path, tick, workspace};

on_both![
    ends_are_counted_with_what_they_used,
    an_attempt_that_is_followed_by_another_ends_no_run,
    what_is_written_once_more_is_counted_once,
    what_was_cancelled_before_it_began_used_nothing,
    counts_of_nodes_are_added_once,
    minutes_are_forgotten_and_days_are_not,
    what_is_stored_is_measured,
    what_is_kept_is_sampled_with_the_plan_of_the_day,
    objects_are_measured_with_all_else,
    usage_outlives_its_workspace,
];

async fn all(store: &Store, of: WorkspaceId) -> Vec<OutcomeUsage> {
    store.usage.attempts(of, 0, i64::MAX).await.unwrap()
}

fn used(kind: OutcomeKind, runs: u64, attempts: u64) -> Sums {
    // Of the fixture's outcomes: 34 ns are no whole millisecond.
    let fuel = u64::from(u32::MAX) * 9 * attempts;
    // `{"name": "bob"}`; then `{"n": 1.50}`, or all texts of the error.
    let (input_bytes, result_bytes) = (15, if kind == OutcomeKind::Ok { 11 } else { 53 });
    Sums {
        runs,
        attempts,
        fuel,
        cpu_ns: 12 * attempts,
        wall_ns: 34 * attempts,
        memory_kib_ms: 0,
        log_bytes: 0,
        input_bytes: input_bytes * runs,
        result_bytes: result_bytes * runs,
    }
}

fn on(done: &FinishedRun, sums: Sums) -> OutcomeUsage {
    OutcomeUsage { day: day_of(done.ended_at), outcome: done.outcome.kind, sums }
}

async fn ends_are_counted_with_what_they_used(database: Database) {
    let (store, other) = (database.open().await, database.open().await);
    let (of, quiet) = (workspace(), workspace());
    let ok: Vec<FinishedRun> = (0..3).map(|_| finished(new_run(of), OutcomeKind::Ok)).collect();
    let mut logged = finished(new_run(of), OutcomeKind::Error);
    logged.outcome.log = vec![line("12345")];
    logged.outcome.usage.memory_peak_bytes = 3 * 1024;
    logged.outcome.usage.wall_ns = 2_000_000;
    store.history.append(vec![ok[0].clone(), logged.clone()]).await.unwrap();
    other.history.append(ok[1..].to_vec()).await.unwrap();
    let error = Sums { memory_kib_ms: 6, log_bytes: 37, wall_ns: 2_000_000, ..used(OutcomeKind::Error, 1, 1) };
    assert_eq!(all(&store, of).await, [on(&ok[0], used(OutcomeKind::Ok, 3, 3)), on(&logged, error)]);
    assert_eq!(all(&store, quiet).await, []);
    let day = day_of(ok[0].ended_at);
    assert_eq!(store.usage.attempts(of, day + 1, day + 9).await.unwrap(), []);
    assert_eq!(store.usage.attempts(of, day, day).await.unwrap().len(), 2);
}

async fn an_attempt_that_is_followed_by_another_ends_no_run(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let run = new_run(of);
    store.queue.enqueue(vec![run.clone()]).await.unwrap();
    let node = join(&store, "node", tick()).await;
    assert_eq!(claim(&store, node, tick(), 1).await.len(), 1);
    let failed = finished(run.clone(), OutcomeKind::Timeout);
    let again = Completion { done: failed.clone(), again_at: Some(tick()), handler: None, logged: Logged::default() };
    assert_eq!(store.queue.complete(node, vec![again.clone()]).await.unwrap(), [run.id]);
    assert_eq!(store.queue.complete(node, vec![again]).await.unwrap(), [], "it is not held any more");
    assert_eq!(all(&store, of).await, [on(&failed, used(OutcomeKind::Timeout, 0, 1))]);
    assert_eq!(claim(&store, node, tick().plus(Duration::from_secs(60)), 1).await.len(), 1);
    let ended = FinishedRun { attempt: 2, ..finished(run.clone(), OutcomeKind::Timeout) };
    assert_eq!(complete(&store, node, vec![ended]).await, [run.id]);
    assert_eq!(all(&store, of).await, [on(&failed, used(OutcomeKind::Timeout, 1, 2))]);
}

async fn what_is_written_once_more_is_counted_once(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let (first, second) = (finished(new_run(of), OutcomeKind::Ok), finished(new_run(of), OutcomeKind::Ok));
    store.history.append(vec![first.clone()]).await.unwrap();
    for _ in 0..2 {
        store.history.append_again(vec![first.clone(), second.clone()]).await.unwrap();
    }
    assert_eq!(all(&store, of).await, [on(&first, used(OutcomeKind::Ok, 2, 2))]);
    assert!(store.history.run(of, second.run.id).await.unwrap().is_some());
}

async fn what_was_cancelled_before_it_began_used_nothing(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let run = new_run(of);
    store.queue.enqueue(vec![run.clone()]).await.unwrap();
    store.queue.cancel(of, run.id, tick()).await.unwrap();
    let found = all(&store, of).await;
    let told = "cancelledthe run was cancelled before it started".len() as u64;
    let sums = Sums { runs: 1, input_bytes: 15, result_bytes: told, ..Sums::default() };
    assert_eq!((found.len(), found[0].outcome, found[0].sums), (1, OutcomeKind::Cancelled, sums));
}

fn addition(sender: &str, number: i64, at: Timestamp, counts: &[(WorkspaceId, u64)]) -> Addition {
    let (minute, day) = (minute_of(at), day_of(at));
    let count = |runs: u64| Count { minute, day, runs, input_bytes: runs * 1000, bytes_up: runs * 10, bytes_down: runs * 100 };
    Addition { sender: sender.into(), number, counts: counts.iter().map(|(of, runs)| (*of, count(*runs))).collect(), now: at }
}

async fn counts_of_nodes_are_added_once(database: Database) {
    let store = database.open().await;
    let at = tick();
    let of = store.workspaces.ensure(workspace(), "a", at).await.unwrap().id;
    let other = store.workspaces.ensure(workspace(), "b", at).await.unwrap().id;
    for sent in [
        addition("node-1", 1, at, &[(of, 2), (other, 1)]),
        addition("node-1", 1, at, &[(of, 2), (other, 1)]),
        addition("node-2", 1, at, &[(of, 3)]),
        addition("node-1", 2, at, &[(of, 4), (of, 1)]),
        addition("node-1", 1, at, &[(of, 9)]),
        addition("node-1", 3, at, &[]),
    ] {
        store.usage.add(sent).await.unwrap();
    }
    let used = store.usage.used(vec![of, other, workspace()], at).await.unwrap();
    let counts: Vec<_> =
        used.iter().map(|used| (used.workspace, used.runs_of_minute, used.runs_of_day, used.outbound_bytes_of_day)).collect();
    assert_eq!(counts, [(of, 10, 10, 1100), (other, 1, 1, 110)]);
    assert_eq!(used.iter().map(|used| used.run_bytes_of_day).collect::<Vec<_>>(), [10_000, 1_000]);
    assert!(used.iter().all(|used| used.quotas.is_unlimited()));
    let next = at.plus(Duration::from_secs(60));
    let used = store.usage.used(vec![of], next).await.unwrap();
    assert_eq!((used[0].runs_of_minute, used[0].fuel_of_day), (0, 0));
    store.history.append(vec![FinishedRun { ended_at: at, ..finished(new_run(of), OutcomeKind::Ok) }]).await.unwrap();
    let used = store.usage.used(vec![of], at).await.unwrap();
    assert_eq!(used[0].fuel_of_day, u64::from(u32::MAX) * 9);
    assert_eq!(used[0].run_bytes_of_day, 10_011, "arguments are counted as they come, and once");
    assert_eq!(store.usage.traffic(of, 0, i64::MAX).await.unwrap(), [Traffic { day: day_of(at), bytes_up: 100, bytes_down: 1000 }]);
}

async fn minutes_are_forgotten_and_days_are_not(database: Database) {
    let store = database.open().await;
    let at = tick();
    let of = store.workspaces.ensure(workspace(), "a", at).await.unwrap().id;
    store.usage.add(addition("node", 1, at, &[(of, 2)])).await.unwrap();
    store.usage.forget(at).await.unwrap();
    assert_eq!(store.usage.used(vec![of], at).await.unwrap()[0].runs_of_minute, 2);
    store.usage.forget(at.plus(Duration::from_secs(2 * 3600))).await.unwrap();
    let used = store.usage.used(vec![of], at).await.unwrap();
    assert_eq!((used[0].runs_of_minute, used[0].runs_of_day), (0, 2));
}

async fn what_is_kept_is_sampled_with_the_plan_of_the_day(database: Database) {
    let store = database.open().await;
    // The start of a day.
    let at = Timestamp::from_micros(day_of(tick()) * 86_400_000_000);
    let of = store.workspaces.ensure(workspace(), "a", at).await.unwrap().id;
    assert!(store.usage.sample(of, at).await.unwrap());
    assert!(!store.usage.sample(of, at.plus(SAMPLED_EVERY / 2)).await.unwrap(), "it is too early");
    store.scripts.deploy(deployment(of, "f/demo/a", &"x".repeat(1000))).await.unwrap();
    let plan =
        Plan { name: "small".into(), quotas: Quotas::default(), description: String::new(), updated_at: at, updated_by: "u/admin".into() };
    assert!(store.plans.put(plan).await.unwrap());
    let change = Change { plan: Some(Some("small".into())), ..Change::default() };
    store.workspaces.allot(of, change).await.unwrap().unwrap();
    assert!(store.usage.sample(of, at.plus(SAMPLED_EVERY)).await.unwrap());
    let (day, stored) = (day_of(at), store.usage.stored_bytes(of).await.unwrap());
    for (day, bytes) in [(day, 100), (day, 51), (day + 9, 1)] {
        store.usage.sample_objects(of, day, bytes).await.unwrap();
    }
    let first = Kept { day, plan: Some("small".into()), stored_bytes: stored / 2, object_bytes: Some(75) };
    assert_eq!(store.usage.kept(of, day, day).await.unwrap(), std::slice::from_ref(&first), "the average, and the last plan");
    let next = at.plus(SAMPLED_EVERY * 24);
    assert!(store.usage.sample(of, next).await.unwrap());
    let second = Kept { day: day + 1, stored_bytes: stored, object_bytes: None, ..first.clone() };
    assert_eq!(store.usage.kept(of, 0, i64::MAX).await.unwrap(), [first, second.clone()]);
    assert_eq!(store.usage.kept(of, day + 1, day + 1).await.unwrap(), [second]);
    assert!(!store.usage.sample(workspace(), at).await.unwrap(), "there is no such workspace");
}

struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Seven bytes of this workspace, and nobody knows of the others.
struct Seven(WorkspaceId);

impl Objects for Seven {
    fn bytes(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(std::future::ready(if workspace == self.0 { Ok(7) } else { Err("gone".to_owned()) }))
    }
}

async fn objects_are_measured_with_all_else(database: Database) {
    let store = database.open().await;
    let at = tick();
    let of = store.workspaces.ensure(workspace(), "a", at).await.unwrap().id;
    let other = store.workspaces.ensure(workspace(), "b", at).await.unwrap().id;
    let options = upkeep::Options { node: "node".into(), retention_days: 0, audit_days: 365 };
    let service = upkeep::Service::new(store.clone(), Arc::new(Still(at)), options).measuring(Arc::new(Seven(of)));
    for _ in 0..2 {
        service.look(&CancellationToken::new()).await.unwrap();
    }
    for (workspace, expected) in [(of, Some(7)), (other, None)] {
        let kept = store.usage.kept(workspace, 0, i64::MAX).await.unwrap();
        assert_eq!(kept.iter().map(|kept| kept.object_bytes).collect::<Vec<_>>(), [expected]);
    }
}

async fn usage_outlives_its_workspace(database: Database) {
    let store = database.open().await;
    let mut gone = Vec::new();
    for _ in 0..3 {
        // Always the same name.
        let of = store.workspaces.ensure(workspace(), "a", tick()).await.unwrap().id;
        store.history.append(vec![finished(new_run(of), OutcomeKind::Ok)]).await.unwrap();
        store.usage.sample(of, tick()).await.unwrap();
        store.workspaces.change_status(of, Status::Deleting, tick()).await.unwrap().unwrap();
        while store.removals.step(of, tick()).await.unwrap() != Step::Gone {}
        assert_eq!((all(&store, of).await.len(), store.usage.kept(of, 0, i64::MAX).await.unwrap().len()), (1, 1));
        gone.push(of);
    }
    gone.sort();
    let deleted = store.usage.deleted(Timestamp::default(), None, 10).await.unwrap();
    assert_eq!(deleted.iter().map(|each| each.id).collect::<Vec<_>>(), gone);
    assert!(deleted.iter().all(|each| &*each.name == "a"));
    assert_eq!(store.usage.deleted(Timestamp::default(), Some(gone[0]), 1).await.unwrap(), deleted[1..2]);
    let last = deleted.iter().map(|each| each.deleted_at).max().unwrap();
    assert_eq!(store.usage.deleted(last, None, 10).await.unwrap().len(), 1);
    while store.removals.forget(last).await.unwrap() {}
    let left = store.usage.deleted(Timestamp::default(), None, 10).await.unwrap();
    assert_eq!(left.len(), 1);
    for of in gone {
        let is_left = left[0].id == of;
        assert_eq!(
            (all(&store, of).await.len(), store.usage.kept(of, 0, i64::MAX).await.unwrap().len()),
            (usize::from(is_left), usize::from(is_left))
        );
    }
}

async fn what_is_stored_is_measured(database: Database) {
    let store = database.open_sealed().await;
    let (of, now) = (workspace(), tick());
    let stored = async || store.usage.stored_bytes(of).await.unwrap();
    assert_eq!((stored().await, store.usage.scripts(of).await.unwrap()), (0, 0));
    store.scripts.deploy(deployment(of, "f/demo/a", &"x".repeat(1000))).await.unwrap();
    let mut before = stored().await;
    assert!(before > 1000, "{before}");
    store.scripts.deploy(deployment(of, "f/demo/b", &"x".repeat(1000))).await.unwrap();
    assert_eq!((stored().await, store.usage.scripts(of).await.unwrap()), (before, 2), "the same version, once");
    // One of each kind: it grows by what is put there, and by little more where that is sealed or described.
    let mut grew = async |what: &str, least: usize, most: usize| {
        let now = stored().await;
        let grown = usize::try_from(now - before).unwrap();
        assert!((least..=most).contains(&grown), "{what}: {grown} of {least} to {most}");
        before = now;
    };
    let bytes = Bytes::from(vec![7_u8; 100_000]);
    let component = Digest::of(&bytes);
    let mut new = deployment(of, "f/demo/c", "component");
    new.version.language = Language::Component;
    new.version.source = None;
    new.version.program =
        ProgramSpec::Component { component, entry: Entry::Script { has_preprocessor: false }, model: ComponentModel::Sync };
    new.component = Some((component, bytes));
    store.scripts.deploy(new).await.unwrap();
    grew("a component", 100_000, 101_000).await;
    let scope = StateScope { workspace: of, path: path("f/demo/a"), trigger: String::new() };
    store.state.put(&scope, "key", None, Some(json("\"12345\"")), now).await.unwrap();
    grew("state", 10, 10).await;
    for (at, secret, most) in [("f/demo/plain", false, 2_000), ("f/demo/secret", true, 2_200)] {
        let (text, by) = (Some("y".repeat(2_000)), "u/ann".into());
        let new = NewVariable { workspace: of, path: path(at), secret, text, description: String::new(), by, now };
        store.variables.put(new).await.unwrap().unwrap();
        grew(at, 2_000, most).await;
    }
    let certificate = "c".repeat(3_000);
    let value =
        serde_json::json!({"host": "h", "database": "d", "user": "u", "password": "p".repeat(4_000), "root_certificate": certificate});
    let new = NewResource {
        workspace: of,
        path: path("f/demo/db"),
        kind: "postgresql".parse().unwrap(),
        value: JsonText::of(&value).unwrap(),
        description: String::new(),
        sharing: Sharing::None,
        by: "u/ann".into(),
        now,
    };
    store.resources.put(new).await.unwrap().unwrap();
    grew("a resource", 7_000, 7_400).await;
    assert!(store.resources.delete(of, &path("f/demo/db")).await.unwrap());
    assert!(stored().await <= before - 7_000, "what is deleted counts no more");
    assert_eq!(store.usage.stored_bytes(workspace()).await.unwrap(), 0);
}
