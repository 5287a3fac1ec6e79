//! A small memory of what was looked up a moment ago. Bounded in number, or in weight, and in age. Where there is no room, whoever has most
//! in it loses that: no workspace pushes out what others have.

use std::{
    borrow::Borrow,
    cmp::Reverse,
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use crate::{Timestamp, WorkspaceId};

/// Where something must go, at least this part of all goes: so it is rare that somebody has to look for what goes.
const PARTS: usize = 8;

pub struct Recent<K, V> {
    entries: RwLock<Entries<K, V>>,
    weight_max: usize,
    weigh: fn(&V) -> usize,
    /// None: all of it belongs together.
    whose: Option<fn(&K) -> WorkspaceId>,
    believed: Duration,
}

struct Entries<K, V> {
    /// With the time before each look-up; none: it is outdated.
    by_key: HashMap<K, (Option<Timestamp>, V)>,
    /// Of all of them.
    weight: usize,
    /// Counts each time that something became outdated.
    moment: u64,
}

/// When a look-up began: between which changes.
#[derive(Clone, Copy, Debug)]
pub struct Moment(u64);

impl Moment {
    /// How often something became outdated before it. Look-ups of different numbers may find different things.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    #[must_use]
    pub fn new(entries_max: usize, believed: Duration) -> Self {
        Self::weighed(entries_max, |_| 1, believed)
    }

    /// All that is kept weighs at most `weight_max` together. What weighs more by itself is not kept; nothing should weigh 0.
    #[must_use]
    pub fn weighed(weight_max: usize, weigh: fn(&V) -> usize, believed: Duration) -> Self {
        let entries = RwLock::new(Entries { by_key: HashMap::new(), weight: 0, moment: 0 });
        Self { entries, weight_max, weigh, whose: None, believed }
    }

    /// The same, where what is kept belongs to workspaces: one that has more than fits in it makes nobody but itself look up anew.
    #[must_use]
    pub fn of_workspaces(self, whose: fn(&K) -> WorkspaceId) -> Self {
        Self { whose: Some(whose), ..self }
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
        let (at, value) = entries.by_key.get(key)?;
        // A clock that was set back must not make an entry immortal.
        at.filter(|at| *at <= now && now.since(*at) < believed.min(self.believed)).map(|_| value.clone())
    }

    /// What was last looked up and has not been forgotten, however long ago: nothing to believe.
    #[must_use]
    pub fn last<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.by_key.get(key).map(|(_, value)| value.clone())
    }

    pub fn put(&self, key: K, value: V, now: Timestamp) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        self.insert(&mut entries, key, value, (now, Some(now)));
    }

    /// Before a look-up whose result [`Self::put_of`] keeps.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment(self.entries.read().unwrap_or_else(PoisonError::into_inner).moment)
    }

    /// Keeps what was looked up from `began` on; it is not believed if anything became outdated since.
    pub fn put_of(&self, began: Moment, key: K, value: V, now: Timestamp) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let at = (began.0 == entries.moment).then_some(now);
        self.insert(&mut entries, key, value, (now, at));
    }

    /// These are not believed any more.
    pub fn outdate(&self, are_these: impl Fn(&K, &V) -> bool) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.moment += 1;
        for (key, (at, value)) in &mut entries.by_key {
            if are_these(key, value) {
                *at = None;
            }
        }
    }

    fn insert(&self, entries: &mut Entries<K, V>, key: K, value: V, (now, at): (Timestamp, Option<Timestamp>)) {
        if let Some((_, old)) = entries.by_key.remove(&key) {
            entries.weight -= (self.weigh)(&old);
        }
        let weight = (self.weigh)(&value);
        let Some(weight_left) = self.weight_max.checked_sub(weight) else { return };
        if entries.weight > weight_left {
            self.retain(entries, |_, at| at.is_some_and(|at| now.since(at) < self.believed));
        }
        // All fresh: what goes costs its owner one look-up more each, and needs no order among them.
        if entries.weight > weight_left {
            let excess = entries.weight - weight_left.min(self.weight_max - self.weight_max / PARTS);
            let kept = entries.by_key.iter().map(|(key, (_, value))| (self.owner(key), (self.weigh)(value)));
            let owners = who_gives_up(kept, excess);
            self.retain(entries, |key, _| !owners.contains(&self.owner(key)));
        }
        entries.weight += weight;
        entries.by_key.insert(key, (at, value));
    }

    fn owner(&self, key: &K) -> Option<WorkspaceId> {
        self.whose.map(|whose| whose(key))
    }

    fn retain(&self, entries: &mut Entries<K, V>, stays: impl Fn(&K, Option<Timestamp>) -> bool) {
        entries.by_key.retain(|key, (at, _)| stays(key, *at));
        entries.weight = entries.by_key.values().map(|(_, value)| (self.weigh)(value)).sum();
    }
}

