//! How often runs start, how many of a workspace execute, and what is kept of those that failed.

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    OutcomeKind, Policy, RunId, RunStatus, Timestamp, WorkspaceId,
    attempt::Input,
    policy::Key,
    rate::Rate,
    run::{Cause, CauseKind, NewRun},
};
use sandmill_store::{
    Store,
    history::RunFilter,
    nodes::Incarnation,
    queue::{Claims, Completion, Head, Logged, Share},
};
use serde_json::{Value, json};

use crate::fixture::{Database, claim, complete, event, finished, heads, ids, join, new_run, on_both, tick, workspace};

on_both![
    starts_are_spread,
    a_burst_starts_at_once,
    the_slowest_rate_counts_and_each_try_takes_a_place,
    order_holds_where_a_rate_puts_off,
    rates_that_hold_nobody_back_are_forgotten,
    a_workspace_keeps_to_its_limit_on_all_nodes,
    weights_are_told_with_the_heads,
    runs_that_fail_for_good_are_dead_letters,
    a_handler_is_enqueued_with_the_end_of_its_run,
];

const SECOND: i64 = 1_000_000;

fn rated(of: WorkspaceId, rates: &[(&str, i64, u32)], keys: &[(&str, u32)]) -> NewRun {
    let rates = rates.iter().map(|(name, interval_us, burst)| Rate { name: (*name).to_owned(), interval_us: *interval_us, burst: *burst });
    let keys = keys.iter().map(|(name, limit)| Key { name: (*name).to_owned(), limit: *limit });
    NewRun { policy: Arc::new(Policy { rates: rates.collect(), keys: keys.collect(), ..Policy::default() }), ..new_run(of) }
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.plus(Duration::from_micros(u64::try_from(seconds * SECOND).unwrap()))
}

async fn enqueue(store: &Store, runs: &[NewRun]) {
    store.queue.enqueue(runs.to_vec()).await.unwrap();
}

/// Runs that can be claimed at `at`.
async fn due(store: &Store, node: Incarnation, at: Timestamp) -> Vec<RunId> {
    ids(&claim(store, node, at, 100).await)
}

async fn starts_are_spread(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs: Vec<NewRun> = (0..3).map(|_| rated(of, &[("r", 60 * SECOND, 1)], &[])).collect();
    let other = rated(of, &[("other", 60 * SECOND, 1)], &[]);
    let elsewhere = rated(workspace(), &[("r", 60 * SECOND, 1)], &[]);
    enqueue(&store, &runs).await;
    enqueue(&store, &[other.clone(), elsewhere.clone()]).await;
    let node = join(&store, "node", tick()).await;
    let first = runs[0].created_at;
    let mut at_once = due(&store, node, later(first, 59)).await;
    at_once.sort();
    assert_eq!(at_once, [runs[0].id, other.id, elsewhere.id], "each rate has its own places");
    assert_eq!(due(&store, node, later(first, 60)).await, [runs[1].id]);
    assert_eq!(due(&store, node, later(first, 119)).await, []);
    assert_eq!(due(&store, node, later(first, 120)).await, [runs[2].id]);
    let status = store.history.run(of, runs[2].id).await.unwrap().unwrap().summary.status;
    assert_eq!(status, RunStatus::Running);
}

async fn a_burst_starts_at_once(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs: Vec<NewRun> = (0..5).map(|_| rated(of, &[("r", 60 * SECOND, 3)], &[])).collect();
    enqueue(&store, &runs).await;
    let node = join(&store, "node", tick()).await;
    let first = runs[0].created_at;
    assert_eq!(due(&store, node, later(first, 1)).await, ids_of(&runs[..3]));
    assert_eq!(due(&store, node, later(first, 60)).await, [runs[3].id]);
    assert_eq!(due(&store, node, later(first, 120)).await, [runs[4].id]);
}

fn ids_of(runs: &[NewRun]) -> Vec<RunId> {
    runs.iter().map(|run| run.id).collect()
}

