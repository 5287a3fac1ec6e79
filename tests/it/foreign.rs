//! Components that other people's toolchains made, which know nothing of this platform: they run as they are.

use reqwest::Method;
use sandmill_testkit::foreign::foreign;
use serde_json::{Value, json};

use crate::shared::server;

/// Deployed under its own name; none where its toolchain could not be had.
async fn deployed(name: &str) -> Option<String> {
    let bytes = foreign(name)?;
    let path = format!("f/foreign/{name}");
    server().deploy_component(&path, bytes).await.unwrap();
    Some(path)
}

async fn check_handler(name: &str, language: &str) {
    let Some(path) = deployed(name).await else { return };
    let server = server();
    let request = server.request(Method::POST, &format!("/hooks/default/run/{path}?q=%C3%BC"));
    let response = request.header("x-a", "1").json(&json!({"a": 1})).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &"application/json".parse().unwrap()));
    let seen: Value = response.json().await.unwrap();
    assert_eq!((&seen["language"], &seen["method"], &seen["path"]), (&json!(language), &json!("POST"), &json!("/")), "{seen}");
    assert_eq!((&seen["body"], &seen["headers"]["x-a"]), (&json!({"a": 1}), &json!(["1"])), "{seen}");
    assert!(seen["query"].as_str().unwrap().contains("q=%C3%BC"), "{seen}");
    assert!(seen["headers"]["authorization"].is_null(), "the caller's token is nobody's: {seen}");
    // Without an HTTP request around it, the body of its answer is the result.
    let id = server.start_run(&path, &json!({"b": 2})).await.unwrap();
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!(run["status"], "succeeded", "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_handler_of_componentize_js() {
    check_handler("js-http", "javascript").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_of_componentize_py() {
    check_handler("py-http", "python").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_of_wstd() {
    check_handler("rust-wstd-http", "rust").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_componentize_py_against_our_world() {
    let Some(path) = deployed("py-script").await else { return };
    let server = server();
    for count in 1..=2 {
        let answer = server.call(&path, &json!({"mode": "count"})).await.unwrap().json().unwrap();
        assert_eq!(answer, json!({"language": "python", "args": {"mode": "count"}, "count": count}));
    }
    let answer = server.call(&path, &json!({"mode": "bytes"})).await.unwrap();
    assert!(answer.body.starts_with(b"\x89PNG"));
    let id = server.start_run(&path, &json!({"mode": "fail"})).await.unwrap();
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!((&run["outcome"], &run["error"]["name"]), (&json!("error"), &json!("ValueError")), "{run}");
    let id = server.start_run(&path, &json!({"mode": "none"})).await.unwrap();
    assert_eq!(server.ended_run(&id).await.unwrap()["outcome"], "trap");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_go() {
    let Some(path) = deployed("go-command").await else { return };
    let server = server();
    let answer = server.call(&path, &json!({"mode": "json", "words": ["b", "a", "b"]})).await.unwrap().json().unwrap();
    assert_eq!((&answer["language"], &answer["counts"]), (&json!("go"), &json!({"a": 1, "b": 2})), "{answer}");
    let id = server.start_run(&path, &json!({"mode": "exit3"})).await.unwrap();
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!((&run["outcome"], &run["error"]["name"]), (&json!("error"), &json!("Exit")), "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_c() {
    let Some(path) = deployed("c-command").await else { return };
    let server = server();
    let answer = server.call(&path, &json!({"mode": "json", "a": 1})).await.unwrap().json().unwrap();
    assert_eq!((&answer["language"], &answer["args"]), (&json!("c"), &json!({"mode": "json", "a": 1})), "{answer}");
    let id = server.start_run(&path, &json!({"mode": "fail"})).await.unwrap();
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!((&run["outcome"], &run["error"]["name"]), (&json!("error"), &json!("Exit")), "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_with_types_of_their_own() {
    let server = server();
    let bytes = std::fs::read(sandmill_testkit::guests::guest("functions")).unwrap();
    let put = async |path: &str, manifest: Value| {
        let request = server.request(Method::PUT, &format!("/api/w/default/scripts/{path}"));
        let request = request.header("content-type", "application/wasm").header("sandmill-manifest", manifest.to_string());
        request.body(bytes.clone()).send().await.unwrap()
    };
    let several = put("f/foreign/shapes", json!({})).await;
    assert_eq!(several.status(), 422);
    assert!(several.text().await.unwrap().contains("acme:shapes/ops@1.2.0#area"));
    let area = put("f/foreign/area", json!({"export": "area"})).await;
    assert!(area.status().is_success(), "{:?}", area.text().await);
    let answer = server.call("f/foreign/area", &json!({"shape": {"rectangle": [2, 3]}})).await.unwrap();
    assert_eq!(answer.json().unwrap(), json!(6.0));
    let wrong = server.call("f/foreign/area", &json!({"shape": {"triangle": 1}})).await.unwrap();
    assert_eq!(wrong.status, 422);
    let shown = server.get_json("/api/w/default/scripts/f/foreign/area").await.unwrap();
    assert_eq!((&shown["entry"], &shown["export"]), (&json!("function"), &json!("acme:shapes/ops@1.2.0#area")), "{shown}");
    // The same bytes, once more: the component is kept once, whatever is called of it.
    let divide = put("f/foreign/divide", json!({"export": "acme:shapes/ops#divide"})).await;
    assert!(divide.status().is_success());
    let answer = server.call("f/foreign/divide", &json!({"dividend": "9223372036854775807", "divisor": 1})).await.unwrap();
    assert_eq!(answer.json().unwrap(), json!("9223372036854775807"));
    let other = server.get_json("/api/w/default/scripts/f/foreign/divide").await.unwrap();
    assert_eq!(shown["component"], other["component"]);
}
