//! A script that asks a site for what is new, each second.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::get,
};
use sandmill_testkit::server::Server;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    rig::{Carries, Rig, conforms},
    world,
};

/// Asks for what came after what it has seen.
const ASKS: &str = "import { state } from 'sandmill';
export async function main() {
    const after = (state.get('after') as number | null) ?? 0;
    const items = await (await fetch(`$SITE/$NAME?after=${after}`)).json();
    state.set('after', after + items.length);
    return items;
}";
/// Of one answer: what a poll brings at once is bounded.
const ITEMS_MAX: usize = 100;

type Lists = Arc<Mutex<HashMap<String, Vec<Value>>>>;

struct Poll {
    address: SocketAddr,
    lists: Lists,
    task: JoinSet<()>,
}

async fn items(State(lists): State<Lists>, Path(name): Path<String>, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let after = query.get("after").and_then(|after| after.parse().ok()).unwrap_or(0);
    let lists = lists.lock().unwrap_or_else(PoisonError::into_inner);
    let list = lists.get(&name).map_or(&[][..], Vec::as_slice);
    Json(list.iter().skip(after).take(ITEMS_MAX).cloned().collect())
}

/// The site, at a port that is free or at the one where it was.
async fn serve(lists: &Lists, port: u16) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/{name}", get(items)).with_state(Arc::clone(lists));
    let mut task = JoinSet::new();
    task.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, task)
}

impl Rig for Poll {
    const KIND: &'static str = "poll";
    const CARRIES: Carries = Carries::Json;
    const PATIENCE: Duration = Duration::from_secs(90);

    async fn start() -> Option<Self> {
        let lists = Lists::default();
        let (address, task) = serve(&lists, 0).await;
        Some(Self { address, lists, task })
    }

    async fn config(&self, server: &Server, name: &str) -> Value {
        let site = format!("http://{}", self.address);
        let script = format!("{}_asks", world::path(name));
        let source = ASKS.replace("$SITE", &site).replace("$NAME", name);
        let body = json!({"language": "typescript", "source": source, "manifest": {"grants": {"http": [format!("GET {site}")]}}});
        server.deploy_with(&script, body).await.unwrap();
        json!({"cron": "* * * * * *", "time_zone": "UTC", "script": script, "id": "/id"})
    }

    fn wrong(&self) -> (Value, &'static str) {
        (json!({"cron": "* * * * * *", "time_zone": "UTC", "script": "no path"}), "")
    }

    async fn send(&self, _server: &Server, name: &str, payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let list = lists.entry(name.to_owned()).or_default();
        list.extend(payloads.iter().map(|payload| serde_json::from_slice::<Value>(payload).unwrap()));
        Vec::new()
    }

    async fn restart(&mut self, _server: &Server, _name: &str) {
        self.task.shutdown().await;
        // It asks in vain meanwhile.
        tokio::time::sleep(Duration::from_secs(2)).await;
        (_, self.task) = serve(&self.lists, self.address.port()).await;
    }
}

// Whether what it asks for can be had, its script says each time; a test of the connection asks nobody.
conforms!(
    Poll: delivers_one, delivers_a_burst, knows_a_repetition_after_a_restart, keeps_what_is_too_large_apart,
    acknowledges_only_what_is_durable, outlives_its_source, says_what_is_wrong_with_its_config, stops_in_time, alters_no_payload,
    says_where_it_comes_from, is_listened_to_by_one_node, is_fenced_where_it_slept,
    tells_what_a_probe_finds,
);
