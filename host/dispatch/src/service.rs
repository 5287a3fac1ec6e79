//! The long-lived part of dispatch: claims, leases, commits.

use std::sync::Arc;

use sandmill_store::signals::Signal;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{DRAIN, Dispatch, Inner};

pub struct Service {
    inner: Arc<Inner>,
}

impl Service {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Works until `shutdown` or [`Dispatch::drain`], then takes nothing new, waits for what executes ([`DRAIN`] at most) and writes everything
    /// down (another [`DRAIN`] at most). What had not ended by then goes back to the queue, for another node or the next start. Returns after
    /// `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let inner = self.inner;
        let (claiming, writing) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let joined = inner.join(inner.store.nodes.as_ref(), &shutdown).await;
        let heartbeat = inner.keep_alive(writing.clone());
        if let Err(error) = &heartbeat {
            tracing::error!(%error, "no thread for signs of life; the others will think that this node is dead");
        }
        if joined && inner.options.role.executes() {
            tasks.spawn(Arc::clone(&inner).work(claiming.clone()));
            tasks.spawn(Arc::clone(&inner).write_logs(writing.clone()));
            tasks.spawn(Arc::clone(&inner).keep_lanes(writing.clone()));
        }
        tasks.spawn(Arc::clone(&inner).watch_the_clock(claiming.clone()));
        if inner.store.signals.reach_others() {
            tasks.spawn(Arc::clone(&inner).tell_others(writing.clone()));
            tasks.spawn(Arc::clone(&inner).hear_others(writing.clone()));
            tasks.spawn(Arc::clone(&inner).beat_to_itself(writing.clone()));
            tasks.spawn(Arc::clone(&inner).look_for_ends(writing.clone()));
        }
        tasks.spawn(Arc::clone(&inner).write_outcomes(writing.clone()));
        tasks.spawn({
            let (meters, writing) = (Arc::clone(&inner.meters), writing.clone());
            async move { meters.serve(writing).await }
        });
        tasks.spawn({
            let (inner, writing) = (Arc::clone(&inner), writing.clone());
            async move { inner.write_behind.serve(writing).await }
        });

        tokio::select! {
            () = shutdown.cancelled() => inner.drain(),
            () = inner.draining.cancelled() => {}
        }
        claiming.cancel();
        let deadline = Instant::now() + DRAIN;
        shutdown.cancelled().await;
        inner.tasks.close();
        if tokio::time::timeout_at(deadline, inner.tasks.wait()).await.is_err() {
            tracing::warn!(runs = inner.tasks.len(), "shutting down although runs still execute; they will be tried again");
        }
        writing.cancel();
        tasks.close();
        if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
            let records = inner.write_behind.len();
            tracing::error!(
                records,
                "shutting down although the database does not take what is to be written; what came from the queue is tried again"
            );
        }
        if let Ok(thread) = heartbeat {
            // It ends within one sign of life.
            let _ = tokio::task::spawn_blocking(|| thread.join()).await;
        }
        let Some(own) = inner.membership.current() else { return };
        // Nothing is written down any more, so what is still held did not end: a run must not count as one that kills its nodes.
        match inner.store.nodes.leave(own).await {
            Ok(0) => {}
            Ok(runs) => {
                tracing::info!(runs, "handed back to the queue");
                // Whoever tells the others otherwise has ended; unheard they would look by themselves, a little later.
                if inner.store.signals.reach_others() {
                    inner.send(Signal::Ready).await;
                }
            }
            Err(error) => {
                tracing::error!(%error, "runs could not be handed back; they are tried again once the others see that this node is gone")
            }
        }
    }
}

impl Dispatch {
    /// From now on this node begins nothing new, and nobody follows runs here: what executes goes on.
    pub fn drain(&self) {
        self.inner.drain();
    }
}

impl Inner {
    fn drain(&self) {
        self.draining.cancel();
        self.farewell.cancel();
    }
}
