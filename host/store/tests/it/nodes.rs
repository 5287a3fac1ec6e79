//! Lives of nodes, and what becomes of their runs.

use std::time::Duration;

use sandmill_model::{
    OutcomeKind, RunStatus,
    run::{FinishedRun, NewRun},
};
use sandmill_store::queue::Cancelled;

use crate::fixture::{Database, LEASE, about, claim, complete, finished, ids, join, new_run, on_both, tick, workspace};

on_both![
    a_node_that_was_thought_dead_completes_nothing,
    heartbeats_extend_and_tell_of_cancels,
    the_dead_and_the_returning_give_back,
    what_a_leaving_node_gives_back_counts_as_not_tried,
    a_cancel_outlives_the_node,
    nodes_are_listed,
    signs_of_life_have_a_connection_of_their_own,
];

async fn a_node_that_was_thought_dead_completes_nothing(database: Database) {
    let (asleep, other) = (database.open().await, database.open().await);
    let run = new_run(workspace());
    asleep.queue.enqueue(vec![run.clone()]).await.unwrap();
    let now = tick();
    let first = join(&asleep, "asleep", now).await;
    claim(&asleep, first, now, 1).await;
    let later = now.plus(LEASE).plus(Duration::from_micros(1));
    let second = join(&other, "other", later).await;
    assert_eq!(other.nodes.bury(later).await.unwrap(), 1);
    let done = || vec![finished(run.clone(), OutcomeKind::Ok)];
    assert_eq!(complete(&asleep, first, done()).await, [], "while it waits for its next try");
    assert_eq!(asleep.nodes.heartbeat(first, 1, later, LEASE).await.unwrap(), None, "it must join again");
    assert_eq!(claim(&asleep, first, later, 1).await, [], "the dead get nothing");
    assert!(asleep.queue.adopt(first, new_run(run.workspace), later).await.is_err());
    let again = join(&asleep, "asleep", later).await;
    assert!(again > second && second > first);
    let claimed = claim(&asleep, again, later, 1).await;
    assert_eq!((claimed[0].attempt, claimed[0].lost), (2, 1));
    assert_eq!(complete(&asleep, first, done()).await, [], "its earlier life does not count, although it is the same node");
    let record = other.history.run(run.workspace, run.id).await.unwrap().unwrap();
    assert_eq!(record.summary.status, RunStatus::Running);
    assert_eq!(complete(&asleep, again, done()).await, [], "nor does the first attempt");
    let second = FinishedRun { attempt: 2, ..finished(run.clone(), OutcomeKind::Ok) };
    assert_eq!(complete(&asleep, again, vec![second]).await, [run.id]);
}

async fn heartbeats_extend_and_tell_of_cancels(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs: Vec<NewRun> = (0..3).map(|_| new_run(of)).collect();
    store.queue.enqueue(runs.clone()).await.unwrap();
    let now = tick();
    let (node, other) = (join(&store, "node", now).await, join(&store, "other", now).await);
    claim(&store, node, now, 2).await;
    claim(&store, other, now, 1).await;
    let beat = now.plus(Duration::from_secs(2));
    assert_eq!(store.nodes.heartbeat(node, 2, beat, LEASE).await.unwrap(), Some(Vec::new()));
    let lapse = now.plus(Duration::from_secs(4));
    assert_eq!(store.nodes.bury(lapse).await.unwrap(), 1, "that of the node without a heartbeat");
    assert_eq!(store.queue.cancel(of, runs[1].id, lapse).await.unwrap(), Cancelled::Requested);
    for _ in 0..2 {
        let told = store.nodes.heartbeat(node, 2, lapse, LEASE).await.unwrap();
        assert_eq!(told, Some(vec![runs[1].id]), "until it has ended");
    }
    assert_eq!(store.nodes.heartbeat(other, 2, lapse, LEASE).await.unwrap(), None);
}

