//! A queue of queues: one for each workspace, served in turn. Deficit round robin: a lane is served while it has credit; what was
//! used is taken off afterwards; who has none left gets a quantum more and goes to the back, and who is in debt is passed over
//! until its turns have paid for it.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Credit of one turn, in nanoseconds of processor time.
const QUANTUM_NS: i64 = 2_000_000;
/// Charged for a use that ends the lane's turn, whatever it took.
pub(crate) const TURN_NS: u64 = QUANTUM_NS.unsigned_abs();

pub(crate) struct FairQueue<K, T> {
    lanes: HashMap<K, Lane<T>>,
    /// Lanes that have something waiting.
    ring: VecDeque<K>,
}

struct Lane<T> {
    waiting: VecDeque<T>,
    /// Popped and not yet charged.
    in_use: usize,
    credit_ns: i64,
}

impl<K, T> Default for FairQueue<K, T> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), ring: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, T> FairQueue<K, T> {
    pub(crate) fn push(&mut self, key: K, item: T) {
        let lane = self.lanes.entry(key).or_insert_with(|| Lane { waiting: VecDeque::new(), in_use: 0, credit_ns: QUANTUM_NS });
        if lane.waiting.is_empty() {
            // What comes back from its use goes on with the lane's turn.
            if lane.in_use > 0 && lane.credit_ns > 0 {
                self.ring.push_front(key);
            } else {
                self.ring.push_back(key);
            }
        }
        lane.waiting.push_back(item);
    }

    /// The next item. Its lane stays known until [`Self::charge`] says what the item used.
    pub(crate) fn pop(&mut self) -> Option<(K, T)> {
        let key = self.next()?;
        let lane = self.lanes.get_mut(&key)?;
        let item = lane.waiting.pop_front()?;
        lane.in_use += 1;
        if lane.waiting.is_empty() {
            self.ring.pop_front();
        }
        Some((key, item))
    }

    /// What [`Self::pop`] would give.
    pub(crate) fn peek(&mut self) -> Option<&T> {
        let key = self.next()?;
        self.lanes.get(&key)?.waiting.front()
    }

    /// Who has something waiting.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = K> + '_ {
        self.ring.iter().copied()
    }

    /// How many of a lane wait or are in use.
    pub(crate) fn count(&self, key: K) -> usize {
        self.lanes.get(&key).map_or(0, |lane| lane.waiting.len() + lane.in_use)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Turns the ring until a lane with credit is at its front.
    fn next(&mut self) -> Option<K> {
        loop {
            let key = *self.ring.front()?;
            match self.lanes.get_mut(&key) {
                Some(lane) if lane.credit_ns > 0 => return Some(key),
                Some(lane) => {
                    lane.credit_ns += QUANTUM_NS;
                    self.ring.rotate_left(1);
                }
                None => {
                    self.ring.pop_front();
                }
            }
        }
    }

    /// Ends the use of a popped item that took `used_ns`.
    pub(crate) fn charge(&mut self, key: K, used_ns: u64) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.in_use = lane.in_use.saturating_sub(1);
            lane.credit_ns = lane.credit_ns.saturating_sub(i64::try_from(used_ns).unwrap_or(i64::MAX));
            if lane.in_use == 0 && lane.waiting.is_empty() {
                self.lanes.remove(&key);
            }
        }
    }

    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.ring.clear();
        self.lanes.drain().flat_map(|(_, lane)| lane.waiting).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_take_turns() {
        let mut queue = FairQueue::default();
        for item in 0..3 {
            queue.push("a", item);
        }
        queue.push("b", 10);
        queue.push("c", 20);
        let mut order = Vec::new();
        while let Some((key, item)) = queue.pop() {
            queue.charge(key, TURN_NS);
            order.push(item);
        }
        assert_eq!(order, [0, 10, 20, 1, 2]);
        assert!(queue.lanes.is_empty() && queue.ring.is_empty());
    }

    #[test]
    fn shares_are_equal_however_much_one_uses_at_a_time_and_however_many_it_has() {
        let mut queue = FairQueue::default();
        for item in 0..64 {
            queue.push("storm", item);
        }
        queue.push("quiet", 0);
        let mut used = HashMap::new();
        for _ in 0..10_000 {
            let (key, item) = queue.pop().unwrap();
            let cost = if key == "storm" { 9_000_000 } else { 1_000_000 };
            *used.entry(key).or_insert(0_u64) += cost;
            // It goes on: first back into the queue, then charged, as the scheduler does.
            queue.push(key, item);
            queue.charge(key, cost);
        }
        let ratio = used["storm"] as f64 / used["quiet"] as f64;
        assert!((0.95..1.05).contains(&ratio), "{used:?}");
    }

    #[test]
    fn debt_is_not_forgotten_while_an_item_is_in_use() {
        let mut queue = FairQueue::default();
        queue.push("a", 1);
        queue.push("b", 2);
        assert_eq!(queue.pop(), Some(("a", 1)));
        queue.push("a", 3);
        queue.charge("a", 10 * TURN_NS);
        for round in 0..10 {
            assert_eq!(queue.pop().map(|(key, _)| key), Some("b"), "{round}");
            queue.push("b", 4);
            queue.charge("b", TURN_NS);
        }
        assert_eq!(queue.pop(), Some(("a", 3)));
    }
}
