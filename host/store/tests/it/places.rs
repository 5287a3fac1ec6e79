//! Places of workspaces with a limit, leased by nodes.

use sandmill_model::{OutcomeKind, RunId, WorkspaceId, run::NewRun};
use sandmill_store::{
    Store,
    nodes::Incarnation,
    places::{Excess, Held, Hold},
    queue::{Head, Share},
};
use serde_json::json;

use crate::fixture::{Database, LEASE, complete, finished, ids, join, new_run, on_both, tick, workspace};

on_both![
    one_node_has_all_of_them,
    two_nodes_share_what_both_ask_for,
    what_is_leased_cannot_be_claimed,
    what_is_claimed_cannot_be_leased,
    who_wakes_finds_no_leased_place,
    the_dead_and_who_leaves_hold_nothing,
    an_exchange_that_was_overtaken_changes_nothing,
    who_asks_is_forgotten_after_some_signs_of_life,
    a_limit_that_changes_is_heard_of,
    nodes_that_ask_at_once_keep_to_the_limit,
];

async fn limited(store: &Store, running_runs_max: u32) -> WorkspaceId {
    let of = store.workspaces.ensure(workspace(), "limited", tick()).await.unwrap().id;
    limit(store, of, Some(running_runs_max)).await;
    of
}

async fn limit(store: &Store, of: WorkspaceId, running_runs_max: Option<u32>) {
    let settings = json!({"running_runs_max": running_runs_max});
    store.workspaces.set(of, settings.as_object().unwrap().clone()).await.unwrap().unwrap();
}

/// Says what a node keeps and needs; returns what it has then.
async fn exchange(store: &Store, node: Incarnation, of: WorkspaceId, keeps: u32, needs: u32) -> u32 {
    let hold = Hold { workspace: of, number: tick().micros(), keeps, needs };
    store.places.exchange(node, hold).await.unwrap().unwrap().places
}

async fn take(store: &Store, node: Incarnation, of: WorkspaceId, limit: u32) -> Vec<RunId> {
    let share = Share { head: Head { workspace: of, tag: "".into() }, runs_max: 5, running_max: Some(limit) };
    ids(&store.queue.claim(node, tick(), vec![share]).await.unwrap().runs)
}

async fn enqueue(store: &Store, of: WorkspaceId, count: usize) -> Vec<NewRun> {
    let runs: Vec<NewRun> = (0..count).map(|_| new_run(of)).collect();
    store.queue.enqueue(runs.clone()).await.unwrap();
    runs
}

async fn one_node_has_all_of_them(database: Database) {
    let store = database.open().await;
    let of = limited(&store, 5).await;
    let node = join(&store, "node", tick()).await;
    assert_eq!(exchange(&store, node, of, 0, 1).await, 5);
    assert_eq!(exchange(&store, node, of, 5, 9).await, 5, "no more than there are");
    assert_eq!(store.places.excess(node).await.unwrap(), []);
    assert_eq!(exchange(&store, node, of, 2, 0).await, 2, "three are given back");
    assert_eq!(exchange(&store, node, of, 4, 0).await, 2, "nobody keeps what it does not have");
    assert_eq!(exchange(&store, node, of, 0, 0).await, 0);
}

async fn two_nodes_share_what_both_ask_for(database: Database) {
    let stores = [database.open().await, database.open().await];
    let of = limited(&stores[0], 6).await;
    let (one, two) = (join(&stores[0], "one", tick()).await, join(&stores[1], "two", tick()).await);
    assert_eq!(exchange(&stores[0], one, of, 0, 1).await, 6);
    assert_eq!(exchange(&stores[1], two, of, 0, 1).await, 0);
    assert_eq!(stores[0].places.excess(one).await.unwrap(), [Excess { workspace: of, keep: 3 }]);
    assert_eq!(exchange(&stores[0], one, of, 4, 4).await, 4, "one more is in use");
    assert_eq!(exchange(&stores[1], two, of, 0, 1).await, 2);
    assert_eq!(stores[0].places.excess(one).await.unwrap(), [], "nobody asks any more");
    assert_eq!(exchange(&stores[0], one, of, 0, 0).await, 0);
    assert_eq!(exchange(&stores[1], two, of, 2, 3).await, 6);
}

