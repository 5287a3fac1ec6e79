//! The HTTP contract with malformed, hostile and unauthorised requests.

use std::fs;

use reqwest::Method;
use sandmill_testkit::binary::root;
use serde_json::{Value, json};

use crate::shared::server;

const PUSH: &[u8] = br#"{"language":"typescript","source":"export function main() {}"}"#;
/// A segment of 65 characters.
const LONG_SEGMENT: &str = "/hooks/default/run/f/api/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_clear_answers() {
    let server = server();
    server.deploy("f/api/echo", "typescript", "export function main(a: unknown) { return a; }").await.unwrap();
    let json_type = "application/json";
    let cases = vec![
        (Method::POST, "/hooks/default/run/f/api/echo", json_type, b"{".to_vec(), 400, "invalid_json"),
        (Method::POST, "/hooks/default/run/f/api/echo", json_type, b"{\"a\":\"\xff\"}".to_vec(), 400, "invalid_json"),
        (Method::POST, "/hooks/default/run/f/api/echo", json_type, b"{\"a\":NaN}".to_vec(), 400, "invalid_json"),
        (Method::POST, "/hooks/default/run/f/api/missing", json_type, b"{}".to_vec(), 404, "not_found"),
        (Method::POST, "/hooks/nowhere/run/f/api/echo", json_type, b"{}".to_vec(), 404, "not_found"),
        (Method::POST, "/hooks/default/run/x/api/echo", json_type, b"{}".to_vec(), 400, "invalid_path"),
        (Method::POST, "/hooks/default/run/f/api/%2e%2e/echo", json_type, b"{}".to_vec(), 400, "invalid_path"),
        (Method::POST, "/hooks/default/run/f/api/a%2fb%00", json_type, b"{}".to_vec(), 400, "invalid_path"),
        (Method::POST, "/hooks/default/run/f/api", json_type, b"{}".to_vec(), 400, "invalid_path"),
        (Method::POST, "/hooks/default/run/f/api//echo", json_type, b"{}".to_vec(), 400, "invalid_path"),
        (Method::POST, "/hooks/default/run/f/api/.", json_type, b"{}".to_vec(), 400, "invalid_path"),
        (Method::POST, "/hooks/default/run/f/api/%c3%a4", json_type, b"{}".to_vec(), 400, "invalid_path"),
        (Method::POST, "/hooks/default/run/f/1/2/3/4/5/6/7/8", json_type, b"{}".to_vec(), 400, "invalid_path"),
        (Method::POST, LONG_SEGMENT, json_type, b"{}".to_vec(), 400, "invalid_path"),
        (Method::PUT, "/api/w/default/scripts/x/api/bad", json_type, PUSH.to_vec(), 400, "invalid_path"),
        (Method::PUT, "/api/w/default/scripts/f/api/%2e%2e", json_type, PUSH.to_vec(), 400, "invalid_path"),
        (Method::GET, "/api/w/default/scripts/f/api/missing", json_type, vec![], 404, "not_found"),
        (Method::PUT, "/api/w/default/scripts/f/api/bad", json_type, b"{\"language\":\"\xff\"}".to_vec(), 400, "invalid_json"),
        (Method::POST, "/hooks/default/run/f/api/echo@99", json_type, b"{}".to_vec(), 404, "not_found"),
        (Method::DELETE, "/hooks/default/run/f/api/echo", json_type, Vec::new(), 405, "method_not_allowed"),
        (Method::GET, "/api/w/default/runs/not-an-id", json_type, vec![], 404, "not_found"),
        (Method::GET, "/api/w/default/runs/01890000-0000-7000-8000-000000000000", json_type, vec![], 404, "not_found"),
        (Method::GET, "/nothing/here", json_type, vec![], 404, "not_found"),
        (Method::PUT, "/api/w/default/scripts/f/api/bad", json_type, br#"{"language":"cobol","source":""}"#.to_vec(), 400, ""),
        (
            Method::PUT,
            "/api/w/default/scripts/f/api/bad",
            json_type,
            br#"{"language":"typescript","source":"export function main() {}","manifest":{"limit":1}}"#.to_vec(),
            422,
            "invalid_manifest",
        ),
        (Method::PUT, "/api/w/default/scripts/f/api/bad", "application/wasm", b"\0asm\x01\0\0\0".to_vec(), 422, "invalid_component"),
        (Method::PUT, "/api/w/default/scripts/f/api/bad", "application/wasm", b"not wasm".to_vec(), 422, "invalid_component"),
    ];
    for (method, path, kind, body, status, code) in cases {
        let response = server.request(method.clone(), path).header("content-type", kind).body(body).send().await.unwrap();
        let found = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        assert_eq!(found, status, "{method} {path}: {text}");
        assert_eq!(headers["content-type"], "application/problem+json", "{method} {path}");
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert!(!problem["request_id"].as_str().unwrap().is_empty() && headers.contains_key("x-request-id"));
        if !code.is_empty() {
            assert_eq!(problem["code"], code, "{method} {path}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_needed_and_kept_out_of_the_log() {
    let server = server();
    server.deploy("f/api/auth", "typescript", "export function main() { return 1; }").await.unwrap();
    let http = reqwest::Client::new();
    let url = format!("{}/hooks/default/run/f/api/auth", server.url);
    let long = "x".repeat(7_000);
    let tokens = [None, Some(""), Some("sm_wrong"), Some("\"' or 1=1 --"), Some(long.as_str()), Some(server.token.as_str())];
    for (token, status) in tokens.into_iter().zip([401, 401, 401, 401, 401, 200]) {
        let mut request = http.post(&url).json(&json!({}));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{token:?}");
    }
    let basic = http.post(&url).basic_auth("admin", Some(&server.token)).json(&json!({})).send().await.unwrap();
    assert_eq!(basic.status().as_u16(), 401);
    let wrong_query = http.get(format!("{url}?token=sm_wrong")).send().await.unwrap();
    assert_eq!(wrong_query.status().as_u16(), 401);
    let with_query = http.get(format!("{url}?token={}", server.token)).send().await.unwrap();
    assert_eq!(with_query.status().as_u16(), 200);
    assert!(!server.log().contains(&server.token), "the token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_mebibytes_pass_and_more_do_not() {
    let server = server();
    server.deploy("f/api/size", "typescript", "export function main(a: string) { return a.length; }").await.unwrap();
    let body = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    let exact = 8 * 1024 * 1024;
    for (bytes, status) in [(exact, 200), (exact + 1, 413), (exact * 4, 413)] {
        let request = server.request(Method::POST, "/hooks/default/run/f/api/size").header("content-type", "application/json");
        match request.body(body(bytes)).send().await {
            Ok(response) => assert_eq!(response.status().as_u16(), status, "{bytes} bytes: {}", response.text().await.unwrap()),
            // A server may close the connection while the rest of a refused body is still on its way.
            Err(error) => assert_eq!(status, 413, "{bytes} bytes: {error}"),
        }
    }
}

/// RFC 8259 lets them pass; no language that we run could hold them.
#[tokio::test(flavor = "multi_thread")]
async fn json_that_nothing_can_hold_is_refused_as_arguments() {
    let server = server();
    for (name, source) in [
        ("any", "export function main(a: unknown) { return a; }"),
        ("none", "export function main() { return 1; }"),
        ("text", "export function main(a: string) { return a; }"),
    ] {
        server.deploy(&format!("f/api/hold-{name}"), "typescript", source).await.unwrap();
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        for value in ["\"\\ud83d\"", "1e400", deep.as_str()] {
            for body in [format!("{{\"a\":{value}}}"), value.to_owned()] {
                for mode in ["run", "start"] {
                    let request = server.request(Method::POST, &format!("/hooks/default/{mode}/f/api/hold-{name}"));
                    let response = request.header("content-type", "application/json").body(body.clone()).send().await.unwrap();
                    let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
                    let which = || format!("{name} {mode} {}: {text}", body.chars().take(20).collect::<String>());
                    let problem: Value = serde_json::from_str(&text).unwrap();
                    if value == deep {
                        assert_eq!((status, &problem["code"]), (400, &json!("invalid_json")), "{}", which());
                    } else {
                        assert_eq!((status, &problem["code"]), (422, &json!("invalid_arguments")), "{}", which());
                        assert_eq!(problem["faults"][0]["pointer"], "", "{}", which());
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_answer_as_they_choose() {
    let server = server();
    let source = "export function main(kind: string) {\n  if (kind === 'http') return { $http: { status: 418, headers: { 'x-a': 'b', 'content-type': 'text/html' }, body: '<p>tea</p>' } };\n  if (kind === 'bytes') return new Uint8Array([1, 2, 255]);\n  if (kind === 'split') return { $http: { headers: { 'x-a': 'b\\r\\nset-cookie: c=d' }, body: '' } };\n  return 'text';\n}\n";
    server.deploy("f/api/answers", "typescript", source).await.unwrap();
    let answer = server.call("f/api/answers", &json!({"kind": "http"})).await.unwrap();
    assert_eq!((answer.status, answer.header("x-a"), answer.text().as_str()), (418, Some("b"), "<p>tea</p>"));
    assert_eq!(answer.header("content-security-policy"), Some("sandbox"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let answer = server.call("f/api/answers", &json!({"kind": "bytes"})).await.unwrap();
    assert_eq!((answer.header("content-type"), answer.body.as_ref()), (Some("application/octet-stream"), &[1_u8, 2, 255][..]));
    let answer = server.call("f/api/answers", &json!({"kind": "split"})).await.unwrap();
    assert!(answer.header("set-cookie").is_none(), "{answer:?}");
    let get = server.request(Method::GET, "/hooks/default/run/f/api/answers?kind=other").send().await.unwrap();
    assert_eq!(get.text().await.unwrap(), "\"text\"");
}

/// With what the kinds of trigger say, whom the tests of the API do not know.
#[tokio::test(flavor = "multi_thread")]
async fn the_description_that_is_checked_in_is_served() {
    let kept = fs::read_to_string(root().join("host/api/openapi.json")).unwrap();
    let served = server().request(Method::GET, "/openapi.json").send().await.unwrap().text().await.unwrap();
    assert!(served == kept, "host/api/openapi.json is not fresh: run `cargo xtask codegen`");
    assert!(served.contains("\"/hooks/{workspace}/run/{path}\""), "{served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_health_readiness_and_metrics() {
    let server = server();
    let http = reqwest::Client::new();
    for path in ["/health", "/ready", "/openapi.json"] {
        assert_eq!(http.get(format!("{}{path}", server.url)).send().await.unwrap().status().as_u16(), 200, "{path}");
    }
    server.deploy("f/api/metrics", "typescript", "export function main() { return 1; }").await.unwrap();
    server.call("f/api/metrics", &json!({})).await.unwrap();
    let metrics = server.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("sandmill_attempts_total{outcome=\"ok\"}"), "{metrics}");
    assert!(metrics.contains("sandmill_attempt_seconds_bucket"), "{metrics}");
}
