//! Runs that wait for others give their slots back meanwhile, or those they wait for might never get one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandmill_model::{RunId, children::ChildError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{ASLEEP_MAX, Inner};

/// Who waits no longer than this keeps its slot.
const DOZE: std::time::Duration = std::time::Duration::from_millis(5);

/// The slot of one attempt, while it has one.
pub(crate) struct Berth(Mutex<Option<OwnedSemaphorePermit>>);

impl Berth {
    pub(crate) fn with(slot: OwnedSemaphorePermit) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(slot))))
    }

    fn slot(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slot().is_none()
    }
}

/// Places for runs that wait for others, each of which keeps its memory.
pub(crate) struct Dormitory(Semaphore);

impl Default for Dormitory {
    fn default() -> Self {
        metrics::describe_gauge!("sandmill_runs_asleep", "Runs that wait for runs they started, without a slot");
        Self(Semaphore::new(ASLEEP_MAX))
    }
}

impl Inner {
    /// Waits for `what` in the name of `run`, which gives back its slot after a moment and has one again when this returns. A run of the
    /// fast lane has none, but counts among those that sleep.
    ///
    /// # Errors
    /// `TooMany` if as many sleep here as may.
    pub(crate) async fn asleep(&self, run: RunId, what: impl Future<Output = ()>) -> Result<(), ChildError> {
        let mut what = std::pin::pin!(what);
        if tokio::time::timeout(DOZE, what.as_mut()).await.is_ok() {
            return Ok(());
        }
        let Ok(_place) = self.dormitory.0.try_acquire() else {
            return Err(ChildError::TooMany(format!("{ASLEEP_MAX} runs on this node wait for others already, which is the most")));
        };
        let _counted = Counted::new();
        let berth = self.live.berth(run);
        let slot = berth.as_ref().and_then(|berth| berth.slot().take());
        let had_slot = slot.is_some();
        drop(slot);
        if had_slot {
            self.ahead.freed();
            if self.live.workspace(run).is_some_and(|workspace| self.running_limits.has_limit(workspace)) {
                // It does not count there any more.
                self.ready.notify_one();
            }
        }
        what.await;
        if had_slot && let Some(berth) = berth {
            // Nobody closes it.
            let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
            *berth.slot() = slot;
        }
        Ok(())
    }
}

struct Counted;

impl Counted {
    fn new() -> Self {
        metrics::gauge!("sandmill_runs_asleep").increment(1);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("sandmill_runs_asleep").decrement(1);
    }
}
