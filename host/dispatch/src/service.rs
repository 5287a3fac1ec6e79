//! The long-lived part of dispatch: claims, leases, commits.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{DRAIN, Inner};

pub struct Service {
    inner: Arc<Inner>,
}

impl Service {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Works until `shutdown`, then takes nothing new, waits for what executes (bounded by [`DRAIN`]) and writes everything down.
    /// What had not ended by then goes back to the queue, for another node or the next start.
    pub async fn run(self, shutdown: CancellationToken) {
        let inner = self.inner;
        match inner.store.queue.recover(Some(&inner.options.node), inner.clock.now()).await {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "runs that this node left behind are queued again"),
            Err(error) => tracing::error!(%error, "runs that this node left behind could not be taken back"),
        }
        let claiming = CancellationToken::new();
        let writing = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(Arc::clone(&inner).work(claiming.clone()));
        tasks.spawn(Arc::clone(&inner).keep_leases(writing.clone()));
        tasks.spawn(Arc::clone(&inner).write_outcomes(writing.clone()));
        tasks.spawn({
            let (inner, writing) = (Arc::clone(&inner), writing.clone());
            async move { inner.write_behind.serve(writing).await }
        });

        shutdown.cancelled().await;
        inner.draining.cancel();
        claiming.cancel();
        inner.tasks.close();
        if tokio::time::timeout(DRAIN, inner.tasks.wait()).await.is_err() {
            tracing::warn!(runs = inner.tasks.len(), "shutting down although runs still execute; they will be tried again");
        }
        writing.cancel();
        tasks.close();
        tasks.wait().await;
        // Nothing is written down any more, so what is still held did not end: a run must not count as one that kills its nodes.
        match inner.store.queue.hand_back(&inner.options.node).await {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "handed back to the queue"),
            Err(error) => tracing::error!(%error, "runs could not be handed back; they are tried again once their lease lapses"),
        }
    }
}
