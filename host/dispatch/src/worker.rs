//! Executing what is queued: claim a batch, execute each, complete in batches.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sandmill_model::{Outcome, OutcomeKind, RunError, run::FinishedRun};
use sandmill_store::queue::Claimed;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{CLAIM_RUNS_MAX, COMPLETIONS_MAX, Inner, LEASE, LOST_ATTEMPTS_MAX, fast_lane::without_log};

/// How often the queue is looked at without having been poked: only a net.
const CLAIM_NET: Duration = Duration::from_secs(1);
/// How long to wait after a failed write before the next try.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Outcomes on their way to the store.
pub(crate) struct Finished {
    sender: mpsc::Sender<FinishedRun>,
    receiver: Mutex<Option<mpsc::Receiver<FinishedRun>>>,
}

impl Default for Finished {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(COMPLETIONS_MAX);
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl Inner {
    /// Hands over the outcome of a run that this node holds in the queue.
    pub(crate) async fn complete(&self, finished: FinishedRun) {
        if self.finished.sender.send(finished).await.is_err() {
            tracing::error!("an outcome came after the end of the service; its run will be tried again");
        }
    }

    /// Claims and executes until `stop`.
    pub(crate) async fn work(self: Arc<Self>, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.options.queued_runs_max));
        while !stop.is_cancelled() {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let limit = u32::try_from(slots.available_permits() + 1).unwrap_or(u32::MAX).min(CLAIM_RUNS_MAX);
            drop(slot);
            let claimed = self.store.queue.claim(&self.options.node, self.clock.now(), LEASE, limit).await.unwrap_or_else(|error| {
                tracing::error!(%error, "runs could not be claimed; trying again");
                Vec::new()
            });
            if claimed.is_empty() {
                tokio::select! {
                    () = self.due.notified() => {}
                    () = tokio::time::sleep(CLAIM_NET) => {}
                    () = stop.cancelled() => return,
                }
                continue;
            }
            for run in claimed {
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
                let inner = Arc::clone(&self);
                self.tasks.spawn(async move {
                    inner.execute(run).await;
                    drop(slot);
                });
            }
        }
    }

    async fn execute(&self, claimed: Claimed) {
        let Claimed { run, attempt } = claimed;
        let started_at = self.clock.now();
        self.live.begin(run.clone(), attempt, started_at);
        let outcome = if attempt > LOST_ATTEMPTS_MAX {
            let message = format!("the run was tried {LOST_ATTEMPTS_MAX} times and its node died each time; it is not tried again");
            Outcome::failed(OutcomeKind::Poisoned, RunError::new(OutcomeKind::Poisoned.name(), message))
        } else {
            self.executor.execute(run.attempt(attempt, started_at)).await
        };
        self.metrics.record(&outcome);
        let id = run.id;
        self.complete(FinishedRun { run, attempt, started_at: Some(started_at), ended_at: self.clock.now(), outcome }).await;
        self.live.end(id);
    }

    /// Writes outcomes in batches, as they come, until `stop` and nothing is left.
    pub(crate) async fn write_outcomes(self: Arc<Self>, stop: CancellationToken) {
        let receiver = self.finished.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut receiver) = receiver else { return };
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                _ = receiver.recv_many(&mut batch, COMPLETIONS_MAX) => {}
                () = stop.cancelled() => return,
            }
            self.write_batch(std::mem::take(&mut batch)).await;
        }
    }

    async fn write_batch(&self, batch: Vec<FinishedRun>) {
        let mut delay = RETRY_DELAY;
        loop {
            match self.store.queue.complete(&self.options.node, batch.clone()).await {
                Ok(moved) => {
                    for finished in batch {
                        if moved.contains(&finished.run.id) {
                            self.waiters.wake(finished.run.id, Arc::new(without_log(&finished.outcome)));
                        } else {
                            tracing::warn!(run = %finished.run.id, "a run was taken from this node; its outcome here does not count");
                        }
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, runs = batch.len(), "outcomes could not be written; trying again");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(Duration::from_secs(5));
                }
            }
        }
    }

    /// Shows signs of life, ends what others asked to cancel, and frees what dead nodes held, until `stop`.
    pub(crate) async fn keep_leases(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(crate::HEARTBEAT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let now = self.clock.now();
            match self.store.queue.heartbeat(&self.options.node, now, LEASE).await {
                Ok(cancelled) => {
                    for run in cancelled {
                        self.executor.cancel(run);
                    }
                }
                Err(error) => tracing::error!(%error, "leases could not be extended"),
            }
            match self.store.queue.recover(None, now).await {
                Ok(0) => {}
                Ok(runs) => {
                    tracing::warn!(runs, "runs of a node that died are queued again");
                    self.due.notify_one();
                }
                Err(error) => tracing::error!(%error, "lapsed leases could not be looked for"),
            }
        }
    }
}
