//! Asynchronous runs.

use std::time::Duration;

use sandmill_dispatch::{LOST_ATTEMPTS_MAX, Refused};
use sandmill_model::{Clock, OutcomeKind, RunStatus, SystemClock};
use sandmill_store::queue::Cancelled;

use crate::fake::{Bench, arguments};

#[tokio::test(flavor = "multi_thread")]
async fn accepted_runs_end_in_history() {
    let bench = Bench::start(true).await;
    let mut runs = Vec::new();
    for _ in 0..50 {
        runs.push(bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap().run);
    }
    for run in runs {
        let record = bench.record_when(run, |record| record.summary.status.has_ended()).await;
        assert_eq!((record.summary.status, record.summary.attempt), (RunStatus::Succeeded, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_do_not_fit_are_refused_at_once() {
    let bench = Bench::start(true).await;
    let refused = bench.dispatch.accept(bench.request(arguments("{\"bad\":1}"))).await.unwrap_err();
    assert!(matches!(refused, Refused::Arguments(_)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_and_running_runs_can_be_cancelled() {
    let bench = Bench::start(false).await;
    let mut runs = Vec::new();
    for _ in 0..9 {
        runs.push(bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap().run);
    }
    // Eight execute; the ninth has to wait.
    for run in &runs[..8] {
        bench.record_when(*run, |record| record.summary.status == RunStatus::Running).await;
    }
    assert_eq!(bench.dispatch.cancel(bench.workspace.id, runs[8]).await.unwrap(), Cancelled::AtOnce);
    assert_eq!(bench.dispatch.cancel(bench.workspace.id, runs[0]).await.unwrap(), Cancelled::Requested);
    for run in [runs[0], runs[8]] {
        let record = bench.record_when(run, |record| record.summary.status.has_ended()).await;
        assert_eq!((record.summary.status, record.summary.outcome), (RunStatus::Cancelled, Some(OutcomeKind::Cancelled)));
    }
    assert_eq!(bench.dispatch.cancel(bench.workspace.id, runs[8]).await.unwrap(), Cancelled::TooLate);
    let other = sandmill_model::WorkspaceId::new(SystemClock.now());
    assert_eq!(bench.dispatch.cancel(other, runs[1]).await.unwrap(), Cancelled::TooLate, "another workspace learns nothing");
    bench.executor.open();
    bench.record_when(runs[1], |record| record.summary.status == RunStatus::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_node_dies_again_and_again_is_given_up() {
    let bench = Bench::start(false).await;
    let run = bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap().run;
    for attempt in 1..=LOST_ATTEMPTS_MAX {
        bench.record_when(run, |record| record.summary.status == RunStatus::Running && record.summary.attempt == attempt).await;
        // As if the node had been asleep for an hour: the others take it for dead, and it joins again.
        bench.store.nodes.bury(SystemClock.now().plus(Duration::from_secs(3600))).await.unwrap();
    }
    let record = bench.record_when(run, |record| record.summary.status.has_ended()).await;
    assert_eq!((record.summary.status, record.summary.outcome), (RunStatus::Failed, Some(OutcomeKind::Poisoned)));
    tokio::time::timeout(Duration::from_secs(5), async { bench.executor.open() }).await.unwrap();
}
