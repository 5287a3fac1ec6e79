//! Uploaded components, and scripts taken away as components.

use std::{collections::BTreeSet, fs, process::Command};

use sandmill_testkit::{guests::guest, server::Server, wasmtime::wasmtime};
use serde_json::json;

use crate::{commands::sandmill, shared::server};

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_component_goes_through_all_of_it() {
    let server = server();
    server.deploy_component("f/components/hello", fs::read(guest("hello")).unwrap()).await.unwrap();
    for _ in 0..5 {
        let answer = server.call("f/components/hello", &json!({"name": "bob"})).await.unwrap();
        assert_eq!(answer.json().unwrap(), json!({"hello": "bob", "n": [2, 4, 6]}));
    }
    let id = server.start_run("f/components/hello", &json!({"name": "ann"})).await.unwrap();
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap()["hello"], "ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_refused_with_what_to_do() {
    let server = server();
    let unlinkable = r#"(component (import "acme:db/query" (instance (export "run" (func)))) (import "acme:mail/send" (instance (export "go" (func)))))"#;
    for (name, bytes, says) in [
        ("core", wat::parse_str("(module)").unwrap(), vec!["component", "wasm32-wasip2"]),
        ("unlinkable", wat::parse_str(unlinkable).unwrap(), vec!["acme:db/query", "acme:mail/send"]),
        ("empty", wat::parse_str("(component)").unwrap(), vec!["sandmill:script/main"]),
        ("text", b"hello".to_vec(), vec!["component"]),
        ("cut", fs::read(guest("hello")).unwrap()[..2000].to_vec(), vec![]),
    ] {
        let request = server.request(reqwest::Method::PUT, &format!("/api/w/default/scripts/f/components/{name}"));
        let response = request.header("content-type", "application/wasm").body(bytes).send().await.unwrap();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        assert_eq!(status, 422, "{name}: {text}");
        assert!(text.contains("\"invalid_component\""), "{name}: {text}");
        for part in says {
            assert!(text.contains(part), "{name} says {part}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_can_be_taken_away_and_comes_back_as_a_component() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    server.deploy("f/components/away", "typescript", "export function main(name: string) { return { hello: name }; }").await.unwrap();
    let output = sandmill(folder.path(), server, &["scripts", "download", "f/components/away", "-o", "away.wasm"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = fs::read(folder.path().join("away.wasm")).unwrap();
    server.deploy_component("f/components/back", bytes).await.unwrap();
    let answer = server.call("f/components/back", &json!({"name": "bob"})).await.unwrap();
    assert_eq!(answer.json().unwrap(), json!({"hello": "bob"}));
}

/// Whoever deploys waits for the compiler, and nobody after them.
#[tokio::test(flavor = "multi_thread")]
async fn code_is_kept_as_a_component_is_deployed() {
    let server = Server::start(&[]).unwrap();
    let kept = || {
        let names = fs::read_dir(server.data().join("code")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".code")).collect::<BTreeSet<_>>()
    };
    let before = kept();
    let bytes = fs::read(guest("hello")).unwrap();
    server.deploy_component("f/components/one", bytes.clone()).await.unwrap();
    server.deploy_component("f/components/other", fs::read(guest("preprocess")).unwrap()).await.unwrap();
    let after = kept();
    assert_eq!(after.len(), before.len() + 2, "before any run: {after:?}");
    // Known bytes are not compiled again, whatever is said of them.
    server.deploy_component("f/components/again", bytes).await.unwrap();
    let shown = server.get_json("/api/w/default/scripts/f/components/again").await.unwrap();
    assert_eq!((shown["entry"].as_str(), kept()), (Some("script"), after));
    for path in ["f/components/one", "f/components/again"] {
        assert_eq!(server.call(path, &json!({"name": "bob"})).await.unwrap().json().unwrap()["hello"], "bob");
    }
}

/// WASI 0.3, where the operator takes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_of_wasi_0_3_answers() {
    let bytes = fs::read(guest("http_async")).unwrap();
    let server = Server::start(&["--wasi", "0.3"]).unwrap();
    server.deploy_component("f/components/later", bytes.clone()).await.unwrap();
    let shown = server.get_json("/api/w/default/scripts/f/components/later").await.unwrap();
    assert_eq!(shown["entry"], "http", "{shown}");
    for _ in 0..3 {
        let request = server.request(reqwest::Method::POST, "/hooks/default/run/f/components/later");
        let response = request.header("content-type", "text/plain").body("as it came").send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()), (200, "text/plain"));
        assert_eq!(response.text().await.unwrap(), "as it came");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("later.wasm"), bytes.clone()).unwrap();
    let output = sandmill(folder.path(), &server, &["run", "./later.wasm", "--args", "{\"a\":1}"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "\"{\\\"a\\\":1}\"", "{}", String::from_utf8_lossy(&output.stderr));
    let elsewhere = crate::shared::server();
    let request = elsewhere.request(reqwest::Method::PUT, "/api/w/default/scripts/f/components/later");
    let response = request.header("content-type", "application/wasm").body(bytes).send().await.unwrap();
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
    assert!(status == 422 && text.contains("--wasi 0.3"), "{status}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standalone_component_runs_in_another_host() {
    let Some(wasmtime) = wasmtime() else { return };
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let silent = "export function main(name: string) { return { hello: name }; }";
    let logging = "import { log } from 'sandmill';\nexport function main(name: string) { log.info('greeting', { name }); console.log('hi'); return { hello: name }; }";
    let failing = "export function main(name: string) { throw new RangeError(`no ${name}`); }";
    for (name, source, says) in [
        ("silent", silent, r#"ok(json("{\"hello\":\"bob\"}"))"#),
        ("logging", logging, r#"ok(json("{\"hello\":\"bob\"}"))"#),
        ("failing", failing, r#"err({name: "RangeError", message: "no bob""#),
    ] {
        let path = format!("f/components/{name}");
        server.deploy(&path, "typescript", source).await.unwrap();
        let download = sandmill(folder.path(), server, &["scripts", "download", &path, "--standalone", "-o", "x.wasm"]);
        assert!(download.status.success(), "{}", String::from_utf8_lossy(&download.stderr));
        let mut run = Command::new(&wasmtime);
        run.args(["run", "-S", "http", "--invoke", r#"run("{\"name\":\"bob\"}")"#, "x.wasm"]).current_dir(folder.path());
        let output = run.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains(says), "{name}: {out}\n{err}");
    }
}
