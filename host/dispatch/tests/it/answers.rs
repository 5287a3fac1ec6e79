//! A store that does what it is asked and whose answers are lost, as when the database's process is killed over a commit.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sandmill_dispatch::{Due, StartRequest};
use sandmill_model::{
    BoxFuture, Clock as _, Code, OutcomeKind, RunId, RunRecord, RunStatus, SystemClock, Timestamp, WorkspaceId, run::NewRun,
};
use sandmill_store::{
    Store, StoreError,
    history::RunFilter,
    nodes::Incarnation,
    queue::{Cancelled, Claimed, Claims, Completion, Enqueued, HandedBack, Heads, Queue, Share, Woken},
    workspaces::Change,
};
use tokio_util::task::TaskTracker;

use crate::fake::{Bench, arguments};

/// Which answer is lost next.
#[derive(Default)]
struct Lost {
    claim: AtomicBool,
    claim_overdue: AtomicBool,
    begin: AtomicBool,
    /// While somebody holds it, answers to `begin` do not come.
    begins: tokio::sync::Mutex<()>,
    adopt: AtomicBool,
    complete: AtomicBool,
    /// While somebody holds it, answers to `claim` do not come, unless nothing was claimed.
    claims: tokio::sync::Mutex<()>,
    /// Whether somebody cancels what is handed back next, in the moment before.
    crosses: AtomicBool,
}

struct Deaf {
    queue: Arc<dyn Queue>,
    lost: Arc<Lost>,
}

fn unless<T>(lost: &AtomicBool, answer: Result<T, StoreError>) -> Result<T, StoreError> {
    if lost.swap(false, Ordering::SeqCst) { Err(StoreError::Unavailable("the connection broke".to_owned())) } else { answer }
}

impl Queue for Deaf {
    fn enqueue(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Enqueued>, StoreError>> {
        self.queue.enqueue(runs)
    }

    fn begin(&self, lease: Incarnation, run: NewRun) -> BoxFuture<'_, Result<Enqueued, StoreError>> {
        Box::pin(async move {
            let begun = self.queue.begin(lease, run).await;
            let _late = self.lost.begins.lock().await;
            unless(&self.lost.begin, begun)
        })
    }

    fn adopt(&self, lease: Incarnation, run: NewRun, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { unless(&self.lost.adopt, self.queue.adopt(lease, run, now).await) })
    }

    fn heads(&self, tags: Vec<Arc<str>>, after: Option<WorkspaceId>, limit: u32) -> BoxFuture<'_, Result<Heads, StoreError>> {
        self.queue.heads(tags, after, limit)
    }

    fn claim(&self, lease: Incarnation, now: Timestamp, shares: Vec<Share>) -> BoxFuture<'_, Result<Claims, StoreError>> {
        Box::pin(async move {
            let claimed = self.queue.claim(lease, now, shares).await?;
            if claimed.runs.is_empty() {
                return Ok(claimed);
            }
            let _late = self.lost.claims.lock().await;
            unless(&self.lost.claim, Ok(claimed))
        })
    }

    fn unclaim(&self, lease: Incarnation, from: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.queue.unclaim(lease, from)
    }

    fn claim_overdue(&self, lease: Incarnation, now: Timestamp) -> BoxFuture<'_, Result<Vec<Claimed>, StoreError>> {
        Box::pin(async move {
            let claimed = self.queue.claim_overdue(lease, now).await?;
            if claimed.is_empty() { Ok(claimed) } else { unless(&self.lost.claim_overdue, Ok(claimed)) }
        })
    }

    fn hand_back(&self, lease: Incarnation, runs: Vec<(WorkspaceId, RunId)>) -> BoxFuture<'_, Result<HandedBack, StoreError>> {
        Box::pin(async move {
            if self.lost.crosses.swap(false, Ordering::SeqCst) {
                for (workspace, run) in &runs {
                    assert_eq!(self.queue.cancel(*workspace, *run, SystemClock.now()).await?, Cancelled::Requested);
                }
            }
            self.queue.hand_back(lease, runs).await
        })
    }

    fn sleeps(&self, lease: Incarnation, workspace: WorkspaceId, run: RunId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.queue.sleeps(lease, workspace, run)
    }

    fn wakes(&self, lease: Incarnation, workspace: WorkspaceId, run: RunId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.queue.wakes(lease, workspace, run)
    }

    fn complete(&self, lease: Incarnation, runs: Vec<Completion>) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        Box::pin(async move { unless(&self.lost.complete, self.queue.complete(lease, runs).await) })
    }

    fn wake_due(&self, now: Timestamp) -> BoxFuture<'_, Result<Woken, StoreError>> {
        self.queue.wake_due(now)
    }

    fn cancel(&self, workspace: WorkspaceId, run: RunId, now: Timestamp) -> BoxFuture<'_, Result<Cancelled, StoreError>> {
        self.queue.cancel(workspace, run, now)
    }

    fn children(
        &self,
        workspace: WorkspaceId,
        parent: RunId,
        after: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        self.queue.children(workspace, parent, after, limit)
    }

    fn length(&self, workspace: WorkspaceId, at_most: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.queue.length(workspace, at_most)
    }

    fn forget_dedup_keys(&self, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.queue.forget_dedup_keys(now)
    }
}

