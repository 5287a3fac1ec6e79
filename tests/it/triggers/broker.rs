//! A nats-server, and as much of its protocol as a publisher needs: text lines, of which a test writes and reads a few.

use std::time::{Duration, Instant};

use sandmill_testkit::{nats::Nats, server::Server};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// How long the server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// Where answers come.
const INBOX: &str = "_INBOX.tests";

pub(crate) struct Broker(Nats);

impl Broker {
    /// One with streams on disk. None, with a loud line, where there is no nats-server.
    pub(crate) fn start() -> Option<Self> {
        Nats::start(&["-js"]).map(Self)
    }

    /// `127.0.0.1:PORT`, which stays the same.
    fn address(&self) -> String {
        self.0.address()
    }

    /// It is killed, and comes back with what it had on its disk.
    pub(crate) fn restart(&mut self) {
        self.0.restart();
    }

    /// As a connection has it.
    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Keeps how it is reached as a resource, and returns the reference to it.
    pub(crate) async fn resource(&self, server: &Server, name: &str) -> String {
        connection(server, name, &self.url()).await
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.address()).await
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

/// What comes to the inbox.
#[derive(PartialEq, Eq)]
enum Answer {
    Message(Vec<u8>),
    Nobody,
}

pub(crate) struct Client {
    lines: BufReader<OwnedReadHalf>,
    out: OwnedWriteHalf,
}

impl Client {
    async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (lines, out) = stream.into_split();
        let mut client = Self { lines: BufReader::new(lines), out };
        assert!(client.line().await.starts_with("INFO "));
        client.write(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n").await;
        client.write(format!("SUB {INBOX} 1\r\n").as_bytes()).await;
        assert!(client.answers().await.is_empty());
        client
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.out.write_all(bytes).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.lines.read_line(&mut line)).await.expect("the server answers in time");
        assert!(read.unwrap() > 0, "the server hung up");
        line.trim_end().to_owned()
    }

    async fn send(&mut self, subject: &str, payload: &[u8]) {
        self.write(format!("PUB {subject} {INBOX} {}\r\n", payload.len()).as_bytes()).await;
        self.write(payload).await;
        self.write(b"\r\n").await;
    }

    /// What comes until the server has had all that was written.
    async fn answers(&mut self) -> Vec<Answer> {
        self.write(b"PING\r\n").await;
        let mut answers = Vec::new();
        loop {
            let line = self.line().await;
            if line == "PONG" {
                return answers;
            }
            answers.extend(self.answer(&line).await);
        }
    }

    async fn answer(&mut self, line: &str) -> Option<Answer> {
        match line.split_once(' ') {
            Some(("MSG", rest)) => Some(Answer::Message(self.body(rest).await)),
            // A head without a body: there is nobody.
            Some(("HMSG", rest)) => {
                self.body(rest).await;
                Some(Answer::Nobody)
            }
            Some(("-ERR", error)) => panic!("{error}"),
            _ if line == "PING" => {
                self.write(b"PONG\r\n").await;
                None
            }
            _ => None,
        }
    }

    async fn body(&mut self, rest: &str) -> Vec<u8> {
        let bytes: usize = rest.rsplit(' ').next().unwrap().parse().unwrap();
        let mut body = vec![0; bytes + 2];
        self.lines.read_exact(&mut body).await.unwrap();
        body.truncate(bytes);
        body
    }

    /// Core NATS: until whoever listens has heard it, once.
    pub(crate) async fn publish_until_heard(&mut self, subject: &str, payload: &[u8]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.send(subject, payload).await;
            if !self.answers().await.contains(&Answer::Nobody) {
                return;
            }
            assert!(Instant::now() < deadline, "nobody listens to {subject}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A request, and what is answered. A server that has just started answers once its streams are there.
    pub(crate) async fn request(&mut self, subject: &str, payload: &[u8]) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.send(subject, payload).await;
            let answer = loop {
                let line = self.line().await;
                if let Some(answer) = self.answer(&line).await {
                    break answer;
                }
            };
            if let Answer::Message(body) = answer {
                let value: Value = serde_json::from_slice(&body).unwrap();
                if value["error"]["code"] != 503 {
                    return value;
                }
            }
            assert!(Instant::now() < deadline, "nobody answers {subject}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}
