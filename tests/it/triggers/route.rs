//! URLs with patterns of their own.

use sandmill_testkit::server::Server;
use serde_json::{Value, json};

use super::{
    http,
    rig::{Rig, TooLarge, conforms},
};

struct Route;

impl Rig for Route {
    const KIND: &'static str = "route";
    const TOO_LARGE: TooLarge = TooLarge::Refused;

    async fn start() -> Option<Self> {
        Some(Self)
    }

    async fn config(&self, _server: &Server, name: &str) -> Value {
        json!({"methods": ["POST"], "path": format!("/harness/{name}/:what"), "auth": {"type": "token"}, "reply": "async"})
    }

    fn wrong(&self) -> (Value, &'static str) {
        (json!({"methods": ["POST"], "path": "/a b"}), "a b")
    }

    async fn send(&self, server: &Server, name: &str, payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
        http::post(server, &format!("/r/default/harness/{name}/it"), payloads).await
    }
}

// Nothing stands behind it that could be restarted.
conforms!(
    Route: delivers_one, delivers_a_burst, knows_a_repetition_after_a_restart, keeps_what_is_too_large_apart,
    acknowledges_only_what_is_durable, says_what_is_wrong_with_its_config, stops_in_time, alters_no_payload, says_where_it_comes_from,
    is_listened_to_by_one_node, tells_what_a_probe_finds,
);
