//! Claimed runs that wait for a slot here: as many as end within a moment, so that slots are not idle while the next claim is written.
//!
//! Where runs take long nothing is claimed ahead: another node may have a slot.

mod line;

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sandmill_model::RunId;
use sandmill_store::{nodes::Incarnation, queue::Claimed};
use tokio::sync::Notify;

use self::line::Line;

/// Runs are claimed ahead for this long.
const MOMENT: Duration = Duration::from_millis(20);
/// Runs that are claimed ahead at most.
const AHEAD_MAX: u32 = 256;
/// While inputs of this length wait, nothing more is claimed ahead: they are in memory.
const AHEAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often the pace is taken.
const PACE_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) struct Ahead {
    waiting: Mutex<Waiting>,
    /// Runs were put here.
    filled: Notify,
    /// One was taken, or a slot became free.
    room: Notify,
    /// One is to be ended.
    to_end: Notify,
    ended: AtomicU64,
    /// How often something became ready.
    arrivals: AtomicU64,
    /// Arrivals before the last look, if it found nothing; else [`BUSY`].
    idle_since: AtomicU64,
}

/// No look at the queue begins after so many arrivals.
const BUSY: u64 = u64::MAX;

/// What a look at the queue may miss: all that becomes ready after it began.
pub(crate) struct Look(u64);

#[derive(Default)]
struct Waiting {
    runs: Line,
    input_bytes: usize,
    /// Runs that are cancelled or whose time is over: they need no slot to end.
    to_end: VecDeque<(Incarnation, Claimed)>,
}

/// Since when more runs are in line than are worth it.
#[derive(Default)]
pub(crate) struct Surplus(Option<Instant>);

impl Surplus {
    /// A pace that falters for so long is none.
    pub(crate) const PATIENCE: Duration = Duration::from_millis(200);

    /// Whether `is_more` has held for long enough to do something about it.
    pub(crate) fn lasts(&mut self, is_more: bool) -> bool {
        let since = if is_more { *self.0.get_or_insert_with(Instant::now) } else { Instant::now() };
        if !is_more || since.elapsed() >= Self::PATIENCE {
            self.0 = None;
        }
        is_more && self.0.is_none()
    }
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

impl Default for Ahead {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            filled: Notify::new(),
            room: Notify::new(),
            to_end: Notify::new(),
            ended: AtomicU64::new(0),
            arrivals: AtomicU64::new(0),
            idle_since: AtomicU64::new(BUSY),
        }
    }
}

impl Ahead {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.waiting().runs.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn put(&self, lease: Incarnation, claimed: Vec<Claimed>) {
        let mut waiting = self.waiting();
        waiting.input_bytes += claimed.iter().map(|claimed| claimed.run.input.len_bytes()).sum::<usize>();
        claimed.into_iter().for_each(|claimed| waiting.runs.push(lease, claimed));
        self.filled.notify_one();
    }

    /// Something is ready, which comes before whatever is accepted from now on.
    pub(crate) fn arrived(&self) {
        self.arrivals.fetch_add(1, Ordering::AcqRel);
    }

    /// A look at the queue begins.
    pub(crate) fn look(&self) -> Look {
        self.idle_since.store(BUSY, Ordering::Release);
        Look(self.arrivals.load(Ordering::Acquire))
    }

    /// A look found nothing.
    pub(crate) fn found_nothing(&self, look: &Look) {
        self.idle_since.store(look.0, Ordering::Release);
    }

    /// Nothing waits here or, as far as is known, in the queue.
    pub(crate) fn is_idle(&self) -> bool {
        self.idle_since.load(Ordering::Acquire) == self.arrivals.load(Ordering::Acquire) && self.waiting().runs.is_empty()
    }

    /// Waits until there is a run.
    pub(crate) async fn filled(&self) {
        while self.waiting().runs.is_empty() {
            self.filled.notified().await;
        }
    }

    pub(crate) fn take(&self) -> Option<(Incarnation, Claimed)> {
        let mut waiting = self.waiting();
        let next = waiting.runs.pop()?;
        waiting.input_bytes -= next.1.run.input.len_bytes();
        self.room.notify_one();
        if !waiting.runs.is_empty() {
            // For the next of those who wait: they were told once of all of them.
            self.filled.notify_one();
        }
        Some(next)
    }

    /// Takes a run that waits for a slot out of the line, so that it ends at once. Returns whether it was there.
    pub(crate) fn cancel(&self, run: RunId) -> bool {
        let mut waiting = self.waiting();
        let Some((lease, claimed)) = waiting.runs.remove(run) else { return false };
        waiting.input_bytes -= claimed.run.input.len_bytes();
        waiting.to_end.push_back((lease, Claimed { is_cancelled: true, ..claimed }));
        self.to_end.notify_one();
        self.room.notify_one();
        true
    }

    /// Takes `count` out of the line, of those who have most in it; but for what is to end anyway.
    pub(crate) fn take_back(&self, count: u32) -> Vec<(Incarnation, Claimed)> {
        let mut waiting = self.waiting();
        let back: Vec<_> = (0..count).map_while(|_| waiting.runs.pop_surplus()).collect();
        waiting.input_bytes -= back.iter().map(|(_, claimed)| claimed.run.input.len_bytes()).sum::<usize>();
        back
    }

    /// Puts runs in the way of [`Ahead::next_to_end`].
    pub(crate) fn end(&self, lease: Incarnation, claimed: Vec<Claimed>) {
        self.waiting().to_end.extend(claimed.into_iter().map(|claimed| (lease, claimed)));
        self.to_end.notify_one();
    }

    /// The next of those that were cancelled, as soon as there is one.
    pub(crate) async fn next_to_end(&self) -> (Incarnation, Claimed) {
        loop {
            let next = self.waiting().to_end.pop_front();
            match next {
                Some(next) => return next,
                None => self.to_end.notified().await,
            }
        }
    }

    /// A run ended and its slot is free.
    pub(crate) fn ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.room.notify_one();
    }

    /// A slot is free although nothing ended.
    pub(crate) fn freed(&self) {
        self.room.notify_one();
    }

    /// Waits until a run was taken or a slot became free.
    pub(crate) async fn room(&self) {
        self.room.notified().await;
    }

    /// Runs that end within [`MOMENT`] at the present pace.
    pub(crate) fn worth(&self, pace: &mut Pace) -> u32 {
        let elapsed = pace.since.elapsed();
        if elapsed >= PACE_INTERVAL {
            let ended = self.ended.load(Ordering::Relaxed);
            let per_moment = (ended - pace.ended) as f64 * MOMENT.as_secs_f64() / elapsed.as_secs_f64();
            *pace = Pace { since: Instant::now(), ended, ahead: (per_moment as u32).min(AHEAD_MAX) };
        }
        if self.waiting().input_bytes < AHEAD_BYTES_MAX { pace.ahead } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_during_a_look_or_after_it_is_before_what_comes_now() {
        let ahead = Ahead::default();
        assert!(!ahead.is_idle(), "nobody has looked");
        let look = ahead.look();
        ahead.arrived();
        ahead.found_nothing(&look);
        assert!(!ahead.is_idle(), "it arrived while somebody looked");
        ahead.found_nothing(&ahead.look());
        assert!(ahead.is_idle());
        ahead.arrived();
        assert!(!ahead.is_idle(), "nobody has looked since");
        ahead.found_nothing(&ahead.look());
        let _look = ahead.look();
        assert!(!ahead.is_idle(), "somebody looks");
    }
}
