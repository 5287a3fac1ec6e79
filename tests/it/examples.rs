//! Every example, deployed as its README says and held against its cases.

mod live;

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode, Uri},
    routing::get,
};

use sandmill_testkit::{
    binary::{binary, root},
    server::{Answer, Server},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    events::Events,
    site::{ALLOWED, Site},
    triggers::broker::Broker,
};

/// Where examples ask that have to be told where.
const ELSEWHERE: &str = "https://api.example.com";
const TOKEN: &str = "a token of the tracker";
/// The broker of examples that have one.
const BROKER: &str = "nats://nats.example.com:4222";
const FEED: &str = "<rss><channel><title>Feed</title>
<item><title><![CDATA[Two & more]]></title><link>https://example.com/2</link><guid>two</guid></item>
<item><title>One</title><link>https://example.com/1</link><guid isPermaLink=\"false\">one</guid></item>
</channel></rss>";

fn examples() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_does_what_its_cases_say() {
    let (server, tracker) = (Server::start(&ALLOWED).unwrap(), tracker().await);
    let broker = Broker::start();
    let mut held = 0;
    for folder in examples() {
        if broker.is_none() && asks(&folder, BROKER) {
            continue;
        }
        if folder.join("Cargo.toml").exists() {
            build_component(&folder);
        }
        let local = at(&folder, &tracker, broker.as_ref());
        let folder = local.as_ref().map_or(folder.as_path(), TempDir::path);
        live::prepare(folder, broker.as_ref());
        if folder.join("setup.sh").exists() {
            command(&server, folder, "sh", &["-e", "setup.sh"]);
        }
        command(&server, folder, binary(), &["push", ".", "--grant", "all", "--json"]);
        let cases = cases(folder);
        assert!(!cases.is_empty(), "{} has no cases", folder.display());
        for (name, case) in cases {
            hold(&server, &format!("f/examples/{name}"), &case).await;
            held += 1;
        }
        live::hold(&server, folder).await;
    }
    assert!(held >= 7, "{held} cases");
}

/// As its README has it: in its folder, with the command line on the path.
fn command(server: &Server, folder: &Path, program: impl AsRef<OsStr>, arguments: &[&str]) {
    let path = env::var_os("PATH").unwrap();
    let programs = [binary().parent().unwrap().to_owned()].into_iter().chain(env::split_paths(&path));
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).env("PATH", env::join_paths(programs).unwrap());
    command.env("SANDMILL_SERVER", &server.url).env("SANDMILL_TOKEN", &server.token).env("SANDMILL_SECRET_BEARER", TOKEN);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
}

fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter_map(|path| fs::read_to_string(&path).ok().map(|text| (path, text))).collect()
}

fn asks(folder: &Path, what: &str) -> bool {
    texts(folder).iter().any(|(_, text)| text.contains(what))
}

/// A copy that asks the site and the broker, of an example that asks some elsewhere.
fn at(folder: &Path, site: &Site, broker: Option<&Broker>) -> Option<TempDir> {
    if !asks(folder, ELSEWHERE) && !asks(folder, BROKER) {
        return None;
    }
    let copy = tempfile::tempdir().unwrap();
    let broker = broker.map_or_else(|| BROKER.to_owned(), Broker::url);
    for (path, text) in texts(folder) {
        fs::write(copy.path().join(path.file_name().unwrap()), text.replace(ELSEWHERE, &site.origin).replace(BROKER, &broker)).unwrap();
    }
    Some(copy)
}

/// What the examples `tracker` and `feed` ask.
async fn tracker() -> Site {
    async fn feed() -> &'static str {
        FEED
    }
    async fn answer(headers: HeaderMap, uri: Uri) -> Result<Json<Value>, StatusCode> {
        if headers.get("authorization").is_none_or(|value| value != &format!("Bearer {TOKEN}")) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        Ok(Json(match uri.to_string().as_str() {
            "/issues?state=open" => json!([{"id": 7, "title": "It is slow"}, {"id": 8, "title": "It is loud"}]),
            "/issues/7/comments" => json!(["Indeed", "Not here"]),
            "/issues/8/comments" => json!([]),
            _ => return Err(StatusCode::NOT_FOUND),
        }))
    }
    Site::start(Router::new().route("/feed.xml", get(feed)).fallback(answer)).await
}

