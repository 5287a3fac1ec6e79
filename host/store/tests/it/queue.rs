//! The queue: accepting, claiming, completing, leases, cancelling.

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use sandmill_model::{OutcomeKind, RunId, RunStatus, Timestamp, attempt::Input, run::NewRun};
use sandmill_store::{
    Store, StoreError,
    queue::{Cancelled, Claimed},
};

use crate::fixture::{Database, event, finished, json, new_run, on_both, tick, workspace};

const LEASE: Duration = Duration::from_secs(3);

on_both![
    what_is_enqueued_is_claimed_unaltered,
    enqueueing_is_all_or_none,
    a_failing_call_does_not_fail_the_others,
    only_due_runs_oldest_first,
    two_nodes_claim_disjoint_runs,
    completing_moves_to_history,
    a_node_that_lost_the_lease_completes_nothing,
    heartbeats_extend_and_tell_of_cancels,
    lapsed_and_returning_runs_are_recovered,
    what_a_stopping_node_hands_back_counts_as_not_tried,
    adopting,
    cancelling,
    large_inputs,
    everything_at_once_loses_nothing,
];

async fn claim(store: &Store, node: &str, now: Timestamp, limit: u32) -> Vec<Claimed> {
    store.queue.claim(node, now, LEASE, limit).await.unwrap()
}

fn ids(claimed: &[Claimed]) -> Vec<RunId> {
    claimed.iter().map(|each| each.run.id).collect()
}

async fn status(store: &Store, run: &NewRun) -> Option<RunStatus> {
    store.history.run(run.workspace, run.id).await.unwrap().map(|record| record.summary.status)
}

async fn what_is_enqueued_is_claimed_unaltered(database: Database) {
    let store = database.open().await;
    let plain = new_run(workspace());
    let by_event = NewRun { input: Input::Event(event()), ..new_run(plain.workspace) };
    let mut binary = event();
    binary.payload = Bytes::from_static(b"\xff\0\xfe");
    binary.trigger.path = None;
    (binary.dedup_key, binary.ordering_key) = (None, Some("ordered".to_owned()));
    let binary = NewRun { input: Input::Event(binary), ..new_run(workspace()) };
    let odd = NewRun { input: Input::Arguments(json(" {\"\\u0000\": \"😀\",\n\"n\": 1e400}\n")), ..new_run(workspace()) };
    let runs = vec![plain, by_event, binary, odd];
    store.queue.enqueue(runs.clone()).await.unwrap();
    store.queue.enqueue(Vec::new()).await.unwrap();
    let claimed = claim(&store, "node", tick(), 10).await;
    assert_eq!(claimed, runs.into_iter().map(|run| Claimed { run, attempt: 1 }).collect::<Vec<_>>());
    assert_eq!(claim(&store, "node", tick(), 10).await, [], "they are taken");
}

async fn enqueueing_is_all_or_none(database: Database) {
    let store = database.open().await;
    let (present, new) = (new_run(workspace()), new_run(workspace()));
    store.queue.enqueue(vec![present.clone()]).await.unwrap();
    let again = store.queue.enqueue(vec![new.clone(), present.clone()]).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    assert_eq!(status(&store, &new).await, None);
    assert_eq!(ids(&claim(&store, "node", tick(), 10).await), [present.id]);
}

async fn a_failing_call_does_not_fail_the_others(database: Database) {
    let store = database.open().await;
    let present = new_run(workspace());
    store.queue.enqueue(vec![present.clone()]).await.unwrap();
    let calls = (0..60).map(|index| store.queue.enqueue(vec![if index % 20 == 7 { present.clone() } else { new_run(present.workspace) }]));
    let answers = futures_util::future::join_all(calls).await;
    for (index, answer) in answers.iter().enumerate() {
        match answer {
            Ok(()) => assert_ne!(index % 20, 7),
            Err(error) => assert!(index % 20 == 7 && matches!(error, StoreError::Conflict(_)), "{index}: {error}"),
        }
    }
    assert_eq!(claim(&store, "node", tick(), 100).await.len(), 58);
}

