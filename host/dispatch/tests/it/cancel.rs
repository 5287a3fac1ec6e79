//! Cancelling what is on this node and does not execute yet.

use std::time::{Duration, Instant};

use sandmill_model::{OutcomeKind, RunId, RunStatus};
use sandmill_store::{history::RunFilter, queue::Cancelled};

use crate::fake::{Bench, arguments, eventually};

/// Runs that one round of the test queues.
const ROUND: usize = 600;

/// Runs that are claimed and not given to the executor: they wait for a slot.
pub(crate) async fn claimed_ahead(bench: &Bench) -> Vec<RunId> {
    let running = RunFilter { status: Some(RunStatus::Running), ..RunFilter::default() };
    let listed = bench.store.history.list(bench.workspace.id, &running, None, 10_000).await.unwrap();
    let executed = bench.executor.executed.lock().unwrap();
    listed.runs.iter().map(|run| run.id).filter(|run| !executed.iter().any(|(other, _)| other == run)).collect()
}

/// While runs end quickly some are claimed before there is a slot for them. Then all slots are taken for long.
pub(crate) async fn with_some_ahead(bench: &Bench) -> Vec<RunId> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        bench.executor.close();
        let starts = (0..ROUND).map(|_| bench.dispatch.accept(bench.request(arguments("{}"))));
        assert!(futures_util::future::join_all(starts).await.iter().all(Result::is_ok));
        let before = bench.executor.executed.lock().unwrap().len();
        bench.executor.open();
        eventually("half of them are executed", || bench.executor.executed.lock().unwrap().len() > before + ROUND / 2).await;
        bench.executor.close();
        // What is claimed by now gets no slot any more once eight have one.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let ahead = claimed_ahead(bench).await;
        if ahead.len() > 1 {
            return ahead;
        }
        assert!(Instant::now() < deadline, "nothing is ever claimed ahead");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_claimed_and_waits_for_a_slot_is_cancelled_at_once() {
    let bench = Bench::start(true).await;
    let ahead = with_some_ahead(&bench).await;
    let (cancelled, other) = (ahead[0], ahead[ahead.len() - 1]);
    let began = Instant::now();
    // It may have been handed back meanwhile.
    assert_ne!(bench.dispatch.cancel(bench.workspace.id, cancelled).await.unwrap(), Cancelled::TooLate);
    let record = bench.record_when(cancelled, |record| record.summary.status.has_ended()).await;
    println!("cancelled before it had a slot: {:?}", began.elapsed());
    assert_eq!(record.summary.outcome, Some(OutcomeKind::Cancelled));
    let not_executed = |run| !bench.executor.executed.lock().unwrap().iter().any(|(executed, _)| *executed == run);
    assert!(not_executed(cancelled) && not_executed(other), "all slots are taken");
    bench.executor.open();
    bench.record_when(other, |record| record.summary.status == RunStatus::Succeeded).await;
    assert!(not_executed(cancelled));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_loaded_is_cancelled_as_soon_as_it_can_be() {
    let bench = Bench::start(false).await;
    bench.executor.load(false);
    let run = bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap().run;
    eventually("it begins", || bench.executor.executed.lock().unwrap().len() == 1).await;
    assert_eq!(bench.dispatch.cancel(bench.workspace.id, run).await.unwrap(), Cancelled::Requested);
    bench.executor.load(true);
    let record = bench.record_when(run, |record| record.summary.status.has_ended()).await;
    assert_eq!(record.summary.outcome, Some(OutcomeKind::Cancelled));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_is_written_down_although_the_run_is_here() {
    let bench = Bench::start(false).await;
    bench.executor.load(false);
    let run = bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap().run;
    eventually("it begins", || bench.executor.executed.lock().unwrap().len() == 1).await;
    assert_eq!(bench.dispatch.cancel(bench.workspace.id, run).await.unwrap(), Cancelled::Requested);
    // As if this node died: another is told with the run that it is cancelled.
    let now = sandmill_model::Clock::now(&sandmill_model::SystemClock);
    bench.store.nodes.bury(now.plus(Duration::from_secs(3600))).await.unwrap();
    let record = bench.record_when(run, |record| record.summary.status.has_ended()).await;
    assert_eq!((record.summary.outcome, record.summary.attempt), (Some(OutcomeKind::Cancelled), 2));
    assert_eq!(bench.executor.executed.lock().unwrap().len(), 1, "the second attempt did not begin");
}
