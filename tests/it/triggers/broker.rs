//! A nats-server of a test's own.

use sandmill_testkit::{
    nats::{Client, Nats},
    server::Server,
};
use serde_json::{Value, json};

pub(crate) struct Broker(Nats);

impl Broker {
    /// One with streams on disk. None, with a loud line, where there is no nats-server.
    pub(crate) fn start() -> Option<Self> {
        Nats::start().map(Self)
    }

    /// As a crash ends it.
    pub(crate) fn kill(&self) {
        self.0.kill().unwrap();
    }

    /// It comes back at the same port with what it had on its disk.
    pub(crate) fn restart(&self) {
        self.0.restart().unwrap();
    }

    /// As a connection has it.
    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    /// Keeps how it is reached as a resource, and returns the reference to it.
    pub(crate) async fn resource(&self, server: &Server, name: &str) -> String {
        connection(server, name, &self.url()).await
    }

    pub(crate) fn client(&self) -> Client {
        self.0.client().unwrap()
    }
}

/// A resource of whatever is at `url`.
pub(crate) async fn connection(server: &Server, name: &str, url: &str) -> String {
    let path = format!("f/triggers/{name}");
    let request = server.request(reqwest::Method::PUT, &format!("/api/w/default/resources/{path}"));
    let put = request.json(&json!({"type": "nats", "value": {"servers": [url]}})).send().await.unwrap();
    assert!(put.status().is_success(), "{put:?}");
    format!("$res:{path}")
}

/// Makes the consumer of a stream go away with all that it knows.
pub(crate) fn forget_consumer(client: &mut Client, stream: &str) {
    let names: Value = client.api(&format!("CONSUMER.NAMES.{stream}"), &json!({})).unwrap();
    let consumer = names["consumers"][0].as_str().unwrap_or_else(|| panic!("{names}"));
    client.api(&format!("CONSUMER.DELETE.{stream}.{consumer}"), &json!({})).unwrap();
}
