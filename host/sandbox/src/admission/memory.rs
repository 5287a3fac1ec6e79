//! Memory of guests: how much of it is held, by all of a node or by those of one workspace, and who waits for some of it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sandmill_model::WorkspaceId;
use tokio::sync::Notify;

use super::QUIET_RUNS_MAX;

/// Workspaces that the table may have beside those of which something runs, before it is swept.
const SHARES_SWEPT_AT: usize = 1_024;

/// So many bytes, which whoever takes some gives back.
pub(crate) struct Budget {
    used_bytes: AtomicU64,
    max_bytes: u64,
    waiting: AtomicUsize,
    freed: Notify,
}

/// It is used up, and nobody gave enough back in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full {
    pub(crate) max_bytes: u64,
}

impl Budget {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self { used_bytes: AtomicU64::new(0), max_bytes, waiting: AtomicUsize::new(0), freed: Notify::new() }
    }

    /// Over the budget, waits for others to give some back: runs that are under way must not fail at once because many of them happen to
    /// peak together, and must not wait for one another for ever.
    pub(crate) async fn charge(&self, bytes: u64, wait_max: Duration) -> Result<(), Full> {
        let full = Full { max_bytes: self.max_bytes };
        if self.try_charge(bytes) {
            return Ok(());
        }
        if bytes > self.max_bytes {
            return Err(full);
        }
        let _waiting = Counted::new(&self.waiting);
        let charged = async {
            loop {
                let freed = self.freed.notified();
                if self.try_charge(bytes) {
                    return;
                }
                freed.await;
            }
        };
        tokio::time::timeout(wait_max, charged).await.map_err(|_| full)
    }

    pub(crate) fn discharge(&self, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_waiters();
        }
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::SeqCst)
    }

    /// Whether some of it is left.
    pub(crate) fn has_some(&self) -> bool {
        self.used_bytes() < self.max_bytes
    }

    fn try_charge(&self, bytes: u64) -> bool {
        let add = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.max_bytes);
        self.used_bytes.try_update(Ordering::SeqCst, Ordering::SeqCst, add).is_ok()
    }
}

/// What the guests of one workspace hold together.
pub(crate) struct Share {
    pub(crate) budget: Budget,
    /// Runs that have room for an instance.
    under_way: AtomicUsize,
    /// Runs that wait to start.
    waiting: AtomicUsize,
    opened: Notify,
}

impl Share {
    fn new(max_bytes: u64) -> Self {
        Self { budget: Budget::new(max_bytes), under_way: AtomicUsize::new(0), waiting: AtomicUsize::new(0), opened: Notify::new() }
    }

    /// Whether next to nothing of the workspace is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) < QUIET_RUNS_MAX
    }

    /// Whether it is not, even without the run that asks.
    pub(crate) fn has_many(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) > QUIET_RUNS_MAX
    }

    /// Waits until some of it is left. One after another comes out of here, and lets the next one look.
    pub(crate) async fn opens(&self) {
        let _waiting = Counted::new(&self.waiting);
        while !self.budget.has_some() {
            self.opened.notified().await;
        }
        self.opened.notify_one();
    }

    pub(crate) fn discharge(&self, bytes: u64) {
        self.budget.discharge(bytes);
        if self.waiting.load(Ordering::SeqCst) > 0 && self.budget.has_some() {
            self.opened.notify_one();
        }
    }
}

/// One run of a workspace that is under way, counted for as long as this lives.
pub(crate) struct UnderWay(Arc<Share>);

impl UnderWay {
    pub(crate) fn of(share: &Arc<Share>) -> Self {
        share.under_way.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(share))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The shares of those workspaces of which something runs or waits.
pub(crate) struct Shares {
    max_bytes: u64,
    known: Mutex<Known>,
}

struct Known {
    shares: HashMap<WorkspaceId, Weak<Share>>,
    swept_at: usize,
}

impl Shares {
    pub(crate) fn new(max_bytes: u64) -> Self {
        let known = Known { shares: HashMap::new(), swept_at: SHARES_SWEPT_AT };
        // With nothing nobody could ever start.
        Self { max_bytes: max_bytes.max(1), known: Mutex::new(known) }
    }

    /// Who holds bytes of a share holds the share: one that nobody holds has none taken.
    pub(crate) fn of(&self, workspace: WorkspaceId) -> Arc<Share> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = known.shares.get(&workspace).and_then(Weak::upgrade) {
            return share;
        }
        if known.shares.len() >= known.swept_at {
            known.shares.retain(|_, share| share.strong_count() > 0);
            known.swept_at = known.shares.len() * 2 + SHARES_SWEPT_AT;
        }
        let share = Arc::new(Share::new(self.max_bytes));
        known.shares.insert(workspace, Arc::downgrade(&share));
        share
    }
}

/// Counts itself in for as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
