//! Against servers that nobody would write; the real one is in the end-to-end tests.

use std::net::IpAddr;

use sandmill_model::BoxFuture;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
};

use super::*;

/// Gives one address for every name.
struct To(IpAddr);

impl Network for To {
    fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, Unreachable>> {
        Box::pin(async move { Ok(vec![self.0]) })
    }
}

const INFO: &str = "INFO {\"max_payload\":1000}\r\n";

/// A server that says `first`, and after each line that it hears what `answers` gives for it; and a client of it.
async fn against(first: &str, connection: serde_json::Value, answers: fn(&str) -> Option<&'static str>) -> Result<Client, Fault> {
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
    Client::connect(&serde_json::from_value(whole).unwrap(), &To([127, 0, 0, 1].into()), 100).await
}

fn pongs(line: &str) -> Option<&'static str> {
    (line == "PING").then_some("PONG\r\n")
}

fn refuses(line: &str) -> Option<&'static str> {
    line.starts_with("CONNECT").then_some("-ERR 'Authorization Violation'\r\n")
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
        "PING" => Some("PONG\r\n"),
        _ if line.starts_with("PUB a ") => Some("MSG other 1 2\r\nno\r\nPING\r\nHMSG x 9 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
        // It was pinged before it answers.
        "PONG" => Some("-ERR 'Permissions Violation'\r\n"),
        _ => None,
    })
    .await
    .unwrap();
    let fault = client.request("a", &[], b"").await.unwrap_err();
    assert!(matches!(&fault, Fault::Config(text) if text.contains("Permissions")), "{fault:?}");
}
