//! Claimed runs that wait for a slot here: as many as end within a moment, so that slots are not idle while the next claim is written.
//!
//! Where runs take long nothing is claimed ahead: another node may have a slot.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sandmill_store::{nodes::Incarnation, queue::Claimed};
use tokio::sync::Notify;

/// Runs are claimed ahead for this long.
const MOMENT: Duration = Duration::from_millis(20);
/// Runs that are claimed ahead at most.
pub(crate) const AHEAD_MAX: u32 = 256;
/// How often the pace is taken.
const PACE_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Default)]
pub(crate) struct Ahead {
    waiting: Mutex<VecDeque<(Incarnation, Claimed)>>,
    /// Runs were put here.
    filled: Notify,
    /// One was taken.
    taken: Notify,
    ended: AtomicU64,
}

/// How fast runs end here.
pub(crate) struct Pace {
    since: Instant,
    ended: u64,
    ahead: u32,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), ended: 0, ahead: 0 }
    }
}

impl Ahead {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<(Incarnation, Claimed)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.waiting().len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn put(&self, lease: Incarnation, claimed: Vec<Claimed>) {
        self.waiting().extend(claimed.into_iter().map(|claimed| (lease, claimed)));
        self.filled.notify_one();
    }

    /// Waits until there is a run.
    pub(crate) async fn filled(&self) {
        while self.waiting().is_empty() {
            self.filled.notified().await;
        }
    }

    pub(crate) fn take(&self) -> Option<(Incarnation, Claimed)> {
        let next = self.waiting().pop_front();
        self.taken.notify_one();
        next
    }

    /// Waits until a run was taken.
    pub(crate) async fn taken(&self) {
        self.taken.notified().await;
    }

    pub(crate) fn ended(&self, runs: usize) {
        self.ended.fetch_add(runs as u64, Ordering::Relaxed);
    }

    /// Runs that end within [`MOMENT`] at the present pace.
    pub(crate) fn worth(&self, pace: &mut Pace) -> u32 {
        let elapsed = pace.since.elapsed();
        if elapsed >= PACE_INTERVAL {
            let ended = self.ended.load(Ordering::Relaxed);
            let per_moment = (ended - pace.ended) as f64 * MOMENT.as_secs_f64() / elapsed.as_secs_f64();
            *pace = Pace { since: Instant::now(), ended, ahead: (per_moment as u32).min(AHEAD_MAX) };
        }
        pace.ahead
    }
}
