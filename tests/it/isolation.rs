//! One run's traces never show in another, and runs of one snapshot differ where they should.

use std::{
    collections::HashSet,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::shared::{in_both_tiers, plain, server};

/// How far a script's clock and the test's may be apart: what lies between is a call.
const CLOCKS_APART_MS_MAX: i64 = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn globals_never_survive_into_another_run() {
    let globals = "let count = 0;\nexport function main() { count++; globalThis.seen = (globalThis.seen ?? 0) + 1; Object.prototype.x = 1; return [count, globalThis.seen]; }";
    let prototype = "export function main() { return ({}).x ?? 'clean'; }";
    let scripts = [
        ("f/isolation/globals", plain("javascript", globals), json!({})),
        ("f/isolation/prototype", plain("javascript", prototype), json!({})),
    ];
    for (tier, server) in in_both_tiers(&scripts).await {
        for _ in 0..20 {
            let answer = server.call("f/isolation/globals", &json!({})).await.unwrap();
            assert_eq!(answer.json().unwrap(), json!([1, 1]), "{tier:?}");
            assert_eq!(server.call("f/isolation/prototype", &json!({})).await.unwrap().text(), "\"clean\"", "{tier:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_numbers_dates_and_ids_differ_between_runs() {
    let source = "const top = [Math.random(), Date.now()];\nexport function main() { return {random: Math.random(), id: crypto.randomUUID(), bytes: Array.from(crypto.getRandomValues(new Uint8Array(8))), now: Date.now(), date: new Date().getTime(), top}; }";
    let scripts = [("f/isolation/random", plain("typescript", source), json!({}))];
    let mut seen: [HashSet<String>; 3] = Default::default();
    let mut tops = HashSet::new();
    for (tier, server) in in_both_tiers(&scripts).await {
        let mut last = 0;
        for _ in 0..20 {
            let value = server.call("f/isolation/random", &json!({})).await.unwrap().json().unwrap();
            for (seen, key) in seen.iter_mut().zip(["random", "id", "bytes"]) {
                assert!(seen.insert(value[key].to_string()), "{key} came twice: {tier:?}: {value}");
            }
            let (now, date) = (value["now"].as_i64().unwrap(), value["date"].as_i64().unwrap());
            assert!(now >= last && date >= now, "time goes on: {tier:?}: {value}");
            assert!((now - now_ms()).abs() < CLOCKS_APART_MS_MAX, "{tier:?}: {value}");
            assert!((date - now_ms()).abs() < CLOCKS_APART_MS_MAX, "{tier:?}: {value}");
            last = now;
            tops.insert(value["top"].to_string());
        }
    }
    assert_eq!(tops.len(), 1, "the top level sees the same world in both tiers: {tops:?}");
}

#[expect(clippy::disallowed_methods, reason = "the test's own clock, to hold the script's against")]
fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_host_is_there() {
    let server = server();
    let source =
        "export function main() { return Object.keys(globalThis).concat([typeof process, typeof require, typeof Deno, typeof Bun]); }";
    server.deploy("f/isolation/host", "javascript", source).await.unwrap();
    let value: Value = server.call("f/isolation/host", &json!({})).await.unwrap().json().unwrap();
    let names: Vec<&str> = value.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(&names[names.len() - 4..], ["undefined"; 4], "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn proto_in_arguments_pollutes_nothing() {
    let server = server();
    server
        .deploy("f/isolation/proto", "typescript", "export function main(a: unknown) { return [({} as any).polluted ?? null, a]; }")
        .await
        .unwrap();
    let request = server.request(reqwest::Method::POST, "/hooks/default/run/f/isolation/proto").header("content-type", "application/json");
    let response = request
        .body(r#"{"__proto__":{"polluted":1},"a":{"__proto__":{"polluted":2},"constructor":{"prototype":{"polluted":3}}}}"#)
        .send()
        .await
        .unwrap();
    let value: Value = response.json().await.unwrap();
    assert_eq!(value[0], Value::Null, "{value}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_during_runs_changes_only_later_ones() {
    let server = server();
    let source = |version: u32| format!("export async function main() {{ await new Promise(r => setTimeout(r, 300)); return {version}; }}");
    server.deploy("f/isolation/push", "typescript", &source(1)).await.unwrap();
    let mut early = Vec::new();
    for _ in 0..8 {
        early.push(server.start_run("f/isolation/push", &json!({})).await.unwrap());
    }
    server.deploy("f/isolation/push", "typescript", &source(2)).await.unwrap();
    assert_eq!(server.call("f/isolation/push", &json!({})).await.unwrap().text(), "2");
    assert_eq!(server.call("f/isolation/push@1", &json!({})).await.unwrap().text(), "1");
    for id in early {
        server.ended_run(&id).await.unwrap();
        assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap(), json!(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pushes_at_once_get_two_numbers() {
    let server = server();
    let push = |text: &'static str| server.deploy("f/isolation/twice", "typescript", text);
    let (first, second) = tokio::join!(push("export function main() { return 'a'; }"), push("export function main() { return 'b'; }"));
    let mut numbers = [first.unwrap()["number"].as_i64().unwrap(), second.unwrap()["number"].as_i64().unwrap()];
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
}
