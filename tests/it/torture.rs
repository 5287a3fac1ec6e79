//! Load, and deaths of nodes and of the database under it: whatever was acknowledged ends exactly once in history.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sandmill_testkit::{postgres::Postgres, server::Server};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const TOKEN: &str = "sm_a_token_that_all_nodes_of_a_test_know";
const SOURCE: &str = "export async function main(n: number, ms: number) { await new Promise(r => setTimeout(r, ms)); return n; }";
const PLAIN: &str = "f/torture/plain";
/// With an ordering key and a limit.
const KEYED: &str = "f/torture/keyed";
/// A lease lasts three seconds: a node that is paused for longer is thought dead.
const PAUSE: Duration = Duration::from_millis(4500);
/// How long a client waits for an answer before it asks again.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const CLIENTS: usize = 6;
/// How long everything may take to end once nobody dies any more.
const DRAIN_LIMIT: Duration = Duration::from_secs(180);

/// Blows of one test, unless `SANDMILL_TORTURE` says how many.
fn blows(usual: usize) -> usize {
    #[expect(clippy::disallowed_methods, reason = "tests have no options")]
    std::env::var("SANDMILL_TORTURE").map_or(usual, |count| count.parse().unwrap())
}

/// Where the nodes are at present, and whether the clients go on.
struct Field {
    urls: RwLock<Vec<String>>,
    token: String,
    is_over: AtomicBool,
    began: Instant,
    /// Runs that clients got an answer for.
    acknowledged: AtomicUsize,
}

impl Field {
    fn new(servers: &[Server]) -> Arc<Self> {
        let urls = RwLock::new(servers.iter().map(|server| server.url.clone()).collect());
        Arc::new(Self {
            urls,
            token: servers[0].token.clone(),
            is_over: AtomicBool::new(false),
            began: Instant::now(),
            acknowledged: AtomicUsize::new(0),
        })
    }

    /// Says how far the clients are.
    fn tell(&self, what: &str) {
        println!("{:.1} s: {what}; {} runs acknowledged", self.began.elapsed().as_secs_f64(), self.acknowledged.load(Ordering::SeqCst));
    }

    fn moved(&self, servers: &[Server]) {
        *self.urls.write().unwrap() = servers.iter().map(|server| server.url.clone()).collect();
    }
}

/// Starts runs until the end, each under a key of its own: where no answer comes it asks again, another node if there is one. Returns the
/// run of each number that was acknowledged.
async fn client(field: Arc<Field>, client: usize) -> HashMap<usize, String> {
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(ANSWER_LIMIT).build().unwrap();
    let mut acknowledged = HashMap::new();
    let mut number = client;
    let mut asked = client;
    while !field.is_over.load(Ordering::SeqCst) {
        let path = if number.is_multiple_of(3) { KEYED } else { PLAIN };
        let body = json!({"n": number, "ms": 5 + number % 7 * 20, "customer": number % 5});
        let id = loop {
            asked += 1;
            let url = {
                let urls = field.urls.read().unwrap();
                format!("{}/hooks/default/start/{path}", urls[asked % urls.len()])
            };
            let request = http.post(url).bearer_auth(&field.token).header("idempotency-key", number.to_string()).json(&body);
            match request.send().await {
                Ok(answer) if answer.status() == 202 => {
                    if let Ok(receipt) = answer.json::<Value>().await {
                        break receipt["run_id"].as_str().unwrap().to_owned();
                    }
                }
                Ok(answer) => assert!(answer.status().is_server_error(), "{answer:?}"),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        acknowledged.insert(number, id);
        field.acknowledged.fetch_add(1, Ordering::SeqCst);
        number += CLIENTS;
    }
    acknowledged
}

/// Runs the clients while `strike` goes on; returns what was acknowledged.
async fn under_load(field: &Arc<Field>, strike: impl Future<Output = ()>) -> HashMap<usize, String> {
    // Tasks of their own: whoever strikes waits for processes.
    let mut clients: JoinSet<_> = (0..CLIENTS).map(|number| client(Arc::clone(field), number)).collect();
    strike.await;
    field.is_over.store(true, Ordering::SeqCst);
    let mut acknowledged = HashMap::new();
    while let Some(of_client) = clients.join_next().await {
        acknowledged.extend(of_client.unwrap());
    }
    acknowledged
}

async fn deploy(server: &Server) {
    server.deploy(PLAIN, "typescript", SOURCE).await.unwrap();
    let manifest = json!({"dispatch": {"ordering_key": "/customer", "concurrency": [{"limit": 4}]}});
    server.deploy_with(KEYED, json!({"language": "typescript", "source": SOURCE, "manifest": manifest})).await.unwrap();
}

/// All runs, queued and ended: one that were in both places would be listed twice.
async fn all_runs(server: &Server) -> Vec<Value> {
    let mut runs = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get_json(&format!("/api/w/default/runs?limit=200{cursor}")).await.unwrap();
        runs.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return runs,
        }
    }
}

