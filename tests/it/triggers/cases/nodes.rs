//! Two nodes: one listens, and when it dies the other does; one that was only thought dead comes too late.

use std::time::{Duration, Instant};

use sandmill_testkit::{postgres::Postgres, server::Server};
use serde_json::{Value, json};

use crate::{
    shared::Database,
    site::ALLOWED,
    triggers::{
        rig::Rig,
        world::{self, numbered},
    },
};

/// Within which another node listens after one has died.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);
/// The same after one was stopped, perhaps in the midst of a transaction, which the database then ends.
const TAKEOVER_OF_SLEEPER_MAX: Duration = Duration::from_secs(30);
const TOKEN: &str = "sm_a_token_that_all_nodes_of_a_test_know";
const EVENTS: usize = 60;

/// A server of an installation.
fn node(url: &str) -> Server {
    let mut all = vec!["--database-url", url, "--admin-token", TOKEN];
    all.extend(ALLOWED);
    Server::start(&all).unwrap()
}

fn holders(status: &Value) -> Vec<String> {
    status["seats"].as_array().unwrap().iter().filter_map(|seat| seat["node"].as_str().map(ToOwned::to_owned)).collect()
}

pub(crate) async fn is_listened_to_by_one_node<R: Rig>(database: Database) {
    // SQLite is for one node.
    if database == Database::Sqlite {
        return;
    }
    let (Some(rig), Some(postgres)) = (R::start().await, Postgres::shared()) else { return };
    let url = postgres.database();
    let name = world::named::<R>("nodes");
    let mut first = node(&url);
    world::place(&rig, &first, &name, &json!({})).await;
    // Whoever was there alone has it.
    let held = holders(&world::listening(&first, &name).await);
    let second = node(&url);
    let sent = numbered(0, R::BURST.min(EVENTS));
    let (some, others) = sent.split_at(sent.len() / 3);
    world::send_all(&rig, &first, &name, some).await;
    world::ended::<R>(&second, &name, some.len()).await;
    assert_eq!(holders(&world::status(&second, &name).await), held, "who has a seat keeps it");
    let (while_nobody, then) = others.split_at(if R::KEEPS { others.len() / 2 } else { 0 });
    first.kill().unwrap();
    let died = Instant::now();
    // A source that keeps what it has has these until somebody listens again; who sends requests sends them to who is left.
    world::send_all(&rig, &second, &name, while_nobody).await;
    if !held.is_empty() {
        world::until(&second, &name, TAKEOVER_MAX.saturating_sub(died.elapsed()), "taken over", |status| {
            let seats = status["seats"].as_array().unwrap();
            seats.iter().all(|seat| seat["state"] == "listening") && holders(status).iter().all(|holder| !held.contains(holder))
        })
        .await;
    }
    world::send_all(&rig, &second, &name, then).await;
    let runs = world::ended::<R>(&second, &name, sent.len()).await;
    R::hold(&runs, &sent);
}

/// A node sleeps with all that it holds — connections, events that it has taken, its belief that it has the seat — and wakes when another has listened for
/// a while: whatever it still does, nothing is a run twice.
pub(crate) async fn is_fenced_where_it_slept<R: Rig>(database: Database) {
    if database == Database::Sqlite {
        return;
    }
    let (Some(rig), Some(postgres)) = (R::start().await, Postgres::shared()) else { return };
    let url = postgres.database();
    let name = world::named::<R>("slept");
    let first = node(&url);
    world::place(&rig, &first, &name, &json!({})).await;
    let held = holders(&world::listening(&first, &name).await);
    assert!(!held.is_empty(), "whoever takes requests has nothing to be fenced off from");
    let second = node(&url);
    let sent = numbered(0, 15);
    world::send_all(&rig, &first, &name, &sent[..5]).await;
    world::ended::<R>(&second, &name, 5).await;
    first.pause().unwrap();
    // The broker gives these to whom it believes to be there.
    world::send_all(&rig, &second, &name, &sent[5..10]).await;
    world::until(&second, &name, TAKEOVER_OF_SLEEPER_MAX, "taken over", |status| {
        let seats = status["seats"].as_array().unwrap();
        seats.iter().all(|seat| seat["state"] == "listening") && holders(status).iter().all(|holder| !held.contains(holder))
    })
    .await;
    first.resume().unwrap();
    world::send_all(&rig, &second, &name, &sent[10..]).await;
    let runs = world::ended::<R>(&second, &name, sent.len()).await;
    R::hold(&runs, &sent);
}
