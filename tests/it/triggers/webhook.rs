//! The URL that every script has, on the terms of a stored trigger.

use sandmill_testkit::server::Server;
use serde_json::{Value, json};

use super::{
    http,
    rig::{Rig, TooLarge, conforms},
    world,
};

struct Webhook;

impl Rig for Webhook {
    const KIND: &'static str = "webhook";
    const TOO_LARGE: TooLarge = TooLarge::Refused;

    async fn start() -> Option<Self> {
        Some(Self)
    }

    async fn config(&self, _server: &Server, _name: &str) -> Value {
        json!({})
    }

    fn wrong(&self) -> (Value, &'static str) {
        (json!({"nothing like it": true}), "nothing like it")
    }

    async fn send(&self, server: &Server, name: &str, payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
        http::post(server, &format!("/hooks/default/start/{}", world::path(name)), payloads).await
    }
}

// Nothing stands behind it that could be restarted.
conforms!(
    Webhook: delivers_one, delivers_a_burst, knows_a_repetition_after_a_restart, keeps_what_is_too_large_apart,
    acknowledges_only_what_is_durable, says_what_is_wrong_with_its_config, stops_in_time, alters_no_payload, says_where_it_comes_from,
    is_listened_to_by_one_node, tells_what_a_probe_finds,
);
