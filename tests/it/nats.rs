//! Triggers of NATS against the real server, beyond what the harness asks of every kind: ways to log in, redelivery, back-pressure, sending.

use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::Method;
use sandmill_testkit::{
    nats::{Config, Login, Nats, Tls, jwt::Operator},
    postgres::Postgres,
    server::Server,
};
use serde_json::{Value, json};

use crate::triggers::world;

/// For whatever must happen; only a broken server lets it pass.
const DEADLINE: Duration = Duration::from_secs(60);
/// The broker is on this machine.
const ALLOWED: [&str; 2] = ["--outbound-allow", "127.0.0.0/8,::1/128"];
const TARGET: &str = "f/nats/target";
const BROKER: &str = "f/nats/broker";
const ECHO: &str = "export function preprocessor(event: any) { return { event }; }
export function main(event: any) { return event; }";
const SEND: &str = "import { publish } from 'sandmill';
export function main(to: string, payload: any, options: object) {
    try { return publish('f/nats/broker', to, payload, options); } catch (error) { return { code: error.code, message: error.message }; }
}";

async fn serve(value: &Value) -> Server {
    let server = Server::start(&ALLOWED).unwrap();
    put_broker(&server, value).await;
    server.deploy(TARGET, "typescript", ECHO).await.unwrap();
    server
}

async fn put(server: &Server, rest: &str, body: &Value) {
    let answer = world::send(server, Method::PUT, rest, Some(body)).await;
    assert!(matches!(answer.status, 200..300), "{rest}: {answer:?}");
}

async fn put_broker(server: &Server, value: &Value) {
    put(server, &format!("resources/{BROKER}"), &json!({"type": "nats", "value": value})).await;
}

async fn put_trigger(server: &Server, path: &str, config: Value, options: Value) {
    let mut config = config;
    config["connection"] = format!("$res:{BROKER}").into();
    put(server, &format!("triggers/{path}"), &json!({"kind": "nats", "target": TARGET, "config": config, "options": options})).await;
}

async fn status(server: &Server, path: &str) -> Value {
    server.get_json(&format!("/api/w/default/trigger-status/{path}")).await.unwrap()
}

