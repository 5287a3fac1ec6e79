//! Clients that start runs whatever happens to the nodes, and remember what they were promised.

use std::{
    collections::HashMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sandmill_testkit::server::Server;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Says when it began and ended, so that order and limits can be held against it.
const SOURCE: &str = "export async function main(n: number, ms: number) {
    const began = Date.now(); await new Promise(r => setTimeout(r, ms)); return [n, began, Date.now()]; }";
const PLAIN: &str = "f/torture/plain";
/// With an ordering key and a limit.
const KEYED: &str = "f/torture/keyed";
/// Runs of [`KEYED`] that may execute at once, on all nodes together: fewer than there are customers.
pub(super) const LIMIT: i32 = 4;
const CUSTOMERS: usize = 7;
const CLIENTS: usize = 6;
/// Of a client between two runs.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a client waits for an answer before it asks again.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// What a number's run is about. A client starts its own numbers one after another, each once the one before it is acknowledged.
pub(super) fn is_keyed(number: usize) -> bool {
    number.is_multiple_of(3)
}

/// Whose runs execute in the order in which they were acknowledged.
pub(super) fn row(number: usize) -> (usize, usize) {
    (number % CLIENTS, customer(number))
}

pub(super) fn customer(number: usize) -> usize {
    number % CUSTOMERS
}

pub(super) async fn deploy(server: &Server) {
    server.deploy(PLAIN, "typescript", SOURCE).await.unwrap();
    let manifest = json!({"dispatch": {"ordering_key": "/customer", "concurrency": [{"limit": LIMIT}]}});
    server.deploy_with(KEYED, json!({"language": "typescript", "source": SOURCE, "manifest": manifest})).await.unwrap();
}

/// Where the nodes are at present, and whether the clients go on.
pub(super) struct Field {
    urls: RwLock<Vec<String>>,
    token: String,
    is_over: AtomicBool,
    began: Instant,
    /// Runs that clients got an answer for.
    acknowledged: AtomicUsize,
}

impl Field {
    pub(super) fn new(servers: &[Server]) -> Arc<Self> {
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
    pub(super) fn tell(&self, what: &str) {
        println!("{:.1} s: {what}; {} runs acknowledged", self.began.elapsed().as_secs_f64(), self.acknowledged.load(Ordering::SeqCst));
    }

    pub(super) fn moved(&self, servers: &[Server]) {
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
        let path = if is_keyed(number) { KEYED } else { PLAIN };
        // So short that what is limited keeps up with the clients: the end of the test waits for all of it.
        let step_ms = if is_keyed(number) { 5 } else { 20 };
        let body = json!({"n": number, "ms": 5 + number % 7 * step_ms, "customer": customer(number)});
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
        tokio::time::sleep(PAUSE).await;
    }
    acknowledged
}

/// Runs the clients while `strike` goes on; returns what was acknowledged.
pub(super) async fn under_load(field: &Arc<Field>, strike: impl Future<Output = ()>) -> HashMap<usize, String> {
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
