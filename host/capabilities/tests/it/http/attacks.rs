//! Requests that would reach what they must not, by every way there is.

use std::sync::Arc;

use sandmill_capabilities::http::NoCredentials;
use sandmill_model::OutcomeKind;
use serde_json::{Value, json};

use super::{Names, any, bed, facts, facts_in, options, requests, server::Server, told};
use crate::testing::{json as result, testbed_with};

const GRANTED: [&str; 2] = ["http://*", "https://*"];

fn granted() -> Vec<String> {
    GRANTED.map(str::to_owned).to_vec()
}

/// A guest may hold thousands of requests that it never sends: what each of them keeps has a length.
#[tokio::test]
async fn what_a_request_keeps_is_short() {
    let bed = testbed_with("http", options(&Names::here()), Arc::new(NoCredentials));
    let asked = json!([
        { "authority": "api.test", "method": "X".repeat(65) },
        { "authority": "a".repeat(321) },
        { "authority": "api.test", "path": format!("/{}", "x".repeat(16 * 1024)) },
    ]);
    let (results, _) = requests(&bed, &granted(), asked).await;
    for (at, part) in ["method", "authority", "path"].into_iter().enumerate() {
        assert_eq!(results[at]["error"], part, "it is refused where it is set: {results}");
    }
}

#[tokio::test]
async fn addresses_that_are_denied_in_any_spelling() {
    let names = Names::here();
    let bed = testbed_with("http", options(&names), Arc::new(NoCredentials));
    for (authority, error) in [
        ("127.0.0.2", "DestinationIpProhibited"),
        ("10.0.0.1", "DestinationIpProhibited"),
        ("169.254.169.254", "DestinationIpProhibited"),
        ("100.100.100.200", "DestinationIpProhibited"),
        ("0.0.0.0", "DestinationIpProhibited"),
        ("255.255.255.255", "DestinationIpProhibited"),
        ("[::1]", "DestinationIpProhibited"),
        ("[::]", "DestinationIpProhibited"),
        ("[::ffff:127.0.0.2]", "DestinationIpProhibited"),
        ("[::ffff:7f00:2]", "DestinationIpProhibited"),
        ("[0:0:0:0:0:FFFF:a9fe:a9fe]", "DestinationIpProhibited"),
        ("[::127.0.0.2]", "DestinationIpProhibited"),
        ("[64:ff9b::127.0.0.2]", "DestinationIpProhibited"),
        ("[64:ff9b:1::1]", "DestinationIpProhibited"),
        ("[2002:7f00:2::1]", "DestinationIpProhibited"),
        ("[fe80::1]", "DestinationIpProhibited"),
        ("[fd00:ec2::254]", "DestinationIpProhibited"),
        // Other spellings of 127.0.0.1, which is allowed here, and of others.
        ("2130706433", "HttpRequestUriInvalid"),
        ("0x7f000001", "HttpRequestUriInvalid"),
        ("0x7f.1", "HttpRequestUriInvalid"),
        ("0x7f.0x0.0x0.0x1", "HttpRequestUriInvalid"),
        ("127.1", "HttpRequestUriInvalid"),
        ("127.0.1", "HttpRequestUriInvalid"),
        ("0177.0.0.1", "HttpRequestUriInvalid"),
        ("017700000001", "HttpRequestUriInvalid"),
        ("127.0.0.1.", "HttpRequestUriInvalid"),
        ("127.0.0.01", "HttpRequestUriInvalid"),
        ("localhost.", "HttpRequestUriInvalid"),
        ("api.test.", "HttpRequestUriInvalid"),
        ("user@api.test", "HttpRequestUriInvalid"),
        ("127.0.0.1@api.test", "HttpRequestUriInvalid"),
        ("api.test:80@127.0.0.1", "HttpRequestUriInvalid"),
        ("api.test:0", "HttpRequestUriInvalid"),
    ] {
        let (results, outcome) = requests(&bed, &granted(), json!([{ "authority": authority }])).await;
        // What is no authority at all is refused when the guest sets it.
        let ended = results[0]["error"].as_str().unwrap();
        assert!(ended == error || (error == "HttpRequestUriInvalid" && ended == "authority"), "{authority}: {results}");
        if ended != "authority" {
            let line = told(&outcome);
            assert!(line.contains("is not valid") || line.contains("--outbound-allow"), "{line}");
        }
    }
    assert_eq!(names.asked(), [""; 0], "nothing was looked up");
}

