//! Places of workspaces that may have only so many runs at once, leased by nodes: who holds some begins runs in them and asks nobody.
//!
//! Leased places and the runs of the queue that execute are together never more than the limit: whoever adds to either counts both first,
//! under a lock of the workspace. What a node knows to hold is never more than what is written, so an answer that is lost loses places
//! for a moment and never gives one away twice.

use sandmill_model::{BoxFuture, WorkspaceId};

use crate::{StoreError, nodes::Incarnation};

/// What a node says of the places that it holds of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    pub workspace: WorkspaceId,
    /// Greater for each later exchange of the same life: one that was overtaken on its way changes nothing. At least 1.
    pub number: i64,
    /// How many it keeps of those that it was given. It uses the others no more.
    pub keeps: u32,
    /// How many it has use for. If it keeps fewer, it is given all that are free, or its share where others ask, too.
    pub needs: u32,
}

/// What a node holds from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub places: u32,
    /// Runs of the workspace that may execute at once, on all nodes together. None: any number, and nobody holds places.
    pub limit: Option<u32>,
}

/// What a node should keep of what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    pub workspace: WorkspaceId,
    /// Fewer than it holds: others ask for some, or the limit is lower than it was.
    pub keep: u32,
}

pub trait Places: Send + Sync + 'static {
    /// Gives back places and asks for others. What is asked for and not free is asked of the other nodes, until the next exchange and for
    /// some seconds at most. None for a node that is thought dead, and if a later exchange came before this one.
    fn exchange(&self, node: Incarnation, hold: Hold) -> BoxFuture<'_, Result<Option<Held>, StoreError>>;

    /// Of which workspaces a node holds more than it should, in order of their ids.
    fn excess(&self, node: Incarnation) -> BoxFuture<'_, Result<Vec<Excess>, StoreError>>;
}

/// What is taken of a workspace's places but by one node, which counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) limit: u32,
    /// Runs of the queue that execute, on all nodes.
    pub(crate) running: u32,
    /// Places that the other nodes hold.
    pub(crate) others: u32,
    /// Nodes that hold places or ask for some, and the one that counts.
    pub(crate) nodes: u32,
    /// Whether another node asks.
    pub(crate) is_asked: bool,
}

impl Taken {
    /// How many places the node has that keeps so many and has use for `needs`.
    pub(crate) fn grant(&self, keeps: u32, needs: u32) -> u32 {
        if needs <= keeps {
            return keeps;
        }
        let free = self.limit.saturating_sub(self.running).saturating_sub(self.others).saturating_sub(keeps);
        // Where there are more nodes than places, one is as good as another.
        let most = if self.is_asked { self.share().max(1) } else { self.limit };
        keeps + most.saturating_sub(keeps).min(free)
    }

    /// How many the node should keep of `holds`. None of the last, if there are fewer than nodes: each has its turn.
    pub(crate) fn keep(&self, holds: u32) -> u32 {
        let taken = self.running.saturating_add(self.others).saturating_add(holds);
        let within = holds.saturating_sub(taken.saturating_sub(self.limit));
        if self.is_asked { within.min(self.share()) } else { within }
    }

    fn share(&self) -> u32 {
        self.limit / self.nodes.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As one database sees it: what is written of each node, and what each knows to hold.
    struct World {
        limit: u32,
        running: u32,
        written: Vec<u32>,
        known: Vec<u32>,
        asks: Vec<bool>,
    }

    impl World {
        fn taken(&self, node: usize) -> Taken {
            let others = || (0..self.written.len()).filter(move |other| *other != node);
            let count = others().filter(|other| self.written[*other] > 0 || self.asks[*other]).count();
            Taken {
                limit: self.limit,
                running: self.running,
                others: others().map(|other| self.written[other]).sum(),
                nodes: u32::try_from(count).unwrap() + 1,
                is_asked: others().any(|other| self.asks[other]),
            }
        }

        fn exchange(&mut self, node: usize, keeps: u32, needs: u32, is_heard: bool) {
            self.known[node] = self.known[node].min(keeps);
            let granted = self.taken(node).grant(self.known[node], needs);
            self.written[node] = granted;
            self.asks[node] = granted < needs;
            if is_heard {
                self.known[node] = granted;
            }
        }

        fn total(&self) -> u32 {
            self.running + self.written.iter().sum::<u32>()
        }
    }

    /// Numbers without a pattern, the same for the same seed.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u32) -> u32 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap()
        }
    }

    #[test]
    fn never_more_than_the_limit_whatever_is_lost() {
        for seed in 0..200 {
            let mut random = Random(seed);
            let (limit, nodes) = (1 + random.below(9), 1 + random.below(4) as usize);
            let mut world = World { limit, running: 0, written: vec![0; nodes], known: vec![0; nodes], asks: vec![false; nodes] };
            for _ in 0..300 {
                let node = random.below(u32::try_from(nodes).unwrap()) as usize;
                match random.below(6) {
                    0..=2 => {
                        let keeps = random.below(world.known[node] + 1);
                        let needs = random.below(limit + 3);
                        let is_heard = random.below(4) > 0;
                        world.exchange(node, keeps, needs, is_heard);
                    }
                    3 if world.total() < limit => world.running += 1,
                    4 => world.running = world.running.saturating_sub(1),
                    // It dies.
                    _ if random.below(10) == 0 => (world.written[node], world.known[node], world.asks[node]) = (0, 0, false),
                    _ => {}
                }
                assert!(world.total() <= limit, "seed {seed}");
                assert!(world.written.iter().zip(&world.known).all(|(written, known)| known <= written), "seed {seed}");
            }
            // Nothing is lost: whoever is left alone has all.
            for other in 1..nodes {
                world.exchange(other, 0, 0, true);
            }
            world.running = 0;
            let keeps = world.known[0];
            world.exchange(0, keeps, limit, true);
            assert_eq!(world.known[0], limit, "seed {seed}");
        }
    }

    #[test]
    fn one_node_has_all_and_two_share() {
        let alone = Taken { limit: 10, running: 0, others: 0, nodes: 1, is_asked: false };
        assert_eq!((alone.grant(0, 1), alone.keep(10)), (10, 10));
        assert_eq!(Taken { running: 3, ..alone }.grant(2, 3), 7);
        assert_eq!(alone.grant(4, 4), 4, "it needs no more");
        let asked = Taken { nodes: 2, is_asked: true, ..alone };
        assert_eq!(asked.keep(10), 5);
        assert_eq!(Taken { others: 5, ..asked }.grant(0, 1), 5);
        assert_eq!(Taken { nodes: 2, others: 4, ..alone }.grant(0, 1), 6, "what nobody asks for");
    }

    #[test]
    fn one_place_goes_from_node_to_node() {
        let one = Taken { limit: 1, running: 0, others: 0, nodes: 2, is_asked: true };
        assert_eq!((one.keep(1), one.grant(0, 1)), (0, 1));
        assert_eq!(Taken { others: 1, ..one }.grant(0, 1), 0);
    }

    #[test]
    fn a_limit_that_is_lower_than_before_takes_back() {
        let lowered = Taken { limit: 4, running: 3, others: 0, nodes: 1, is_asked: false };
        assert_eq!((lowered.keep(10), lowered.grant(10, 12)), (1, 10));
        assert_eq!(Taken { running: 9, ..lowered }.keep(10), 0);
    }
}