async fn the_slowest_rate_counts_and_each_try_takes_a_place(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let both = || rated(of, &[("fast", SECOND, 1), ("slow", 60 * SECOND, 1)], &[]);
    let runs = [both(), both()];
    enqueue(&store, &runs).await;
    let node = join(&store, "node", tick()).await;
    let first = runs[0].created_at;
    assert_eq!(due(&store, node, first).await, [runs[0].id]);
    assert_eq!(due(&store, node, later(first, 59)).await, []);
    // The second place is the other run's.
    let again = Completion {
        done: finished(runs[0].clone(), OutcomeKind::Error),
        again_at: Some(later(first, 30)),
        handler: None,
        logged: Logged::default(),
    };
    assert_eq!(store.queue.complete(node, vec![again]).await.unwrap(), [runs[0].id]);
    assert_eq!(due(&store, node, later(first, 59)).await, []);
    assert_eq!(due(&store, node, later(first, 60)).await, [runs[1].id]);
    assert_eq!(due(&store, node, later(first, 119)).await, []);
    assert_eq!(due(&store, node, later(first, 120)).await, [runs[0].id]);
}

async fn order_holds_where_a_rate_puts_off(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let busy = rated(of, &[("busy", 60 * SECOND, 1)], &[]);
    let first = rated(of, &[("busy", 60 * SECOND, 1)], &[("order f/a/b /k 1", 1), ("limit f/a/b", 1)]);
    let second = rated(of, &[("free", SECOND, 1)], &[("order f/a/b /k 1", 1), ("limit f/a/b", 1)]);
    let other = rated(of, &[], &[("limit f/a/b", 1)]);
    enqueue(&store, &[busy.clone(), first.clone(), second.clone(), other.clone()]).await;
    let node = join(&store, "node", tick()).await;
    let at = busy.created_at;
    assert_eq!(due(&store, node, later(at, 10)).await, [busy.id, other.id], "what waits for a rate holds no place of the others");
    complete(&store, node, vec![finished(other, OutcomeKind::Ok)]).await;
    assert_eq!(due(&store, node, later(at, 10)).await, [], "and is not overtaken");
    assert_eq!(due(&store, node, later(at, 61)).await, [first.id]);
    complete(&store, node, vec![finished(first, OutcomeKind::Ok)]).await;
    assert_eq!(due(&store, node, later(tick(), 70)).await, [second.id]);
}

async fn rates_that_hold_nobody_back_are_forgotten(database: Database) {
    let store = database.open().await;
    let run = rated(workspace(), &[("r", 60 * SECOND, 1)], &[]);
    enqueue(&store, std::slice::from_ref(&run)).await;
    assert_eq!(store.queue.forget_dedup_keys(later(run.created_at, 59)).await.unwrap(), 0);
    assert_eq!(store.queue.forget_dedup_keys(later(run.created_at, 60)).await.unwrap(), 1);
    assert_eq!(store.queue.forget_dedup_keys(later(run.created_at, 60)).await.unwrap(), 0);
}

async fn set(store: &Store, name: &str, settings: Value) -> WorkspaceId {
    let of = store.workspaces.ensure(workspace(), name, tick()).await.unwrap().id;
    store.workspaces.set(of, settings.as_object().unwrap().clone()).await.unwrap().unwrap();
    of
}

async fn a_workspace_keeps_to_its_limit_on_all_nodes(database: Database) {
    let stores = [database.open().await, database.open().await];
    let of = set(&stores[0], "limited", json!({"running_runs_max": 3})).await;
    let runs: Vec<NewRun> = (0..8).map(|_| new_run(of)).collect();
    enqueue(&stores[0], &runs).await;
    let nodes = [join(&stores[0], "one", tick()).await, join(&stores[1], "two", tick()).await];
    let ready = heads(&stores[0]).await;
    assert_eq!((ready.len(), ready[0].running_max), (1, Some(3)));
    let take = async |index: usize| {
        let share = Share { head: Head { workspace: of, tag: "".into() }, runs_max: 2, running_max: Some(3) };
        stores[index].queue.claim(nodes[index], tick(), vec![share]).await.unwrap()
    };
    let (one, two) = futures_util::join!(take(0), take(1));
    assert_eq!(one.runs.len() + two.runs.len(), 3, "together");
    assert!(one.at_limit == [of] || two.at_limit == [of], "whoever came last is told");
    assert_eq!(take(0).await, Claims { runs: Vec::new(), at_limit: vec![of] });
    let (node, store, ended) =
        if one.runs.is_empty() { (nodes[1], &stores[1], &two.runs[0]) } else { (nodes[0], &stores[0], &one.runs[0]) };
    complete(store, node, vec![finished(ended.run.clone(), OutcomeKind::Ok)]).await;
    assert_eq!(take(1).await.runs.len(), 1, "one for one");
}

