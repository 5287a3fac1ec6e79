//! The fast lane: a synchronous run that needs no promise beyond its answer is executed where it arrived, its record written behind.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use sandmill_model::{
    Outcome, Timestamp, WorkspaceId,
    children::Parent,
    code::Refusal,
    run::{FinishedRun, NewRun},
};
use sandmill_store::{StoreError, nodes::Incarnation, queue::Completion};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tracing::Instrument as _;

use crate::{Accepted, Dispatch, Inner, Waited, lanes::Seat, live::Start, meters::Left, refuse, trace};

/// The first attempt's number: the fast lane knows no other.
const FIRST: u32 = 1;
/// Runs of a workspace under way here, up to which it is thought quiet.
const QUIET_RUNS_MAX: usize = 8;
/// Between two tries to make a run durable that executes here.
const ADOPT_PAUSE: Duration = Duration::from_millis(200);
/// Tries to make a run durable that sleeps in a place of its workspace. Past them it keeps the place.
const LEAVE_TRIES_MAX: u32 = 25;

impl Dispatch {
    /// Whether `run` may take the fast lane: nothing that needs the queue, a worker here with a free slot, and room for its record. Where all
    /// slots are taken, it is for workspaces that have little here: their runs wait in the sandbox, which takes turns between workspaces
    /// every few milliseconds; the queue would wait for the end of a run.
    pub(crate) fn may_use_fast_lane(&self, run: &NewRun) -> bool {
        let inner = &self.inner;
        let is_plain = Arc::ptr_eq(&run.policy, &inner.plain_policy) && run.dedup.is_none() && run.scheduled_for <= run.created_at;
        // Where it stands must be known before it starts another.
        let is_first = run.lineage.is_none();
        is_plain && is_first && inner.options.role.executes() && inner.write_behind.has_room(run.workspace) && self.has_place(run.workspace)
    }

    fn has_place(&self, workspace: WorkspaceId) -> bool {
        self.inner.executor.has_free_slot() || self.inner.live.count_of(workspace) < QUIET_RUNS_MAX
    }

    /// `seat` is its place, if its workspace may have only so many runs at once.
    pub(crate) async fn run_in_fast_lane(
        &self,
        run: NewRun,
        left: Left,
        seat: Option<Seat>,
        wait_limit: Duration,
    ) -> Result<Waited, Refusal> {
        let inner = Arc::clone(&self.inner);
        let id = run.id;
        let started_at = inner.clock.now();
        let (own, mut attempt) = (run.limits, run.attempt(FIRST, started_at));
        attempt.limits = left.within(own);
        let (executor, span) = (Arc::clone(&inner.executor), trace::attempt(&run, FIRST));
        let execution = async move {
            let mut outcome = executor.execute(attempt).await;
            left.explain(&own, &mut outcome);
            trace::ended(&outcome);
            outcome
        };
        let mut execution = Box::pin(execution.instrument(span));

        // Most runs end within their first poll; only the others cost a task, a place among the live runs and a timer.
        let first = poll_fn(|context| {
            Poll::Ready(match execution.as_mut().poll(context) {
                Poll::Ready(outcome) => Some(outcome),
                Poll::Pending => None,
            })
        })
        .await;
        if let Some(outcome) = first {
            let outcome = inner.record_behind(run, started_at, outcome);
            // By its record it has ended when the next one begins.
            drop(seat);
            return Ok(Waited::Ended { run: id, is_repetition: false, outcome });
        }

        let mut ended = inner.go_on(run.clone(), started_at, seat, execution);
        match tokio::time::timeout(wait_limit, &mut ended.task).await {
            Ok(outcome) => Ok(Waited::Ended { run: id, is_repetition: false, outcome: ended_well(outcome) }),
            // It outlived the wait limit: from here on it is promised, so it becomes durable before the caller hears so.
            Err(_) if ended.promise.begin() => {
                inner.promise(run, ended.promise).await.map_err(|error| refuse(&error))?;
                Ok(Waited::StillRunning(Accepted { run: id, is_repetition: false }))
            }
            Err(_) => Ok(Waited::Ended { run: id, is_repetition: false, outcome: ended_well(ended.task.await) }),
        }
    }
}

/// Where a run stands that did not end at once: who writes its record depends on which came first, its end or its promise.
#[derive(Clone)]
pub(crate) struct Promise {
    state: Arc<watch::Sender<Promised>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promised {
    /// The caller waits, or has gone.
    No,
    /// It is being written to the queue.
    Writing,
    /// It is this incarnation's.
    Yes(Incarnation),
    /// It ended first; its record is written behind.
    Ended,
}

impl Promise {
    /// False if the run has ended meanwhile.
    fn begin(&self) -> bool {
        self.state.send_if_modified(|state| {
            let free = *state == Promised::No;
            if free {
                *state = Promised::Writing;
            }
            free
        })
    }

    /// Whether the run is durable, once that is known.
    async fn is_given(&self) -> bool {
        let mut changes = self.state.subscribe();
        matches!(changes.wait_for(|state| *state != Promised::Writing).await.as_deref(), Ok(Promised::Yes(_)))
    }

