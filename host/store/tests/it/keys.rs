//! Keys that runs hold, and keys by which a repetition is known.

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    Digest, OutcomeKind, Policy, RunStatus, WorkspaceId,
    policy::Key,
    run::{Dedup, FinishedRun, NewRun},
};
use sandmill_store::{
    Store,
    queue::{Cancelled, Completion, Enqueued, Logged},
};

use crate::fixture::{Database, LEASE, claim, complete, finished, ids, join, new_run, on_both, tick, workspace};

on_both![
    equal_keys_execute_one_after_another,
    a_limit_lets_as_many_run,
    a_key_is_taken_when_the_run_is_due,
    several_keys_are_taken_in_order,
    a_retry_and_a_dead_node_keep_the_key,
    a_cancelled_run_frees_its_key_and_its_place,
    many_nodes_keep_order_and_limits,
    a_repetition_is_the_first_run,
    a_repetition_in_the_same_call_too,
    keys_are_forgotten_after_their_window,
];

fn keyed(of: WorkspaceId, keys: &[(&str, u32)]) -> NewRun {
    let keys = keys.iter().map(|(name, limit)| Key { name: (*name).to_owned(), limit: *limit }).collect();
    NewRun { policy: Arc::new(Policy { keys, ..Policy::default() }), ..new_run(of) }
}

async fn status(store: &Store, run: &NewRun) -> RunStatus {
    store.history.run(run.workspace, run.id).await.unwrap().unwrap().summary.status
}

fn ok(run: &NewRun) -> Vec<FinishedRun> {
    vec![finished(run.clone(), OutcomeKind::Ok)]
}

async fn equal_keys_execute_one_after_another(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs: Vec<NewRun> = (0..3).map(|_| keyed(of, &[("order a", 1)])).collect();
    let other = keyed(of, &[("order b", 1)]);
    let foreign = keyed(workspace(), &[("order a", 1)]);
    let all: Vec<NewRun> = runs.iter().chain([&other, &foreign]).cloned().collect();
    store.queue.enqueue(all).await.unwrap();
    let node = join(&store, "node", tick()).await;
    let mut first = ids(&claim(&store, node, tick(), 10).await);
    first.sort_unstable();
    assert_eq!(first, [runs[0].id, other.id, foreign.id], "one of each key, and keys are a workspace's own");
    assert_eq!(status(&store, &runs[1]).await, RunStatus::Parked);
    for (run, next) in runs.iter().zip([Some(&runs[1]), Some(&runs[2]), None]) {
        complete(&store, node, ok(run)).await;
        assert_eq!(ids(&claim(&store, node, tick(), 10).await), next.map(|run| run.id).into_iter().collect::<Vec<_>>());
    }
    let later = keyed(of, &[("order a", 1)]);
    store.queue.enqueue(vec![later.clone()]).await.unwrap();
    assert_eq!(ids(&claim(&store, node, tick(), 10).await), [later.id], "the key is free again");
}

async fn a_limit_lets_as_many_run(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs: Vec<NewRun> = (0..7).map(|_| keyed(of, &[("limit", 3)])).collect();
    store.queue.enqueue(runs.clone()).await.unwrap();
    let node = join(&store, "node", tick()).await;
    assert_eq!(claim(&store, node, tick(), 10).await.len(), 3);
    complete(&store, node, runs[..2].iter().flat_map(ok).collect()).await;
    assert_eq!(ids(&claim(&store, node, tick(), 10).await), [runs[3].id, runs[4].id]);
}

async fn a_key_is_taken_when_the_run_is_due(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let mut later = keyed(of, &[("order", 1)]);
    later.scheduled_for = later.created_at.plus(LEASE);
    let now = keyed(of, &[("order", 1)]);
    store.queue.enqueue(vec![later.clone(), now.clone()]).await.unwrap();
    let node = join(&store, "node", tick()).await;
    assert_eq!(ids(&claim(&store, node, tick(), 10).await), [now.id]);
    assert_eq!(claim(&store, node, later.scheduled_for, 10).await, [], "due, but its key is taken");
    assert_eq!(status(&store, &later).await, RunStatus::Parked);
    complete(&store, node, ok(&now)).await;
    assert_eq!(ids(&claim(&store, node, later.scheduled_for, 10).await), [later.id]);
}

