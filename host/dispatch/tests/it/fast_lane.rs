//! Synchronous runs.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use sandmill_dispatch::{Accepted, WRITE_BEHIND_DELAY, Waited};
use sandmill_model::{OutcomeKind, RunStatus, code::Code, version::Selector};
use sandmill_store::history::RunFilter;
use tokio_util::task::TaskTracker;

use crate::fake::{Bench, arguments, eventually, keyed_event, principal};

const LONG: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_a_run_as_soon_as_its_caller_does() {
    let bench = Bench::start(true).await;
    for _ in 0..20 {
        let Waited::Ended { run, outcome, .. } = bench.dispatch.run(bench.request(arguments("{}")), LONG).await.unwrap() else {
            panic!("it ended")
        };
        assert_eq!(outcome.kind, OutcomeKind::Ok);
        let record = bench.dispatch.record(bench.workspace.id, run).await.unwrap().expect("its record is there");
        assert_eq!((record.summary.status, record.summary.version), (RunStatus::Succeeded, bench.version));
    }
    let listed = bench.dispatch.runs(bench.workspace.id, RunFilter::default(), None, 100).await.unwrap().runs;
    assert_eq!(listed.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_loses_no_record() {
    let bench = Bench::start(true).await;
    let workspace = bench.workspace.id;
    for _ in 0..500 {
        bench.dispatch.run(bench.request(arguments("{}")), LONG).await.unwrap();
    }
    let store = bench.stop().await;
    assert_eq!(store.history.list(workspace, &RunFilter::default(), None, 1000).await.unwrap().runs.len(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_outlives_the_wait_is_durable_before_the_answer() {
    let bench = Bench::start(false).await;
    let Waited::StillRunning(Accepted { run, .. }) =
        bench.dispatch.run(bench.request(arguments("{}")), Duration::from_millis(30)).await.unwrap()
    else {
        panic!("the gate is shut")
    };
    let stored = bench.store.history.run(bench.workspace.id, run).await.unwrap().expect("it is in the queue");
    assert_eq!(stored.summary.status, RunStatus::Running);
    let log = bench.log(run).await;
    assert_eq!(log[0].message, run.to_string(), "what it has logged so far");
    bench.executor.open();
    let record = bench.record_when(run, |record| record.summary.status.has_ended()).await;
    assert_eq!((record.summary.status, record.summary.attempt), (RunStatus::Succeeded, 1));
    assert_eq!(bench.executor.executed.lock().unwrap().len(), 1, "it was executed once");
    assert_eq!(bench.store.queue.length(bench.workspace.id, 10).await.unwrap(), 0, "the queue is empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_and_wait_limits_that_meet_give_one_record_each() {
    let bench = Bench::start(false).await;
    let mut runs = Vec::new();
    let waits: Vec<_> = (0..40_u64)
        .map(|n| {
            let (dispatch, request) = (bench.dispatch.clone(), bench.request(arguments("{}")));
            let tasks = TaskTracker::new();
            tasks.spawn(async move { dispatch.run(request, Duration::from_millis(20 + n / 8)).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(21)).await;
    bench.executor.open();
    for wait in waits {
        runs.push(match wait.await.unwrap().unwrap() {
            Waited::Ended { run, .. } | Waited::StillRunning(Accepted { run, .. }) => run,
        });
    }
    for run in &runs {
        let record = bench.record_when(*run, |record| record.summary.status.has_ended()).await;
        assert_eq!(record.summary.status, RunStatus::Succeeded);
    }
    assert_eq!(bench.executor.executed.lock().unwrap().len(), 40, "none was executed twice");
    let listed = bench.store.history.list(bench.workspace.id, &RunFilter::default(), None, 100).await.unwrap().runs;
    assert_eq!(listed.len(), 40, "none has two records");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_does_not_take_the_run_along() {
    let bench = Bench::start(false).await;
    let left = tokio::time::timeout(Duration::from_millis(20), bench.dispatch.run(bench.request(arguments("{}")), LONG)).await;
    assert!(left.is_err(), "the caller left first");
    let running = bench.dispatch.runs(bench.workspace.id, RunFilter::default(), None, 10).await.unwrap().runs;
    assert_eq!((running.len(), running[0].status), (1, RunStatus::Running));
    bench.executor.open();
    bench.record_when(running[0].id, |record| record.summary.status == RunStatus::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_take_the_durable_way() {
    let bench = Bench::start(true).await;
    let Waited::Ended { run, .. } = bench.dispatch.run(bench.request(keyed_event()), LONG).await.unwrap() else { panic!("it ended") };
    let stored = bench.store.history.run(bench.workspace.id, run).await.unwrap();
    assert!(stored.is_some(), "it is on disk before the answer, not {WRITE_BEHIND_DELAY:?} after it");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_slots_are_taken_a_workspace_with_many_runs_takes_the_durable_way() {
    const FAST: usize = 8;
    let bench = Bench::start(false).await;
    bench.executor.has_slot.store(false, Ordering::SeqCst);
    let (tasks, mut calls) = (TaskTracker::new(), Vec::new());
    for number in 1..=2 * FAST {
        let (dispatch, request) = (bench.dispatch.clone(), bench.request(arguments("{}")));
        calls.push(tasks.spawn(async move { dispatch.run(request, LONG).await }));
        let began = Instant::now();
        while bench.dispatch.runs(bench.workspace.id, RunFilter::default(), None, 100).await.unwrap().runs.len() < number {
            assert!(began.elapsed() < LONG, "run {number} is nowhere");
            tokio::task::yield_now().await;
        }
    }
    let durable = bench.store.history.list(bench.workspace.id, &RunFilter::default(), None, 100).await.unwrap().runs.len();
    assert_eq!(durable, FAST);
    bench.executor.open();
    for call in calls {
        assert!(matches!(call.await.unwrap().unwrap(), Waited::Ended { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals() {
    let bench = Bench::start(true).await;
    let mut request = bench.request(arguments("{}"));
    request.principal = principal("runs:start:f/other/*").into();
    assert_eq!(bench.dispatch.run(request, LONG).await.unwrap_err().code, Code::Forbidden);
    let mut request = bench.request(arguments("{}"));
    request.path = "f/demo/missing".parse().unwrap();
    assert_eq!(bench.dispatch.run(request, LONG).await.unwrap_err().code, Code::NotFound);
    let mut request = bench.request(arguments("{}"));
    request.selector = Selector::Number(7);
    assert_eq!(bench.dispatch.run(request, LONG).await.unwrap_err().code, Code::NotFound);
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(8 * 1024 * 1024));
    assert_eq!(bench.dispatch.run(bench.request(arguments(&large)), LONG).await.unwrap_err().code, Code::PayloadTooLarge);
    assert_eq!(bench.dispatch.runs(bench.workspace.id, RunFilter::default(), None, 10).await.unwrap().runs, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_executes_of_a_workspace_that_is_deleted_ends_on_whichever_lane_it_came() {
    let bench = Bench::start(false).await;
    let other = bench.another_workspace("other").await;
    let tasks = TaskTracker::new();
    let (dispatch, request) = (bench.dispatch.clone(), bench.request(arguments("{}")));
    let waits = tasks.spawn(async move { dispatch.run(request, LONG).await });
    let queued = bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap().run;
    let stays = sandmill_dispatch::StartRequest { workspace: other.clone(), ..bench.request(arguments("{}")) };
    bench.dispatch.accept(stays).await.unwrap();
    eventually("all execute", || bench.executor.executed.lock().unwrap().len() == 3).await;
    assert_eq!(bench.dispatch.end_all(&[]), []);
    eventually("what is its own has ended", || bench.dispatch.end_all(&[bench.workspace.id]).is_empty()).await;
    let Waited::Ended { outcome, .. } = waits.await.unwrap().unwrap() else { panic!("it ended") };
    assert_eq!(outcome.kind, OutcomeKind::Cancelled);
    bench.record_when(queued, |record| record.summary.outcome == Some(OutcomeKind::Cancelled)).await;
    assert_eq!(bench.dispatch.end_all(&[other.id]), [other.id], "another's goes on until it is asked to end");
}
