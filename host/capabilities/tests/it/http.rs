//! Outbound HTTP, against servers of the tests' own.

mod api;
mod attacks;
mod limits;
mod secrets;
pub(crate) mod server;
pub(crate) mod traffic;

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use sandmill_capabilities::{
    RunFacts,
    http::{AddressPolicy, HttpLimits, NoCredentials, OutboundOptions, Resolver, StandIn},
};
use sandmill_model::{BoxFuture, Grants, Input, JsonText, LogLevel, LogStream, Outcome};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use self::server::{Authority, Server};
use crate::testing::{Testbed, attempt, json, testbed_with};

/// Answers to the names of the tests; of several answers each is given once, the last for ever.
#[derive(Default)]
pub(crate) struct Names {
    answers: Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    fn with(names: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let answers = names.iter().map(|(name, answers)| {
            let answers = answers.iter().map(|addresses| addresses.iter().map(|address| address.parse().unwrap()).collect());
            ((*name).to_owned(), answers.collect())
        });
        Arc::new(Self { answers: Mutex::new(answers.collect()), asked: Mutex::default() })
    }

    /// `api.test` and `other.test` are here.
    pub(crate) fn here() -> Arc<Self> {
        Self::with(&[("api.test", &[&["127.0.0.1"]]), ("other.test", &[&["127.0.0.1"]])])
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

struct Asking(Arc<Names>);

impl Resolver for Asking {
    fn resolve(&self, name: String, _: OwnedSemaphorePermit) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.0.asked.lock().unwrap().push(name.clone());
        let mut answers = self.0.answers.lock().unwrap();
        let found = answers.get_mut(&name).map(|answers| if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() });
        Box::pin(async move { found.ok_or_else(|| io::Error::other("no such name")) })
    }
}

/// 127.0.0.1 is allowed, and nothing else that is not on the open Internet.
pub(crate) fn options(names: &Arc<Names>) -> OutboundOptions {
    OutboundOptions {
        policy: AddressPolicy::allowing(&["127.0.0.1/32".parse().unwrap()]),
        resolver: Arc::new(Asking(Arc::clone(names))),
        ..OutboundOptions::default()
    }
}

pub(crate) fn bed() -> Testbed {
    testbed_with("http", options(&Names::here()), Arc::new(NoCredentials))
}

fn bed_limited(limits: HttpLimits) -> Testbed {
    testbed_with("http", OutboundOptions { limits, ..options(&Names::here()) }, Arc::new(NoCredentials))
}

/// Of a run in the test's workspace that was granted this.
fn facts(grants: &[&str]) -> Arc<RunFacts> {
    facts_in("00000000-0000-7000-8000-000000000001", grants)
}

fn facts_in(workspace: &str, grants: &[&str]) -> Arc<RunFacts> {
    let http = grants.iter().map(|grant| grant.parse().unwrap()).collect();
    let mut attempt = attempt(Input::Arguments(JsonText::empty_object()));
    attempt.workspace = workspace.parse().unwrap();
    Arc::new(RunFacts::of(attempt, Arc::new(Grants { http, ..Grants::default() })))
}

/// Any origin here: grants name ports.
fn any(port: u16) -> Vec<String> {
    vec![format!("http://*:{port}"), format!("https://*:{port}")]
}

async fn requests(bed: &Testbed, grants: &[String], requests: Value) -> (Value, Outcome) {
    let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
    let outcome = bed.http(facts(&grants), &requests).await;
    (json(&outcome), outcome)
}

/// The one line that the host wrote.
fn told(outcome: &Outcome) -> String {
    let lines: Vec<&str> = outcome.log.iter().map(|entry| entry.message.as_str()).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!((outcome.log[0].level, outcome.log[0].stream), (LogLevel::Warn, LogStream::Host));
    lines[0].to_owned()
}

