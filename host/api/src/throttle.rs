//! How often something may fail: so many times at once, and then once in a while. Counted in a table of fixed size, by a hash that nobody
//! outside can foresee: whoever fails in many names neither fills memory nor makes it forget others.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sandmill_model::{Digest, Timestamp, random};

/// Of 8 bytes each. Two names that share one share their failures, too.
const SLOTS: usize = 1 << 14;

pub(crate) struct Throttle {
    key: [u8; 32],
    interval_us: i64,
    burst: i64,
    /// When all that failed is forgotten, in microseconds since the epoch.
    slots: Mutex<Box<[i64]>>,
}

/// A place in the table, for [`Throttle::give_back`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken(usize);

impl Throttle {
    pub(crate) fn new(burst: u32, interval: Duration) -> Self {
        let interval_us = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX / i64::from(u32::MAX));
        Self { key: random::bytes(), interval_us, burst: i64::from(burst), slots: Mutex::new(vec![0; SLOTS].into_boxed_slice()) }
    }

    /// Counts a try as one that fails, before it is made: of many at the same time no more get through. None: there were too many.
    pub(crate) fn take(&self, name: &[u8], now: Timestamp) -> Option<Taken> {
        let digest = Digest::of_parts(&[&self.key, name]);
        let bytes = digest.as_bytes();
        let slot = usize::from(u16::from_be_bytes([bytes[0], bytes[1]])) % SLOTS;
        let (now, most) = (now.micros(), self.interval_us.saturating_mul(self.burst));
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // More than that is of a clock that was set back.
        let until = if slots[slot] > now.saturating_add(most) { now } else { slots[slot].max(now) };
        let next = until.saturating_add(self.interval_us);
        if next - now > most {
            return None;
        }
        slots[slot] = next;
        Some(Taken(slot))
    }

    /// It did not fail.
    pub(crate) fn give_back(&self, Taken(slot): Taken) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots[slot] = slots[slot].saturating_sub(self.interval_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn after_some_failures_one_in_a_while() {
        let throttle = Throttle::new(3, Duration::from_secs(60));
        for _ in 0..3 {
            assert!(throttle.take(b"ann", at(0)).is_some());
        }
        assert_eq!(throttle.take(b"ann", at(0)), None);
        assert_eq!(throttle.take(b"ann", at(59)), None);
        assert!(throttle.take(b"ann", at(60)).is_some() && throttle.take(b"ann", at(60)).is_none());
        // All is forgotten after a while, and at once if the clock was set back.
        assert!((0..3).all(|_| throttle.take(b"ann", at(1_000)).is_some()));
        assert!(throttle.take(b"ann", at(-10_000)).is_some());
    }

    #[test]
    fn what_succeeds_is_not_counted() {
        let throttle = Throttle::new(1, Duration::from_secs(60));
        for _ in 0..10 {
            throttle.give_back(throttle.take(b"ann", at(0)).unwrap());
        }
        assert!(throttle.take(b"ann", at(0)).is_some() && throttle.take(b"ann", at(0)).is_none());
    }
}