#[tokio::test]
async fn names_that_resolve_to_denied_addresses() {
    let server = Server::start().await;
    let port = server.port();
    for answer in [
        &["127.0.0.2"][..],
        &["10.1.2.3"],
        &["169.254.169.254"],
        &["::1"],
        &["::ffff:10.1.2.3"],
        &["64:ff9b::a01:203"],
        // One that is allowed is of no help, wherever it stands.
        &["127.0.0.1", "127.0.0.2"],
        &["192.168.0.1", "127.0.0.1"],
        &["127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "fe80::1"],
    ] {
        let names = Names::with(&[("evil.test", &[answer])]);
        let bed = testbed_with("http", options(&names), Arc::new(NoCredentials));
        let (results, outcome) = requests(&bed, &any(port), json!([{ "authority": format!("evil.test:{port}"), "path": "/echo" }])).await;
        assert_eq!(results, json!([{ "error": "DestinationIpProhibited" }]), "{answer:?}");
        let line = told(&outcome);
        assert!(line.contains("evil.test resolves to ") && line.contains("--outbound-allow "), "{line}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn localhost_as_this_machine_resolves_it() {
    let outbound = sandmill_capabilities::http::OutboundOptions::default();
    let bed = testbed_with("http", outbound, Arc::new(NoCredentials));
    let (results, outcome) = requests(&bed, &granted(), json!([{ "authority": "localhost" }])).await;
    assert_eq!(results, json!([{ "error": "DestinationIpProhibited" }]));
    assert!(told(&outcome).contains("loopback"));
}

#[tokio::test]
async fn a_name_that_changes_its_mind() {
    let server = Server::start().await;
    let port = server.port();
    let names = Names::with(&[("evil.test", &[&["127.0.0.1"], &["127.0.0.2"]])]);
    let bed = testbed_with("http", options(&names), Arc::new(NoCredentials));
    // The first one's connection is closed, so that the second needs another.
    let one = json!({ "authority": format!("evil.test:{port}"), "path": "/close", "alone": true });
    let (results, outcome) = requests(&bed, &any(port), json!([one, one])).await;
    assert_eq!((&results[0]["status"], &results[1]), (&json!(200), &json!({ "error": "DestinationIpProhibited" })));
    assert!(told(&outcome).contains("evil.test resolves to 127.0.0.2"));
    assert_eq!((names.asked().len(), server.connections()), (2, 1), "each connection asks once, and goes where it was told");
}

#[tokio::test]
async fn a_redirect_is_a_request_of_its_own() {
    let server = Server::start().await;
    let port = server.port();
    let bed = bed();
    let grants = [format!("http://api.test:{port}")];
    let (results, _) = requests(&bed, &grants, json!([{ "authority": format!("api.test:{port}"), "path": "/redirect" }])).await;
    assert_eq!(results[0]["status"], 302, "it is the guest that follows");
    assert!(results[0]["headers"].to_string().contains(&format!("http://localhost:{port}/echo")));
    let asked = json!([{ "authority": format!("localhost:{port}"), "path": "/echo" }]);
    let (results, outcome) = requests(&bed, &grants, asked.clone()).await;
    assert_eq!(results, json!([{ "error": "HttpRequestDenied" }]));
    assert!(told(&outcome).contains("no grant"));
    let names = Names::with(&[("localhost", &[&["::1"]])]);
    let bed = testbed_with("http", options(&names), Arc::new(NoCredentials));
    let (results, _) = requests(&bed, &any(port), asked).await;
    assert_eq!(results, json!([{ "error": "DestinationIpProhibited" }]));
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn what_no_grant_covers_is_denied_and_said_in_the_log() {
    let server = Server::start().await;
    let port = server.port();
    let bed = bed();
    let grants = [format!("GET,HEAD http://api.test:{port}/echo"), "http://other.test".to_owned()];
    for (method, authority, path, grant) in [
        ("POST", "api.test", "/echo", "/echo"),
        ("GET", "api.test", "/", ""),
        ("GET", "api.test", "/echoes", "/echoes"),
        ("GET", "api.test", "/echo/../admin", ""),
        ("GET", "api.test", "/echo/%2e%2e/admin", ""),
        ("GET", "api.test", "/echo/..%2Fadmin", ""),
        ("GET", "api.test", "/echo/..%5cadmin", ""),
        ("GET", "other.test", "/echo?secret=1", "/echo"),
        ("GET", "evil.test", "/echo", "/echo"),
        ("GET", "evil.test", "/echo with f/x/y", "/echo"),
    ] {
        let asked = json!([{ "method": method, "authority": format!("{authority}:{port}"), "path": path }]);
        let (results, outcome) = requests(&bed, &grants, asked).await;
        if results[0]["error"] == "path" {
            continue;
        }
        assert_eq!(results, json!([{ "error": "HttpRequestDenied" }]), "{method} {authority}{path}");
        let grant = format!("(http = [\"{method} http://{authority}:{port}{grant}\"])");
        let line = told(&outcome);
        assert!(line.contains(&format!("no grant lets this script send {method} to http://{authority}:{port}")), "{line}");
        assert!(line.contains(&grant) && !line.contains("secret"), "{line}: {grant}");
    }
    assert_eq!((server.connections(), server.seen().len()), (0, 0));
}

#[tokio::test]
async fn targets_and_headers_that_say_something_else() {
    let server = Server::start().await;
    let port = server.port();
    let bed = bed();
    let here = format!("api.test:{port}");
    let mut asked: Vec<Value> = Vec::new();
    for path in
        ["http://other.test/", "http://127.0.0.2/x", "//other.test@x", "*", "other.test:443", "x", "/a b", "/a\r\nHost: b", "/a\nb", "/\0"]
    {
        asked.push(json!({ "authority": here, "path": path }));
    }
    for authority in ["other.test/@api.test", "other.test\r\nx: y", "api.test:80:80", "api.test#", "api.test?x", "", "a b", "api.test\\@b"]
    {
        asked.push(json!({ "authority": authority }));
    }
    for method in ["CONNECT", "TRACE", "GET /x HTTP/1.1\r\nx:", "G T", ""] {
        asked.push(json!({ "method": method, "authority": here }));
    }
    asked.push(json!({ "authority": here, "scheme": "ftp" }));
    asked.push(json!({ "authority": null }));
    for (name, value) in [
        ("x", "a\r\nx-evil: 1"),
        ("x", "a\nb"),
        ("x", "a\rb"),
        ("x", "a\0b"),
        ("x\r\ny", "a"),
        ("x y", "a"),
        ("x:", "a"),
        ("", "a"),
        ("Host", "other.test"),
        ("host", "api.test"),
        ("Connection", "close"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "x"),
        ("Proxy-Anything", "x"),
        ("TE", "trailers"),
        ("Trailer", "x"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "x"),
        ("Content-Length", "-1"),
        ("Content-Length", "+1"),
        ("Content-Length", "1, 1"),
        ("Content-Length", "0x1"),
        (":authority", "other.test"),
        (":path", "/x"),
    ] {
        asked.push(json!({ "authority": here, "headers": [[name, value]] }));
    }
    asked.push(json!({ "authority": here, "headers": [["content-length", "1"], ["content-length", "2"]] }));
    asked.push(json!({ "authority": here, "headers": [["content-length", "5"]] }));
    asked.push(json!({ "authority": here, "path": format!("/{}", "x".repeat(20_000)) }));
    let count = asked.len();
    let (results, _) = requests(&bed, &any(port), Value::from(asked.clone())).await;
    for (asked, result) in asked.iter().zip(results.as_array().unwrap()) {
        // `//other.test@x` is a path like any other.
        let is_path = asked["path"] == "//other.test@x";
        assert_eq!(result["error"].is_string(), !is_path, "{asked}: {result}");
    }
    assert_eq!((results.as_array().unwrap().len(), server.seen().len()), (count, 0));
}

#[tokio::test]
async fn headers_without_end() {
    let bed = bed();
    let headers: Vec<[String; 2]> = (0..1_000).map(|number| [format!("x-{number}"), String::new()]).collect();
    for headers in [json!(headers), json!([["x", "y".repeat(100_000)]])] {
        let outcome = bed.http(facts(&GRANTED), &json!([{ "authority": "api.test", "headers": headers }])).await;
        assert_eq!(outcome.kind, OutcomeKind::Trap);
        assert!(outcome.error.unwrap().message.contains("total size of fields exceeds limit"));
    }
}

#[tokio::test]
async fn bodies_that_are_not_as_long_as_they_say() {
    let server = Server::start().await;
    let bed = bed();
    let here = format!("api.test:{}", server.port());
    for (body, times, length, unfinished) in [("1234", 1, "5", false), ("1234", 1, "3", false), ("1234", 1, "5", true), ("", 1, "1", false)]
    {
        let asked = json!([{
            "method": "POST", "authority": here, "path": "/echo", "body": body, "body_times": times, "headers": [["content-length", length]],
            "unfinished": unfinished, "first_byte_ms": 300,
        }]);
        let (results, _) = requests(&bed, &any(server.port()), asked).await;
        assert!(results[0]["error"].is_string(), "{body} as {length}: {results}");
    }
    for seen in server.seen() {
        assert!(seen["body"].as_str().unwrap().starts_with("broken"), "{seen}");
    }
}

#[tokio::test]
async fn no_connection_is_shared_between_workspaces() {
    let server = Server::start().await;
    let bed = bed();
    let grant = format!("http://api.test:{}", server.port());
    let asked = json!([{ "authority": format!("api.test:{}", server.port()), "path": "/echo" }]);
    let (one, two) = ("00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002");
    for (workspace, connections) in [(one, 1), (one, 1), (two, 2), (one, 2), (two, 2)] {
        let outcome = bed.http(facts_in(workspace, &[&grant]), &asked).await;
        assert_eq!(result(&outcome)[0]["status"], 200);
        assert_eq!(server.connections(), connections, "{workspace}");
    }
}

#[tokio::test]
async fn a_name_that_there_is_none_of_and_a_port_where_nobody_is() {
    let bed = bed();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let grants = [format!("http://*:{closed}")];
    for (name, error, line) in [("nobody.test", "DnsError", "no such name"), ("api.test", "ConnectionRefused", "no connection to api.test")]
    {
        let outcome = bed.http(facts(&[&grants[0]]), &json!([{ "authority": format!("{name}:{closed}") }])).await;
        assert_eq!(result(&outcome), json!([{ "error": error }]));
        assert!(told(&outcome).contains(line));
    }
}
