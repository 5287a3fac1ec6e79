//! How often each address may ask: a bucket for each, which fills as time passes.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use sandmill_model::Timestamp;

/// Addresses that are remembered. Past it those whose buckets are full are forgotten, and if that does not do, all.
const ADDRESSES_MAX: usize = 100_000;
/// What may come at once after a silence: as much as in this time.
const BURST_US: i64 = 2_000_000;
const SECOND_US: i64 = 1_000_000;

/// Buckets of all addresses (the generic cell rate algorithm): for each, the time at which it is full again.
pub(crate) struct Rates {
    /// What one request takes; none: requests are not counted.
    each_us: Option<i64>,
    full_at_us: Mutex<HashMap<IpAddr, i64>>,
}

impl Rates {
    /// `per_s` 0: without a limit.
    pub(crate) fn new(per_s: u32) -> Self {
        let each_us = (per_s > 0).then(|| (SECOND_US / i64::from(per_s)).max(1));
        Self { each_us, full_at_us: Mutex::default() }
    }

    /// Whether one more request of `address` may pass; if so, it is counted.
    pub(crate) fn take(&self, address: IpAddr, now: Timestamp) -> bool {
        let Some(each_us) = self.each_us else { return true };
        let now_us = now.micros();
        let mut buckets = self.full_at_us.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&address) {
            buckets.retain(|_, full_at_us| *full_at_us > now_us);
            if buckets.len() >= ADDRESSES_MAX {
                buckets.clear();
            }
        }
        let full_at_us = buckets.entry(address).or_insert(now_us);
        // A clock that is set back keeps nobody out for longer than an empty bucket does.
        *full_at_us = (*full_at_us).clamp(now_us, now_us + BURST_US);
        let may_pass = *full_at_us + each_us <= now_us + BURST_US;
        if may_pass {
            *full_at_us += each_us;
        }
        may_pass
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(n: usize) -> IpAddr {
        Ipv4Addr::from_bits(u32::try_from(n).unwrap()).into()
    }

    fn at(us: i64) -> Timestamp {
        Timestamp::from_micros(1_760_000_000_000_000 + us)
    }

    fn passed(rates: &Rates, address: IpAddr, tries: usize, now: Timestamp) -> usize {
        (0..tries).filter(|_| rates.take(address, now)).count()
    }

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let rates = Rates::new(10);
        assert_eq!(passed(&rates, address(1), 100, at(0)), 20);
        assert_eq!(passed(&rates, address(2), 100, at(0)), 20, "each has its own");
        assert_eq!(passed(&rates, address(1), 100, at(99_999)), 0);
        assert_eq!(passed(&rates, address(1), 100, at(100_000)), 1);
        assert_eq!(passed(&rates, address(1), 100, at(600_000)), 5);
        assert_eq!(passed(&rates, address(1), 100, at(60_000_000)), 20);
        assert_eq!(passed(&Rates::new(0), address(1), 10_000, at(0)), 10_000);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_out() {
        let rates = Rates::new(10);
        assert_eq!(passed(&rates, address(1), 100, at(3_600_000_000)), 20);
        assert!(passed(&rates, address(1), 100, at(0)) <= 20);
        assert_eq!(passed(&rates, address(1), 1, at(BURST_US)), 1);
    }

    #[test]
    fn addresses_are_bounded() {
        let rates = Rates::new(10);
        for n in 0..ADDRESSES_MAX + 10 {
            assert!(rates.take(address(n), at(0)));
        }
        assert!(rates.full_at_us.lock().unwrap().len() <= ADDRESSES_MAX);
    }
}