async fn only_due_runs_oldest_first(database: Database) {
    let store = database.open().await;
    let runs: Vec<NewRun> = (0..4).map(|_| new_run(workspace())).collect();
    let mut late = new_run(workspace());
    late.scheduled_for = tick().plus(Duration::from_secs(60));
    let mut shuffled = vec![late.clone(), runs[2].clone(), runs[0].clone(), runs[3].clone(), runs[1].clone()];
    store.queue.enqueue(shuffled.split_off(2)).await.unwrap();
    store.queue.enqueue(shuffled).await.unwrap();
    let now = tick();
    assert_eq!(claim(&store, "node", now, 0).await, []);
    assert_eq!(ids(&claim(&store, "node", now, 3).await), [runs[0].id, runs[1].id, runs[2].id]);
    assert_eq!(ids(&claim(&store, "node", now, 3).await), [runs[3].id]);
    let before = Timestamp::from_micros(late.scheduled_for.micros() - 1);
    assert_eq!(claim(&store, "node", before, 3).await, []);
    assert_eq!(ids(&claim(&store, "node", late.scheduled_for, 3).await), [late.id]);
}

async fn two_nodes_claim_disjoint_runs(database: Database) {
    let stores = [database.open().await, database.open().await];
    let of = workspace();
    let runs: Vec<NewRun> = (0..300).map(|_| new_run(of)).collect();
    stores[0].queue.enqueue(runs.clone()).await.unwrap();
    let now = tick();
    let nodes = (0..6).map(|index| {
        let store = &stores[index % 2];
        async move {
            let node = format!("node {index}");
            let mut own = Vec::new();
            loop {
                let claimed = claim(store, &node, now, 7).await;
                if claimed.is_empty() {
                    break own;
                }
                own.extend(ids(&claimed));
            }
        }
    });
    let mut all: Vec<RunId> = futures_util::future::join_all(nodes).await.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, runs.iter().map(|run| run.id).collect::<Vec<_>>());
}

async fn completing_moves_to_history(database: Database) {
    let store = database.open().await;
    let runs: Vec<NewRun> = (0..3).map(|_| NewRun { input: Input::Event(event()), ..new_run(workspace()) }).collect();
    store.queue.enqueue(runs.clone()).await.unwrap();
    assert_eq!(status(&store, &runs[0]).await, Some(RunStatus::Queued));
    claim(&store, "node", tick(), 2).await;
    assert_eq!(status(&store, &runs[0]).await, Some(RunStatus::Running));
    let record = store.history.run(runs[0].workspace, runs[0].id).await.unwrap().unwrap();
    assert_eq!((record.arguments, record.event), (json("{\"a\": 1}"), Some(event().metadata)));
    let ended = [finished(runs[0].clone(), OutcomeKind::Ok), finished(runs[2].clone(), OutcomeKind::Ok)];
    let moved = store.queue.complete("node", ended.to_vec()).await.unwrap();
    assert_eq!(moved, [runs[0].id], "the third was not claimed");
    assert_eq!(status(&store, &runs[0]).await, Some(RunStatus::Succeeded));
    assert_eq!(status(&store, &runs[1]).await, Some(RunStatus::Running));
    assert_eq!(status(&store, &runs[2]).await, Some(RunStatus::Queued));
    assert_eq!(store.queue.complete("node", ended.to_vec()).await.unwrap(), [], "it has moved");
    assert_eq!(store.queue.complete("node", Vec::new()).await.unwrap(), []);
}

async fn a_node_that_lost_the_lease_completes_nothing(database: Database) {
    let (fenced, other) = (database.open().await, database.open().await);
    let run = new_run(workspace());
    fenced.queue.enqueue(vec![run.clone()]).await.unwrap();
    let now = tick();
    claim(&fenced, "fenced", now, 1).await;
    let later = now.plus(LEASE).plus(Duration::from_micros(1));
    assert_eq!(other.queue.recover(None, later).await.unwrap(), 1);
    assert_eq!(fenced.queue.complete("fenced", vec![finished(run.clone(), OutcomeKind::Ok)]).await.unwrap(), []);
    assert_eq!(claim(&other, "other", later, 1).await[0].attempt, 2);
    assert_eq!(fenced.queue.complete("fenced", vec![finished(run.clone(), OutcomeKind::Ok)]).await.unwrap(), []);
    assert_eq!(fenced.queue.heartbeat("fenced", later, LEASE).await.unwrap(), []);
    assert_eq!(status(&other, &run).await, Some(RunStatus::Running));
    assert_eq!(other.queue.complete("other", vec![finished(run.clone(), OutcomeKind::Error)]).await.unwrap(), [run.id]);
    assert_eq!(status(&fenced, &run).await, Some(RunStatus::Failed));
}

