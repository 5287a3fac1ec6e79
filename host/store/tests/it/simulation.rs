//! A model test of the queue: random operations of nodes that crash, sleep past their lease, lose answers and leave, at times that the
//! test chooses, each answer compared with a plain model's, and what is observed with what is promised. A seed gives the same steps again.

mod clients;
mod model;
mod nodes;
mod observed;
mod random;
mod world;

use crate::fixture::Database;
use world::World;

/// Seeds of one test, unless `SANDMILL_SIMULATE` names others: `17` or `0..5000`.
const SQLITE_SEEDS: u64 = 12;
const POSTGRES_SEEDS: u64 = 4;
/// Operations in the life of one seed, before everything is driven to its end.
const STEPS: u32 = 320;

fn seeds(count: u64) -> std::ops::Range<u64> {
    #[expect(clippy::disallowed_methods, reason = "tests have no options")]
    let Ok(asked) = std::env::var("SANDMILL_SIMULATE") else { return 0..count };
    match asked.split_once("..") {
        Some((first, end)) => first.parse().unwrap()..end.parse().unwrap(),
        None => asked.parse().map(|seed| seed..seed + 1).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    for seed in seeds(SQLITE_SEEDS) {
        live(seed, Database::sqlite()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    for seed in seeds(POSTGRES_SEEDS) {
        live(seed, Database::postgres()).await;
    }
}

async fn live(seed: u64, database: Option<Database>) {
    let Some(database) = database else { return };
    let mut world = World::new(seed, database).await;
    for step in 0..STEPS {
        world.step().await;
        if step.is_multiple_of(16) {
            world.compare().await;
        }
    }
    world.drain().await;
}