#[tokio::test]
async fn a_request_and_its_answer() {
    let server = Server::start().await;
    let bed = bed();
    let authority = format!("api.test:{}", server.port());
    let asked = json!([
        { "authority": format!("API.test:{}", server.port()), "path": "/echo/x?y=z&%20", "headers": [["X-Own", "1"], ["x-own", "ü"]] },
        { "method": "POST", "authority": authority, "path": "/echo", "body": "text", "headers": [["content-length", "4"]], "alone": true },
        { "method": "PROPFIND", "authority": authority, "path": "/echo?q", "body": "", "alone": true },
        { "method": "HEAD", "authority": authority, "path": "/echo", "alone": true },
        { "authority": authority, "path": "/missing", "alone": true },
    ]);
    let (results, outcome) = requests(&bed, &any(server.port()), asked).await;
    let echoed = |at: usize| serde_json::from_str::<Value>(results[at]["body"].as_str().unwrap()).unwrap();
    assert_eq!((echoed(0)["method"].as_str(), echoed(0)["uri"].as_str()), (Some("GET"), Some("/echo/x?y=z&%20")), "{results}");
    assert_eq!(echoed(0)["headers"], json!([["x-own", "1"], ["x-own", "ü"], ["host", authority]]));
    assert_eq!((echoed(1)["body"].as_str(), echoed(1)["version"].as_str()), (Some("text"), Some("HTTP/1.1")));
    assert_eq!(echoed(1)["headers"], json!([["content-length", "4"], ["host", authority]]));
    assert_eq!(echoed(2)["uri"], "/echo?q");
    assert_eq!((&results[3]["status"], &results[3]["bytes"]), (&json!(200), &json!(0)));
    assert_eq!(results[4]["status"], 404);
    assert_eq!(outcome.log, []);
}

#[tokio::test]
async fn http2_and_1_over_tls() {
    let authority = Authority::new();
    let bed = testbed_with(
        "http",
        OutboundOptions { authorities: Some(authority.pem().into_bytes()), ..options(&Names::here()) },
        Arc::new(NoCredentials),
    );
    for (protocols, version) in [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")] {
        let server = Server::start_tls(&authority, "api.test", protocols).await;
        let host = format!("api.test:{}", server.port());
        let one = json!({ "scheme": "https", "method": "POST", "authority": host, "path": "/echo", "body": "b", "alone": true });
        let (results, outcome) = requests(&bed, &any(server.port()), json!([one, one])).await;
        for result in results.as_array().unwrap() {
            let echoed: Value =
                serde_json::from_str(result["body"].as_str().unwrap_or_else(|| panic!("{result} {:?}", outcome.log))).unwrap();
            assert_eq!((echoed["version"].as_str(), echoed["body"].as_str()), (Some(version), Some("b")));
            // One of the two, never both: `:authority` is in the URI as the server sees it.
            let host_header = echoed["headers"].as_array().unwrap().iter().find(|header| header[0] == "host").map(|header| &header[1]);
            if version == "HTTP/2.0" {
                assert_eq!((echoed["uri"].as_str(), host_header), (Some(format!("https://{host}/echo").as_str()), None));
            } else {
                assert_eq!((echoed["uri"].as_str(), host_header), (Some("/echo"), Some(&json!(host))));
            }
        }
        assert_eq!(server.connections(), 1, "the second request takes the first one's connection");
    }
}

#[tokio::test]
async fn certificates_that_are_not_trusted() {
    let (authority, other) = (Authority::new(), Authority::new());
    let bed = testbed_with(
        "http",
        OutboundOptions { authorities: Some(authority.pem().into_bytes()), ..options(&Names::here()) },
        Arc::new(NoCredentials),
    );
    for (issuer, name) in [(&other, "api.test"), (&authority, "other.test")] {
        let server = Server::start_tls(issuer, name, &["h2"]).await;
        let asked = json!([{ "scheme": "https", "authority": format!("api.test:{}", server.port()), "path": "/echo" }]);
        let (results, outcome) = requests(&bed, &any(server.port()), asked).await;
        assert_eq!(results, json!([{ "error": "TlsCertificateError" }]));
        assert!(told(&outcome).contains("is not trusted"));
        assert_eq!(server.seen().len(), 0);
    }
    let server = Server::start().await;
    let asked = json!([{ "scheme": "https", "authority": format!("api.test:{}", server.port()) }]);
    let (results, _) = requests(&bed, &any(server.port()), asked).await;
    assert!(matches!(results[0]["error"].as_str(), Some("TlsProtocolError" | "ConnectionTerminated")), "{results}");
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let server = Server::start().await;
    let bed = bed();
    let authority = format!("api.test:{}", server.port());
    let part = "0123456789abcdef".repeat(4 * 1024);
    let bytes = part.len() * 128;
    let asked = json!([
        { "method": "POST", "authority": authority, "path": "/count", "body": part, "body_times": 128 },
        { "method": "PUT", "authority": authority, "path": "/count", "body": part, "body_times": 128, "headers": [["content-length", bytes.to_string()]] },
        { "authority": authority, "path": format!("/bytes/{bytes}"), "read": "count" },
    ]);
    let (results, outcome) = requests(&bed, &any(server.port()), asked).await;
    assert_eq!((&results[0]["body"], &results[1]["body"]), (&json!(bytes.to_string()), &json!(bytes.to_string())), "{:?}", outcome.log);
    assert_eq!(results[2]["bytes"], bytes);
}