async fn several_keys_are_taken_in_order(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let both = |order: &str| keyed(of, &[(order, 1), ("script", 1)]);
    let runs = [both("a"), both("a"), both("b")];
    store.queue.enqueue(runs.to_vec()).await.unwrap();
    let node = join(&store, "node", tick()).await;
    for run in &runs {
        // The second waits for the first's key and then, as the older one, goes before the third, which waits for the script alone.
        assert_eq!(ids(&claim(&store, node, tick(), 10).await), [run.id]);
        complete(&store, node, ok(run)).await;
    }
    assert_eq!(claim(&store, node, tick(), 10).await, []);
}

async fn a_retry_and_a_dead_node_keep_the_key(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs = [keyed(of, &[("order", 1)]), keyed(of, &[("order", 1)])];
    store.queue.enqueue(runs.to_vec()).await.unwrap();
    let now = tick();
    let node = join(&store, "node", now).await;
    claim(&store, node, now, 10).await;
    let again_at = now.plus(Duration::from_secs(1));
    let again = Completion {
        done: finished(runs[0].clone(), OutcomeKind::Error),
        again_at: Some(again_at),
        handler: None,
        logged: Logged::default(),
    };
    store.queue.complete(node, vec![again]).await.unwrap();
    assert_eq!(claim(&store, node, now, 10).await, [], "the second does not overtake the first");
    assert_eq!(ids(&claim(&store, node, again_at, 10).await), [runs[0].id]);
    store.nodes.bury(now.plus(LEASE * 2)).await.unwrap();
    let other = join(&store, "other", now).await;
    assert_eq!(ids(&claim(&store, other, now, 10).await), [runs[0].id]);
    let third = FinishedRun { attempt: 3, ..finished(runs[0].clone(), OutcomeKind::Ok) };
    complete(&store, other, vec![third]).await;
    assert_eq!(ids(&claim(&store, other, now, 10).await), [runs[1].id]);
}

async fn a_cancelled_run_frees_its_key_and_its_place(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs: Vec<NewRun> = (0..3).map(|_| keyed(of, &[("order", 1)])).collect();
    store.queue.enqueue(runs.clone()).await.unwrap();
    let cancel = async |run: &NewRun| store.queue.cancel(of, run.id, tick()).await.unwrap();
    assert_eq!(cancel(&runs[1]).await, Cancelled::AtOnce, "parked");
    assert_eq!(cancel(&runs[0]).await, Cancelled::AtOnce, "ready, with the key");
    let node = join(&store, "node", tick()).await;
    assert_eq!(ids(&claim(&store, node, tick(), 10).await), [runs[2].id]);
}

/// Producers and workers on two stores: at no moment do two runs of one key execute, and each key's runs execute in their order.
async fn many_nodes_keep_order_and_limits(database: Database) {
    const KEYS: usize = 5;
    const RUNS_OF_EACH: usize = 30;
    let stores = [database.open().await, database.open().await];
    let of = workspace();
    let executed: Vec<std::sync::Mutex<Vec<sandmill_model::RunId>>> = (0..KEYS).map(|_| std::sync::Mutex::default()).collect();
    let busy: Vec<std::sync::atomic::AtomicBool> = (0..KEYS).map(|_| std::sync::atomic::AtomicBool::default()).collect();
    let produce = futures_util::future::join_all((0..KEYS).map(|key| {
        let store = &stores[key % 2];
        async move {
            let mut accepted = Vec::new();
            for _ in 0..RUNS_OF_EACH / 2 {
                let runs = vec![keyed(of, &[(&format!("order {key}"), 1)]), keyed(of, &[(&format!("order {key}"), 1)])];
                accepted.extend(runs.iter().map(|run| run.id));
                store.queue.enqueue(runs).await.unwrap();
            }
            accepted
        }
    }));
    let work = futures_util::future::join_all((0..4).map(|index| {
        let (store, executed, busy) = (&stores[index % 2], &executed, &busy);
        async move {
            let node = store.nodes.join(crate::fixture::about(&format!("node {index}")), tick(), LEASE * 1000).await.unwrap();
            while executed.iter().map(|list| list.lock().unwrap().len()).sum::<usize>() < KEYS * RUNS_OF_EACH {
                for claimed in claim(store, node, tick(), 3).await {
                    let key: usize = claimed.run.policy.keys[0].name[6..].parse().unwrap();
                    assert!(!busy[key].swap(true, std::sync::atomic::Ordering::SeqCst), "two runs of one key at once");
                    tokio::task::yield_now().await;
                    executed[key].lock().unwrap().push(claimed.run.id);
                    busy[key].store(false, std::sync::atomic::Ordering::SeqCst);
                    assert_eq!(complete(store, node, ok(&claimed.run)).await.len(), 1);
                }
            }
        }
    }));
    let (accepted, _) = futures_util::future::join(produce, work).await;
    for (accepted, executed) in accepted.into_iter().zip(executed) {
        assert_eq!(executed.into_inner().unwrap(), accepted);
    }
}

