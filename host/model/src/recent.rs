//! A small memory of what was looked up a moment ago. Bounded in number and in age.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use crate::Timestamp;

pub struct Recent<K, V> {
    entries: RwLock<HashMap<K, (Timestamp, V)>>,
    entries_max: usize,
    believed: Duration,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    #[must_use]
    pub fn new(entries_max: usize, believed: Duration) -> Self {
        Self { entries: RwLock::default(), entries_max, believed }
    }

    #[must_use]
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q, now: Timestamp) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.get_within(key, now, self.believed)
    }

    /// What was looked up within `believed`, where that is less than usual.
    #[must_use]
    pub fn get_within<Q: Eq + Hash + ?Sized>(&self, key: &Q, now: Timestamp, believed: Duration) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let (at, value) = entries.get(key)?;
        // A clock that was set back must not make an entry immortal.
        (*at <= now && now.since(*at) < believed.min(self.believed)).then(|| value.clone())
    }

    /// What was last looked up and has not been forgotten, however long ago: nothing to believe.
    #[must_use]
    pub fn last<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).map(|(_, value)| value.clone())
    }

    pub fn put(&self, key: K, value: V, now: Timestamp) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.entries_max && !entries.contains_key(&key) {
            entries.retain(|_, (at, _)| now.since(*at) < self.believed);
            // All fresh: starting over costs each one look-up more, and needs no order among them.
            if entries.len() >= self.entries_max {
                entries.clear();
            }
        }
        entries.insert(key, (now, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    #[test]
    fn forgets_by_age_and_stays_bounded() {
        let recent = Recent::<u32, u32>::new(3, Duration::from_secs(1));
        recent.put(1, 10, at(5_000));
        assert_eq!(recent.get(&1, at(5_999)), Some(10));
        assert_eq!(recent.get(&1, at(6_000)), None);
        assert_eq!(recent.get(&1, at(4_999)), None);
        let within = |millis| recent.get_within(&1, at(5_500), Duration::from_millis(millis));
        assert_eq!((within(501), within(500), recent.last(&1), recent.last(&2)), (Some(10), None, Some(10), None));
        assert_eq!(recent.get_within(&1, at(6_000), Duration::from_secs(9)), None);
        for key in 0..100 {
            recent.put(key, key, at(7_000));
            assert_eq!(recent.get(&key, at(7_000)), Some(key));
            assert!(recent.entries.read().unwrap().len() <= 3);
        }
    }
}