async fn heartbeats_extend_and_tell_of_cancels(database: Database) {
    let store = database.open().await;
    let runs: Vec<NewRun> = (0..3).map(|_| new_run(workspace())).collect();
    store.queue.enqueue(runs.clone()).await.unwrap();
    let now = tick();
    claim(&store, "node", now, 2).await;
    claim(&store, "other", now, 1).await;
    let beat = now.plus(Duration::from_secs(2));
    assert_eq!(store.queue.heartbeat("node", beat, LEASE).await.unwrap(), []);
    let lapse = now.plus(Duration::from_secs(4));
    assert_eq!(store.queue.recover(None, lapse).await.unwrap(), 1, "that of the node without a heartbeat");
    assert_eq!(store.queue.cancel(runs[1].workspace, runs[1].id, lapse).await.unwrap(), Cancelled::Requested);
    for _ in 0..2 {
        assert_eq!(store.queue.heartbeat("node", lapse, LEASE).await.unwrap(), [runs[1].id], "told until it has ended");
    }
    assert_eq!(store.queue.heartbeat("nobody", lapse, LEASE).await.unwrap(), []);
}

async fn lapsed_and_returning_runs_are_recovered(database: Database) {
    let store = database.open().await;
    let runs: Vec<NewRun> = (0..3).map(|_| new_run(workspace())).collect();
    store.queue.enqueue(runs.clone()).await.unwrap();
    let now = tick();
    claim(&store, "a", now, 1).await;
    claim(&store, "b", now, 1).await;
    assert_eq!(store.queue.recover(None, now.plus(LEASE)).await.unwrap(), 0, "not lapsed yet");
    assert_eq!(store.queue.recover(Some("c"), now).await.unwrap(), 0);
    assert_eq!(store.queue.recover(Some("b"), now).await.unwrap(), 1);
    let claimed = claim(&store, "c", now, 10).await;
    assert_eq!(claimed.iter().map(|each| (each.run.id, each.attempt)).collect::<Vec<_>>(), [(runs[1].id, 2), (runs[2].id, 1)]);
    assert_eq!(store.queue.recover(Some("c"), now.plus(LEASE * 2)).await.unwrap(), 3, "its own and the lapsed one");
    let claimed = claim(&store, "c", now, 10).await;
    assert_eq!(claimed.iter().map(|each| each.attempt).collect::<Vec<_>>(), [2, 3, 2]);
    assert_eq!(claimed[0].run, runs[0], "unaltered");
}

async fn what_a_stopping_node_hands_back_counts_as_not_tried(database: Database) {
    let store = database.open().await;
    let runs: Vec<NewRun> = (0..3).map(|_| new_run(workspace())).collect();
    store.queue.enqueue(runs).await.unwrap();
    assert_eq!(claim(&store, "a", tick(), 2).await.len(), 2);
    assert_eq!(claim(&store, "b", tick(), 2).await.len(), 1);
    assert_eq!(store.queue.hand_back("a").await.unwrap(), 2);
    assert_eq!(store.queue.hand_back("a").await.unwrap(), 0);
    let again = claim(&store, "c", tick(), 10).await;
    assert_eq!(again.iter().map(|claimed| claimed.attempt).collect::<Vec<_>>(), [1, 1], "b keeps its own");
}

async fn adopting(database: Database) {
    let store = database.open().await;
    let (run, now) = (NewRun { input: Input::Event(event()), ..new_run(workspace()) }, tick());
    store.queue.adopt("node", run.clone(), now, LEASE).await.unwrap();
    assert_eq!(claim(&store, "other", now, 10).await, [], "it is claimed already");
    let record = store.history.run(run.workspace, run.id).await.unwrap().unwrap();
    assert_eq!((record.summary.status, record.summary.attempt, record.summary.started_at), (RunStatus::Running, 1, Some(now)));
    assert_eq!(store.queue.recover(None, now.plus(LEASE)).await.unwrap(), 0);
    assert_eq!(store.queue.recover(None, now.plus(LEASE * 2)).await.unwrap(), 1);
    assert_eq!(claim(&store, "other", now, 10).await, [Claimed { run: run.clone(), attempt: 2 }]);
    assert_eq!(store.queue.complete("node", vec![finished(run.clone(), OutcomeKind::Ok)]).await.unwrap(), []);
    let own = new_run(workspace());
    store.queue.adopt("node", own.clone(), now, LEASE).await.unwrap();
    assert_eq!(store.queue.complete("node", vec![finished(own.clone(), OutcomeKind::Ok)]).await.unwrap(), [own.id]);
    let again = store.queue.adopt("node", run, now, LEASE).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
}