async fn weights_are_told_with_the_heads(database: Database) {
    let store = database.open().await;
    let heavy = set(&store, "heavy", json!({"weight": 7})).await;
    let plain = store.workspaces.ensure(workspace(), "plain", tick()).await.unwrap().id;
    enqueue(&store, &[new_run(heavy), new_run(plain), new_run(workspace())]).await;
    let weights: Vec<u32> = heads(&store).await.iter().map(|ready| ready.weight).collect();
    assert_eq!(weights, [7, 1, 1]);
}

async fn runs_that_fail_for_good_are_dead_letters(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let mut runs: Vec<NewRun> = (0..4).map(|_| new_run(of)).collect();
    runs[1].input = Input::Event(event());
    enqueue(&store, &runs).await;
    let node = join(&store, "node", tick()).await;
    claim(&store, node, tick(), 10).await;
    let kinds = [OutcomeKind::Ok, OutcomeKind::Error, OutcomeKind::Timeout, OutcomeKind::Cancelled];
    let done = runs.iter().zip(kinds).map(|(run, kind)| finished(run.clone(), kind)).collect();
    complete(&store, node, done).await;
    // What never was in the queue was told to its caller.
    store.history.append(vec![finished(new_run(of), OutcomeKind::Error)]).await.unwrap();
    let dead = async |filter: RunFilter| {
        let page = store.history.list(of, &RunFilter { is_dead: true, ..filter }, None, 10).await.unwrap();
        page.runs.iter().map(|run| run.id).collect::<Vec<_>>()
    };
    assert_eq!(dead(RunFilter::default()).await, [runs[2].id, runs[1].id]);
    assert_eq!(dead(RunFilter { outcome: Some(OutcomeKind::Error), ..RunFilter::default() }).await, [runs[1].id]);
    assert_eq!(dead(RunFilter { path: Some(runs[1].path.clone()), ..RunFilter::default() }).await, [runs[2].id, runs[1].id]);
    assert_eq!(dead(RunFilter { label: Some(("a".to_owned(), "b".to_owned())), ..RunFilter::default() }).await, []);
    for run in &runs[1..3] {
        assert_eq!(store.dead_letters.input(of, run.id).await.unwrap().as_ref(), Some(&run.input));
    }
    assert_eq!(store.dead_letters.input(of, runs[0].id).await.unwrap(), None);
    assert_eq!(store.dead_letters.input(workspace(), runs[1].id).await.unwrap(), None, "another workspace's");
    assert!(!store.dead_letters.discard(workspace(), runs[1].id).await.unwrap());
    assert!(store.dead_letters.discard(of, runs[1].id).await.unwrap());
    assert!(!store.dead_letters.discard(of, runs[1].id).await.unwrap());
    assert_eq!(dead(RunFilter::default()).await, [runs[2].id]);
    assert!(store.history.run(of, runs[1].id).await.unwrap().is_some(), "its run stays");
}

async fn a_handler_is_enqueued_with_the_end_of_its_run(database: Database) {
    let store = database.open().await;
    let run = new_run(workspace());
    enqueue(&store, std::slice::from_ref(&run)).await;
    let node = join(&store, "node", tick()).await;
    claim(&store, node, tick(), 1).await;
    let handler = NewRun { cause: Some(Cause { kind: CauseKind::Handler, run: run.id }), ..new_run(run.workspace) };
    let ended = || {
        vec![Completion {
            done: finished(run.clone(), OutcomeKind::Error),
            again_at: None,
            handler: Some(Box::new(handler.clone())),
            logged: Logged::default(),
        }]
    };
    assert_eq!(store.queue.complete(Incarnation(node.0 + 7), ended()).await.unwrap(), [], "another's");
    assert_eq!(store.history.run(run.workspace, handler.id).await.unwrap(), None);
    assert_eq!(store.queue.complete(node, ended()).await.unwrap(), [run.id]);
    assert_eq!(store.queue.complete(node, ended()).await.unwrap(), [], "only once");
    assert_eq!(due(&store, node, tick()).await, [handler.id]);
}
