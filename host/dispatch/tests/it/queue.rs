//! Asynchronous runs.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use sandmill_dispatch::{LOST_ATTEMPTS_MAX, Refused, StartRequest, StartTerms, Waited};
use sandmill_model::{Clock, Code, Limits, OutcomeKind, RunId, RunStatus, SystemClock};
use sandmill_store::{
    queue::Cancelled,
    workspaces::{Change, Workspace},
};

use crate::fake::{Bench, arguments, eventually, keyed_event};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_of_one_workspace_delays_another_by_one_slot() {
    let bench = Bench::start(false).await;
    let quiet = bench.another_workspace("quiet").await;
    let mut busy = Vec::new();
    for _ in 0..200 {
        busy.push(bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap().run);
    }
    eventually("eight execute", || bench.executor.executed.lock().unwrap().len() == 8).await;
    let request = StartRequest { workspace: quiet, ..bench.request(arguments("{}")) };
    let single = bench.dispatch.accept(request).await.unwrap().run;
    // One slot becomes free: it is the quiet one's, although hundreds waited before it.
    assert_eq!(bench.dispatch.cancel(bench.workspace.id, busy[0]).await.unwrap(), Cancelled::Requested);
    eventually("a ninth executes", || bench.executor.executed.lock().unwrap().len() == 9).await;
    assert_eq!(bench.executor.executed.lock().unwrap()[8].0, single);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_beyond_the_fuel_of_a_day_holds_up_nobody_and_goes_on() {
    let bench = Bench::start(false).await;
    let (poor, other) = (bench.another_workspace("poor").await, bench.another_workspace("other").await);
    let of = |workspace: &Workspace| StartRequest { workspace: workspace.clone(), ..bench.request(arguments("{}")) };
    let mut busy = Vec::new();
    for _ in 0..8 {
        busy.push(bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap().run);
    }
    let executed = || bench.executor.executed.lock().unwrap().clone();
    eventually("all slots are taken", || executed().len() == 8).await;
    for _ in 0..20 {
        bench.dispatch.accept(of(&poor)).await.unwrap();
    }
    let allot = |fuel: u64, bytes: u64| {
        let overrides = [("fuel_per_day", fuel), ("outbound_bytes_per_day", bytes)].map(|(name, most)| (name.to_owned(), most.into()));
        bench.store.workspaces.allot(poor.id, Change { plan: None, overrides: overrides.into_iter().collect() })
    };
    allot(0, 0).await.unwrap().unwrap();
    // What the node knows of one limit it knows of the other.
    let deadline = Instant::now() + Duration::from_secs(10);
    while bench.live.may_send(poor.id).await.is_ok() {
        assert!(Instant::now() < deadline, "the node does not hear of the limits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for run in busy {
        bench.dispatch.cancel(bench.workspace.id, run).await.unwrap();
    }
    let single = bench.dispatch.accept(of(&other)).await.unwrap().run;
    eventually("another workspace's run executes", || executed().iter().any(|(run, _)| *run == single)).await;
    // Those that were claimed before the limit was there, at most.
    assert!(executed().len() <= 8 + 1 + 4, "{}", executed().len());
    allot(1_000, 1_000).await.unwrap().unwrap();
    eventually("all slots are taken again", || executed().len() >= 16).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attempt_may_use_more_than_its_workspaces_day_has_left() {
    let bench = Bench::start(true).await;
    let poor = bench.another_workspace("poor").await;
    let overrides = [("fuel_per_day", 1_000_u64), ("log_bytes_per_day", 1_000_000)].map(|(name, most)| (name.to_owned(), most.into()));
    let change = Change { plan: None, overrides: overrides.into_iter().collect() };
    let poor = bench.store.workspaces.allot(poor.id, change).await.unwrap().unwrap();
    let request = || StartRequest { workspace: poor.clone(), ..bench.request(arguments("{}")) };
    let limits_of = |run: RunId| bench.executor.limits.lock().unwrap()[&run];
    let wait = async |request: StartRequest| match bench.dispatch.run(request, Duration::from_secs(10)).await.unwrap() {
        Waited::Ended { run, .. } => limits_of(run),
        Waited::StillRunning(accepted) => panic!("{accepted:?} still runs"),
    };
    bench.executor.fuel.store(300, Ordering::SeqCst);
    assert_eq!(wait(request()).await, Limits { fuel: 1_000, log_bytes: 1_000_000, ..Limits::default() });
    bench.executor.fuel.store(0, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(10);
    while wait(request()).await.fuel != 700 {
        assert!(Instant::now() < deadline, "what was used is not counted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(wait(request()).await.log_bytes < 1_000_000);
    let queued = bench.dispatch.accept(request()).await.unwrap().run;
    eventually("it executes", || bench.executor.limits.lock().unwrap().contains_key(&queued)).await;
    assert_eq!(limits_of(queued).fuel, 700);
    assert_eq!(wait(bench.request(arguments("{}"))).await, Limits::default(), "another's are its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn workspaces_start_runs_by_their_weights() {
    const ROUNDS: usize = 5;
    let bench = Bench::start(false).await;
    let mut weighted = Vec::new();
    for (name, weight) in [("light", 1), ("heavy", 3)] {
        let workspace = bench.another_workspace(name).await;
        let settings = serde_json::json!({"weight": weight}).as_object().unwrap().clone();
        bench.store.workspaces.set(workspace.id, settings).await.unwrap().unwrap();
        weighted.push(workspace);
    }
    // All slots are taken until the others have more waiting than they will get.
    for _ in 0..8 {
        bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap();
    }
    let executed = || bench.executor.executed.lock().unwrap().clone();
    eventually("eight execute", || executed().len() == 8).await;
    let mut owners = std::collections::HashMap::new();
    for n in 0..80 {
        let request = StartRequest { workspace: weighted[n % 2].clone(), ..bench.request(arguments("{}")) };
        owners.insert(bench.dispatch.accept(request).await.unwrap().run, n % 2);
    }
    for round in 0..ROUNDS {
        // All that execute end, and the next take their slots.
        for (run, _) in executed().iter().skip(8 * round) {
            let workspace = owners.get(run).map_or(bench.workspace.id, |owner| weighted[*owner].id);
            bench.dispatch.cancel(workspace, *run).await.unwrap();
        }
        eventually("all slots are taken again", || executed().len() == 8 * (round + 2)).await;
    }
    let of = |owner: usize| executed().iter().filter(|(run, _)| owners.get(run) == Some(&owner)).count();
    let (light, heavy) = (of(0), of(1));
    assert_eq!(light + heavy, 8 * ROUNDS);
    // Of eight slots two are its share; of eight and one or two in line, which may be its, up to three.
    assert!((2 * ROUNDS - 2..=3 * ROUNDS).contains(&light), "{light} of weight 1, {heavy} of weight 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_has_so_many_runs_waiting_and_no_more() {
    let bench = Bench::start_small(20).await;
    let start = async || bench.dispatch.accept(bench.request(arguments("{}"))).await;
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(start().await.unwrap().run);
    }
    let refused = start().await.unwrap_err();
    assert!(matches!(&refused, Refused::Refusal(refusal) if refusal.code == Code::TooManyRequests), "{refused:?}");
    let quiet = bench.another_workspace("quiet").await;
    let request = StartRequest { workspace: quiet, ..bench.request(arguments("{}")) };
    bench.dispatch.accept(request).await.expect("another workspace has its own count");
    bench.dispatch.cancel(bench.workspace.id, runs[19]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    start().await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_the_first_run_for_whoever_waits_too() {
    let bench = Bench::start(true).await;
    let wait = async |input| match bench.dispatch.run(bench.request(input), Duration::from_secs(10)).await.unwrap() {
        Waited::Ended { run, outcome, .. } => (run, outcome.kind),
        Waited::StillRunning(accepted) => panic!("{accepted:?} still runs"),
    };
    let first = wait(keyed_event()).await;
    assert_eq!(wait(keyed_event()).await, first);
    let accepted = bench.dispatch.accept(bench.request(keyed_event())).await.unwrap();
    assert!(accepted.is_repetition && accepted.run == first.0);
    let keyed = |text: &str| StartRequest {
        terms: StartTerms { idempotency_key: Some("k".to_owned()), ..StartTerms::default() },
        ..bench.request(arguments(text))
    };
    let run = bench.dispatch.accept(keyed("{}")).await.unwrap().run;
    assert_eq!(bench.dispatch.accept(keyed("{}")).await.unwrap().run, run);
    let other = bench.dispatch.accept(keyed("{\"a\":1}")).await.unwrap_err();
    assert!(matches!(&other, Refused::Refusal(refusal) if refusal.code == Code::IdempotencyMismatch), "{other:?}");
    bench.record_when(run, |record| record.summary.status.has_ended()).await;
    assert_eq!(bench.executor.executed.lock().unwrap().len(), 2, "each key executed once");
}
