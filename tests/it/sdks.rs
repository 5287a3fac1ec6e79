//! The SDKs for guests: each one's own tests, as whoever works on it runs them; and what is written with them on a server.

mod messages;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use axum::{
    Json, Router, extract,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use reqwest::Method;
use sandmill_testkit::{
    binary::{binary, root},
    foreign::zig,
    server::Server,
    toolchain::is_here,
};
use serde_json::{Value, json};

use crate::{
    shared::server,
    site::{ALLOWED, Site},
};

/// What the supplier of the examples called `warehouse` wants to see: one that the host adds, and one in the place of its placeholder.
const TOKEN: &str = "a token of the warehouse";
const KEY: &str = "the key of the warehouse";
const PRICE: f64 = 2.5;

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

/// What the SDK's own tests have built.
fn of_rust(component: &str) -> PathBuf {
    rust_target().join("tmp/components/wasm32-wasip2/release").join(component)
}

/// A component, deployed; it is given what it asks for.
async fn deployed_on(server: &Server, component: &Path, path: &str, grants: Value) {
    let request = server.request(Method::PUT, &format!("/api/w/default/scripts/{path}")).header("content-type", "application/wasm");
    let request = request.header("sandmill-manifest", json!({"grants": grants}).to_string());
    let response = request.body(fs::read(component).unwrap()).send().await.unwrap();
    assert!(response.status().is_success(), "{path}: {:?}", response.text().await);
    let mut give: Vec<String> = Vec::new();
    for (kind, texts) in grants.as_object().unwrap() {
        give.extend(texts.as_array().unwrap().iter().map(|text| format!("{kind}:{}", text.as_str().unwrap())));
    }
    if !give.is_empty() {
        let request = server.request(Method::PATCH, &format!("/api/w/default/grants/{path}"));
        let response = request.json(&json!({ "give": give })).send().await.unwrap();
        assert!(response.status().is_success(), "{give:?}: {:?}", response.text().await);
    }
}

async fn deployed(component: &str, path: &str, grants: Value) {
    deployed_on(server(), &of_rust(component), path, grants).await;
}

/// Has a price for everything but `nothing`.
async fn supplier() -> Site {
    async fn price(headers: HeaderMap, extract::Path(item): extract::Path<String>) -> Result<Json<f64>, StatusCode> {
        let has = |name: &str, value: &str| headers.get(name).is_some_and(|found| found.as_bytes() == value.as_bytes());
        match item.as_str() {
            _ if !has("authorization", &format!("Bearer {TOKEN}")) || !has("x-key", KEY) => Err(StatusCode::UNAUTHORIZED),
            "nothing" => Err(StatusCode::NOT_FOUND),
            _ => Ok(Json(PRICE)),
        }
    }
    Site::start(Router::new().route("/prices/{item}", get(price))).await
}

/// A server with what the examples called `warehouse` need, and one of them.
async fn warehouse(component: &Path, supplier: &Site) -> Server {
    let server = Server::start(&ALLOWED).unwrap();
    for (path, body) in [
        ("resources/f/demo/warehouse", json!({"type": "sqlite", "value": {"name": "warehouse"}})),
        ("resources/f/demo/supplier", json!({"type": "http", "value": {"origin": supplier.origin, "bearer": TOKEN}})),
        ("variables/f/demo/currency", json!({"text": "EUR", "secret": false})),
        ("variables/f/demo/key", json!({"text": KEY, "secret": true})),
    ] {
        let answer = server.request(Method::PUT, &format!("/api/w/default/{path}")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}: {:?}", answer.text().await);
    }
    let prices = format!("GET {}/prices with f/demo", supplier.origin);
    let grants = json!({
        "sql": ["write f/demo/warehouse"], "blob": ["write receipts/"], "resources": ["f/demo/supplier"], "variables": ["f/demo/*"],
        "http": [format!("{prices}/supplier"), format!("{prices}/key")],
    });
    deployed_on(&server, component, "f/demo/books", grants).await;
    server
}

/// Its databases, objects, resources and variables; and its requests, if it asks for prices.
async fn holds_a_warehouse(component: &Path, price: Option<f64>) {
    let supplier = supplier().await;
    let server = warehouse(component, &supplier).await;
    let failed = async |item: &str, count: i64| {
        let id = server.start_run("f/demo/books", &json!({"item": item, "count": count})).await.unwrap();
        server.ended_run(&id).await.unwrap()["error"]["name"].clone()
    };
    let receipts = [&["nails"][..], &["nails", "screws"], &["nails", "screws"], &["screws"], &[]];
    for ((item, count, left, before), kept) in [
        ("nails", 5, 5, json!(null)),
        ("screws", 1, 1, json!(null)),
        ("nails", -2, 3, json!(5)),
        ("nails", -3, 0, json!(3)),
        ("screws", -1, 0, json!(1)),
    ]
    .into_iter()
    .zip(receipts)
    {
        if left == 0 {
            // What was booked before it was refused is undone, or there would not be so much left.
            assert_eq!(failed(item, count - 1).await, "StockError");
        }
        let answer = server.call("f/demo/books", &json!({"item": item, "count": count})).await.unwrap();
        let mut receipt = json!({"item": item, "count": left, "currency": "EUR", "supplier": supplier.origin});
        if let Some(price) = price {
            receipt["price"] = json!(price);
        }
        let receipts: Vec<String> = kept.iter().map(|item| format!("receipts/{item}.json")).collect();
        assert_eq!(answer.json().unwrap(), json!({"receipt": receipt, "before": before, "receipts": receipts}), "{answer:?}");
    }
    if price.is_some() {
        assert_eq!(failed("nothing", 1).await, "PriceError");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn go_on_a_server() {
    if !is_here("go", &["version"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    holds_a_warehouse(&of_go("warehouse", folder.path()), None).await;
}

/// An example of the SDK for Go as a component.
fn of_go(example: &str, folder: &Path) -> PathBuf {
    let core = folder.join("script.core.wasm");
    let mut compile = command("go", &["build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o"], "guest-sdk/go");
    compile.arg(&core).arg(format!("./examples/{example}")).env("GOOS", "wasip1").env("GOARCH", "wasm");
    check(compile);
    encoded(&core, folder)
}

/// The component of a core module.
fn encoded(core: &Path, folder: &Path) -> PathBuf {
    let component = folder.join("script.wasm");
    let mut encode = Command::new(binary());
    encode.args(["build", "--module"]).arg(core).arg("-o").arg(&component).env("XDG_CONFIG_HOME", folder);
    check(encode);
    component
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

    holds_a_warehouse(&of_rust("examples/warehouse.wasm"), Some(PRICE)).await;
    messages::arrive(&of_rust("examples/messages.wasm")).await;
}