async fn cancelling(database: Database) {
    let store = database.open().await;
    let runs: Vec<NewRun> = (0..2).map(|_| NewRun { input: Input::Event(event()), ..new_run(workspace()) }).collect();
    store.queue.enqueue(runs.clone()).await.unwrap();
    let now = tick();
    claim(&store, "node", now, 1).await;
    let cancel = async |run: &NewRun| store.queue.cancel(run.workspace, run.id, now).await.unwrap();
    assert_eq!(cancel(&NewRun { workspace: workspace(), ..runs[0].clone() }).await, Cancelled::TooLate, "another workspace's");
    assert_eq!(cancel(&runs[0]).await, Cancelled::Requested);
    assert_eq!(status(&store, &runs[0]).await, Some(RunStatus::Running));
    assert_eq!(cancel(&runs[1]).await, Cancelled::AtOnce);
    assert_eq!(cancel(&runs[1]).await, Cancelled::TooLate);
    let record = store.history.run(runs[1].workspace, runs[1].id).await.unwrap().unwrap();
    assert_eq!((record.summary.status, record.summary.outcome), (RunStatus::Cancelled, Some(OutcomeKind::Cancelled)));
    assert_eq!((record.summary.attempt, record.summary.started_at, record.summary.ended_at), (0, None, Some(now)));
    assert_eq!((record.arguments, record.event), (json("{\"a\": 1}"), Some(event().metadata)));
    assert_eq!(store.history.log(runs[1].workspace, runs[1].id).await.unwrap(), Some(Vec::new()));
    store.queue.complete("node", vec![finished(runs[0].clone(), OutcomeKind::Cancelled)]).await.unwrap();
    assert_eq!(cancel(&runs[0]).await, Cancelled::TooLate);
    assert_eq!(claim(&store, "node", now, 10).await, []);
}

async fn large_inputs(database: Database) {
    let store = database.open().await;
    let text = "ü\\u0000".repeat(1024 * 1024);
    let arguments = NewRun { input: Input::Arguments(json(&format!("{{\"text\":\"{text}\"}}"))), ..new_run(workspace()) };
    let mut by_event = event();
    by_event.payload = Bytes::from(vec![0xff; 8 * 1024 * 1024]);
    let payload = NewRun { input: Input::Event(by_event), ..new_run(workspace()) };
    let runs = vec![arguments, payload];
    store.queue.enqueue(runs.clone()).await.unwrap();
    let claimed = claim(&store, "node", tick(), 2).await;
    assert!(claimed.iter().map(|each| &each.run).eq(&runs), "8 MiB come back unaltered");
    let ended = finished(runs[0].clone(), OutcomeKind::Ok);
    store.queue.complete("node", vec![ended]).await.unwrap();
    let record = store.history.run(runs[0].workspace, runs[0].id).await.unwrap().unwrap();
    assert!(Input::Arguments(record.arguments) == runs[0].input);
}

/// Producers, workers, heartbeats and a reaper together: every run ends once.
async fn everything_at_once_loses_nothing(database: Database) {
    const RUNS: usize = 400;
    let stores = [database.open().await, database.open().await];
    let of = workspace();
    let runs: Vec<NewRun> = (0..RUNS).map(|_| new_run(of)).collect();
    let produce =
        futures_util::future::join_all(runs.chunks(10).enumerate().map(|(index, chunk)| stores[index % 2].queue.enqueue(chunk.to_vec())));
    let ended = std::sync::Mutex::new(Vec::new());
    let work = futures_util::future::join_all((0..4).map(|index| {
        let (store, ended) = (&stores[index % 2], &ended);
        async move {
            let node = format!("node {index}");
            while ended.lock().unwrap().len() < RUNS {
                let claimed = claim(store, &node, tick(), 9).await;
                store.queue.heartbeat(&node, tick(), LEASE * 1000).await.unwrap();
                store.queue.recover(None, tick()).await.unwrap();
                let done = claimed.into_iter().map(|each| finished(each.run, OutcomeKind::Ok)).collect();
                let moved = store.queue.complete(&node, done).await.unwrap();
                ended.lock().unwrap().extend(moved);
            }
        }
    }));
    let ((), produced) = futures_util::future::join(async { drop(work.await) }, produce).await;
    assert!(produced.iter().all(Result::is_ok), "{produced:?}");
    let ended = ended.into_inner().unwrap();
    assert_eq!(ended.len(), RUNS);
    assert_eq!(ended.into_iter().collect::<HashSet<_>>(), runs.iter().map(|run| run.id).collect());
}
