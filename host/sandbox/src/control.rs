//! What the outside and the host functions of one run share: whether it is cancelled, how long its turn has lasted, its log.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use futures_util::task::AtomicWaker;
use sandmill_model::RunId;

use crate::log::LogBuffer;

/// A host function that finds the run's turn to have lasted this long lets others have theirs.
const TURN_MAX: Duration = Duration::from_millis(2);
/// Parts of the registry, each with its own lock.
const SHARDS: usize = 16;

pub(crate) struct Control {
    pub(crate) run: RunId,
    cancelled: AtomicBool,
    waker: AtomicWaker,
    made: Instant,
    /// When the present turn began, in nanoseconds after `made`.
    turn_ns: AtomicU64,
    log: Mutex<LogBuffer>,
}

impl Control {
    pub(crate) fn new(run: RunId, log: LogBuffer) -> Self {
        Self {
            run,
            cancelled: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            made: Instant::now(),
            turn_ns: AtomicU64::new(0),
            log: Mutex::new(log),
        }
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, LogBuffer> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Whom a cancellation wakes. The caller looks at [`Self::is_cancelled`] afterwards: it may have come in between.
    pub(crate) fn wake_on_cancel(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn turn_begins(&self, now: Instant) {
        self.turn_ns.store(self.since_made_ns(now), Ordering::Relaxed);
    }

    pub(crate) fn turn_is_over(&self) -> bool {
        let lasted_ns = self.since_made_ns(Instant::now()).saturating_sub(self.turn_ns.load(Ordering::Relaxed));
        u128::from(lasted_ns) > TURN_MAX.as_nanos()
    }

    fn since_made_ns(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.made).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Runs that are under way here, so that they can be cancelled by id.
#[derive(Default)]
pub(crate) struct Registry {
    shards: [Mutex<HashMap<RunId, Arc<Control>>>; SHARDS],
}

impl Registry {
    fn shard(&self, run: RunId) -> MutexGuard<'_, HashMap<RunId, Arc<Control>>> {
        // The last byte of a v7 id is random.
        let shard = usize::from(run.0.as_bytes()[15]) % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run can be cancelled until what is returned is dropped.
    pub(crate) fn enter(self: &Arc<Self>, control: &Arc<Control>) -> Registered {
        self.shard(control.run).insert(control.run, Arc::clone(control));
        Registered { registry: Arc::clone(self), control: Arc::clone(control) }
    }

    pub(crate) fn cancel(&self, run: RunId) -> bool {
        self.find(run).inspect(|control| control.cancel()).is_some()
    }

    pub(crate) fn find(&self, run: RunId) -> Option<Arc<Control>> {
        self.shard(run).get(&run).cloned()
    }
}

pub(crate) struct Registered {
    registry: Arc<Registry>,
    pub(crate) control: Arc<Control>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut shard = self.registry.shard(self.control.run);
        if shard.get(&self.control.run).is_some_and(|own| Arc::ptr_eq(own, &self.control)) {
            shard.remove(&self.control.run);
        }
    }
}