/// Who loses all that is kept of them, so that at least `excess` goes: those who have most. `kept` are owners and weights.
#[must_use]
pub fn who_gives_up<O: Copy + Eq + Hash>(kept: impl Iterator<Item = (O, usize)>, excess: usize) -> HashSet<O> {
    let mut weights = HashMap::<O, usize>::new();
    for (owner, weight) in kept {
        *weights.entry(owner).or_default() += weight;
    }
    let mut weights: Vec<(O, usize)> = weights.into_iter().collect();
    weights.sort_unstable_by_key(|(_, weight)| Reverse(*weight));
    let (mut owners, mut freed) = (HashSet::new(), 0);
    for (owner, weight) in weights {
        if freed >= excess {
            break;
        }
        freed += weight;
        owners.insert(owner);
    }
    owners
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
            assert!(recent.entries.read().unwrap().by_key.len() <= 3);
        }
    }

    #[test]
    fn what_is_kept_weighs_no_more_than_it_may() {
        let recent = Recent::<u32, Vec<u8>>::weighed(10, Vec::len, Duration::from_secs(1));
        let weight = || {
            let entries = recent.entries.read().unwrap();
            let sum: usize = entries.by_key.values().map(|(_, value)| value.len()).sum();
            assert!(sum == entries.weight && sum <= 10, "{sum} {}", entries.weight);
            sum
        };
        for (key, bytes, expected) in [(1, 4, 4), (2, 6, 10), (2, 5, 9), (1, 5, 10), (3, 1, 1), (4, 11, 1), (5, 10, 10), (5, 10, 10)] {
            recent.put(key, vec![0; bytes], at(5_000));
            assert_eq!(weight(), expected, "{key} {bytes}");
            assert_eq!(recent.get(&key, at(5_000)).map(|value| value.len()), (bytes <= 10).then_some(bytes));
        }
        // What is old makes room, and what is not stays.
        recent.put(6, vec![0; 4], at(6_500));
        recent.put(7, vec![0; 6], at(6_500));
        assert_eq!((weight(), recent.last(&5)), (10, None));
    }

    #[test]
    fn what_is_outdated_is_not_believed_and_no_look_up_of_before_brings_it_back() {
        let recent = Recent::<u32, u32>::new(3, Duration::from_secs(1));
        recent.put(1, 10, at(5_000));
        recent.put(2, 20, at(5_000));
        let slow = recent.moment();
        recent.outdate(|key, value| *key == 1 && *value == 10);
        assert_eq!((recent.get(&1, at(5_000)), recent.last(&1), recent.get(&2, at(5_000))), (None, Some(10), Some(20)));
        recent.put_of(slow, 1, 11, at(5_000));
        assert_eq!((recent.get(&1, at(5_000)), recent.last(&1)), (None, Some(11)));
        recent.put_of(recent.moment(), 1, 12, at(5_000));
        assert_eq!(recent.get(&1, at(5_000)), Some(12));
    }

    fn of_two() -> (Recent<(WorkspaceId, u32), Vec<u8>>, WorkspaceId, WorkspaceId) {
        let recent = Recent::<(WorkspaceId, u32), Vec<u8>>::weighed(1_000, Vec::len, Duration::from_secs(1));
        (recent.of_workspaces(|(workspace, _)| *workspace), WorkspaceId::new(at(0)), WorkspaceId::new(at(0)))
    }

    #[test]
    fn no_workspace_pushes_out_what_others_have() {
        let (recent, greedy, other) = of_two();
        for key in 0..3 {
            recent.put((other, key), vec![0; 40], at(5_000));
        }
        for key in 0..1_000 {
            recent.put((greedy, key % 13), vec![0; 80 + key as usize % 7], at(5_000));
            assert!(recent.get(&(greedy, key % 13), at(5_000)).is_some());
            assert!((0..3).all(|key| recent.get(&(other, key), at(5_000)).is_some()), "{key}");
            assert!(recent.entries.read().unwrap().weight <= 1_000);
        }
        // Whoever comes later finds room, too.
        let late = WorkspaceId::new(at(0));
        for key in 0..10 {
            recent.put((late, key), vec![0; 40], at(5_000));
        }
        assert!((0..10).all(|key| recent.get(&(late, key), at(5_000)).is_some()));
        assert!((0..3).all(|key| recent.get(&(other, key), at(5_000)).is_some()));
    }

    #[test]
    fn whoever_is_alone_has_all_the_room() {
        let (recent, own, _) = of_two();
        for key in 0..10 {
            recent.put((own, key), vec![0; 100], at(5_000));
        }
        assert!((0..10).all(|key| recent.get(&(own, key), at(5_000)).is_some()));
        recent.put((own, 10), vec![0; 1_000], at(5_000));
        assert_eq!(recent.entries.read().unwrap().weight, 1_000);
    }

    #[test]
    fn those_who_have_most_give_up_and_no_more_than_needed() {
        let check = |kept: &[(u32, usize)], excess: usize, expected: &[u32]| {
            let mut owners: Vec<u32> = who_gives_up(kept.iter().copied(), excess).into_iter().collect();
            owners.sort_unstable();
            assert_eq!(owners, expected, "{kept:?} {excess}");
        };
        let kept = [(1, 5), (2, 4), (3, 1), (2, 3), (4, 2)];
        check(&kept, 0, &[]);
        check(&kept, 1, &[2]);
        check(&kept, 7, &[2]);
        check(&kept, 8, &[1, 2]);
        check(&kept, 13, &[1, 2, 4]);
        check(&kept, 100, &[1, 2, 3, 4]);
        check(&[], 1, &[]);
    }
}