async fn start(open: bool) -> (Bench, Arc<Lost>) {
    let lost = Arc::new(Lost::default());
    let way = |store: Store| Store { queue: Arc::new(Deaf { queue: store.queue, lost: Arc::clone(&lost) }), ..store };
    (Bench::start_with(open, way).await, lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_whose_claim_was_not_heard_are_executed() {
    let (bench, lost) = start(true).await;
    for _ in 0..3 {
        lost.claim.store(true, Ordering::SeqCst);
        let mut request = bench.request(arguments("{}"));
        // What is due at once may begin without a claim.
        request.terms.due = Some(Due::In(Duration::from_millis(1)));
        let run = bench.dispatch.accept(request).await.unwrap().run;
        let record = bench.record_when(run, |record| record.summary.status.has_ended()).await;
        assert_eq!((record.summary.status, record.summary.attempt), (RunStatus::Succeeded, 1));
        assert!(!lost.claim.load(Ordering::SeqCst), "an answer was lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_beginning_was_not_heard_is_executed_once() {
    let (bench, lost) = start(true).await;
    // Until nothing is ready before it, and it begins at once.
    let began = Instant::now();
    let refused = loop {
        lost.begin.store(true, Ordering::SeqCst);
        match bench.dispatch.accept(bench.request(arguments("{}"))).await {
            Ok(_) => assert!(began.elapsed() < Duration::from_secs(20), "no run begins with its acceptance"),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.into_refusal().code, Code::Unavailable);
    let newest = bench.store.history.list(bench.workspace.id, &RunFilter::default(), None, 1).await.unwrap();
    let unheard = newest.runs[0].id;
    let record = bench.record_when(unheard, |record| record.summary.status.has_ended()).await;
    assert_eq!((record.summary.status, record.summary.attempt), (RunStatus::Succeeded, 1));
    // However many came before it.
    let executed = bench.executor.executed.lock().unwrap().clone();
    assert_eq!(executed.iter().filter(|(run, _)| *run == unheard).count(), 1);
    assert_eq!(executed.iter().collect::<HashSet<_>>().len(), executed.len(), "no attempt was executed twice");
}

/// A slot that is held for what turns out to be a repetition is seen by whoever claims, as soon as it is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_not_needed_is_another_runs() {
    const SLOTS: usize = 8;
    let (bench, lost) = start(false).await;
    let known = || {
        let mut request = bench.request(arguments("{}"));
        request.terms.idempotency_key = Some("once".to_owned());
        request
    };
    let executed = || bench.executor.executed.lock().unwrap().len();
    let when_executed = async |count: usize| {
        let began = Instant::now();
        while executed() < count {
            assert!(began.elapsed() < Duration::from_secs(10), "{} of {count} execute", executed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    bench.dispatch.accept(known()).await.unwrap();
    for _ in 2..SLOTS {
        bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap();
    }
    when_executed(SLOTS - 1).await;
    // Until the last look has found nothing.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let answers = lost.begins.lock().await;
    let (dispatch, repetition) = (bench.dispatch.clone(), known());
    let repetition = TaskTracker::new().spawn(async move { dispatch.accept(repetition).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(executed(), SLOTS - 1, "the last slot is held for the repetition");
    drop(answers);
    assert!(repetition.await.unwrap().unwrap().is_repetition);
    when_executed(SLOTS).await;
    bench.executor.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_whose_answer_was_lost_is_one_run() {
    let (bench, lost) = start(false).await;
    lost.adopt.store(true, Ordering::SeqCst);
    let refused = bench.dispatch.run(bench.request(arguments("{}")), Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(refused.code, Code::Unavailable);
    let all = async || bench.store.history.list(bench.workspace.id, &RunFilter::default(), None, 10).await.unwrap();
    assert_eq!(all().await.runs[0].status, RunStatus::Running, "it was written although nobody heard so");
    bench.executor.open();
    let run = all().await.runs[0].id;
    bench.record_when(run, |record| record.summary.status == RunStatus::Succeeded).await;
    assert_eq!(all().await.runs.len(), 1, "nowhere twice");
    assert_eq!(bench.store.queue.length(bench.workspace.id, 10).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_whose_answer_was_lost_counts_once() {
    let (bench, lost) = start(true).await;
    lost.complete.store(true, Ordering::SeqCst);
    let run = bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap().run;
    bench.record_when(run, |record| record.summary.status == RunStatus::Succeeded).await;
    let next = bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap().run;
    bench.record_when(next, |record| record.summary.status == RunStatus::Succeeded).await;
    assert_eq!(bench.executor.executed.lock().unwrap().len(), 2);
}

/// In the queue it would wait for the next day, as its workspace has no fuel left.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_crosses_what_is_handed_back_ends_the_run() {
    let (bench, lost) = start(true).await;
    let poor = bench.another_workspace("poor").await;
    let claims = lost.claims.lock().await;
    let mut request = StartRequest { workspace: poor.clone(), ..bench.request(arguments("{}")) };
    // What is due at once may begin without a claim.
    request.terms.due = Some(Due::In(Duration::from_millis(1)));
    let run = bench.dispatch.accept(request).await.unwrap().run;
    let until = async |is_so: &dyn Fn(&RunRecord) -> bool| {
        let began = Instant::now();
        loop {
            let record = bench.dispatch.record(poor.id, run).await.unwrap().unwrap();
            if is_so(&record) {
                return record;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "{record:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until(&|record: &RunRecord| record.summary.status == RunStatus::Running).await;
    let overrides = ["fuel_per_day", "outbound_bytes_per_day"].map(|name| (name.to_owned(), 0_u64.into()));
    let change = Change { plan: None, overrides: overrides.into_iter().collect() };
    bench.store.workspaces.allot(poor.id, change).await.unwrap().unwrap();
    // What the node knows of one limit it knows of the other.
    let began = Instant::now();
    while bench.live.may_send(poor.id).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10), "the node does not hear of the limits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    lost.crosses.store(true, Ordering::SeqCst);
    drop(claims);
    let record = until(&|record: &RunRecord| record.summary.status.has_ended()).await;
    assert_eq!(record.summary.outcome, Some(OutcomeKind::Cancelled));
    assert!(!lost.crosses.load(Ordering::SeqCst), "it was to be handed back");
    assert!(bench.executor.executed.lock().unwrap().is_empty());
}
