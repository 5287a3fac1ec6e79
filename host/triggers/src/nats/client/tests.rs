//! Against servers that nobody would write; the real one is in the end-to-end tests.

use std::net::IpAddr;

use sandmill_model::BoxFuture;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
};

use super::*;
use crate::nats::{config::JetStream, jetstream::Consumer};

/// Gives one address for every name.
struct To(IpAddr);

impl Network for To {
    fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, Unreachable>> {
        Box::pin(async move { Ok(vec![self.0]) })
    }
}

const INFO: &str = "INFO {\"max_payload\":1000}\r\n";

/// A server that says `first`, and after each line that it hears what `answers` gives for it; and a client of it.
async fn against(first: &str, connection: serde_json::Value, answers: fn(&str) -> Option<String>) -> Result<Client, Fault> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let first = first.to_owned();
    let server = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(first.as_bytes()).await.unwrap();
        let (reading, mut writing) = stream.into_split();
        let mut lines = BufReader::new(reading).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(answer) = answers(&line)
                && writing.write_all(answer.as_bytes()).await.is_err()
            {
                break;
            }
        }
    };
    let mut tasks = tokio::task::JoinSet::from_iter([server]);
    tasks.detach_all();
    let mut whole = json!({"servers": [format!("nats://broker:{port}")]});
    whole.as_object_mut().unwrap().extend(connection.as_object().unwrap().clone());
    Client::connect(&serde_json::from_value(whole).unwrap(), &To([127, 0, 0, 1].into()), 1_000).await
}

fn pongs(line: &str) -> Option<String> {
    (line == "PING").then(|| "PONG\r\n".to_owned())
}

fn refuses(line: &str) -> Option<String> {
    line.starts_with("CONNECT").then(|| "-ERR 'Authorization Violation'\r\n".to_owned())
}

/// A JetStream that says `created` of its only stream.
fn stream(line: &str, created: &str) -> Option<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["PUB", _, reply, _] = words.as_slice() else { return pongs(line) };
    let body = json!({"created": created, "config": {"ack_policy": "explicit"}}).to_string();
    Some(format!("MSG {reply} 1 {}\r\n{body}\r\n", body.len()))
}

#[tokio::test]
async fn a_name_is_resolved_by_the_host_alone() {
    let client = against(INFO, json!({}), pongs).await.unwrap();
    assert_eq!(client.payload_bytes_max(), 1_000);
}

#[tokio::test]
async fn who_may_not_come_in_is_told() {
    let fault = against(INFO, json!({"token": "hunter2"}), refuses).await.err().unwrap();
    assert!(matches!(&fault, Fault::Config(text) if text.contains("Authorization Violation") && !text.contains("hunter2")), "{fault:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_not_believed_where_tls_is_wanted() {
    let connection = json!({"root_certificate": "any", "token": "hunter2"});
    let fault = against(INFO, connection, |line| panic!("{line}")).await.err().unwrap();
    assert!(matches!(&fault, Fault::Config(text) if text.contains("TLS")), "{fault:?}");
}

#[tokio::test]
async fn what_comes_before_tls_is_not_believed_after_it() {
    let first = "INFO {\"tls_required\":true}\r\n-ERR 'x'\r\n";
    let fault = against(first, json!({}), |line| panic!("{line}")).await.err().unwrap();
    assert!(matches!(&fault, Fault::Transient(text) if text.contains("before TLS")), "{fault:?}");
}

#[tokio::test]
async fn hostile_greetings() {
    for first in ["SSH-2.0-x\r\n", "INFO {\r\n", "INFO 7\r\n", "PONG\r\n", &format!("INFO {}", "x".repeat(70_000))] {
        assert!(against(first, json!({}), pongs).await.is_err(), "{first:.40}");
    }
}

#[tokio::test]
async fn an_answer_is_that_of_the_request() {
    let mut client = against(INFO, json!({}), |line| match line {
        "PING" => pongs(line),
        _ if line.starts_with("PUB a ") => Some("MSG other 1 2\r\nno\r\nPING\r\nHMSG x 9 12 12\r\nNATS/1.0\r\n\r\n\r\n".to_owned()),
        // It was pinged before it answers.
        "PONG" => Some("-ERR 'Permissions Violation'\r\n".to_owned()),
        _ => None,
    })
    .await
    .unwrap();
    let fault = client.request("a", &[], b"").await.unwrap_err();
    assert!(matches!(&fault, Fault::Config(text) if text.contains("Permissions")), "{fault:?}");
}

/// What a server says of its stream is a part of each message's key.
#[tokio::test]
async fn a_server_cannot_make_keys_long() {
    let config: JetStream = serde_json::from_value(json!({"stream": "S"})).unwrap();
    let mut honest = against(INFO, json!({}), |line| stream(line, "2026-01-31T12:00:00.123456789Z")).await.unwrap();
    let consumer = Consumer::open(&mut honest, &config, None, ("c", 10)).await.unwrap();
    assert_eq!(consumer.scope, "S:2026-01-31T12:00:00.123456789Z");
    let mut hostile = against(INFO, json!({}), |line| stream(line, &"x".repeat(65))).await.unwrap();
    let opened = Consumer::open(&mut hostile, &config, None, ("c", 10)).await;
    assert!(matches!(opened.err(), Some(ListenError::Transient(_))));
}

/// Servers that it tells of are not connected to, and it may be wrong about itself.
#[tokio::test]
async fn what_a_server_tells_of_others_is_not_believed() {
    let first = "INFO {\"max_payload\":0,\"connect_urls\":[\"169.254.169.254:80\"],\"host\":\"10.0.0.1\",\"port\":1,\"ldm\":true}\r\n";
    let mut client = against(first, json!({}), pongs).await.unwrap();
    assert_eq!(client.payload_bytes_max(), PAYLOAD_BYTES_DEFAULT);
    // It goes on where it is.
    client.settle().await.unwrap();
}
