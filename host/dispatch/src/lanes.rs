//! Places of workspaces that may have only so many runs at once, as far as this node has leased some (ADR 23): a run of the fast lane takes
//! one here, and no database is asked.
//!
//! What is known here is never more than what is written: places are given up here before that is said, and used only once they are
//! heard of.

mod exchange;
mod seated;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use sandmill_model::{RunId, Timestamp, WorkspaceId};
use tokio::sync::Notify;

use seated::Seated;

/// Places that one node uses of a workspace: more than it could ever execute.
const PLACES_MAX: u32 = (1 << 31) - 1;
/// It is not known how many are written.
const UNKNOWN: u32 = u32::MAX;
/// A place was taken since the last look.
const TOUCHED: u64 = 1 << 63;

/// Places of one workspace that this node has, and how many of them are in use: more of them than there are while some are owed to others.
struct Lane {
    of: WorkspaceId,
    /// In use: the lower half. Places: 31 bits above. [`TOUCHED`].
    word: AtomicU64,
    /// The number of places changes only while this is held.
    said: tokio::sync::Mutex<Said>,
    /// Before this, in microseconds, nobody asks for more: there were none, or runs of the queue wait for them.
    paused_until: AtomicI64,
    /// Before this, runs of the queue wait for places.
    queue_until: AtomicI64,
    /// A place is free that is owed to others.
    owed: Arc<Notify>,
}

/// What the database knows of a lane.
struct Said {
    /// Places that are written of this node; [`UNKNOWN`] after an answer that did not come.
    written: u32,
    /// How many looks found it idle, one after the other.
    idle: u32,
}

/// A place that a run has.
pub(crate) struct Seat(Option<Arc<Lane>>);

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(lane) = self.0.take() {
            lane.free();
        }
    }
}

/// Places and how many are in use.
const fn split(word: u64) -> (u32, u32) {
    (((word & !TOUCHED) >> 32) as u32, (word & 0xffff_ffff) as u32)
}

impl Lane {
    fn new(of: WorkspaceId, owed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            of,
            word: AtomicU64::new(0),
            said: tokio::sync::Mutex::new(Said { written: 0, idle: 0 }),
            paused_until: AtomicI64::new(0),
            queue_until: AtomicI64::new(0),
            owed,
        })
    }

    /// Places and how many are in use.
    fn now(&self) -> (u32, u32) {
        split(self.word.load(Ordering::Acquire))
    }

    /// Places that this node cannot do without: those that it has, and those in use.
    fn keeps(&self) -> u32 {
        let (places, used) = self.now();
        places.max(used)
    }

    /// Changes both by `change`, if it returns some; returns what was there before.
    fn change(&self, change: impl Fn(u32, u32) -> Option<(u32, u32)>) -> Option<(u32, u32)> {
        let changed = self.word.try_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let (places, used) = split(word);
            change(places, used).map(|(places, used)| (word & TOUCHED) | (u64::from(places.min(PLACES_MAX)) << 32) | u64::from(used))
        });
        changed.ok().map(split)
    }

    fn take(self: &Arc<Self>) -> Option<Seat> {
        let taken = self.word.try_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let (places, used) = split(word);
            (used < places).then_some((word | TOUCHED) + 1)
        });
        taken.ok().map(|_| Seat(Some(Arc::clone(self))))
    }

    fn free(&self) {
        let before = self.change(|places, used| Some((places, used.saturating_sub(1))));
        if before.is_some_and(|(places, used)| used > places) {
            self.owed.notify_one();
        }
    }

    /// Has at most so many from now on. Those in use are given up as they become free.
    fn lower(&self, most: u32) {
        self.change(|places, used| (places > most).then_some((most, used)));
    }

    /// What an exchange gave in which it said that it keeps `kept`.
    fn heard(&self, kept: u32, places: u32) {
        if places > kept {
            self.change(|_, used| Some((places, used)));
        } else {
            self.lower(places);
        }
    }

    /// Whether a place was taken since the last look, or is in use.
    fn is_used(&self) -> bool {
        let before = self.word.fetch_and(!TOUCHED, Ordering::AcqRel);
        before & TOUCHED != 0 || split(before).1 > 0
    }

    fn is_paused(&self, now: Timestamp) -> bool {
        now.micros() < self.paused_until.load(Ordering::Relaxed) || self.does_queue_wait(now)
    }

    fn does_queue_wait(&self, now: Timestamp) -> bool {
        now.micros() < self.queue_until.load(Ordering::Relaxed)
    }
}

impl Seat {
    /// The run counts elsewhere from now on, and takes its place along.
    async fn leaves(mut self) {
        let Some(lane) = self.0.take() else { return };
        let _said = lane.said.lock().await;
        lane.change(|places, used| Some((if places >= used { places.saturating_sub(1) } else { places }, used.saturating_sub(1))));
        lane.owed.notify_one();
    }
}

#[derive(Default)]
pub(crate) struct Lanes {
    known: RwLock<HashMap<WorkspaceId, Arc<Lane>>>,
    /// Runs with a place that did not end at once.
    seated: Mutex<HashMap<RunId, Arc<Seated>>>,
    /// Of the last exchange.
    number: AtomicI64,
    owed: Arc<Notify>,
    /// Held by who hears of places, and by who loses all of them.
    life: Mutex<()>,
}

impl Lanes {
    fn known(&self, workspace: WorkspaceId) -> Option<Arc<Lane>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&workspace).cloned()
    }

    fn of(&self, workspace: WorkspaceId) -> Arc<Lane> {
        if let Some(lane) = self.known(workspace) {
            return lane;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(workspace).or_insert_with(|| Lane::new(workspace, Arc::clone(&self.owed))))
    }

    fn all(&self) -> Vec<Arc<Lane>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Forgets lanes of which nothing is written and that nobody uses.
    fn forget_idle(&self) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, lane| {
            let is_idle = lane.said.try_lock().is_ok_and(|said| said.written == 0 && said.idle > 0);
            Arc::strong_count(lane) > 1 || !is_idle || lane.keeps() > 0
        });
    }

    fn life(&self) -> MutexGuard<'_, ()> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This node's life has ended, and with it its leases. To be called once it is known nowhere as its own any more.
    pub(crate) fn end(&self) {
        let _life = self.life();
        self.all().iter().for_each(|lane| lane.lower(0));
    }

    fn seated(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Seated>>> {
        self.seated.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