/// Waits until nothing is left to do, and checks that what was acknowledged ended well, once, and that nothing else did.
async fn check(server: &Server, acknowledged: &HashMap<usize, String>) {
    let deadline = Instant::now() + DRAIN_LIMIT;
    for status in ["running", "queued", "parked"] {
        loop {
            let page = server.get_json(&format!("/api/w/default/runs?limit=3&status={status}")).await.unwrap();
            if page["items"].as_array().unwrap().is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "not all runs end: {page}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let runs = all_runs(server).await;
    let listed: HashSet<&str> = runs.iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(listed.len(), runs.len(), "a run is there twice");
    let expected: HashSet<&str> = acknowledged.values().map(String::as_str).collect();
    assert_eq!(expected.len(), acknowledged.len(), "each key is a run of its own");
    assert_eq!(listed, expected, "what was acknowledged, and nothing else");
    let unusual: Vec<&Value> = runs.iter().filter(|run| run["status"] != "succeeded").collect();
    assert!(unusual.is_empty(), "{unusual:?}");
    let again = runs.iter().filter(|run| run["attempt"] != 1).count();
    println!("{} runs, {again} of them tried again", runs.len());
    for (number, id) in acknowledged.iter().take(50) {
        let result = server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap();
        assert_eq!(result, json!(number));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_and_their_database_die_again_and_again() {
    let Some(postgres) = Postgres::own() else { return };
    let url = postgres.database();
    let arguments = ["--database-url", &url, "--admin-token", TOKEN, "--slots", "16"];
    let mut servers: Vec<Server> = (0..3).map(|_| Server::start(&arguments).unwrap()).collect();
    deploy(&servers[0]).await;
    let field = Field::new(&servers);
    let strike = async {
        for blow in 0..blows(3) {
            tokio::time::sleep(Duration::from_secs(2)).await;
            field.tell("the next blow");
            match blow % 3 {
                0 => {
                    servers[blow % 2].kill().unwrap();
                    servers[blow % 2].restart().unwrap();
                    field.moved(&servers);
                }
                1 => {
                    postgres.kill().unwrap();
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    postgres.restart().unwrap();
                }
                // One dies while another, which sleeps, is taken for dead.
                _ => {
                    servers[2].pause().unwrap();
                    servers[0].kill().unwrap();
                    tokio::time::sleep(PAUSE).await;
                    servers[2].resume().unwrap();
                    servers[0].restart().unwrap();
                    field.moved(&servers);
                }
            }
            field.tell("all are there again");
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    let acknowledged = under_load(&field, strike).await;
    check(&servers[1], &acknowledged).await;
    let database = url.rsplit('/').next().unwrap();
    let left = "SELECT (SELECT count(*) FROM queue) + (SELECT count(*) FROM queue_inputs) + (SELECT count(*) FROM queue_keys)";
    assert_eq!(postgres.execute(database, left).unwrap(), "0", "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_dies_again_and_again() {
    let mut servers = vec![Server::start(&["--slots", "16"]).unwrap()];
    deploy(&servers[0]).await;
    let field = Field::new(&servers);
    let strike = async {
        for _ in 0..blows(3) {
            tokio::time::sleep(Duration::from_secs(2)).await;
            servers[0].kill().unwrap();
            servers[0].restart().unwrap();
            field.moved(&servers);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let acknowledged = under_load(&field, strike).await;
    check(&servers[0], &acknowledged).await;
}
