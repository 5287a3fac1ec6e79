//! A stream: what is published is kept until it is acknowledged, and delivered again where it is not.

use sandmill_testkit::server::Server;
use serde_json::{Value, json};

use crate::triggers::{
    broker::{Broker, connection, forget_consumer},
    rig::{Rig, conforms},
    world,
};

struct JetStream(Broker);

fn stream(name: &str) -> String {
    format!("S_{name}")
}

fn subject(name: &str) -> String {
    format!("tests.{name}")
}

impl Rig for JetStream {
    const KIND: &'static str = "nats";

    async fn start() -> Option<Self> {
        Broker::start().map(Self)
    }

    async fn config(&self, server: &Server, name: &str) -> Value {
        let stream = stream(name);
        self.0.client().make_stream(&stream, &subject(name)).unwrap();
        let connection = self.0.resource(server, &format!("{name}_broker")).await;
        // What a node that was killed had not acknowledged comes again soon.
        json!({"connection": connection, "subject": subject(name), "jetstream": {"stream": stream, "ack_wait_ms": 2_000}})
    }

    fn wrong(&self) -> (Value, &'static str) {
        (json!({"connection": {"servers": ["http://127.0.0.1"]}, "jetstream": {"stream": "S"}}), "nats://")
    }

    async fn unreachable(&self, server: &Server, name: &str) -> Option<Value> {
        // Nothing ever listens there.
        let connection = connection(server, &format!("{name}_nowhere"), "nats://127.0.0.1:1").await;
        Some(json!({"connection": connection, "jetstream": {"stream": stream(name)}}))
    }

    async fn send(&self, _server: &Server, name: &str, payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut client = self.0.client();
        for payload in payloads {
            client.publish(&subject(name), &[], payload).unwrap();
        }
        Vec::new()
    }

    /// A message that is delivered again is the same by its sequence: the listener makes its consumer again, which begins at the stream's first message.
    async fn repeat(&self, _server: &Server, name: &str, _payload: &[u8]) {
        forget_consumer(&mut self.0.client(), &stream(name));
    }

    async fn restart(&mut self, server: &Server, name: &str) {
        self.0.kill();
        world::cut_off(server, name).await;
        self.0.restart();
    }
}

conforms!(
    JetStream: delivers_one, delivers_a_burst, knows_a_repetition_after_a_restart, keeps_what_is_too_large_apart,
    acknowledges_only_what_is_durable, outlives_its_source, says_what_is_wrong_with_its_config, stops_in_time, alters_no_payload,
    says_where_it_comes_from, is_listened_to_by_one_node, is_fenced_where_it_slept,
    tells_what_a_probe_finds,
);
