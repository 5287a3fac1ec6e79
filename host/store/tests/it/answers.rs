//! What becomes of operations that were done and whose answers were lost: the caller asks again, or gives back.

use std::time::Duration;

use sandmill_model::{
    OutcomeKind, RunStatus,
    run::{FinishedRun, NewRun},
};
use sandmill_store::queue::{Cancelled, Completion, Logged};

use crate::fixture::{Database, claim, finished, ids, join, new_run, on_both, tick, workspace};

on_both![
    what_a_claim_took_unheard_is_given_back,
    an_outcome_that_is_written_again_is_not_that_of_the_next_attempt,
    what_is_cancelled_does_not_wait_for_its_next_try,
    what_goes_back_to_the_queue_stays_cancelled,
];

async fn what_a_claim_took_unheard_is_given_back(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs: Vec<NewRun> = (0..3).map(|_| new_run(of)).collect();
    store.queue.enqueue(runs.clone()).await.unwrap();
    let (node, other) = (join(&store, "node", tick()).await, join(&store, "other", tick()).await);
    let (heard, unheard) = (tick(), tick());
    assert_eq!(ids(&claim(&store, node, heard, 1).await), [runs[0].id]);
    assert_eq!(ids(&claim(&store, node, unheard, 1).await), [runs[1].id]);
    assert_eq!(store.queue.unclaim(other, unheard).await.unwrap(), 0, "another's");
    assert_eq!(store.queue.unclaim(node, tick()).await.unwrap(), 0, "another claim");
    assert_eq!(store.queue.unclaim(node, unheard).await.unwrap(), 1);
    assert_eq!(store.queue.unclaim(node, unheard).await.unwrap(), 0, "once");
    let again = claim(&store, other, tick(), 3).await;
    assert_eq!(ids(&again), [runs[1].id, runs[2].id], "the first is still executed");
    assert_eq!((again[0].attempt, again[0].lost), (1, 0), "it had not been tried");
}

fn completion(run: &NewRun, attempt: u32, kind: OutcomeKind, again_at: Option<sandmill_model::Timestamp>) -> Vec<Completion> {
    vec![Completion { done: FinishedRun { attempt, ..finished(run.clone(), kind) }, again_at, handler: None, logged: Logged::default() }]
}

async fn an_outcome_that_is_written_again_is_not_that_of_the_next_attempt(database: Database) {
    let store = database.open().await;
    let run = new_run(workspace());
    store.queue.enqueue(vec![run.clone()]).await.unwrap();
    let node = join(&store, "node", tick()).await;
    claim(&store, node, tick(), 1).await;
    let again_at = tick();
    let failed = || completion(&run, 1, OutcomeKind::Error, Some(again_at));
    assert_eq!(store.queue.complete(node, failed()).await.unwrap(), [run.id]);
    assert_eq!(claim(&store, node, tick(), 1).await[0].attempt, 2, "by the same life");
    assert_eq!(store.queue.complete(node, failed()).await.unwrap(), [], "it was not heard that it is written");
    assert_eq!(store.queue.complete(node, completion(&run, 1, OutcomeKind::Error, None)).await.unwrap(), []);
    assert_eq!(store.history.run(run.workspace, run.id).await.unwrap().unwrap().summary.status, RunStatus::Running);
    assert_eq!(store.queue.complete(node, completion(&run, 2, OutcomeKind::Ok, None)).await.unwrap(), [run.id]);
}

async fn what_is_cancelled_does_not_wait_for_its_next_try(database: Database) {
    let store = database.open().await;
    let run = new_run(workspace());
    store.queue.enqueue(vec![run.clone()]).await.unwrap();
    let node = join(&store, "node", tick()).await;
    claim(&store, node, tick(), 1).await;
    assert_eq!(store.queue.cancel(run.workspace, run.id, tick()).await.unwrap(), Cancelled::Requested);
    let in_an_hour = tick().plus(Duration::from_secs(3600));
    store.queue.complete(node, completion(&run, 1, OutcomeKind::Error, Some(in_an_hour))).await.unwrap();
    let claimed = claim(&store, node, tick(), 1).await;
    assert_eq!((ids(&claimed), claimed[0].is_cancelled), (vec![run.id], true));
}

async fn what_goes_back_to_the_queue_stays_cancelled(database: Database) {
    let store = database.open().await;
    let of = workspace();
    for way in ["unclaim", "leave", "join"] {
        let runs = [new_run(of), new_run(of)];
        store.queue.enqueue(runs.to_vec()).await.unwrap();
        let (node, from) = (join(&store, way, tick()).await, tick());
        assert_eq!(claim(&store, node, from, 10).await.len(), 2, "{way}");
        for run in &runs {
            assert_eq!(store.queue.cancel(of, run.id, tick()).await.unwrap(), Cancelled::Requested, "{way}");
        }
        match way {
            "unclaim" => assert_eq!(store.queue.unclaim(node, from).await.unwrap(), 2),
            "leave" => assert_eq!(store.nodes.leave(node).await.unwrap(), 2),
            // The next life of the same name takes what the one before held.
            _ => assert_ne!(join(&store, way, tick()).await, node),
        }
        assert_eq!(store.queue.cancel(of, runs[0].id, tick()).await.unwrap(), Cancelled::AtOnce, "{way}: nobody has it");
        let other = join(&store, &format!("other than {way}"), tick()).await;
        let claimed = claim(&store, other, tick(), 10).await;
        assert_eq!((ids(&claimed), claimed[0].is_cancelled), (vec![runs[1].id], true), "{way}: whoever takes it next ends it");
    }
}
