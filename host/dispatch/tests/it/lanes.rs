//! The fast lane of workspaces that may have only so many runs at once.

use std::time::{Duration, Instant};

use sandmill_dispatch::{StartRequest, Waited};
use sandmill_model::OutcomeKind;
use sandmill_store::workspaces::{Change, Workspace};
use tokio_util::task::TaskTracker;

use crate::fake::{Bench, arguments, eventually};

const LONG: Duration = Duration::from_secs(20);

async fn limited(bench: &Bench, running_runs: u64) -> Workspace {
    let overrides = [("running_runs".to_owned(), running_runs.into())].into_iter().collect();
    bench.store.workspaces.allot(bench.workspace.id, Change { plan: None, overrides }).await.unwrap().unwrap()
}

fn request(bench: &Bench, workspace: &Workspace) -> StartRequest {
    StartRequest { workspace: workspace.clone(), ..bench.request(arguments("{}")) }
}

/// From then on the node is a member.
async fn one_of_the_queue_ends(bench: &Bench, workspace: &Workspace) {
    let run = bench.dispatch.accept(request(bench, workspace)).await.unwrap().run;
    bench.record_when(run, |record| record.summary.status.has_ended()).await;
}

async fn queued(bench: &Bench) -> u64 {
    bench.store.queue.length(bench.workspace.id, 100).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_have_the_places_of_their_node_and_the_others_wait_in_the_queue() {
    let bench = Bench::start(true).await;
    let workspace = limited(&bench, 2).await;
    one_of_the_queue_ends(&bench, &workspace).await;
    bench.executor.close();
    let before = bench.executor.executed.lock().unwrap().len();
    let tasks = TaskTracker::new();
    let mut waits = Vec::new();
    for n in 1..=5_usize {
        let (dispatch, request) = (bench.dispatch.clone(), request(&bench, &workspace));
        waits.push(tasks.spawn(async move { dispatch.run(request, LONG).await }));
        if n <= 2 {
            eventually("it executes", || bench.executor.executed.lock().unwrap().len() == before + n).await;
            assert_eq!(queued(&bench).await, 0, "not by the queue");
        }
    }
    let deadline = Instant::now() + LONG;
    while queued(&bench).await < 3 {
        assert!(Instant::now() < deadline, "the others are queued");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.executor.executed.lock().unwrap().len(), before + 2, "no more than may");
    bench.executor.open();
    for wait in waits {
        let Waited::Ended { outcome, .. } = wait.await.unwrap().unwrap() else { panic!("it ended") };
        assert_eq!(outcome.kind, OutcomeKind::Ok);
    }
    assert_eq!(queued(&bench).await, 0);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_is_not_held_up_by_callers() {
    let bench = Bench::start(true).await;
    let workspace = limited(&bench, 1).await;
    one_of_the_queue_ends(&bench, &workspace).await;
    let tasks = TaskTracker::new();
    let stop = tokio_util::sync::CancellationToken::new();
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (dispatch, request, stop) = (bench.dispatch.clone(), request(&bench, &workspace), stop.clone());
            tasks.spawn(async move {
                while !stop.is_cancelled() {
                    let Waited::Ended { outcome, .. } = dispatch.run(request.clone(), LONG).await.unwrap() else { panic!("it ended") };
                    assert_eq!(outcome.kind, OutcomeKind::Ok);
                }
            })
        })
        .collect();
    for _ in 0..3 {
        one_of_the_queue_ends(&bench, &workspace).await;
    }
    stop.cancel();
    for caller in callers {
        caller.await.unwrap();
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_outlives_the_wait_takes_its_place_along() {
    let bench = Bench::start(true).await;
    let workspace = limited(&bench, 1).await;
    one_of_the_queue_ends(&bench, &workspace).await;
    bench.executor.close();
    let Waited::StillRunning(first) = bench.dispatch.run(request(&bench, &workspace), Duration::from_millis(30)).await.unwrap() else {
        panic!("the gate is shut")
    };
    let Waited::StillRunning(second) = bench.dispatch.run(request(&bench, &workspace), Duration::from_millis(30)).await.unwrap() else {
        panic!("it waits for a place")
    };
    assert!(!bench.executor.executed.lock().unwrap().iter().any(|(run, _)| *run == second.run), "the first has the only place");
    bench.executor.open();
    for run in [first.run, second.run] {
        let record = bench.record_when(run, |record| record.summary.status.has_ended()).await;
        assert_eq!(record.summary.outcome, Some(OutcomeKind::Ok));
    }
    bench.stop().await;
}
