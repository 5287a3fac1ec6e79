//! How much of values before and after changes the log takes: who changes something again and again must not fill the disk with them.
//!
//! Each chain has a bucket, which fills as time passes. Of what finds it empty the entry shows the size and the digest, as of what is too
//! large by itself.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use sandmill_model::{JsonText, Timestamp, audit};
use sandmill_store::audit::Chain;

/// Bytes of values that a chain takes after a silence.
const AT_ONCE: i64 = 4 * 1024 * 1024;
/// Bytes of values that it takes in a second for long: 338 MiB in a day.
const PER_S: i64 = 4 * 1024;
/// Chains that are remembered. Past it those whose buckets are full are forgotten, and if that does not do, all.
const CHAINS_MAX: usize = 10_000;

const SECOND_US: i64 = 1_000_000;
const MOST_US: i64 = AT_ONCE / PER_S * SECOND_US;

/// For each chain the time at which its bucket is full again, in microseconds since the epoch.
#[derive(Default)]
pub(crate) struct Allowance(Mutex<HashMap<Chain, i64>>);

impl Allowance {
    /// `value`, or what stands for it.
    pub(super) fn kept(&self, chain: Chain, value: JsonText, now: Timestamp) -> JsonText {
        let left_out = audit::left_out(value.as_str());
        // What is no larger than what would stand for it costs nothing that could be saved.
        if value.as_str().len() <= left_out.as_str().len() || self.take(chain, value.as_str().len(), now) { value } else { left_out }
    }

    fn take(&self, chain: Chain, bytes: usize, now: Timestamp) -> bool {
        let now_us = now.micros();
        let cost_us = i64::try_from(bytes).unwrap_or(AT_ONCE).min(AT_ONCE) * SECOND_US / PER_S;
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CHAINS_MAX && !buckets.contains_key(&chain) {
            buckets.retain(|_, full_at_us| *full_at_us > now_us);
            if buckets.len() >= CHAINS_MAX {
                buckets.clear();
            }
        }
        let full_at_us = buckets.entry(chain).or_insert(now_us);
        // A clock that was set back leaves no bucket emptier than empty.
        *full_at_us = (*full_at_us).clamp(now_us, now_us.saturating_add(MOST_US));
        let is_taken = *full_at_us + cost_us <= now_us.saturating_add(MOST_US);
        if is_taken {
            *full_at_us += cost_us;
        }
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::WorkspaceId;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros((1_700_000_000 + seconds) * SECOND_US)
    }

    fn chain() -> Chain {
        Some(WorkspaceId::new(at(0)))
    }

    fn is_whole(allowance: &Allowance, chain: Chain, bytes: usize, now: Timestamp) -> bool {
        let value = JsonText::trusted(format!("\"{}\"", "x".repeat(bytes - 2)));
        let kept = allowance.kept(chain, value.clone(), now);
        assert!(kept == value || kept == audit::left_out(value.as_str()));
        kept == value
    }

    #[test]
    fn so_much_at_once_and_then_so_much_in_a_second() {
        let (allowance, one, other) = (Allowance::default(), chain(), chain());
        let whole = (0..10_000).filter(|_| is_whole(&allowance, one, 8 * 1024, at(0))).count();
        assert_eq!(whole, 512);
        assert!(is_whole(&allowance, other, 8 * 1024, at(0)), "others are counted apart");
        assert!(is_whole(&allowance, one, 20, at(0)), "what is small is kept");
        assert!(!is_whole(&allowance, one, 8 * 1024, at(1)));
        assert!(is_whole(&allowance, one, 8 * 1024, at(2)) && !is_whole(&allowance, one, 8 * 1024, at(2)));
        // A clock that is set back takes nothing but what there is.
        assert!(!is_whole(&allowance, one, 8 * 1024, at(-1_000_000)));
        assert!(is_whole(&allowance, one, 8 * 1024, at(-999_998)));
    }

    #[test]
    fn chains_are_bounded() {
        let allowance = Allowance::default();
        for _ in 0..CHAINS_MAX + 10 {
            assert!(is_whole(&allowance, chain(), 200, at(0)));
        }
        assert!(allowance.0.lock().unwrap().len() <= CHAINS_MAX);
    }
}