fn known_by(run: NewRun, key: &str, asked: &[u8]) -> NewRun {
    let dedup = Dedup { scope: "caller".into(), key: key.to_owned(), fingerprint: Some(Digest::of(asked)), window: LEASE };
    NewRun { dedup: Some(dedup), ..run }
}

async fn a_repetition_is_the_first_run(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let enqueue = async |run: &NewRun| store.queue.enqueue(vec![run.clone()]).await.unwrap()[0];
    let first = known_by(new_run(of), "k\0", b"a");
    assert_eq!(enqueue(&first).await, Enqueued::New);
    assert_eq!(enqueue(&known_by(new_run(of), "k\0", b"a")).await, Enqueued::Duplicate(first.id));
    assert_eq!(enqueue(&known_by(new_run(of), "k\0", b"b")).await, Enqueued::Mismatch(first.id));
    assert_eq!(enqueue(&known_by(new_run(of), "other", b"b")).await, Enqueued::New);
    assert_eq!(enqueue(&known_by(new_run(workspace()), "k\0", b"a")).await, Enqueued::New, "another workspace's");
    let mut elsewhere = known_by(new_run(of), "k\0", b"a");
    elsewhere.dedup.as_mut().unwrap().scope = "another".into();
    assert_eq!(enqueue(&elsewhere).await, Enqueued::New);
    assert_eq!(store.queue.length(of, 10).await.unwrap(), 3);
    let node = join(&store, "node", tick()).await;
    claim(&store, node, tick(), 10).await;
    complete(&store, node, ok(&first)).await;
    assert_eq!(enqueue(&known_by(new_run(of), "k\0", b"a")).await, Enqueued::Duplicate(first.id), "also when it has ended");
}

async fn a_repetition_in_the_same_call_too(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs: Vec<NewRun> = (0..3).map(|_| known_by(new_run(of), "k", b"a")).chain([new_run(of)]).collect();
    let answers = store.queue.enqueue(runs.clone()).await.unwrap();
    let again = Enqueued::Duplicate(runs[0].id);
    assert_eq!(answers, [Enqueued::New, again, again, Enqueued::New]);
    let many = futures_util::future::join_all((0..20).map(|_| store.queue.enqueue(vec![known_by(new_run(of), "many", b"a")]))).await;
    let new = many.iter().filter(|answer| matches!(answer, Ok(answers) if answers[0] == Enqueued::New)).count();
    assert_eq!(new, 1, "{many:?}");
    assert!(many.iter().all(Result::is_ok), "{many:?}");
}

async fn keys_are_forgotten_after_their_window(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let first = known_by(new_run(of), "k", b"a");
    store.queue.enqueue(vec![first.clone()]).await.unwrap();
    let mut later = known_by(new_run(of), "k", b"b");
    later.created_at = first.created_at.plus(LEASE);
    later.scheduled_for = later.created_at;
    assert_eq!(store.queue.enqueue(vec![later.clone()]).await.unwrap(), [Enqueued::New], "its window is over");
    assert_eq!(store.queue.forget_dedup_keys(later.created_at).await.unwrap(), 0);
    assert_eq!(store.queue.forget_dedup_keys(later.created_at.plus(LEASE)).await.unwrap(), 1);
    assert_eq!(store.queue.forget_dedup_keys(later.created_at.plus(LEASE)).await.unwrap(), 0);
}