async fn what_is_leased_cannot_be_claimed(database: Database) {
    let stores = [database.open().await, database.open().await];
    let of = limited(&stores[0], 3).await;
    let (one, two) = (join(&stores[0], "one", tick()).await, join(&stores[1], "two", tick()).await);
    assert_eq!(exchange(&stores[0], one, of, 0, 1).await, 3);
    let runs = enqueue(&stores[0], of, 4).await;
    assert_eq!(take(&stores[0], one, of, 3).await, [], "its own places are taken, too");
    assert_eq!(stores[0].places.excess(one).await.unwrap(), [], "it knows by itself that it waits for its own");
    assert_eq!(take(&stores[1], two, of, 3).await, []);
    assert_eq!(stores[0].places.excess(one).await.unwrap(), [Excess { workspace: of, keep: 1 }], "another asks");
    assert_eq!(exchange(&stores[0], one, of, 1, 1).await, 1);
    assert_eq!(take(&stores[1], two, of, 3).await, [runs[0].id, runs[1].id]);
    assert_eq!(take(&stores[0], one, of, 3).await, []);
}

async fn what_is_claimed_cannot_be_leased(database: Database) {
    let store = database.open().await;
    let of = limited(&store, 3).await;
    let node = join(&store, "node", tick()).await;
    let runs = enqueue(&store, of, 2).await;
    assert_eq!(take(&store, node, of, 3).await.len(), 2);
    assert_eq!(exchange(&store, node, of, 0, 3).await, 1);
    store.queue.sleeps(node, of, runs[0].id).await.unwrap();
    assert_eq!(exchange(&store, node, of, 1, 3).await, 2, "who sleeps does not count");
    complete(&store, node, vec![finished(runs[1].clone(), OutcomeKind::Ok)]).await;
    assert_eq!(exchange(&store, node, of, 2, 3).await, 3);
}

async fn who_wakes_finds_no_leased_place(database: Database) {
    let stores = [database.open().await, database.open().await];
    let of = limited(&stores[0], 1).await;
    let (one, two) = (join(&stores[0], "one", tick()).await, join(&stores[1], "two", tick()).await);
    let parent = enqueue(&stores[0], of, 1).await.remove(0);
    assert_eq!(take(&stores[0], one, of, 1).await, [parent.id]);
    stores[0].queue.sleeps(one, of, parent.id).await.unwrap();
    assert_eq!(exchange(&stores[1], two, of, 0, 1).await, 1);
    assert!(!stores[0].queue.wakes(one, of, parent.id).await.unwrap());
    assert_eq!(stores[1].places.excess(two).await.unwrap(), [Excess { workspace: of, keep: 0 }]);
    assert_eq!(exchange(&stores[1], two, of, 0, 0).await, 0);
    assert_eq!(exchange(&stores[1], two, of, 0, 1).await, 0, "the place is kept for who wakes");
    assert!(stores[0].queue.wakes(one, of, parent.id).await.unwrap());
}

async fn the_dead_and_who_leaves_hold_nothing(database: Database) {
    let stores = [database.open().await, database.open().await];
    let of = limited(&stores[0], 4).await;
    let now = tick();
    let (one, two) = (join(&stores[0], "one", now).await, join(&stores[1], "two", now).await);
    assert_eq!(exchange(&stores[0], one, of, 0, 1).await, 4);
    let later = now.plus(LEASE * 2);
    stores[1].nodes.heartbeat(two, 0, later, LEASE).await.unwrap();
    assert_eq!(stores[1].nodes.bury(later).await.unwrap(), 0, "no runs of the queue");
    assert_eq!(exchange(&stores[1], two, of, 0, 1).await, 4, "nothing is lost");
    let hold = Hold { workspace: of, number: tick().micros(), keeps: 4, needs: 4 };
    assert_eq!(stores[0].places.exchange(one, hold).await.unwrap(), None, "the dead get nothing");
    let again = join(&stores[0], "one", later).await;
    assert_eq!(exchange(&stores[0], again, of, 4, 4).await, 0, "what an earlier life had is not kept");
    stores[1].nodes.leave(two).await.unwrap();
    assert_eq!(exchange(&stores[0], again, of, 0, 1).await, 4);
    // Whoever comes back under its name takes what its earlier life had.
    let anew = join(&stores[0], "one", later).await;
    assert_eq!(exchange(&stores[0], anew, of, 0, 1).await, 4);
}

