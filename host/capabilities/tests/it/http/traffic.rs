//! What is counted of a workspace's requests, and what ends once that is too much.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use sandmill_capabilities::http::{NoCredentials, OutboundOptions, TrafficPort};
use sandmill_model::{BoxFuture, WorkspaceId};
use serde_json::json;

use super::{Names, any, options, requests, server::Server, told};
use crate::testing::{Testbed, testbed_with};

/// Counts, and has a limit.
#[derive(Default)]
pub(crate) struct Counter {
    pub(crate) up: AtomicU64,
    pub(crate) down: AtomicU64,
    pub(crate) most: AtomicU64,
}

impl Counter {
    pub(crate) fn of(most: u64) -> Arc<Self> {
        Arc::new(Self { most: AtomicU64::new(most), ..Self::default() })
    }

    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.up.load(Ordering::SeqCst), self.down.load(Ordering::SeqCst))
    }

    fn sum(&self) -> u64 {
        let (up, down) = self.counts();
        up + down
    }
}

impl TrafficPort for Counter {
    fn admit(&self, _: WorkspaceId) -> BoxFuture<'_, Result<(), String>> {
        let may = self.sum() < self.most.load(Ordering::SeqCst);
        Box::pin(std::future::ready(if may { Ok(()) } else { Err("no more today".to_owned()) }))
    }

    fn count(&self, _: WorkspaceId, bytes_up: u64, bytes_down: u64) -> bool {
        self.up.fetch_add(bytes_up, Ordering::SeqCst);
        self.down.fetch_add(bytes_down, Ordering::SeqCst);
        self.sum() <= self.most.load(Ordering::SeqCst)
    }
}

fn bed(counter: &Arc<Counter>) -> Testbed {
    let traffic: Arc<dyn TrafficPort> = Arc::<Counter>::clone(counter);
    testbed_with("http", OutboundOptions { traffic, ..options(&Names::here()) }, Arc::new(NoCredentials))
}

#[tokio::test]
async fn heads_count_beside_bodies() {
    let server = Server::start().await;
    let counter = Counter::of(u64::MAX);
    let authority = format!("api.test:{}", server.port());
    let path = format!("/bytes/7?{}", "x".repeat(500));
    let asked = json!([{ "authority": authority, "path": path, "read": "count" }]);
    let (results, _) = requests(&bed(&counter), &any(server.port()), asked).await;
    assert_eq!(results[0]["status"], 200, "{results}");
    let (up, down) = counter.counts();
    assert!((500 + authority.len() as u64..1_500).contains(&up), "{up}");
    assert!((8..1_500).contains(&down), "{down}");
}

#[tokio::test]
async fn what_is_under_way_ends_where_the_limit_is() {
    const MOST: u64 = 1_000_000;
    // A body that breaks off says no more than that, as everywhere; the log says why.
    for (asked, error) in [
        (json!({ "path": "/endless", "read": "count" }), "HttpProtocolError"),
        (json!({ "method": "POST", "path": "/count", "body": "x".repeat(100_000), "body_times": 20 }), "HttpRequestDenied"),
    ] {
        let server = Server::start().await;
        let counter = Counter::of(MOST);
        let mut asked = asked;
        asked["authority"] = json!(format!("api.test:{}", server.port()));
        let (results, outcome) = requests(&bed(&counter), &any(server.port()), json!([asked])).await;
        assert_eq!(results[0]["error"], error, "{results}");
        assert!(told(&outcome).contains("outbound_bytes_per_day"), "{outcome:?}");
        let sum = counter.sum();
        assert!((MOST..2 * MOST).contains(&sum), "{sum}");
    }
}
