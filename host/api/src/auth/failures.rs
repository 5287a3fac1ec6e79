//! Tokens that are not valid, counted by the address that they come from.
//!
//! Nobody guesses a token of 260 bits: what this keeps small is what a flood of wrong ones costs the database. A try is counted before it
//! is looked up, and taken back if it was none of those, so that many at once count as well as one after another.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sandmill_model::Timestamp;

/// Failures of one address: so many at once, then one in a time.
const OF_ADDRESS: Pace = Pace { at_once: 100, interval_us: 1_000_000 };
/// The same for all addresses together that find no room in memory.
const OF_CROWD: Pace = Pace { at_once: 1_000, interval_us: 10_000 };
/// Addresses kept in memory.
const ADDRESSES_MAX: usize = 20_000;
/// How often those are looked for of whom nothing has to be remembered.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
struct Pace {
    at_once: i64,
    interval_us: i64,
}

/// When an address will be as if it had never failed.
#[derive(Clone, Copy, Default)]
struct Even(i64);

impl Even {
    /// Counts a failure; an error says how long to wait for the next.
    fn take(&mut self, pace: Pace, now: Timestamp) -> Result<(), Duration> {
        let (now, most) = (now.micros(), now.micros().saturating_add(pace.at_once * pace.interval_us));
        // A clock that was set back must not lock anybody out for longer.
        self.0 = self.0.clamp(now, most);
        let next = self.0.saturating_add(pace.interval_us);
        if next > most {
            return Err(Duration::from_micros(u64::try_from(next - most).unwrap_or(0)));
        }
        self.0 = next;
        Ok(())
    }

    fn give_back(&mut self, pace: Pace) {
        self.0 = self.0.saturating_sub(pace.interval_us);
    }
}

#[derive(Default)]
pub(crate) struct Failures(Mutex<Table>);

#[derive(Default)]
struct Table {
    addresses: HashMap<IpAddr, Even>,
    crowd: Even,
    swept_at: Timestamp,
}

impl Failures {
    /// Counts a try of `network`; an error says how long it has to wait.
    pub(crate) fn take(&self, network: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.has_room(network, now) {
            table.addresses.entry(network).or_default().take(OF_ADDRESS, now)
        } else {
            table.crowd.take(OF_CROWD, now)
        }
    }

    /// A try that was counted was no failure.
    pub(crate) fn give_back(&self, network: IpAddr, now: Timestamp) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(even) = table.addresses.get_mut(&network) else { return table.crowd.give_back(OF_CROWD) };
        even.give_back(OF_ADDRESS);
        if even.0 <= now.micros() {
            table.addresses.remove(&network);
        }
    }
}

impl Table {
    fn has_room(&mut self, network: IpAddr, now: Timestamp) -> bool {
        if self.addresses.len() < ADDRESSES_MAX || self.addresses.contains_key(&network) {
            return true;
        }
        if now < self.swept_at || now.since(self.swept_at) >= SWEEP_INTERVAL {
            self.swept_at = now;
            self.addresses.retain(|_, even| even.0 > now.micros());
        }
        self.addresses.len() < ADDRESSES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + millis * 1000)
    }

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Tries until one is refused.
    fn exhaust(failures: &Failures, network: IpAddr, now: Timestamp) -> i64 {
        (0..).take_while(|_| failures.take(network, now).is_ok()).count().try_into().unwrap()
    }

    #[test]
    fn so_many_at_once_then_one_in_a_time() {
        let failures = Failures::default();
        let (ann, bob) = (peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(exhaust(&failures, ann, at(0)), OF_ADDRESS.at_once);
        assert_eq!(failures.take(ann, at(400)), Err(Duration::from_millis(600)));
        assert_eq!(exhaust(&failures, bob, at(400)), OF_ADDRESS.at_once, "another is another");
        assert_eq!((failures.take(ann, at(1_000)), failures.take(ann, at(1_000)).is_err()), (Ok(()), true));
        assert_eq!(exhaust(&failures, ann, at(1_000_000)), OF_ADDRESS.at_once, "in the end all is forgotten");
        // A clock that was set back costs no more than a failure did.
        assert_eq!(failures.take(ann, at(0)), Err(Duration::from_secs(1)));
        assert_eq!(exhaust(&failures, ann, at(1_000)), 1);
    }

    #[test]
    fn what_was_no_failure_is_taken_back() {
        let failures = Failures::default();
        let ann = peer("192.0.2.1");
        for _ in 0..1_000 {
            assert_eq!(failures.take(ann, at(0)), Ok(()));
            failures.give_back(ann, at(0));
        }
        assert!(failures.0.lock().unwrap().addresses.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_a_crowd_is_counted_together() {
        let failures = Failures::default();
        let address = |n: usize| IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
        for n in 0..ADDRESSES_MAX {
            assert_eq!(failures.take(address(n), at(0)), Ok(()));
        }
        let crowd = (0..).take_while(|n| failures.take(address(ADDRESSES_MAX + n), at(0)).is_ok()).count();
        assert_eq!(i64::try_from(crowd).unwrap(), OF_CROWD.at_once);
        assert_eq!(failures.0.lock().unwrap().addresses.len(), ADDRESSES_MAX);
        assert_eq!(failures.take(address(0), at(0)), Ok(()), "who was known before has its own");
        // Once nothing has to be remembered of those there is room again.
        assert_eq!(failures.take(address(3 * ADDRESSES_MAX), at(2_000)), Ok(()));
        assert!(failures.0.lock().unwrap().addresses.len() <= 2);
    }
}
