//! Nobody is held up by what another does: claims ahead, runs that sleep, runs that wait for ever.

use std::time::{Duration, Instant};

use sandmill_dispatch::{Due, StartRequest, StartTerms};
use sandmill_model::{Manifest, OutcomeKind, RunStatus, Timestamp};
use sandmill_store::queue::Cancelled;
use serde_json::json;

use crate::{
    cancel::{claimed_ahead, with_some_ahead},
    fake::{Bench, arguments, deploy_with, eventually},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_claimed_ahead_of_long_runs_is_handed_back() {
    let bench = Bench::start(true).await;
    let quiet = bench.another_workspace("quiet").await;
    with_some_ahead(&bench).await;
    let request = StartRequest { workspace: quiet, ..bench.request(arguments("{}")) };
    let single = bench.dispatch.accept(request).await.unwrap().run;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !claimed_ahead(&bench).await.is_empty() {
        assert!(Instant::now() < deadline, "they stay claimed, although no slot becomes free");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // One slot becomes free: it is the quiet one's, although hundreds were claimed before it.
    let executed = bench.executor.executed.lock().unwrap().clone();
    let mut ended = 0;
    for (run, _) in executed.iter().rev() {
        if bench.dispatch.cancel(bench.workspace.id, *run).await.unwrap() == Cancelled::Requested {
            ended += 1;
            break;
        }
    }
    assert_eq!(ended, 1, "some execute");
    eventually("another executes", || bench.executor.executed.lock().unwrap().len() > executed.len()).await;
    assert_eq!(bench.executor.executed.lock().unwrap()[executed.len()].0, single);
    // What was handed back is executed in its first attempt.
    bench.executor.open();
    let deadline = Instant::now() + Duration::from_secs(60);
    while bench.store.queue.length(bench.workspace.id, 1).await.unwrap() > 0 {
        assert!(Instant::now() < deadline, "they are not executed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(bench.executor.executed.lock().unwrap().iter().all(|(_, attempt)| *attempt == 1));
}

fn with_run_ms(tag: Option<&str>) -> Manifest {
    serde_json::from_value(json!({"dispatch": {"run_ms": 300, "tag": tag}})).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_time_is_over_ends_although_nobody_serves_it() {
    let bench = Bench::start(true).await;
    deploy_with(&bench.store, &bench.workspace, with_run_ms(Some("nobody"))).await;
    let run = bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap().run;
    let record = bench.record_when(run, |record| record.summary.status.has_ended()).await;
    assert_eq!((record.summary.status, record.summary.outcome), (RunStatus::Failed, Some(OutcomeKind::Timeout)));
    assert!(record.error.unwrap().message.contains("dispatch.run_ms"));
    assert!(bench.executor.executed.lock().unwrap().is_empty());
    // Its time begins when it is due.
    deploy_with(&bench.store, &bench.workspace, with_run_ms(None)).await;
    bench.dispatch.deployed(bench.workspace.id, &crate::fake::PATH.parse().unwrap());
    let terms = StartTerms { due: Some(Due::In(Duration::from_millis(700))), ..StartTerms::default() };
    let later = bench.dispatch.accept(StartRequest { terms, ..bench.request(arguments("{}")) }).await.unwrap().run;
    let record = bench.record_when(later, |record| record.summary.status.has_ended()).await;
    assert_eq!(record.summary.status, RunStatus::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_for_one_request_with_all_that_it_says() {
    let bench = Bench::start(false).await;
    let start = async |terms: StartTerms| {
        let terms = StartTerms { idempotency_key: Some("once".to_owned()), ..terms };
        bench.dispatch.accept(StartRequest { terms, ..bench.request(arguments("{}")) }).await
    };
    let first = start(StartTerms::default()).await.unwrap();
    let again = start(StartTerms::default()).await.unwrap();
    assert_eq!((again.run, again.is_repetition), (first.run, true));
    for other in [
        StartTerms { priority: Some(1), ..StartTerms::default() },
        StartTerms { tag: Some("gpu".into()), ..StartTerms::default() },
        StartTerms { due: Some(Due::In(Duration::from_secs(9))), ..StartTerms::default() },
        StartTerms { due: Some(Due::At(Timestamp::from_micros(9))), ..StartTerms::default() },
    ] {
        let refused = start(other.clone()).await.unwrap_err().to_string();
        assert!(refused.contains("another"), "{other:?}: {refused}");
    }
    // A rerun under the key of the start is a run of its own.
    let terms = sandmill_dispatch::RerunTerms { idempotency_key: Some("once".to_owned()), ..Default::default() };
    let principal = std::sync::Arc::new(crate::fake::principal("*:*"));
    let rerun = bench.dispatch.rerun(principal, bench.workspace.clone(), first.run, terms).await.unwrap();
    assert!(!rerun.is_repetition && rerun.run != first.run);
}
