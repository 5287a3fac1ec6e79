//! The SDKs for guests: each one's own tests, as whoever works on it runs them; and what is written with them on a server.

use std::{fs, path::PathBuf, process::Command};

use reqwest::Method;
use sandmill_testkit::{
    binary::{binary, root},
    foreign::zig,
    toolchain::is_here,
};
use serde_json::{Value, json};

use crate::shared::server;

fn command(program: &str, arguments: &[&str], folder: &str) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root().join(folder));
    command
}

fn check(mut command: Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}:\n{out}\n{err}");
}

#[test]
fn python() {
    if is_here("python3", &["--version"]) {
        check(command("python3", &["-W", "error", "-m", "unittest", "discover", "-s", "guest-sdk/python/tests"], "."));
    }
}

#[test]
fn typescript() {
    if is_here("node", &["--version"]) && is_here("npm", &["--version"]) {
        let folder = "guest-sdk/typescript";
        check(command("npm", &["ci", "--no-audit", "--no-fund", "--loglevel=error"], folder));
        check(command("node", &["--test"], folder));
    }
}

#[test]
fn c() {
    if is_here("cc", &["--version"]) && is_here("python3", &["--version"]) {
        let mut tests = command("python3", &["-m", "unittest", "discover", "-s", "guest-sdk/c/tests"], ".");
        // With it each script is compiled for wasm, too.
        if let Some(zig) = zig() {
            tests.env("ZIG", zig.trim_end_matches(" cc"));
        }
        check(tests);
    }
}

#[test]
fn go() {
    if is_here("go", &["version"]) {
        check(command("go", &["test", "./..."], "guest-sdk/go"));
    }
}

/// A folder of cargo's that stays from one test run to the next.
fn rust_target() -> PathBuf {
    binary().parent().unwrap().join("testkit-sdk-rust")
}

fn rust() {
    for arguments in [&["test", "--locked", "--workspace", "--all-targets"][..], &["test", "--locked", "--doc"]] {
        let mut cargo = command(env!("CARGO"), arguments, "guest-sdk/rust");
        cargo.env("CARGO_TARGET_DIR", rust_target()).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        check(cargo);
    }
}

/// What the SDK's own tests have built, deployed; it is given what it asks for.
async fn deployed(component: &str, path: &str, grants: Value) {
    let built = rust_target().join("tmp/components/wasm32-wasip2/release").join(component);
    let server = server();
    let request = server.request(Method::PUT, &format!("/api/w/default/scripts/{path}")).header("content-type", "application/wasm");
    let request = request.header("sandmill-manifest", json!({"grants": grants}).to_string());
    let response = request.body(fs::read(built).unwrap()).send().await.unwrap();
    assert!(response.status().is_success(), "{component}: {:?}", response.text().await);
    for grant in grants["runs"].as_array().into_iter().flatten() {
        let request = server.request(Method::PATCH, &format!("/api/w/default/grants/{path}"));
        let response = request.json(&json!({"give": [format!("runs:{}", grant.as_str().unwrap())]})).send().await.unwrap();
        assert!(response.status().is_success(), "{grant}: {:?}", response.text().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_here_and_on_a_server() {
    tokio::task::spawn_blocking(rust).await.unwrap();
    let server = server();
    let call = async |path: &str, arguments: Value| server.call(path, &arguments).await.unwrap();

    deployed("hello.wasm", "f/sdk-rust/hello", json!({})).await;
    let answer = call("f/sdk-rust/hello", json!({"name": "bob"})).await;
    assert_eq!(answer.json().unwrap(), json!({"hello": "bob", "n": [2, 4, 6]}));
    assert_eq!(call("f/sdk-rust/hello", json!({})).await.status, 422, "its schema is its own");

    // State and its compare-and-swap; a request that nobody has granted.
    deployed("visits.wasm", "f/sdk-rust/visits", json!({})).await;
    for visits in 1..=2 {
        assert_eq!(call("f/sdk-rust/visits", json!({"page": "/docs"})).await.json().unwrap(), json!(visits));
    }
    let id = server.start_run("f/sdk-rust/visits", &json!({"page": "/", "tell": "https://example.com/"})).await.unwrap();
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!((&run["outcome"], &run["error"]["name"]), (&json!("denied"), &json!("HTTP-request-denied")), "{run}");
    assert!(server.run_log(&id).await.unwrap().contains("visited"));

    // A preprocessor, and an answer of its own making.
    deployed("examples/events.wasm", "f/sdk-rust/events", json!({})).await;
    let hook = async |signature: &str| {
        let request = server.request(Method::POST, "/hooks/default/run/f/sdk-rust/events").header("x-github-event", "push");
        let request = if signature.is_empty() { request } else { request.header("x-hub-signature-256", signature) };
        let response = request.json(&json!({"ref": "main"})).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(hook("").await, (401, "who are you?".to_owned()));
    assert_eq!(hook("sha256=0").await, (202, "main".to_owned()));

    // Children, in their order.
    server.deploy("f/demo/count", "typescript", "export const main = (text: string) => text.length;").await.unwrap();
    deployed("examples/children.wasm", "f/sdk-rust/children", json!({"runs": ["f/demo/count"]})).await;
    let answer = call("f/sdk-rust/children", json!({"texts": ["a", "bc", ""]})).await;
    assert_eq!(answer.json().unwrap(), json!([1, 2, 0]));
}