async fn the_dead_and_the_returning_give_back(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs: Vec<NewRun> = (0..3).map(|_| new_run(of)).collect();
    store.queue.enqueue(runs.clone()).await.unwrap();
    let now = tick();
    let (a, b) = (join(&store, "a", now).await, join(&store, "b", now).await);
    claim(&store, a, now, 1).await;
    claim(&store, b, now, 1).await;
    assert_eq!(store.nodes.bury(now.plus(LEASE)).await.unwrap(), 0, "not over yet");
    join(&store, "b", now).await;
    let c = join(&store, "c", now).await;
    let claimed = claim(&store, c, now, 10).await;
    let seen: Vec<_> = claimed.iter().map(|each| (each.run.id, each.attempt, each.lost)).collect();
    assert_eq!(seen, [(runs[1].id, 2, 1), (runs[2].id, 1, 0)], "what b held before it came back, at once");
    assert_eq!(store.nodes.bury(now.plus(LEASE * 2)).await.unwrap(), 3);
    assert_eq!(store.nodes.list().await.unwrap(), []);
    let d = join(&store, "d", now).await;
    let claimed = claim(&store, d, now, 10).await;
    assert_eq!(claimed.iter().map(|each| (each.attempt, each.lost)).collect::<Vec<_>>(), [(2, 1), (3, 2), (2, 1)]);
    assert_eq!(claimed[0].run, runs[0], "unaltered");
}

async fn what_a_leaving_node_gives_back_counts_as_not_tried(database: Database) {
    let store = database.open().await;
    let of = workspace();
    store.queue.enqueue((0..3).map(|_| new_run(of)).collect()).await.unwrap();
    let (a, b) = (join(&store, "a", tick()).await, join(&store, "b", tick()).await);
    assert_eq!(claim(&store, a, tick(), 2).await.len(), 2);
    assert_eq!(claim(&store, b, tick(), 2).await.len(), 1);
    assert_eq!(store.nodes.leave(a).await.unwrap(), 2);
    assert_eq!(store.nodes.leave(a).await.unwrap(), 0);
    let again = claim(&store, b, tick(), 10).await;
    assert_eq!(again.iter().map(|claimed| (claimed.attempt, claimed.lost)).collect::<Vec<_>>(), [(1, 0), (1, 0)], "b keeps its own");
}

async fn a_cancel_outlives_the_node(database: Database) {
    let store = database.open().await;
    let run = new_run(workspace());
    store.queue.enqueue(vec![run.clone()]).await.unwrap();
    let now = tick();
    let node = join(&store, "node", now).await;
    claim(&store, node, now, 1).await;
    assert_eq!(store.queue.cancel(run.workspace, run.id, now).await.unwrap(), Cancelled::Requested);
    assert_eq!(store.nodes.bury(now.plus(LEASE * 2)).await.unwrap(), 1);
    let other = join(&store, "other", now.plus(LEASE * 2)).await;
    let claimed = claim(&store, other, now, 1).await;
    assert_eq!(ids(&claimed), [run.id]);
    assert!(claimed[0].is_cancelled, "whoever takes it next ends it");
}

async fn nodes_are_listed(database: Database) {
    let store = database.open().await;
    let now = tick();
    let node = join(&store, "näme", now).await;
    let beat = now.plus(Duration::from_secs(1));
    store.nodes.heartbeat(node, 5, beat, LEASE).await.unwrap();
    let listed = store.nodes.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    let seen = &listed[0];
    assert_eq!((seen.incarnation, &seen.about, seen.running), (node, &about("näme"), 5));
    assert_eq!((seen.started_at, seen.seen_at, seen.alive_until), (now, beat, beat.plus(LEASE)));
}

async fn signs_of_life_have_a_connection_of_their_own(database: Database) {
    let store = database.open().await;
    let now = tick();
    let node = join(&store, "node", now).await;
    let apart = store.nodes.apart().await.unwrap();
    assert_eq!(apart.heartbeat(node, 3, now, LEASE).await.unwrap(), Some(Vec::new()));
    assert_eq!(store.nodes.list().await.unwrap()[0].running, 3);
}
