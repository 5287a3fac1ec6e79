//! Tokens by the command line and over HTTP: what they may, how they end, and that nobody finds them where they are kept.

use std::{
    fs,
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use reqwest::Method;
use sandmill_testkit::{postgres::Postgres, server::Server};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{commands::sandmill, shared::server};

const ADMIN: &str = "sm_a_token_that_all_nodes_of_a_test_know";
/// What a revocation takes at most to be seen everywhere.
const SEEN_WITHIN: Duration = Duration::from_secs(1);
/// A body that takes longer to arrive is late.
const LATE: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(20);

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn status(server: &Server, token: &str, path: &str) -> u16 {
    let request = reqwest::Client::new().get(format!("{}{path}", server.url)).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

/// Makes a token and gives its secret and its id.
async fn make(server: &Server, body: Value) -> (String, String) {
    let answer = server.request(Method::POST, "/api/w/default/tokens").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let made: Value = answer.json().await.unwrap();
    (made["secret"].as_str().unwrap().to_owned(), made["token"]["id"].as_str().unwrap().to_owned())
}

async fn revoke(server: &Server, id: &str) {
    let answer = server.request(Method::DELETE, &format!("/api/w/default/tokens/{id}")).send().await.unwrap();
    assert_eq!(answer.status(), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn made_used_rotated_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| sandmill(folder.path(), server(), arguments);
    server().deploy("f/tokens/hello", "typescript", "export function main() { return 'hello'; }").await.unwrap();
    let made = run(&["tokens", "create", "--label", "for tests", "--scope", "scripts:read:f/tokens/*", "--expires-in-days", "1"]);
    assert!(made.status.success(), "{made:?}");
    let secret = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let (own, other) = ("/api/w/default/scripts/f/tokens/hello", "/api/w/default/scripts/f/other/hello");
    assert_eq!((status(server(), &secret, own).await, status(server(), &secret, other).await), (200, 403));
    let list = json_of(&run(&["tokens", "list", "--json", "--limit", "200"]));
    let item = list["items"].as_array().unwrap().iter().find(|item| item["label"] == "for tests").unwrap().clone();
    assert_eq!((item["scopes"][0].as_str(), item["expires_at"].is_string()), (Some("scripts:read:f/tokens/*"), true), "{item}");
    let id = item["id"].as_str().unwrap();
    let shown = run(&["tokens", "show", id]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&secret[..7]) && !String::from_utf8_lossy(&shown.stdout).contains(&secret));
    let rotated = json_of(&run(&["tokens", "rotate", id, "--overlap-s", "3600", "--json"]));
    let new = rotated["secret"].as_str().unwrap();
    assert_eq!((status(server(), &secret, own).await, status(server(), new, own).await), (200, 200));
    assert!(run(&["tokens", "revoke", id]).status.success());
    assert_eq!((status(server(), &secret, own).await, status(server(), new, own).await), (401, 401), "at once, with both secrets");
    assert_eq!(run(&["tokens", "show", id]).status.code(), Some(3));

    // One for all workspaces.
    let made = json_of(&run(&["tokens", "create", "--instance", "--scope", "instance:read", "--json"]));
    assert_eq!(status(server(), made["secret"].as_str().unwrap(), "/api/instance/nodes").await, 200);
    assert!(run(&["tokens", "revoke", "--instance", made["token"]["id"].as_str().unwrap()]).status.success());
    for secret in [secret.as_str(), new] {
        assert!(!server().log().contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_starts_one_script_starts_that_alone() {
    let server = server();
    for path in ["f/tokens/one", "f/tokens/two"] {
        server.deploy(path, "typescript", "export function main() { return 1; }").await.unwrap();
    }
    let (secret, id) = make(server, json!({"start": "f/tokens/one"})).await;
    for (path, expected) in [
        ("/hooks/default/run/f/tokens/one", 200),
        ("/hooks/default/run/f/tokens/one@1", 200),
        ("/hooks/default/run/f/tokens/two", 403),
        ("/hooks/default/run/f/tokens", 400),
        ("/api/w/default/scripts", 403),
        ("/api/w/default/tokens", 403),
        ("/api/w/default/runs", 403),
        ("/metrics", 403),
    ] {
        let url = format!("{}{path}?token={secret}", server.url);
        assert_eq!(reqwest::get(url).await.unwrap().status().as_u16(), expected, "{path}");
    }
    revoke(server, &id).await;
    assert_eq!(status(server, &secret, "/hooks/default/run/f/tokens/one").await, 401);
}

/// Every byte of the files in a data folder, but for the one that tells the operator the first token.
pub(crate) fn bytes_of(data: &Path) -> Vec<u8> {
    let files = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file() && !path.ends_with("admin-token")).flat_map(|path| fs::read(path).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_kept_nowhere_and_tokens_survive_a_restart() {
    let mut server = Server::start(&[]).unwrap();
    let (secret, id) = make(&server, json!({"label": "kept", "scopes": ["scripts:read"]})).await;
    let (short, _) = make(&server, json!({"expires_in_s": 1})).await;
    assert_eq!(status(&server, &secret, "/api/w/default/scripts").await, 200);
    let deadline = Instant::now() + LIMIT;
    while status(&server, &short, "/api/w/default/scripts").await == 200 {
        assert!(Instant::now() < deadline, "it expires");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.stop().unwrap();
    let kept = bytes_of(server.data());
    let finds = |needle: &str| kept.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(finds("kept") && finds(&secret[..7]));
    assert!(!finds(&secret) && !finds(&secret[7..]), "the secret is nowhere");
    server.restart().unwrap();
    assert_eq!(status(&server, &secret, "/api/w/default/scripts").await, 200);
    assert_eq!(status(&server, &short, "/api/w/default/scripts").await, 401);
    // What was noted until it stopped was written down.
    let token = server.get_json(&format!("/api/w/default/tokens/{id}")).await.unwrap();
    assert!(token["last_used_at"].is_string(), "{token}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_seen_on_the_other_node_within_a_second() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let node = || Server::start(&["--database-url", &url, "--admin-token", ADMIN]).unwrap();
    let (one, other) = (node(), node());
    let path = "/api/w/default/scripts";
    for round in 0..5 {
        let (secret, id) = make(&one, json!({"scopes": ["scripts:read"]})).await;
        for server in [&one, &other] {
            assert_eq!(status(server, &secret, path).await, 200);
        }
        revoke(&one, &id).await;
        let revoked = Instant::now();
        assert_eq!(status(&one, &secret, path).await, 401, "here at once");
        loop {
            let asked = Instant::now();
            if status(&other, &secret, path).await == 401 {
                break;
            }
            assert!(asked - revoked < SEEN_WITHIN, "round {round}: still good after {:?}", asked - revoked);
        }
    }
}

/// Whether `other` refuses, after `end`, what it let in before, earlier than it would by itself: what it looks up it would believe for a second.
async fn is_refused_early(other: &Server, secret: &str, path: &str, end: impl Future<Output = ()>) -> bool {
    let began = Instant::now();
    assert_eq!(status(other, secret, path).await, 200);
    end.await;
    while status(other, secret, path).await == 200 {
        assert!(began.elapsed() < LIMIT, "it is never refused");
    }
    began.elapsed() < SEEN_WITHIN
}

#[tokio::test(flavor = "multi_thread")]
async fn other_nodes_hear_of_what_ends() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let node = || Server::start(&["--database-url", &url, "--admin-token", ADMIN]).unwrap();
    let (one, other) = (node(), node());
    // On a machine that is busy a round may take longer than a second; nothing but what is heard makes it shorter.
    let mut is_heard = false;
    for _ in 0..20 {
        let (secret, id) = make(&one, json!({"scopes": ["scripts:read"]})).await;
        is_heard = is_refused_early(&other, &secret, "/api/w/default/scripts", revoke(&one, &id)).await;
        if is_heard {
            break;
        }
    }
    assert!(is_heard, "no revocation was heard of: each ran out");
    let user = json!({"name": "ann", "password": "a password for tests"});
    let send =
        async |server: &Server, method: Method, path: &str, body: &Value| server.request(method, path).json(body).send().await.unwrap();
    assert_eq!(send(&one, Method::POST, "/api/instance/users", &user).await.status(), 201);
    let mut is_heard = false;
    for _ in 0..20 {
        assert_eq!(send(&one, Method::PUT, "/api/w/default/members/ann", &json!({"role": "viewer"})).await.status(), 200);
        let login = json!({"user": "ann", "password": "a password for tests", "carrier": "header"});
        let login = reqwest::Client::new().post(format!("{}/api/auth/login", one.url)).json(&login).send().await.unwrap();
        let login: Value = login.json().await.unwrap();
        let secret = login["token"].as_str().unwrap().to_owned();
        let leave = async { assert_eq!(send(&one, Method::DELETE, "/api/w/default/members/ann", &json!({})).await.status(), 204) };
        is_heard = is_refused_early(&other, &secret, "/api/w/default/scripts", leave).await;
        if is_heard {
            break;
        }
    }
    assert!(is_heard, "nobody heard that she was a member no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_long_on_its_way_changes_nothing_once_its_token_is_revoked() {
    let server = Server::start(&[]).unwrap();
    let (secret, id) = make(&server, json!({"scopes": ["variables:write"]})).await;
    let (path, body) = ("/api/w/default/variables/f/tokens/late", r#"{"text": "late"}"#);
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let length = body.len();
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // It is let in meanwhile; were it not, the answer would be the same.
    tokio::time::sleep(2 * LATE).await;
    revoke(&server, &id).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(server.request(Method::GET, path).send().await.unwrap().status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_tokens_is_slowed_down_and_harms_no_valid_one() {
    // One of its own: whoever comes from this machine is slowed down.
    let server = Server::start(&[]).unwrap();
    let path = "/api/w/default/scripts";
    let (secret, _) = make(&server, json!({"scopes": ["scripts:read"]})).await;
    assert_eq!(status(&server, &secret, path).await, 200);
    let client = reqwest::Client::new();
    let mut slowed = 0;
    for n in 0..200 {
        let answer = client.get(format!("{}{path}", server.url)).bearer_auth(format!("sm_wrong{n}")).send().await.unwrap();
        match answer.status().as_u16() {
            401 => {}
            429 => {
                assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
                slowed += 1;
            }
            other => panic!("{other}"),
        }
        if n % 10 == 0 {
            assert_eq!(status(&server, &secret, path).await, 200, "after {n}");
        }
    }
    assert!(slowed > 0, "all 200 were looked up");
}
