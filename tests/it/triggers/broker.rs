//! A nats-server of a test's own.

use sandmill_testkit::{nats::Nats, nats_client::Client, server::Server};
use serde_json::{Value, json};

pub(crate) struct Broker(Nats);

impl Broker {
    /// One with streams on disk. None, with a loud line, where there is no nats-server.
    pub(crate) fn start() -> Option<Self> {
        Nats::start().map(Self)
    }

    /// It is killed, and comes back at the same port with what it had on its disk.
    pub(crate) fn restart(&self) {
        self.0.kill().unwrap();
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

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.0.port).await.unwrap()
    }

    /// A stream on disk, of subjects as it has them.
    pub(crate) async fn make_stream(&self, name: &str, subjects: &Value) {
        let made = json!({"name": name, "subjects": subjects, "storage": "file"});
        let answer = self.client().await.request(&format!("$JS.API.STREAM.CREATE.{name}"), made.to_string().as_bytes()).await.unwrap();
        assert!(answer["error"].is_null(), "{answer}");
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

/// Publishes to a stream, which says that it keeps it.
pub(crate) async fn publish(client: &mut Client, subject: &str, payload: &[u8]) {
    let kept = client.request(subject, payload).await.unwrap();
    assert!(kept["seq"].is_u64(), "{kept}");
}
