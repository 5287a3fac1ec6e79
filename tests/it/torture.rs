//! Load, and deaths of nodes and of the database under it: whatever was acknowledged ends exactly once in history, in its order, within its
//! limit.

mod chance;
mod check;
mod load;

use std::time::Duration;

use sandmill_testkit::{postgres::Postgres, server::Server};

use chance::Chance;
use check::check;
use load::{Field, deploy, under_load};

const TOKEN: &str = "sm_a_token_that_all_nodes_of_a_test_know";
/// A lease lasts three seconds: a node that is paused for longer is thought dead.
const PAUSE: Duration = Duration::from_millis(4500);
/// Between two blows.
const BREATH: Duration = Duration::from_secs(2);
/// Blows of one test, unless `SANDMILL_TORTURE` says how many: each kind comes.
const BLOWS: usize = 3;

fn blows() -> usize {
    #[expect(clippy::disallowed_methods, reason = "tests have no options")]
    std::env::var("SANDMILL_TORTURE").map_or(BLOWS, |count| count.parse().unwrap())
}

#[derive(Clone, Copy, Debug)]
enum Blow {
    Node,
    Database,
    /// One dies while another, which sleeps, is taken for dead.
    NodeWhileAnotherSleeps,
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_and_their_database_die_again_and_again() {
    let Some(postgres) = Postgres::own() else { return };
    let url = postgres.database();
    let arguments = ["--database-url", &url, "--admin-token", TOKEN, "--slots", "16"];
    let mut servers: Vec<Server> = (0..3).map(|_| Server::start(&arguments).unwrap()).collect();
    deploy(&servers[0]).await;
    let field = Field::new(&servers);
    let mut chance = Chance::new();
    let strike = async {
        for blow in chance.rounds(&[Blow::Node, Blow::Database, Blow::NodeWhileAnotherSleeps], blows()) {
            tokio::time::sleep(BREATH).await;
            let dies = chance.below(servers.len());
            field.tell(&format!("{blow:?}, node {dies}"));
            match blow {
                Blow::Node => {
                    servers[dies].kill().unwrap();
                    servers[dies].restart().unwrap();
                }
                Blow::Database => {
                    postgres.kill().unwrap();
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    postgres.restart().unwrap();
                }
                Blow::NodeWhileAnotherSleeps => {
                    let sleeps = (dies + 1 + chance.below(servers.len() - 1)) % servers.len();
                    servers[sleeps].pause().unwrap();
                    servers[dies].kill().unwrap();
                    tokio::time::sleep(PAUSE).await;
                    servers[sleeps].resume().unwrap();
                    servers[dies].restart().unwrap();
                }
            }
            field.moved(&servers);
            field.tell("all are there again");
        }
        tokio::time::sleep(BREATH).await;
    };
    let acknowledged = under_load(&field, strike).await;
    check(&servers[chance.below(servers.len())], &acknowledged).await;
    let database = url.rsplit('/').next().unwrap();
    let left = "SELECT (SELECT count(*) FROM queue) + (SELECT count(*) FROM queue_inputs) + (SELECT count(*) FROM queue_keys)";
    assert_eq!(postgres.execute(database, left).unwrap(), "0", "nothing is left behind");
    let ended = "SELECT count(*), count(DISTINCT id) FROM runs";
    let count = acknowledged.len();
    assert_eq!(postgres.execute(database, ended).unwrap(), format!("{count}|{count}"), "each is in history once");
}

#[derive(Clone, Copy, Debug)]
enum AloneBlow {
    Death,
    /// For longer than its lease.
    Sleep,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_dies_again_and_again() {
    let mut servers = vec![Server::start(&["--slots", "16"]).unwrap()];
    deploy(&servers[0]).await;
    let field = Field::new(&servers);
    let mut chance = Chance::new();
    let strike = async {
        for blow in chance.rounds(&[AloneBlow::Death, AloneBlow::Sleep], blows()) {
            tokio::time::sleep(BREATH).await;
            field.tell(&format!("{blow:?}"));
            match blow {
                AloneBlow::Death => {
                    servers[0].kill().unwrap();
                    servers[0].restart().unwrap();
                }
                AloneBlow::Sleep => {
                    servers[0].pause().unwrap();
                    tokio::time::sleep(PAUSE).await;
                    servers[0].resume().unwrap();
                }
            }
            field.moved(&servers);
        }
        tokio::time::sleep(BREATH).await;
    };
    let acknowledged = under_load(&field, strike).await;
    check(&servers[0], &acknowledged).await;
}
