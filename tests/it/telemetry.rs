//! Traces, as a collector gets them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use sandmill_testkit::server::Server;
use serde_json::json;

/// Takes OTLP over HTTP and keeps the bodies.
struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        thread::spawn({
            let received = Arc::clone(&received);
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let received = Arc::clone(&received);
                    thread::spawn(move || while exchange(&stream, &received).is_some() {});
                }
            }
        });
        Self { address, received }
    }

    /// Protobuf writes text as it is.
    fn has(&self, text: &str) -> bool {
        self.received.lock().unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// Answers one request and keeps its body; none when the sender is done.
fn exchange(mut stream: &TcpStream, received: &Mutex<Vec<u8>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let is_ours = head.starts_with("post /v1/traces ") && head.contains("content-type: application/x-protobuf");
    let status = if is_ours { "200 OK" } else { "400 Bad Request" };
    if is_ours {
        received.lock().unwrap().extend(body);
    }
    write!(stream, "HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n").ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_spans_of_requests_and_runs() {
    let collector = Collector::start();
    let mut server = Server::start(&["--otlp-endpoint", &format!("http://{}/v1/traces", collector.address)]).unwrap();
    server.deploy("f/telemetry/traced", "typescript", "export function main() { return 1; }").await.unwrap();
    let answer = server.call("f/telemetry/traced", &json!({})).await.unwrap();
    let (run, request) = (answer.header("sandmill-run-id").unwrap(), answer.header("x-request-id").unwrap());
    assert!(server.stop().unwrap().success(), "{}", server.log());
    for text in ["service.name", "sandmill", "/hooks/default/run/f/telemetry/traced", request, run] {
        assert!(collector.has(text), "{text} was sent: {}", server.log());
    }
    assert!(!collector.has(&server.token), "the token was sent");
    assert!(!server.log().contains("DEBUG"), "what is traced is not logged: {}", server.log());
}
