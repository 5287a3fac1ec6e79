//! Core NATS: whoever listens at the moment hears it, and nobody keeps it.

use sandmill_testkit::server::Server;
use serde_json::{Value, json};

use crate::triggers::{
    broker::{Broker, connection},
    rig::{Rig, conforms},
    world,
};

struct Core(Broker);

fn subject(name: &str) -> String {
    format!("tests.core.{name}")
}

impl Rig for Core {
    const KIND: &'static str = "nats";
    const NAME: &'static str = "nats_core";
    const KEEPS: bool = false;

    async fn start() -> Option<Self> {
        Broker::start().map(Self)
    }

    async fn config(&self, server: &Server, name: &str) -> Value {
        let connection = self.0.resource(server, &format!("{name}_core")).await;
        json!({"connection": connection, "subject": subject(name)})
    }

    fn wrong(&self) -> (Value, &'static str) {
        (json!({"connection": {"servers": ["nats://127.0.0.1"]}, "subject": "a..b"}), "subject")
    }

    async fn unreachable(&self, server: &Server, name: &str) -> Option<Value> {
        let connection = connection(server, &format!("{name}_nowhere"), "nats://127.0.0.1:1").await;
        Some(json!({"connection": connection, "subject": subject(name)}))
    }

    async fn send(&self, _server: &Server, name: &str, payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut client = self.0.client();
        for payload in payloads {
            client.publish(&subject(name), &[], payload).unwrap();
        }
        Vec::new()
    }

    async fn restart(&mut self, server: &Server, name: &str) {
        self.0.kill();
        // Whoever listens must find back before anything is sent, or it would be gone.
        world::cut_off(server, name).await;
        self.0.restart();
    }
}

// Nobody acknowledges and nobody keeps: what is sent while nobody listens is gone, and nothing is ever sent again.
conforms!(
    Core: delivers_one, delivers_a_burst, keeps_what_is_too_large_apart, outlives_its_source, says_what_is_wrong_with_its_config,
    alters_no_payload, says_where_it_comes_from, is_listened_to_by_one_node, tells_what_a_probe_finds,
);
