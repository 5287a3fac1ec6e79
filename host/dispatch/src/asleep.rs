//! Runs that wait for others give their slots back meanwhile, or those they wait for might never get one.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sandmill_model::{
    WorkspaceId,
    children::{ChildError, Parent},
};
use tokio::sync::OwnedSemaphorePermit;

use crate::{ASLEEP_MAX, Inner};

/// Who waits no longer than this keeps its slot.
const DOZE: Duration = Duration::from_millis(5);
/// How long to wait after a failed write before the next try.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The slot of one attempt, while it has one.
pub(crate) struct Berth(Mutex<Option<OwnedSemaphorePermit>>);

impl Berth {
    pub(crate) fn with(slot: OwnedSemaphorePermit) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(slot))))
    }

    fn slot(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places for runs that wait for others, each of which keeps its memory. A workspace has at most as many as it leaves free, so that nobody
/// takes them all.
pub(crate) struct Dormitory(Mutex<HashMap<WorkspaceId, usize>>);

impl Default for Dormitory {
    fn default() -> Self {
        metrics::describe_gauge!("sandmill_runs_asleep", "Runs that wait for runs they started, without a slot");
        Self(Mutex::default())
    }
}

impl Dormitory {
    fn taken(&self) -> MutexGuard<'_, HashMap<WorkspaceId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, workspace: WorkspaceId) -> Option<Place<'_>> {
        let mut taken = self.taken();
        let free = ASLEEP_MAX.saturating_sub(taken.values().sum());
        let own = taken.entry(workspace).or_default();
        if *own >= free {
            return None;
        }
        *own += 1;
        metrics::gauge!("sandmill_runs_asleep").increment(1);
        Some(Place { dormitory: self, workspace })
    }
}

struct Place<'a> {
    dormitory: &'a Dormitory,
    workspace: WorkspaceId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        metrics::gauge!("sandmill_runs_asleep").decrement(1);
        let mut taken = self.dormitory.taken();
        if let Some(own) = taken.get_mut(&self.workspace) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.workspace);
            }
        }
    }
}

impl Inner {
    /// Waits for `what` in the name of `parent`, which gives back its slot after a moment and has one again when this returns. A run of the
    /// fast lane has none, but counts among those that sleep.
    ///
    /// # Errors
    /// `TooMany` if as many sleep here as may.
    pub(crate) async fn asleep(&self, parent: &Parent, what: impl Future<Output = ()>) -> Result<(), ChildError> {
        let mut what = std::pin::pin!(what);
        if tokio::time::timeout(DOZE, what.as_mut()).await.is_ok() {
            return Ok(());
        }
        let Some(_place) = self.dormitory.place(parent.workspace) else {
            return Err(ChildError::TooMany(
                "as many runs on this node wait for others as may; try again later, or wait for fewer".to_owned(),
            ));
        };
        let berth = self.live.berth(parent.run);
        let slot = berth.as_ref().and_then(|berth| berth.slot().take());
        self.live.sleeps(parent.run, true);
        if slot.is_none() {
            what.await;
            self.live.sleeps(parent.run, false);
            return Ok(());
        }
        drop(slot);
        self.ahead.freed();
        self.while_asleep(parent, what).await;
        if let Some(berth) = berth {
            // Nobody closes it.
            let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
            *berth.slot() = slot;
        }
        self.live.sleeps(parent.run, false);
        Ok(())
    }

    /// Waits for `what`, and says in the queue that the run sleeps meanwhile: it does not count there, or those that it waits for might never
    /// begin, here or elsewhere.
    async fn while_asleep(&self, parent: &Parent, what: impl Future<Output = ()>) {
        let Some(lease) = self.live.lease(parent.run) else { return what.await };
        let is_over = AtomicBool::new(false);
        let says = |sleeps| self.store.queue.sleeps(lease, parent.workspace, parent.run, sleeps);
        let saying = async {
            while !is_over.load(Ordering::Relaxed) {
                match says(true).await {
                    Ok(()) => {
                        self.look_for_ready();
                        self.tell_ready();
                        return true;
                    }
                    Err(error) => tracing::error!(%error, run = %parent.run, "it could not be said that a run sleeps; trying again"),
                }
                tokio::time::sleep(RETRY_DELAY).await;
            }
            false
        };
        let waiting = async {
            what.await;
            is_over.store(true, Ordering::Relaxed);
        };
        // Both to their ends: what is said first must be written first.
        let ((), was_said) = tokio::join!(waiting, saying);
        if was_said && let Err(error) = says(false).await {
            tracing::warn!(%error, run = %parent.run, "it could not be said that a run is awake again; its workspace may execute one more");
        }
    }
}
