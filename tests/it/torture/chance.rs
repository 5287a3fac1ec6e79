//! Choices that a seed determines, and the seed.

use std::time::{SystemTime, UNIX_EPOCH};

pub(super) struct Chance(u64);

impl Chance {
    /// Of `SANDMILL_TORTURE_SEED`, else of this moment; says which, so that the same blows can be dealt again.
    pub(super) fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "tests have no options, and each run of them is to be another")]
        let seed = std::env::var("SANDMILL_TORTURE_SEED")
            .map_or_else(|_| u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()), |seed| seed.parse().unwrap());
        println!("the seed is {seed}: SANDMILL_TORTURE_SEED={seed} chooses the same blows again");
        Self(seed)
    }

    /// 0 to `end - 1`. SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(end).unwrap()).unwrap()
    }

    /// So many of `all`, by chance, but each kind once before any comes again.
    pub(super) fn rounds<T: Copy>(&mut self, all: &[T], count: usize) -> Vec<T> {
        let mut chosen = Vec::new();
        while chosen.len() < count {
            let mut round = all.to_vec();
            while !round.is_empty() {
                chosen.push(round.swap_remove(self.below(round.len())));
            }
        }
        chosen.truncate(count);
        chosen
    }
}
