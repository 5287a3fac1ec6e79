//! Credentials and placeholders: where they go, and where they never do.

use std::{collections::HashMap, sync::Arc};

use sandmill_capabilities::http::{CredentialsPort, HttpCredentials};
use sandmill_model::{BoxFuture, Outcome, ScriptPath, WorkspaceId};
use serde_json::{Value, json};

use super::{Names, facts, options, server::Server, told};
use crate::testing::{Testbed, json as result, testbed_with};

const SECRET: &str = "s3cr3t &/ü";
const HEADER_SECRET: &str = "Bearer t0ken";

/// `f/api/main` and `f/api/other`, of two origins; `f/api/broken` cannot be had.
struct Known(HashMap<String, HttpCredentials>);

impl CredentialsPort for Known {
    fn credentials(&self, workspace: WorkspaceId, path: &ScriptPath) -> BoxFuture<'_, Result<Option<HttpCredentials>, String>> {
        assert_eq!(workspace.to_string(), "00000000-0000-7000-8000-000000000001");
        let path = path.to_string();
        Box::pin(async move { if path == "f/api/broken" { Err("the key is lost".to_owned()) } else { Ok(self.0.get(&path).cloned()) } })
    }
}

fn bed(port: u16) -> Testbed {
    let credentials = |origin: String, name: &str| HttpCredentials {
        origin: origin.parse().unwrap(),
        headers: vec![("Authorization".to_owned(), HEADER_SECRET.to_owned()), ("X-Of".to_owned(), name.to_owned())],
        query: vec![("api_key".to_owned(), SECRET.to_owned())],
    };
    let known = HashMap::from([
        ("f/api/main".to_owned(), credentials(format!("http://api.test:{port}"), "main")),
        ("f/api/other".to_owned(), credentials(format!("http://other.test:{port}"), "other")),
        (
            "f/api/odd".to_owned(),
            HttpCredentials { headers: vec![("Host".into(), "x".into())], ..credentials(format!("http://api.test:{port}"), "") },
        ),
        (
            "f/api/lines".to_owned(),
            HttpCredentials { headers: vec![("x".into(), "a\r\nb: c".into())], ..credentials(format!("http://api.test:{port}"), "") },
        ),
    ]);
    testbed_with("http", options(&Names::here()), Arc::new(Known(known)))
}

fn headers(seen: &Value) -> Vec<(String, String)> {
    serde_json::from_value(seen["headers"].clone()).unwrap()
}

fn no_secret_in(outcome: &Outcome) {
    let log: String = outcome.log.iter().map(|entry| entry.message.as_str()).collect();
    assert!(!log.contains("t0ken") && !log.contains("s3cr3t"), "{log}");
}

#[tokio::test]
async fn credentials_go_to_their_own_origin_alone() {
    let server = Server::start().await;
    let port = server.port();
    let bed = bed(port);
    let granted = facts(&[&format!("http://*:{port} with f/api/main"), &format!("GET http://*:{port}/nothing")]);
    let own = json!([["authorization", "mine"], ["x-of", "mine"], ["X-OF", "mine, too"]]);
    let asked = json!([
        { "authority": format!("api.test:{port}"), "path": "/echo?api_key=mine&x=1", "headers": own, "read": "nothing", "alone": true },
        { "authority": format!("other.test:{port}"), "path": "/echo?api_key=mine&x=1", "headers": own, "read": "nothing", "alone": true },
    ]);
    let outcome = bed.http(granted, &asked).await;
    let (seen, results) = (server.seen(), result(&outcome));
    assert!(!results.to_string().contains("t0ken") && !results.to_string().contains("s3cr3t"), "{results}");
    no_secret_in(&outcome);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(seen[0]["uri"], "/echo?x=1&api_key=s3cr3t%20%26%2F%C3%BC");
    let (to_main, to_other) = (headers(&seen[0]), headers(&seen[1]));
    assert!(to_main.contains(&pair("authorization", HEADER_SECRET)) && to_main.contains(&pair("x-of", "main")), "{to_main:?}");
    assert_eq!(to_main.len(), 3, "the guest's own of the same names are gone: {to_main:?}");
    assert_eq!(seen[1]["uri"], "/echo?api_key=mine&x=1");
    assert!(!to_other.iter().any(|(_, value)| value.contains("t0ken")) && to_other.contains(&pair("x-of", "mine, too")), "{to_other:?}");
}