async fn an_exchange_that_was_overtaken_changes_nothing(database: Database) {
    let store = database.open().await;
    let of = limited(&store, 4).await;
    let node = join(&store, "node", tick()).await;
    let hold = |number, keeps, needs| Hold { workspace: of, number, keeps, needs };
    let all = Some(Held { places: 4, limit: Some(4) });
    assert_eq!(store.places.exchange(node, hold(2, 0, 1)).await.unwrap(), all);
    assert_eq!(store.places.exchange(node, hold(1, 0, 0)).await.unwrap(), None);
    assert_eq!(store.places.exchange(node, hold(2, 0, 0)).await.unwrap(), None, "twice the same");
    assert_eq!(store.places.exchange(node, hold(3, 4, 0)).await.unwrap(), all, "it has them all the same");
}

async fn who_asks_is_forgotten_after_some_signs_of_life(database: Database) {
    let stores = [database.open().await, database.open().await];
    let of = limited(&stores[0], 2).await;
    let now = tick();
    let (one, two) = (join(&stores[0], "one", now).await, join(&stores[1], "two", now).await);
    assert_eq!(exchange(&stores[0], one, of, 0, 1).await, 2);
    assert_eq!(exchange(&stores[1], two, of, 0, 1).await, 0);
    let later = now.plus(LEASE * 2);
    stores[0].nodes.heartbeat(one, 0, later, LEASE).await.unwrap();
    assert_eq!(stores[0].places.excess(one).await.unwrap(), [Excess { workspace: of, keep: 1 }], "by its own clock it has just asked");
    stores[1].nodes.heartbeat(two, 0, later, LEASE).await.unwrap();
    assert_eq!(stores[0].places.excess(one).await.unwrap(), []);
}

async fn a_limit_that_changes_is_heard_of(database: Database) {
    let store = database.open().await;
    let of = limited(&store, 5).await;
    let node = join(&store, "node", tick()).await;
    assert_eq!(exchange(&store, node, of, 0, 1).await, 5);
    limit(&store, of, Some(2)).await;
    assert_eq!(store.places.excess(node).await.unwrap(), [Excess { workspace: of, keep: 2 }]);
    limit(&store, of, None).await;
    assert_eq!(store.places.excess(node).await.unwrap(), [Excess { workspace: of, keep: 0 }]);
    let hold = Hold { workspace: of, number: tick().micros(), keeps: 5, needs: 6 };
    assert_eq!(store.places.exchange(node, hold).await.unwrap(), Some(Held { places: 0, limit: None }));
}

async fn nodes_that_ask_at_once_keep_to_the_limit(database: Database) {
    const LIMIT: u32 = 7;
    let stores = [database.open().await, database.open().await];
    let of = limited(&stores[0], LIMIT).await;
    let nodes = [join(&stores[0], "one", tick()).await, join(&stores[1], "two", tick()).await];
    enqueue(&stores[0], of, 40).await;
    // Each holds some, gives some back and claims runs, which never end: all that they have at the same time is at most the limit.
    let work = async |index: usize| {
        let (store, node) = (&stores[index], nodes[index]);
        let (mut holds, mut runs) = (0, 0);
        for round in 0..20 {
            holds = exchange(store, node, of, holds.min(round % 3), round % 4).await;
            if round % 5 == 0 {
                runs += u32::try_from(take(store, node, of, LIMIT).await.len()).unwrap();
            }
        }
        holds + runs
    };
    let (one, two) = futures_util::join!(work(0), work(1));
    assert!(one + two <= LIMIT, "{one} and {two}");
    assert_eq!(database.deadlocks().await, 0);
}