#[tokio::test]
async fn two_hundred_at_once() {
    let server = Server::start().await;
    let bed = bed();
    // Each is answered once all are there.
    let asked = json!([{ "authority": format!("api.test:{}", server.port()), "path": "/together/200", "times": 200 }]);
    let (results, outcome) = requests(&bed, &any(server.port()), asked).await;
    assert_eq!(results, json!([{ "200": 200 }]), "{:?}", outcome.log);
}

#[tokio::test]
async fn two_hundred_at_once_over_one_connection() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority, "api.test", &["h2"]).await;
    let bed = testbed_with(
        "http",
        OutboundOptions { authorities: Some(authority.pem().into_bytes()), ..options(&Names::here()) },
        Arc::new(NoCredentials),
    );
    let host = format!("api.test:{}", server.port());
    let asked = json!([
        { "scheme": "https", "authority": host, "path": "/echo", "alone": true },
        { "scheme": "https", "authority": host, "path": "/together/200", "times": 200 },
    ]);
    let (results, outcome) = requests(&bed, &any(server.port()), asked).await;
    assert_eq!((&results[1], server.connections()), (&json!({ "200": 200 }), 1), "{:?}", outcome.log);
}

#[tokio::test]
async fn a_stand_in_answers_for_everybody_and_the_grants_are_asked_before() {
    let (names, http, https) = (Names::here(), Server::start().await, Server::start().await);
    let here = |server: &Server| SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    let stand_in = Some(StandIn { http: here(&http), https: here(&https) });
    let resolver = Arc::new(Asking(Arc::clone(&names)));
    let bed = testbed_with("http", OutboundOptions { stand_in, resolver, ..OutboundOptions::default() }, Arc::new(NoCredentials));
    let grants = ["https://api.test", "http://api.test", "http://10.0.0.1:81"].map(str::to_owned);
    let asked = json!([
        { "scheme": "https", "authority": "api.test", "path": "/echo?x", "alone": true },
        { "authority": "api.test", "path": "/echo", "alone": true },
        { "authority": "10.0.0.1:81", "path": "/echo", "alone": true },
        { "scheme": "https", "authority": "other.test", "path": "/echo", "alone": true },
    ]);
    let (results, outcome) = requests(&bed, &grants, asked).await;
    for (at, host) in ["api.test", "api.test", "10.0.0.1:81"].into_iter().enumerate() {
        let body = results[at]["body"].as_str().unwrap_or_else(|| panic!("{results} {:?}", outcome.log));
        let echoed: Value = serde_json::from_str(body).unwrap();
        assert_eq!((echoed["version"].as_str(), &echoed["headers"]), (Some("HTTP/1.1"), &json!([["host", host]])));
    }
    assert_eq!(results[3], json!({ "error": "HttpRequestDenied" }));
    assert_eq!((https.connections(), http.connections()), (1, 2));
    assert!(names.asked().is_empty());
}

#[tokio::test]
async fn who_makes_no_request_pays_nothing_and_names_nobody() {
    let names = Names::here();
    let bed = testbed_with("http", options(&names), Arc::new(NoCredentials));
    let (results, outcome) = requests(&bed, &[], json!([])).await;
    assert_eq!((results, outcome.log.len(), names.asked().len()), (json!([]), 0, 0));
}