#[tokio::test]
async fn credentials_of_grants_that_cover_the_request_alone() {
    let server = Server::start().await;
    let port = server.port();
    let bed = bed(port);
    let granted = facts(&[&format!("http://api.test:{port}"), &format!("http://api.test:{port}/echo/with with f/api/main")]);
    let authority = format!("api.test:{port}");
    let asked = json!([
        { "authority": authority, "path": "/echo/with", "alone": true, "read": "nothing" },
        { "authority": authority, "path": "/echo/without", "alone": true, "read": "nothing" },
        { "authority": authority, "path": "/echo/with/../without", "alone": true, "read": "nothing" },
    ]);
    let outcome = bed.http(granted, &asked).await;
    let with: Vec<bool> = server.seen().iter().map(|seen| seen.to_string().contains("t0ken")).collect();
    assert_eq!(with, [true, false, false], "{:?}", outcome.log);
}

#[tokio::test]
async fn credentials_that_were_given_for_less_go_no_further() {
    let server = Server::start().await;
    let port = server.port();
    let bed = bed(port);
    // What was given without credentials is nothing that is asked for.
    let given = [format!("http:GET http://api.test:{port}/echo/with with f/api/main"), format!("http:http://api.test:{port}")];
    *bed.ports.given.lock().unwrap() = Some(Ok(given.iter().map(|grant| grant.parse().unwrap()).collect()));
    let authority = format!("api.test:{port}");
    let asked = json!([
        { "authority": authority, "path": "/echo/with", "alone": true, "read": "nothing" },
        { "authority": authority, "path": "/echo/without", "alone": true, "read": "nothing" },
        { "method": "POST", "authority": authority, "path": "/echo/with", "alone": true, "read": "nothing" },
    ]);
    let wish = format!("http://api.test:{port} with f/api/main");
    let outcome = bed.http(facts(&[&wish]), &asked).await;
    let with: Vec<bool> = server.seen().iter().map(|seen| seen.to_string().contains("t0ken")).collect();
    assert_eq!(with, [true], "{:?}", outcome.log);
    let results = result(&outcome);
    for number in [1, 2] {
        assert_eq!(results[number], json!({ "error": "HttpRequestDenied" }));
        let line = &outcome.log[number - 1].message;
        // One of the bed's secrets is a part of the resource's path.
        assert!(line.contains(&format!("sandmill grants give f/test/script \"http:{}", wish.trim_end_matches("main"))), "{line}");
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_had_or_sent() {
    let server = Server::start().await;
    let port = server.port();
    let bed = bed(port);
    for (resource, line) in [
        ("f/api/broken", "f/api/broken: the key is lost"),
        ("f/api/odd", "a name that none may have"),
        ("f/api/lines", "characters that no header may have"),
    ] {
        let asked = json!([{ "authority": format!("api.test:{port}"), "path": "/echo" }]);
        let outcome = bed.http(facts(&[&format!("http://*:{port} with {resource}")]), &asked).await;
        assert_eq!(result(&outcome), json!([{ "error": "ConfigurationError" }]));
        assert!(told(&outcome).contains(line), "{}", told(&outcome));
    }
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn placeholders_are_replaced_where_their_grant_covers() {
    let server = Server::start().await;
    let port = server.port();
    let bed = bed(port);
    let granted = facts(&[&format!("http://api.test:{port} with f/vars/key"), &format!("http://other.test:{port} with f/vars/another")]);
    let text = granted.placeholders().make(&"f/vars/key".parse().unwrap(), "s3cr3t/1").unwrap();
    let encoded = text.replace('{', "%7B").replace('}', "%7D").replace(':', "%3A");
    let one = |host: &str, body: String, headers: Value| {
        json!({
            "method": "POST", "authority": format!("{host}:{port}"), "path": format!("/echo?k={text}&l={encoded}"), "body": body,
            "headers": headers, "read": "nothing", "alone": true,
        })
    };
    let body = format!("a {text} b {encoded} {{{{");
    let with_length = json!([["x-key", format!("Key {text}")], ["content-length", body.len().to_string()]]);
    // Longer than a part, so that placeholders lie across two.
    let long = format!("{}{text}", "x".repeat(1_013)).repeat(50);
    let asked = json!([
        one("api.test", body.clone(), with_length.clone()),
        one("other.test", body.clone(), with_length),
        one("api.test", long.clone(), json!([])),
        one("api.test", String::new(), json!([["content-length", "0"]])),
    ]);
    let outcome = bed.http(granted, &asked).await;
    let seen = server.seen();
    assert_eq!(seen.len(), 4, "{:?} {:?}", outcome.log, outcome.output);
    no_secret_in(&outcome);
    assert_eq!(seen[0]["uri"], "/echo?k=s3cr3t%2F1&l=s3cr3t%2F1");
    assert_eq!(seen[0]["body"], "a s3cr3t/1 b s3cr3t%2F1 {{");
    let value = |seen: &Value, name: &str| headers(seen).into_iter().find(|(own, _)| own == name).map(|(_, value)| value);
    assert_eq!(value(&seen[0], "x-key").unwrap(), "Key s3cr3t/1");
    assert_eq!((value(&seen[0], "content-length"), value(&seen[0], "transfer-encoding").as_deref()), (None, Some("chunked")));
    assert!(!seen[1].to_string().contains("s3cr3t"), "{}", seen[1]);
    assert_eq!((seen[1]["body"].as_str(), value(&seen[1], "x-key")), (Some(body.as_str()), Some(format!("Key {text}"))));
    assert_eq!(value(&seen[1], "content-length").unwrap(), body.len().to_string());
    assert_eq!(seen[2]["body"], long.replace(&text, "s3cr3t/1"));
    assert_eq!(seen[3]["body"], "");
}

#[tokio::test]
async fn secrets_neither_change_the_path_nor_make_a_request_long() {
    let server = Server::start().await;
    let port = server.port();
    let bed = bed(port);
    let path: ScriptPath = "f/vars/key".parse().unwrap();
    let ask = async |secret: &str, times: usize, place: &str| {
        let granted = facts(&[&format!("http://api.test:{port}/echo with f/vars/key")]);
        let text = granted.placeholders().make(&path, secret).unwrap().repeat(times);
        let encoded = text.replace('{', "%7B").replace('}', "%7D").replace(':', "%3A");
        let (target, headers, body) = match place {
            "path" => (format!("/echo/{encoded}"), json!([]), String::new()),
            "query" => (format!("/echo?k={encoded}"), json!([]), String::new()),
            "header" => ("/echo".to_owned(), json!([["x-key", text]]), String::new()),
            _ => ("/echo".to_owned(), json!([]), text),
        };
        let asked = json!([{
            "method": "POST", "authority": format!("api.test:{port}"), "path": target, "headers": headers, "body": body, "read": "nothing", "alone": true,
        }]);
        let before = server.seen().len();
        let outcome = bed.http(granted, &asked).await;
        no_secret_in(&outcome);
        server.seen().len() > before
    };
    assert!(ask("s3cr3t", 1, "path").await && ask("a b", 1, "path").await && ask("a/b", 1, "query").await);
    for secret in ["a/b", "..", ".", "../..", "..\\..", "%2e%2e", "..;"] {
        assert!(!ask(secret, 1, "path").await, "{secret}");
    }
    let long = "x".repeat(4 * 1024);
    for (place, fits) in [("query", 3), ("header", 15), ("body", 15)] {
        assert!(ask(&long, fits, place).await, "{place}");
        assert!(!ask(&long, fits + 3, place).await, "{place}");
    }
    assert!(facts(&[]).placeholders().make(&path, &"x".repeat(4 * 1024 + 1)).is_err());
}

#[tokio::test]
async fn placeholders_of_another_run_are_text() {
    let server = Server::start().await;
    let port = server.port();
    let bed = bed(port);
    let grant = format!("http://api.test:{port} with f/vars/key");
    let path: ScriptPath = "f/vars/key".parse().unwrap();
    let text = facts(&[&grant]).placeholders().make(&path, "s3cr3t").unwrap();
    let granted = facts(&[&grant]);
    granted.placeholders().make(&path, "another").unwrap();
    let asked = json!([{ "authority": format!("api.test:{port}"), "path": "/echo", "headers": [["x-key", text]], "read": "nothing" }]);
    bed.http(granted, &asked).await;
    assert!(server.seen()[0].to_string().contains(&text));
}
