//! Memory for messages that were taken and are not acknowledged: bounded for each listener, and for all of this process together. Whoever finds the common
//! room full still has a little of his own, so that nobody can keep others from listening by leaving his messages where they are.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of messages of one listener.
const OF_ONE_MAX: usize = 32 * 1024 * 1024;
/// Bytes of messages of all listeners, beyond those that each of them may have in any case.
const OF_ALL_MAX: usize = 256 * 1024 * 1024;
/// Bytes that a listener may have in any case.
const OWN: usize = 256 * 1024;

static OF_ALL: AtomicUsize = AtomicUsize::new(0);

/// What one listener holds; given back when it is dropped.
pub(super) struct Room {
    all: &'static AtomicUsize,
    bytes: usize,
}

impl Room {
    pub(super) fn new() -> Self {
        Self::of(&OF_ALL)
    }

    const fn of(all: &'static AtomicUsize) -> Self {
        Self { all, bytes: 0 }
    }

    /// Whether one more message may be taken, however large it is.
    pub(super) fn is_left(&self) -> bool {
        self.bytes < OWN || (self.bytes < OF_ONE_MAX && self.all.load(Ordering::Relaxed) < OF_ALL_MAX)
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.all.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_listeners_hold_no_more_than_all_may() {
        static ALL: AtomicUsize = AtomicUsize::new(0);
        let mut listeners: Vec<Room> = (0..100).map(|_| Room::of(&ALL)).collect();
        // Nobody delivers what a hostile server sends to each of them.
        while let Some(room) = listeners.iter_mut().find(|room| room.is_left()) {
            room.take(64 * 1024);
        }
        let held = ALL.load(Ordering::Relaxed);
        assert!(held <= OF_ALL_MAX + listeners.len() * OWN, "{held}");
        let mut other = Room::of(&ALL);
        assert!(other.is_left(), "who comes late hears, too");
        other.take(OWN);
        assert!(!other.is_left());
        // What an aborted listener held is free.
        drop(listeners);
        assert!(other.is_left());
        other.give_back(OWN);
        assert_eq!(ALL.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_listener_holds_no_more_than_it_may() {
        static ALL: AtomicUsize = AtomicUsize::new(0);
        let mut room = Room::of(&ALL);
        room.take(OF_ONE_MAX - 1);
        assert!(room.is_left());
        room.take(1);
        assert!(!room.is_left());
    }
}