fn build_component(folder: &Path) {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--locked", "--target", "wasm32-wasip2", "--target-dir", "target"])
        .current_dir(folder)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
}

/// Each case with the name of its script, in order.
fn cases(folder: &Path) -> Vec<(String, Value)> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".case.json")) else { continue };
        let text = fs::read_to_string(&path).unwrap();
        match serde_json::from_str(&text).unwrap() {
            Value::Array(list) => cases.extend(list.into_iter().map(|case| (name.to_owned(), case))),
            case => cases.push((name.to_owned(), case)),
        }
    }
    cases
}

async fn hold(server: &Server, path: &str, case: &Value) {
    if let Some(kinds) = case.get("stream") {
        return follow(server, path, case, kinds).await;
    }
    if case["event"]["kind"].is_string() {
        return deliver(server, path, case).await;
    }
    let mut request = server.request(reqwest::Method::POST, &format!("/hooks/default/run/{path}"));
    let event = case.get("event");
    for (name, value) in event.unwrap_or(case)["headers"].as_object().into_iter().flatten() {
        request = request.header(name, value.as_str().unwrap());
    }
    let request = match event {
        None => request.json(&case["args"]),
        Some(event) => request.body(event["body"].as_str().unwrap().to_owned()),
    };
    let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
    let says = || format!("{path} {case}: {answer:?}");
    assert_eq!(u64::from(answer.status), case["status"].as_u64().unwrap_or(200), "{}", says());
    let body = answer.json().unwrap();
    if let Some(expect) = case.get("expect") {
        assert_eq!(&body, expect, "{}", says());
    }
    if let Some(fails) = case.get("fails") {
        assert_eq!(body["code"], fails["code"], "{}", says());
        assert!(answer.text().contains(fails["message"].as_str().unwrap_or_default()), "{}", says());
    }
    let Some(run) = answer.header("sandmill-run-id") else { return };
    if let Some(labels) = case.get("labels") {
        assert_eq!(&server.ended_run(run).await.unwrap()["labels"], labels, "{}", says());
    }
    if let Some(expect) = case.get("handler") {
        assert_eq!(&handler(server, run).await, expect, "{}", says());
    }
    if let Some(texts) = case["log"].as_array() {
        let log = server.run_log(run).await.unwrap();
        for text in texts {
            assert!(log.contains(text.as_str().unwrap()), "{}\n{log}", says());
        }
    }
}

/// An event of a trigger, without one.
async fn deliver(server: &Server, path: &str, case: &Value) {
    let body = json!({"path": path, "event": case["event"], "wait": true});
    let answer =
        Answer::read(server.request(reqwest::Method::POST, "/api/w/default/runs").json(&body).send().await.unwrap()).await.unwrap();
    assert_eq!(answer.status, 200, "{path} {case}: {answer:?}");
    let result = answer.json().unwrap();
    // What a request would be answered.
    let (status, body) = match result.get("$http") {
        Some(http) => (http["status"].clone(), http["body"].clone()),
        None => (json!(200), result),
    };
    assert_eq!((&status, &body), (case.get("status").unwrap_or(&json!(200)), &case["expect"]), "{path} {case}");
    let log = server.run_log(answer.header("sandmill-run-id").unwrap()).await.unwrap();
    for text in case["log"].as_array().into_iter().flatten() {
        assert!(log.contains(text.as_str().unwrap()), "{path} {case}: {log}");
    }
}

async fn follow(server: &Server, path: &str, case: &Value, kinds: &Value) {
    let request = server.request(reqwest::Method::POST, &format!("/hooks/default/stream/{path}")).json(&case["args"]);
    let mut followed: Vec<String> = Events::of(request).await.rest().await.into_iter().map(|event| event.name).collect();
    followed.dedup();
    assert_eq!(&json!(followed), kinds, "{path} {case}");
}

/// What the error handler of a run returned.
async fn handler(server: &Server, run: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let list = server.get_json(&format!("/api/w/default/runs?handler_of={run}")).await.unwrap();
        if let Some(handler) = list["items"][0]["id"].as_str() {
            assert_eq!(server.ended_run(handler).await.unwrap()["status"], "succeeded");
            return server.get_json(&format!("/api/w/default/runs/{handler}/result")).await.unwrap();
        }
        assert!(Instant::now() < deadline, "no handler of {run}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
