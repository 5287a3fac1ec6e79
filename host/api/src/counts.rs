//! How often something may happen for each of many: so many times at once, and then once in a while (the generic cell rate algorithm).
//!
//! Memory is bounded, and who comes from many addresses or in many names gains nothing by that. When the table is full, a new key takes the
//! place of the one that would be forgotten first, *with what is left of its count*. So no count is ever lost: a key that was pushed out
//! and comes back is counted at least as high as it was, less what time has forgiven (this is Space-Saving, by Metwally and others). Nor
//! is anybody locked out: what a newcomer takes over is the smallest count of all, and that stays small as long as fewer things are counted
//! in one interval than there are places.
//!
//! Keys stand in buckets by when they are forgotten. A key whose count has grown is put into its new bucket when it comes up, so counting a
//! known key costs one look into a map, and making room costs no more steps than were counted before.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sandmill_model::Timestamp;

/// Into how many buckets the time of the highest count is divided.
const BUCKETS: i64 = 64;
/// Keys that are looked at for each new one, whether nothing has to be remembered of them: more than one, so that they get fewer.
const LOOKED_AT: usize = 4;

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// After a silence.
    pub(crate) at_once: u32,
    /// Then one each time that this has passed.
    pub(crate) interval: Duration,
}

pub(crate) struct Counts<K> {
    interval_us: i64,
    /// What the highest count takes to be forgotten.
    most_us: i64,
    keys_max: usize,
    table: Mutex<Table<K>>,
}

struct Table<K> {
    /// When a key is as if it had never been counted, in microseconds since the epoch.
    even_at_us: HashMap<K, i64>,
    /// Every key once, in the bucket of that time as it was when it was last looked at; it may be later by now.
    buckets: BTreeMap<i64, VecDeque<K>>,
    bucket_us: i64,
    latest_us: i64,
}

impl<K: Copy + Eq + Hash> Counts<K> {
    pub(crate) fn new(pace: Pace, keys_max: usize) -> Self {
        let interval_us = i64::try_from(pace.interval.as_micros()).unwrap_or(i64::MAX).max(1);
        let most_us = interval_us.saturating_mul(i64::from(pace.at_once.max(1)));
        let bucket_us = (most_us / BUCKETS).max(1);
        let table = Table { even_at_us: HashMap::new(), buckets: BTreeMap::new(), bucket_us, latest_us: i64::MIN };
        Self { interval_us, most_us, keys_max: keys_max.max(1), table: Mutex::new(table) }
    }

    /// Counts one more for `key`.
    ///
    /// # Errors
    /// How long to wait until one more may be counted; then nothing is.
    pub(crate) fn take(&self, key: K, now: Timestamp) -> Result<(), Duration> {
        let now_us = now.micros();
        let mut table = self.at(now_us);
        if !table.even_at_us.contains_key(&key) {
            table.admit(key, now_us, self.keys_max);
        }
        let even_at_us = table.even_at_us.entry(key).or_insert(now_us);
        *even_at_us = self.plus_one(*even_at_us, now_us)?;
        Ok(())
    }

    /// Whether one more could be counted for `key`; nothing is.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(crate) fn check(&self, key: &K, now: Timestamp) -> Result<(), Duration> {
        let now_us = now.micros();
        let even_at_us = self.at(now_us).even_at_us.get(key).copied();
        even_at_us.map_or(Ok(()), |even_at_us| self.plus_one(even_at_us, now_us).map(drop))
    }

    /// What was counted for `key` did not happen.
    pub(crate) fn give_back(&self, key: &K) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        // It may come up a little late now: that costs a place for a while, and nothing else.
        if let Some(even_at_us) = table.even_at_us.get_mut(key) {
            *even_at_us = even_at_us.saturating_sub(self.interval_us);
        }
    }

    fn at(&self, now_us: i64) -> MutexGuard<'_, Table<K>> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody has set the clock back: what is in buckets of a far future would stay there.
        if now_us < table.latest_us.saturating_sub(self.most_us) {
            table.sort_again(now_us.saturating_add(self.most_us));
            table.latest_us = now_us;
        }
        table.latest_us = table.latest_us.max(now_us);
        table
    }

    fn plus_one(&self, even_at_us: i64, now_us: i64) -> Result<i64, Duration> {
        let most_us = now_us.saturating_add(self.most_us);
        // A clock that was set back keeps nobody out for longer than the highest count does.
        let next_us = even_at_us.clamp(now_us, most_us).saturating_add(self.interval_us);
        if next_us > most_us {
            return Err(Duration::from_micros(u64::try_from(next_us - most_us).unwrap_or(0)));
        }
        Ok(next_us)
    }
}

impl<K: Copy + Eq + Hash> Table<K> {
    fn admit(&mut self, key: K, now_us: i64, keys_max: usize) {
        for _ in 0..LOOKED_AT {
            self.look_at_first(now_us);
        }
        let mut even_at_us = now_us;
        while self.even_at_us.len() >= keys_max {
            let Some(left_us) = self.look_at_first(i64::MAX) else { continue };
            even_at_us = even_at_us.max(left_us);
        }
        self.even_at_us.insert(key, even_at_us);
        self.put(key, even_at_us);
    }

    fn put(&mut self, key: K, even_at_us: i64) {
        self.buckets.entry(even_at_us.div_euclid(self.bucket_us)).or_default().push_back(key);
    }

    /// Looks at a key of the first bucket, if that ends by `until_us`: one that belongs there is forgotten, and it is told when it would
    /// have been even; one whose count has grown since is put where it belongs now.
    fn look_at_first(&mut self, until_us: i64) -> Option<i64> {
        let (bucket, key) = self.first_before(until_us.div_euclid(self.bucket_us))?;
        let even_at_us = *self.even_at_us.get(&key)?;
        if even_at_us.div_euclid(self.bucket_us) > bucket {
            self.put(key, even_at_us);
            return None;
        }
        self.even_at_us.remove(&key)
    }

    /// Takes a key out of the first bucket, if that is before `end`.
    fn first_before(&mut self, end: i64) -> Option<(i64, K)> {
        let mut first = self.buckets.first_entry().filter(|first| *first.key() < end)?;
        let (bucket, key) = (*first.key(), first.get_mut().pop_front());
        if first.get().is_empty() {
            first.remove();
        }
        Some((bucket, key?))
    }

    /// Puts each key where it belongs, if nothing is remembered for longer than until `most_us`.
    fn sort_again(&mut self, most_us: i64) {
        self.buckets.clear();
        let mut keys = Vec::with_capacity(self.even_at_us.len());
        for (key, even_at_us) in &mut self.even_at_us {
            *even_at_us = (*even_at_us).min(most_us);
            keys.push((*key, *even_at_us));
        }
        for (key, even_at_us) in keys {
            self.put(key, even_at_us);
        }
    }
}

#[cfg(test)]
mod tests;
