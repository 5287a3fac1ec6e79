//! Runs that wait for others give their slots back meanwhile, or those they wait for might never get one.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sandmill_model::{
    WorkspaceId,
    children::{ChildError, Parent},
};
use sandmill_store::nodes::Incarnation;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::{ASLEEP_MAX, Inner};

/// Who waits no longer than this keeps its slot.
const DOZE: Duration = Duration::from_millis(5);
/// How long to wait after a failed write before the next try.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// How often who wants to go on looks for a place that became free on another node.
const PLACE_NET: Duration = Duration::from_millis(250);

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

/// Runs here that slept and wait for a place of their workspace, of which only so many may execute at once. One of each workspace asks at a
/// time; the others stand in line behind it.
#[derive(Default)]
pub(crate) struct Waking {
    lines: Mutex<HashMap<WorkspaceId, Weak<tokio::sync::Mutex<()>>>>,
    /// A run of a workspace with a limit ended here, or fell asleep.
    freed: Notify,
}

impl Waking {
    fn line(&self, workspace: WorkspaceId) -> Arc<tokio::sync::Mutex<()>> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(&workspace).and_then(Weak::upgrade) {
            return line;
        }
        lines.retain(|_, line| line.strong_count() > 0);
        let line = Arc::default();
        lines.insert(workspace, Arc::downgrade(&line));
        line
    }

    /// There may be a place.
    pub(crate) fn look(&self) {
        self.freed.notify_waiters();
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
    pub(crate) async fn asleep(self: &Arc<Self>, parent: &Parent, what: impl Future<Output = ()>) -> Result<(), ChildError> {
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
            if self.leaves_lane(parent).await {
                self.while_asleep(parent, what).await;
            } else {
                what.await;
            }
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
        let saying = async {
            while !is_over.load(Ordering::Relaxed) {
                match self.store.queue.sleeps(lease, parent.workspace, parent.run).await {
                    Ok(()) => {
                        self.waking.look();
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
        if was_said {
            self.awaken(lease, parent).await;
        }
    }

    /// Waits until the run may go on: others of its workspace may have taken its place. It holds nothing meanwhile that those need to end, so
    /// they do; and what is claimed leaves it the next place.
    async fn awaken(&self, lease: Incarnation, parent: &Parent) {
        // Without a limit nobody stands in line.
        if !self.running_limits.has_limit(parent.workspace) && self.wakes(lease, parent).await {
            return;
        }
        let line = self.waking.line(parent.workspace);
        let _turn = line.lock().await;
        loop {
            let freed = self.waking.freed.notified();
            if self.wakes(lease, parent).await {
                return;
            }
            tokio::select! {
                () = freed => {}
                () = tokio::time::sleep(PLACE_NET) => {}
            }
        }
    }

    async fn wakes(&self, lease: Incarnation, parent: &Parent) -> bool {
        self.leave_to_queue(lease, parent.workspace, 1).await;
        let woken = self.store.queue.wakes(lease, parent.workspace, parent.run).await;
        match woken {
            Ok(true) => true,
            Ok(false) => {
                self.queue_waits(lease, parent.workspace).await;
                false
            }
            Err(error) => {
                tracing::error!(%error, run = %parent.run, "it could not be said that a run is awake again; trying again");
                false
            }
        }
    }
}
