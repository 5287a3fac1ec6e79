//! Connections that are silent, slow, or too many.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use sandmill_testkit::server::Server;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// For whatever must happen; only a broken server lets it pass.
const DEADLINE: Duration = Duration::from_secs(20);
const RECEIVE_MS: u64 = 600;
const IDLE_MS: u64 = 1_500;

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";

fn impatient() -> Server {
    Server::start(&["--receive-timeout-ms", &RECEIVE_MS.to_string(), "--idle-timeout-ms", &IDLE_MS.to_string()]).unwrap()
}

/// One connection, byte by byte.
struct Peer(TcpStream);

impl Peer {
    async fn connect(server: &Server) -> Self {
        Self(TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap())
    }

    async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// One response, whose body has a length.
    async fn answer(&mut self) -> String {
        let read = async {
            let mut text = Vec::new();
            loop {
                let whole = String::from_utf8_lossy(&text).into_owned();
                if let Some((head, body)) = whole.split_once("\r\n\r\n") {
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                    if body.len() >= length.parse().unwrap() {
                        return whole;
                    }
                }
                assert!(self.0.read_buf(&mut text).await.unwrap() > 0, "the connection ended: {whole}");
            }
        };
        timeout(DEADLINE, read).await.expect("an answer comes")
    }

    /// Reads until the server ends the connection, and gives what came before.
    async fn ends(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = async { while self.0.read_buf(&mut bytes).await.is_ok_and(|bytes| bytes > 0) {} };
        timeout(DEADLINE, read).await.expect("the connection ends");
        bytes
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_slow_and_idle_connections_are_ended() {
    let server = impatient();
    let (receive, idle) = (Duration::from_millis(RECEIVE_MS), Duration::from_millis(IDLE_MS));
    let silent = async {
        // Before the server can count: its clock begins with the connection, ours must not begin later.
        let began = Instant::now();
        let bytes = Peer::connect(&server).await.ends().await;
        let took = began.elapsed();
        assert!(took >= receive && bytes.is_empty(), "{took:?} {bytes:?}");
    };
    let slow = async {
        let mut peer = Peer::connect(&server).await;
        peer.say("GET /health HTTP/1.1\r\nx-slow: ").await;
        let began = Instant::now();
        // A byte each time that it would take to be cut for silence.
        loop {
            let mut byte = [0];
            match timeout(receive / 6, peer.0.read(&mut byte)).await {
                Ok(Ok(1)) => panic!("an unfinished request was answered"),
                Ok(_) => break,
                Err(_) if peer.0.write_all(b"x").await.is_err() => break,
                Err(_) => assert!(began.elapsed() < DEADLINE, "a head that never ends is waited for"),
            }
        }
    };
    let kept = async {
        let mut peer = Peer::connect(&server).await;
        let mut began = Instant::now();
        for _ in 0..3 {
            began = Instant::now();
            peer.say(HEALTH).await;
            assert!(peer.answer().await.starts_with("HTTP/1.1 200"));
        }
        let bytes = peer.ends().await;
        let took = began.elapsed();
        assert!(took >= idle.mul_f64(0.9) && bytes.is_empty(), "{took:?} {bytes:?}");
    };
    // Between two requests it may be silent for longer than within one.
    let later = async {
        let mut peer = Peer::connect(&server).await;
        peer.say(HEALTH).await;
        peer.answer().await;
        let mut byte = [0];
        assert!(timeout(receive + receive / 2, peer.0.read(&mut byte)).await.is_err(), "it was ended early");
        peer.say(HEALTH).await;
        assert!(peer.answer().await.starts_with("HTTP/1.1 200"));
    };
    tokio::join!(silent, slow, kept, later);
    let metrics = server.request(reqwest::Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    for line in ["sandmill_connections_cut_total{reason=\"idle\"}", "sandmill_connections_cut_total{reason=\"late_head\"}"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

/// Writes more than kernels hold for a peer that does not read, and goes on.
const FLOOD: &str = "import { output } from 'sandmill';
export async function main() {
    for (let n = 0; n < 600; n++) {
        if (n < 400) output.write('x'.repeat(100_000));
        await new Promise(r => setTimeout(r, n < 400 ? 1 : 100));
    }
}";

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_and_does_not_read_is_cut_off() {
    let server = Server::start(&["--send-timeout-ms", "1000"]).unwrap();
    let manifest = serde_json::json!({"limits": {"log_bytes": 64 * 1024 * 1024, "wall_ms": 120_000}});
    let flood = serde_json::json!({"language": "typescript", "source": FLOOD, "manifest": manifest});
    server.deploy_with("f/connections/flood", flood).await.unwrap();
    let id = server.start_run("f/connections/flood", &serde_json::json!({})).await.unwrap();
    let token = &server.token;
    let follow = format!("GET /api/w/default/runs/{id}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    let mut reads = Peer::connect(&server).await;
    reads.say(&follow).await;
    let mut silent = Peer::connect(&server).await;
    silent.say(follow).await;
    let reading = async {
        let (mut count, mut bytes) = (0, vec![0; 64 * 1024]);
        while let Ok(some @ 1..) = reads.0.read(&mut bytes).await {
            count += some;
        }
        count
    };
    let watching = async move {
        let metrics = async || server.request(reqwest::Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        let began = Instant::now();
        for expected in ["sandmill_connections_cut_total{reason=\"unread\"} 1", "sandmill_followers 1"] {
            while !metrics().await.lines().any(|line| line == expected) {
                assert!(began.elapsed() < DEADLINE, "{expected}: {}", metrics().await);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        let cancel = server.request(reqwest::Method::POST, &format!("/api/w/default/runs/{id}/cancel")).send().await.unwrap();
        assert!(cancel.status().is_success());
        // With it ends what is read.
        drop((silent, server));
    };
    let (read, ()) = tokio::join!(reading, watching);
    assert!(read > 1_000_000, "who reads is not cut off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_arrives_is_not_waited_for() {
    let server = impatient();
    let mut peer = Peer::connect(&server).await;
    let token = &server.token;
    let head = format!("POST /hooks/default/run/f/a/b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 100\r\n\r\n");
    peer.say(head + "{\"a\":").await;
    let answer = peer.answer().await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("the body"), "{answer}");
    peer.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_bounded_and_told_when_it_is_idle() {
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    let server = impatient();
    let began = Instant::now();
    let mut peer = Peer::connect(&server).await;
    peer.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    peer.say([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await;
    let bytes = peer.ends().await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(IDLE_MS).mul_f64(0.9), "{took:?}");
    let mut frames = Vec::new();
    let mut rest = &bytes[..];
    while let [a, b, c, kind, _flags, _, _, _, _, more @ ..] = rest {
        let (payload, next) = more.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
        frames.push((*kind, payload));
        rest = next;
    }
    let streams = frames[0].1.chunks(6).find(|setting| setting[..2] == MAX_CONCURRENT_STREAMS.to_be_bytes()).unwrap();
    assert_eq!((frames[0].0, &streams[2..]), (SETTINGS, &128_u32.to_be_bytes()[..]));
    assert!(frames.iter().any(|(kind, _)| *kind == GOAWAY), "{frames:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn crowds_take_turns_and_all_are_served() {
    const CONNECTIONS: usize = 24;
    const REQUESTS: usize = 50;
    let server = Server::start(&[]).unwrap();
    server.deploy("f/crowd/hello", "typescript", "export function main() { return 1; }").await.unwrap();
    let hello = format!("GET /hooks/default/run/f/crowd/hello HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", server.token);
    // One crowd of the workspace, one that nobody let in, and one whose requests share a connection.
    let one_by_one = |request: &'static str| {
        let (server, hello) = (&server, &hello);
        async move {
            let mut peer = Peer::connect(server).await;
            for _ in 0..REQUESTS {
                peer.say(if request.is_empty() { hello } else { request }).await;
                let answer = peer.answer().await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            }
        }
    };
    let http2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let together = || {
        let (http2, server) = (&http2, &server);
        async move {
            for _ in 0..REQUESTS {
                let request = http2.get(format!("{}/hooks/default/run/f/crowd/hello", server.url)).bearer_auth(&server.token);
                let answer = timeout(DEADLINE, request.send()).await.expect("an answer comes").unwrap();
                assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200));
            }
        }
    };
    tokio::join!(
        join_all((0..CONNECTIONS).map(|_| one_by_one(""))),
        join_all((0..CONNECTIONS).map(|_| one_by_one(HEALTH))),
        join_all((0..CONNECTIONS).map(|_| together())),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_most_connections_new_ones_wait_their_turn() {
    let server = Server::start(&["--connections-max", "2", "--receive-timeout-ms", &RECEIVE_MS.to_string()]).unwrap();
    let (mut first, mut second) = (Peer::connect(&server).await, Peer::connect(&server).await);
    for peer in [&mut first, &mut second] {
        peer.say(HEALTH).await;
        peer.answer().await;
    }
    let mut third = Peer::connect(&server).await;
    third.say(HEALTH).await;
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(300), third.0.peek(&mut byte)).await.is_err(), "the third was let in");
    first.say(format!("GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", server.token)).await;
    let metrics = first.answer().await;
    assert!(metrics.contains("sandmill_connections 2") && metrics.contains("sandmill_connections_full_total"), "{metrics}");
    drop(second);
    assert!(third.answer().await.starts_with("HTTP/1.1 200"));
    assert_eq!(server.log().matches("as many connections are open as may be").count(), 1, "{}", server.log());
    drop((first, third));
    // Whoever takes all places and says nothing keeps them for a short time only.
    let silent = [Peer::connect(&server).await, Peer::connect(&server).await];
    let mut late = Peer::connect(&server).await;
    late.say(HEALTH).await;
    assert!(late.answer().await.starts_with("HTTP/1.1 200"));
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_connections_do_not_hold_up_a_stop() {
    let mut server = Server::start(&[]).unwrap();
    let (mut idle, silent) = (Peer::connect(&server).await, Peer::connect(&server).await);
    idle.say(HEALTH).await;
    idle.answer().await;
    let began = Instant::now();
    assert!(server.stop().unwrap().success(), "{}", server.log());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_it_is_tried_again_and_not_at_once() {
    const TRIES: u64 = 3;
    let server = Server::start(&[]).unwrap();
    let limit_descriptors = |soft: u64| {
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &server.id().to_string(), &format!("--nofile={soft}:")]);
        assert!(prlimit.status().unwrap().success());
    };
    let mut known = Peer::connect(&server).await;
    known.say(HEALTH).await;
    known.answer().await;
    // Fewer than are open: no new one can be had.
    limit_descriptors(3);
    let began = Instant::now();
    let mut waiting = Peer::connect(&server).await;
    waiting.say(HEALTH).await;
    loop {
        known.say(format!("GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", server.token)).await;
        let metrics = known.answer().await;
        let failed = metrics.lines().find_map(|line| line.strip_prefix("sandmill_accept_errors_total "));
        let failed: u64 = failed.map_or(0, |count| count.parse().unwrap());
        if failed >= TRIES {
            assert_eq!(failed, TRIES, "it was tried again and again");
            break;
        }
        assert!(began.elapsed() < DEADLINE, "{failed} tries");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() > Duration::from_millis(800), "{TRIES} tries took {:?}", began.elapsed());
    limit_descriptors(1024);
    assert!(waiting.answer().await.starts_with("HTTP/1.1 200"));
    assert_eq!(server.log().matches("connections cannot be accepted").count(), 1, "{}", server.log());
}