    /// Whose the run is, if it was promised; from now on it cannot be any more.
    async fn settle(&self) -> Option<Incarnation> {
        if self.state.send_if_modified(|state| {
            let free = *state == Promised::No;
            if free {
                *state = Promised::Ended;
            }
            free
        }) {
            return None;
        }
        let mut changes = self.state.subscribe();
        match changes.wait_for(|state| *state != Promised::Writing).await.as_deref() {
            Ok(Promised::Yes(lease)) => Some(*lease),
            _ => None,
        }
    }
}

struct Going {
    task: JoinHandle<Arc<Outcome>>,
    promise: Promise,
}

fn ended_well(outcome: Result<Arc<Outcome>, tokio::task::JoinError>) -> Arc<Outcome> {
    outcome.unwrap_or_else(|error| {
        tracing::error!(%error, "a run's task ended badly");
        Arc::new(Outcome::host_fault("the run's task ended badly"))
    })
}

impl Inner {
    /// Drives a run that did not end at once, whether its caller stays or not.
    fn go_on(
        self: &Arc<Self>,
        run: NewRun,
        started_at: Timestamp,
        seat: Option<Seat>,
        execution: impl Future<Output = Outcome> + Send + 'static,
    ) -> Going {
        let promise = Promise { state: Arc::new(watch::Sender::new(Promised::No)) };
        self.live.begin(run.clone(), Start { attempt: FIRST, begun: FIRST, at: started_at, lease: None });
        let sits = seat.map(|seat| self.sits(&run, &promise, seat));
        let task = self.tasks.spawn({
            let (inner, promise) = (Arc::clone(self), promise.clone());
            async move {
                let outcome = execution.await;
                let answer = if let Some(promised) = promise.settle().await {
                    inner.metrics.record(&outcome);
                    let answer = Arc::new(without_log(&outcome));
                    let ended_at = inner.clock.now();
                    let done = FinishedRun { run: run.clone(), attempt: FIRST, started_at: Some(started_at), ended_at, outcome };
                    let logged = inner.live.settle(run.id, FIRST);
                    inner.complete(promised, Completion { done, again_at: None, handler: None, logged }).await;
                    answer
                } else {
                    inner.ended_so(run.workspace, run.id, outcome.kind);
                    inner.record_behind(run.clone(), started_at, outcome)
                };
                drop(sits);
                inner.live.end(run.id, FIRST);
                inner.followers.wake(&[run.id]);
                answer
            }
        });
        Going { task, promise }
    }

    /// Makes a run durable that executes here. In a task of its own: a caller who leaves must not stop it half-way.
    async fn promise(self: &Arc<Self>, run: NewRun, promise: Promise) -> Result<(), StoreError> {
        let not_now = |why: &str| Err(StoreError::Unavailable(why.to_owned()));
        let Some(lease) = self.membership.current() else {
            promise.state.send_replace(Promised::No);
            return not_now("this node is no member at present");
        };
        let inner = Arc::clone(self);
        let (told, answer) = oneshot::channel();
        self.tasks.spawn(async move {
            let adopted = inner.store.queue.adopt(lease, run.clone(), inner.clock.now()).await;
            let is_known = !matches!(adopted, Err(StoreError::Unavailable(_)));
            let promised = if adopted.is_ok() { Promised::Yes(lease) } else { Promised::No };
            let _ = told.send(adopted);
            let id = run.id;
            let promised = if is_known { promised } else { inner.adopt_after_all(lease, run).await };
            if promised == Promised::Yes(lease) {
                inner.live.promised(id, lease);
                inner.stands_up(id).await;
            }
            promise.state.send_replace(promised);
        });
        answer.await.unwrap_or_else(|_| not_now("this node is shutting down"))
    }

    /// Makes sure of a promise whose answer did not come: if it was written, the run must leave the queue when it ends, else nobody would
    /// ever take it from there.
    async fn adopt_after_all(&self, lease: Incarnation, run: NewRun) -> Promised {
        loop {
            tokio::time::sleep(ADOPT_PAUSE).await;
            if self.membership.current() != Some(lease) {
                // If it was written, it was taken from this node since, and its end here does not count.
                return Promised::No;
            }
            match self.store.queue.adopt(lease, run.clone(), self.clock.now()).await {
                // A conflict is with itself.
                Ok(()) | Err(StoreError::Conflict(_)) => return Promised::Yes(lease),
                Err(StoreError::Unavailable(_)) => {}
                Err(_) => return Promised::No,
            }
        }
    }

    /// A run of the fast lane that has a place of its workspace and is about to sleep becomes durable: those that it waits for may need the
    /// place. From now on it sleeps and wakes as runs of the queue do. False for a run that has none.
    pub(crate) async fn leaves_lane(self: &Arc<Self>, parent: &Parent) -> bool {
        let Some(seated) = self.seated(parent.run) else {
            return self.running_limits.has_limit(parent.workspace) && self.live.lease(parent.run).is_some();
        };
        for _ in 0..LEAVE_TRIES_MAX {
            if seated.promise.begin()
                && let Err(error) = self.promise(seated.run.clone(), seated.promise.clone()).await
            {
                tracing::error!(%error, run = %parent.run, "a run that sleeps could not be made durable; trying again");
            }
            if seated.promise.is_given().await {
                return true;
            }
            tokio::time::sleep(ADOPT_PAUSE).await;
        }
        false
    }

    /// Writes the record behind the answer and gives back the outcome without its log.
    fn record_behind(&self, run: NewRun, started_at: Timestamp, outcome: Outcome) -> Arc<Outcome> {
        self.metrics.record(&outcome);
        let answer = Arc::new(without_log(&outcome));
        self.write_behind.push(FinishedRun { run, attempt: FIRST, started_at: Some(started_at), ended_at: self.clock.now(), outcome });
        answer
    }
}

pub(crate) fn without_log(outcome: &Outcome) -> Outcome {
    Outcome {
        kind: outcome.kind,
        output: outcome.output.clone(),
        error: outcome.error.clone(),
        arguments: None,
        usage: outcome.usage,
        log: Vec::new(),
    }
}