/// Until the status of a trigger, as text, has this in it.
async fn shows(server: &Server, path: &str, part: &str) {
    let began = Instant::now();
    loop {
        let status = status(server, path).await.to_string();
        if status.contains(part) {
            return;
        }
        assert!(began.elapsed() < DEADLINE, "{path} does not show {part}: {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn runs(server: &Server) -> Vec<Value> {
    let page = server.get_json(&format!("/api/w/default/runs?limit=100&path={TARGET}")).await.unwrap();
    page["items"].as_array().unwrap().clone()
}

/// Until there are so many runs of the target, all of them ended; the newest first.
async fn ended(server: &Server, count: usize) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let runs = runs(server).await;
        if runs.len() >= count && runs.iter().all(|run| run["status"] == "succeeded") {
            return runs;
        }
        assert!(began.elapsed() < DEADLINE, "{} of {count}: {:?}", runs.len(), runs.first());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn result(server: &Server, run: &Value) -> Value {
    server.get_json(&format!("/api/w/default/runs/{}/result", run["id"].as_str().unwrap())).await.unwrap()
}

/// A trigger listens by this connection, and a message that a script sends by it comes back.
async fn comes_back(connection: &Value) {
    let server = serve(connection).await;
    deploy_sender(&server).await;
    put_trigger(&server, "f/nats/trigger", json!({"subject": "there.>"}), json!({})).await;
    shows(&server, "f/nats/trigger", "listening").await;
    let said =
        server.call("f/nats/send", &json!({"to": "there.a", "payload": {"x": 1}, "options": {"headers": {"A": "1"}}})).await.unwrap();
    assert_eq!((said.status, said.json().unwrap()), (200, json!({})));
    let runs = ended(&server, 1).await;
    let event = result(&server, &runs[0]).await;
    assert_eq!((&event["kind"], &event["subject"], &event["body"]), (&json!("nats"), &json!("there.a"), &json!({"x": 1})), "{event}");
    assert_eq!(event["headers"], json!({"A": ["1"]}));
    assert_eq!(
        (&event["payload"], &event["raw"]),
        (&json!("eyJ4IjoxfQ=="), &json!("{\"x\":1}")),
        "by the name that other preprocessors know it, too"
    );
    let shown = server.get_json(&format!("/api/w/default/runs/{}", runs[0]["id"].as_str().unwrap())).await.unwrap();
    assert_eq!((shown["event"].get("payload"), &shown["event"]["raw"]), (None, &json!("{\"x\":1}")), "it is kept once: {shown}");
}

async fn deploy_sender(server: &Server) {
    let manifest = json!({"grants": {"publish": [BROKER]}});
    server.deploy_with("f/nats/send", json!({"language": "typescript", "source": SEND, "manifest": manifest})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_token() {
    let Some(nats) = Nats::with(Config { login: Login::Token("s3cret-token".to_owned()), ..Config::default() }) else { return };
    comes_back(&json!({"servers": [nats.url()], "token": "s3cret-token"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_password() {
    let login = Login::User { name: "ann".to_owned(), password: "corre\"ct horse".to_owned() };
    let Some(nats) = Nats::with(Config { login, ..Config::default() }) else { return };
    comes_back(&json!({"servers": [nats.url()], "user": "ann", "password": "corre\"ct horse"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_an_nkey() {
    let seed = "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY";
    let public = sandmill_testkit::nats::jwt::public_key(seed).unwrap();
    let Some(nats) = Nats::with(Config { login: Login::Nkey(public), ..Config::default() }) else { return };
    comes_back(&json!({"servers": [nats.url()], "nkey_seed": seed})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_credentials() {
    let operator = Operator::default();
    let Some(nats) = Nats::with(Config { login: operator.login(), ..Config::default() }) else { return };
    comes_back(&json!({"servers": [nats.url()], "credentials": operator.credentials()})).await;
}

/// Certificates of an authority of the test's own: the authority's, and those of a server and a client with their keys. All PEM.
struct Certificates {
    authority: String,
    server: (String, String),
    client: (String, String),
}

fn certificates() -> Certificates {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = crate::network::pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
    let issuer = Issuer::new(params, key);
    let pair = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        (crate::network::pem("CERTIFICATE", certificate.der()), crate::network::pem("PRIVATE KEY", &key.serialize_der()))
    };
    Certificates { authority, server: pair("localhost"), client: pair("client") }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_tls() {
    let Certificates { authority, server: (certificate, key), client } = certificates();
    let tls = Tls { certificate, key, client_authority: Some(authority.clone()) };
    let Some(nats) = Nats::with(Config { tls: Some(tls), ..Config::default() }) else { return };
    let mut connection =
        json!({"servers": [nats.tls_url()], "root_certificate": authority, "client_certificate": client.0, "client_key": client.1});
    comes_back(&connection).await;
    // Another name than the certificate's, and an authority that nobody knows.
    let server = serve(&connection).await;
    put_trigger(&server, "f/nats/trigger", json!({"subject": "there.>"}), json!({})).await;
    shows(&server, "f/nats/trigger", "listening").await;
    connection["root_certificate"] = certificates().authority.into();
    put_broker(&server, &connection).await;
    shows(&server, "f/nats/trigger", "TLS").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_come_in_is_told_why_and_comes_in_once_it_is_right() {
    let Some(nats) = Nats::with(Config { login: Login::Token("right-token".to_owned()), ..Config::default() }) else { return };
    let server = serve(&json!({"servers": [nats.url()], "token": "wrong-token"})).await;
    put_trigger(&server, "f/nats/trigger", json!({"subject": "there"}), json!({})).await;
    shows(&server, "f/nats/trigger", "Authorization Violation").await;
    let told = status(&server, "f/nats/trigger").await.to_string();
    assert!(told.contains("misconfigured") && !told.contains("wrong-token"), "{told}");
    put_broker(&server, &json!({"servers": [nats.url()], "token": "right-token"})).await;
    shows(&server, "f/nats/trigger", "\"listening\"").await;
    assert!(!server.log().contains("right-token") && !server.log().contains("wrong-token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_no_way_round_the_outbound_rules() {
    let Some(nats) = Nats::start() else { return };
    let server = Server::start(&[]).unwrap();
    server.deploy(TARGET, "typescript", ECHO).await.unwrap();
    deploy_sender(&server).await;
    for url in [nats.url(), format!("nats://localhost:{}", nats.port), format!("nats://[::ffff:127.0.0.1]:{}", nats.port)] {
        put_broker(&server, &json!({"servers": [url]})).await;
        let said = server.call("f/nats/send", &json!({"to": "a", "payload": "", "options": {}})).await.unwrap().json().unwrap();
        assert_eq!(said["code"], "invalid", "{said}");
        assert!(said["message"].as_str().unwrap().contains("loopback"), "{said}");
        put_trigger(&server, "f/nats/trigger", json!({"subject": "a"}), json!({})).await;
        shows(&server, "f/nats/trigger", "loopback").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_to_its_end_and_each_message_once() {
    let Some(nats) = Nats::start() else { return };
    let mut client = nats.client().unwrap();
    client.make_stream("ORDERS", "orders.>").unwrap();
    client.publish_many("orders.before", 20, |at| format!("{{\"n\":{at}}}").into_bytes()).unwrap();
    let server = serve(&json!({"servers": [nats.url()]})).await;
    let config = json!({"subject": "orders.>", "jetstream": {"stream": "ORDERS", "ack_wait_ms": 2_000}});
    put_trigger(&server, "f/nats/stream", config, json!({})).await;
    ended(&server, 20).await;
    // The server loses its memory of connections, and neither messages nor acknowledgements.
    nats.kill().unwrap();
    nats.restart().unwrap();
    let mut client = nats.client().unwrap();
    client.publish_many("orders.after", 20, |at| format!("{{\"n\":{}}}", 20 + at).into_bytes()).unwrap();
    let finished = ended(&server, 40).await;
    assert_eq!(finished.len(), 40, "each message is one run");
    let settled = |client: &mut sandmill_testkit::nats::Client| {
        let consumers = client.api("CONSUMER.LIST.ORDERS", &json!({"offset": 0})).unwrap();
        let consumer = consumers["consumers"][0].clone();
        (consumer["num_pending"] == 0 && consumer["num_ack_pending"] == 0, consumer)
    };
    let began = Instant::now();
    loop {
        let (is_settled, consumer) = settled(&mut client);
        if is_settled {
            assert!(consumer["name"].as_str().unwrap().starts_with("sandmill-"), "{consumer}");
            break;
        }
        assert!(began.elapsed() < DEADLINE, "all is acknowledged: {consumer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What a listener may not have acknowledged before the server's end came again, and was known.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(runs(&server).await.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_queue_is_full_messages_wait_at_the_broker() {
    const MESSAGES: usize = 30;
    let Some(nats) = Nats::start() else { return };
    let mut client = nats.client().unwrap();
    client.make_stream("WORK", "work").unwrap();
    client.publish_many("work", MESSAGES, |at| format!("{{\"n\":{at}}}").into_bytes()).unwrap();
    let mut arguments = ALLOWED.to_vec();
    arguments.extend(["--backlog-max", "5"]);
    let server = Server::start(&arguments).unwrap();
    put_broker(&server, &json!({"servers": [nats.url()]})).await;
    let slow = "export async function main(n: number) { await new Promise((done) => setTimeout(done, 100)); return n; }";
    server.deploy(TARGET, "typescript", slow).await.unwrap();
    let config = json!({"jetstream": {"stream": "WORK", "max_ack_pending": 10}});
    put_trigger(&server, "f/nats/work", config, json!({})).await;
    let runs = ended(&server, MESSAGES).await;
    assert_eq!(runs.len(), MESSAGES, "none is lost, none comes twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_kept_and_stops_nothing() {
    let Some(nats) = Nats::with(Config { has_jetstream: true, payload_bytes_max: Some(8 * 1024 * 1024), ..Config::default() }) else {
        return;
    };
    let mut client = nats.client().unwrap();
    client.make_stream("MIXED", "mixed").unwrap();
    client.publish("mixed", &[], &vec![b'x'; 4 * 1024 * 1024]).unwrap();
    client.publish("mixed", &[("K", "v")], "\u{1f54a} ünïcode".as_bytes()).unwrap();
    client.publish("mixed", &[], b"\xff\x00binary").unwrap();
    let server = serve(&json!({"servers": [nats.url()]})).await;
    put_trigger(&server, "f/nats/mixed", json!({"jetstream": {"stream": "MIXED"}}), json!({"payload_bytes_max": 1024})).await;
    let runs = ended(&server, 2).await;
    assert_eq!(runs.len(), 2);
    let kept = server.get_json("/api/w/default/trigger-events/f/nats/mixed").await.unwrap();
    assert_eq!(kept["items"].as_array().unwrap().len(), 1, "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_a_stream_and_one_of_them_dies() {
    const BEFORE: usize = 60;
    const AFTER: usize = 30;
    let (Some(nats), Some(postgres)) = (Nats::start(), Postgres::shared()) else { return };
    let url = postgres.database();
    let mut arguments = ALLOWED.to_vec();
    arguments.extend(["--database-url", url.as_str(), "--admin-token", "sm_a_token_that_all_nodes_of_a_test_know"]);
    let (first, mut second) = (Server::start(&arguments).unwrap(), Server::start(&arguments).unwrap());
    put_broker(&first, &json!({"servers": [nats.url()]})).await;
    first.deploy(TARGET, "typescript", ECHO).await.unwrap();
    let mut client = nats.client().unwrap();
    client.make_stream("SHARED", "shared").unwrap();
    let config = json!({"jetstream": {"stream": "SHARED", "ack_wait_ms": 2_000}});
    put_trigger(&first, "f/nats/shared", config, json!({"listeners": 2})).await;
    let both_listen = async || {
        let began = Instant::now();
        loop {
            let status = status(&first, "f/nats/shared").await;
            let seats = status["seats"].as_array().unwrap();
            if seats.len() == 2 && seats.iter().all(|seat| seat["state"] == "listening") {
                return;
            }
            assert!(began.elapsed() < DEADLINE, "{status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    both_listen().await;
    client.publish_many("shared", BEFORE, |at| format!("{{\"n\":{at}}}").into_bytes()).unwrap();
    ended(&first, BEFORE / 3).await;
    second.kill().unwrap();
    client.publish_many("shared", AFTER, |at| format!("{{\"n\":{}}}", BEFORE + at).into_bytes()).unwrap();
    let runs = ended(&first, BEFORE + AFTER).await;
    assert_eq!(runs.len(), BEFORE + AFTER, "none is lost, none comes twice");
    both_listen().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_publishes_cannot_hold_up_what_comes_after() {
    let Some(nats) = Nats::start() else { return };
    let mut client = nats.client().unwrap();
    client.make_stream("OPEN", "open.>").unwrap();
    // The server passes on whatever is said, as often as it is not acknowledged.
    for block in ["no headers", "NATS/1.0\r\nno colon\r\n\r\n", "NATS/1.0 none\r\n\r\n"] {
        let lines = format!("HPUB open.headers {} {}\r\n{block}hi\r\n", block.len(), block.len() + 2);
        client.say(lines.as_bytes()).unwrap();
    }
    client.say(b"PUB open.a\x0cb 2\r\nhi\r\n").unwrap();
    client.publish("open.last", &[("K", "v")], b"hi").unwrap();
    let server = serve(&json!({"servers": [nats.url()]})).await;
    put_trigger(&server, "f/nats/open", json!({"subject": "open.>", "jetstream": {"stream": "OPEN"}}), json!({})).await;
    let mut events = Vec::new();
    for run in &ended(&server, 5).await {
        events.push(result(&server, run).await);
    }
    events.sort_unstable_by_key(|event| event["sequence"].as_u64());
    assert!(events.iter().all(|event| event["body"] == "hi" && event["delivered"] == 1), "{events:?}");
    for event in &events[..3] {
        assert!(event["headers_fault"].is_string() && event["headers"] == json!({}), "{event}");
    }
    assert_eq!(events[3]["subject"], "open.a\u{c}b");
    assert_eq!((&events[4]["headers"], &events[4]["headers_fault"]), (&json!({"K": ["v"]}), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_nobody_uses_may_be_forgotten() {
    let Some(nats) = Nats::start() else { return };
    let mut client = nats.client().unwrap();
    client.make_stream("SHORT", "short").unwrap();
    let server = serve(&json!({"servers": [nats.url()]})).await;
    let mut thresholds = Vec::new();
    for jetstream in [json!({"stream": "SHORT"}), json!({"stream": "SHORT", "inactive_threshold_ms": 600_000}), json!({"stream": "SHORT"})]
    {
        put_trigger(&server, "f/nats/short", json!({"jetstream": jetstream}), json!({})).await;
        let revision = status(&server, "f/nats/short").await["revision"].clone();
        let wanted = jetstream["inactive_threshold_ms"].as_u64().unwrap_or(0) * 1_000_000;
        let began = Instant::now();
        loop {
            let consumers = client.api("CONSUMER.LIST.SHORT", &json!({"offset": 0})).unwrap();
            if let Some(consumer) = consumers["consumers"].get(0)
                && consumer["config"]["inactive_threshold"].as_u64().unwrap_or(0) == wanted
            {
                break;
            }
            assert!(began.elapsed() < DEADLINE, "{revision}: {consumers}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        thresholds.push(wanted);
    }
    assert_eq!(thresholds, [0, 600_000_000_000, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_kept_once_where_its_id_says_so() {
    let Some(nats) = Nats::start() else { return };
    let server = serve(&json!({"servers": [nats.url()]})).await;
    deploy_sender(&server).await;
    let send = async |to: &str, options: Value| {
        server.call("f/nats/send", &json!({"to": to, "payload": "x", "options": options})).await.unwrap().json().unwrap()
    };
    assert_eq!(send("kept.a", json!({"kept": true})).await["code"], "invalid", "there is no stream");
    assert_eq!(send("kept.a", json!({})).await, json!({}), "core NATS takes whatever comes");
    nats.client().unwrap().make_stream("KEPT", "kept.>").unwrap();
    assert_eq!(send("kept.a", json!({"id": "one"})).await, json!({"stream": "KEPT", "sequence": 1, "duplicate": false}));
    assert_eq!(send("kept.a", json!({"id": "one"})).await, json!({"stream": "KEPT", "sequence": 1, "duplicate": true}));
    assert_eq!(send("kept.a", json!({"kept": true})).await["sequence"], 2);
    for (to, options) in
        [("a b", json!({})), ("a.*", json!({})), ("kept.a\r\nPUB x 0", json!({})), ("kept.a", json!({"headers": {"A": "1\r\nB: 2"}}))]
    {
        assert_eq!(send(to, options.clone()).await["code"], "invalid", "{to} {options}");
    }
    // An open connection that the server has left is noticed.
    nats.kill().unwrap();
    assert_eq!(send("kept.a", json!({"kept": true})).await["code"], "unavailable");
    nats.restart().unwrap();
    let began = Instant::now();
    while send("kept.a", json!({"kept": true})).await["stream"] != "KEPT" {
        assert!(began.elapsed() < DEADLINE, "it is connected to again");
    }
}
