//! What becomes of runs that fail for good: error handlers, dead letters; and how often and how many may start.

use std::time::{Duration, Instant};

use sandmill_testkit::{
    postgres::Postgres,
    server::{Answer, Server},
};
use serde_json::{Value, json};

use crate::shared::{Database, micros, on_both};

on_both![
    the_error_handler_of_a_script_gets_the_failure,
    a_handler_that_fails_is_not_handled_and_one_that_is_missing_is_told,
    the_error_handler_of_a_workspace_gets_what_no_script_handles,
    dead_letters_are_replayed_with_their_event_as_it_came,
    starts_keep_to_their_rate,
    a_workspace_executes_no_more_than_its_limit,
    runs_are_found_by_their_labels,
];

async fn send(server: &Server, method: reqwest::Method, path: &str, body: &Value) -> Answer {
    Answer::read(server.request(method, path).json(body).send().await.unwrap()).await.unwrap()
}

async fn deploy(server: &Server, path: &str, source: &str, dispatch: Value) {
    let body = json!({"language": "typescript", "source": source, "manifest": {"dispatch": dispatch}});
    server.deploy_with(path, body).await.unwrap();
}

/// The only run of that kind that there will be.
async fn only(server: &Server, query: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let list = server.get_json(&format!("/api/w/default/runs?{query}")).await.unwrap();
        let items = list["items"].as_array().unwrap();
        assert!(items.len() <= 1, "{list}");
        if let Some(run) = items.first() {
            return server.ended_run(run["id"].as_str().unwrap()).await.unwrap();
        }
        assert!(Instant::now() < deadline, "no run with {query}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const BREAKS: &str = "export function main(n: number) { const e = new RangeError('broken ' + n); throw e; }";
const PASSES: &str = "export function main() { return 1; }";

async fn the_error_handler_of_a_script_gets_the_failure(database: Database) {
    let Some(server) = database.server() else { return };
    let source = "export function main(run_id: string, path: string, error: any, outcome: string, attempt: number, args: any) {
        return `${path} ${outcome} ${error.name} ${error.message} ${attempt}`; }";
    server.deploy("f/failing/handler", "typescript", source).await.unwrap();
    let retry = json!({"attempts": 2, "delay_ms": 10, "jitter_percent": 0});
    deploy(server, "f/failing/handled", BREAKS, json!({"error_handler": "f/failing/handler", "retry": retry})).await;
    let failed = server.start_run("f/failing/handled", &json!({"n": 7})).await.unwrap();
    server.ended_run(&failed).await.unwrap();
    let handler = only(server, &format!("handler_of={failed}")).await;
    assert_eq!(handler["path"], "f/failing/handler");
    let arguments = &handler["arguments"];
    assert_eq!(arguments["run_id"], json!(failed));
    assert_eq!((&arguments["args"], &arguments["attempt"]), (&json!({"n": 7}), &json!(2)), "after the last try: {arguments}");
    let id = handler["id"].as_str().unwrap();
    let result = server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap();
    assert_eq!(result, json!("f/failing/handled error RangeError broken 7 2"));
    let waited = server.call("f/failing/handled", &json!({"n": 8})).await.unwrap();
    assert_eq!(waited.status, 500, "whoever waits is told all the same");
    only(server, &format!("handler_of={}", waited.header("sandmill-run-id").unwrap())).await;
}

async fn a_handler_that_fails_is_not_handled_and_one_that_is_missing_is_told(database: Database) {
    let Some(server) = database.server() else { return };
    deploy(server, "f/failing/circle", BREAKS, json!({"error_handler": "f/failing/circle"})).await;
    let first = server.start_run("f/failing/circle", &json!({"n": 1})).await.unwrap();
    let second = only(server, &format!("handler_of={first}")).await;
    assert_eq!(second["status"], "failed");
    let third = server.get_json(&format!("/api/w/default/runs?handler_of={}", second["id"].as_str().unwrap())).await.unwrap();
    assert_eq!(third["items"], json!([]));
    deploy(server, "f/failing/alone", BREAKS, json!({"error_handler": "f/failing/nowhere"})).await;
    let alone = server.start_run("f/failing/alone", &json!({"n": 1})).await.unwrap();
    server.ended_run(&alone).await.unwrap();
    let log = server.run_log(&alone).await.unwrap();
    assert!(log.contains("the error handler f/failing/nowhere is not deployed"));
}

async fn the_error_handler_of_a_workspace_gets_what_no_script_handles(database: Database) {
    let Some(server) = database.start(&[]) else { return };
    server.deploy("f/ops/failed", "typescript", PASSES).await.unwrap();
    server.deploy("f/a/fine", "typescript", PASSES).await.unwrap();
    server.deploy("f/a/breaks", "typescript", BREAKS).await.unwrap();
    let set = send(&server, reqwest::Method::PATCH, "/api/w/default/settings", &json!({"error_handler": "f/ops/failed"})).await;
    assert_eq!(set.status, 200, "{set:?}");
    server.call("f/a/fine", &json!({})).await.unwrap();
    let waited = server.call("f/a/breaks", &json!({"n": 1})).await.unwrap();
    let handler = only(&server, &format!("handler_of={}", waited.header("sandmill-run-id").unwrap())).await;
    assert_eq!((&handler["path"], &handler["status"]), (&json!("f/ops/failed"), &json!("succeeded")));
    let all = server.get_json("/api/w/default/runs?path=f/ops/failed").await.unwrap();
    assert_eq!(all["items"].as_array().unwrap().len(), 1, "only for what failed: {all}");
}

async fn dead_letters_are_replayed_with_their_event_as_it_came(database: Database) {
    let Some(server) = database.start(&[]) else { return };
    let source = |fixed: bool| {
        format!(
            "export function preprocessor(event: any) {{ return {{ n: event.body.n, agent: event.headers['x-agent'] }}; }}
             export function main(n: number, agent: string) {{ if (!{fixed}) throw new Error('not yet'); return `${{n}} ${{agent}}`; }}"
        )
    };
    server.deploy("f/letters/late", "typescript", &source(false)).await.unwrap();
    let mut letters = Vec::new();
    for n in 0..5 {
        let request = server.request(reqwest::Method::POST, "/hooks/default/start/f/letters/late").header("x-agent", "bob");
        let answer = Answer::read(request.json(&json!({"n": n})).send().await.unwrap()).await.unwrap();
        let id = answer.json().unwrap()["run_id"].as_str().unwrap().to_owned();
        assert_eq!(server.ended_run(&id).await.unwrap()["outcome"], "error");
        letters.push(id);
    }
    let list = async || {
        let list = server.get_json("/api/w/default/dead-letters").await.unwrap();
        list["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list().await, letters.iter().rev().cloned().collect::<Vec<_>>());
    server.deploy("f/letters/late", "typescript", &source(true)).await.unwrap();
    let replay =
        async |id: &str| send(&server, reqwest::Method::POST, &format!("/api/w/default/dead-letters/{id}/replay"), &json!({})).await;
    let answer = replay(&letters[0]).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let again = only(&server, &format!("rerun_of={}", letters[0])).await;
    let result = server.get_json(&format!("/api/w/default/runs/{}/result", again["id"].as_str().unwrap())).await.unwrap();
    assert_eq!(result, json!("0 bob"), "header and body came along");
    assert_eq!(replay(&letters[0]).await.status, 404, "it is none any more");
    let gone = server.request(reqwest::Method::DELETE, &format!("/api/w/default/dead-letters/{}", letters[1])).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let bulk =
        send(&server, reqwest::Method::POST, "/api/w/default/dead-letters/replay", &json!({"filter": {"path": "f/letters/late"}})).await;
    let receipt = bulk.json().unwrap();
    assert_eq!((&receipt["done"], &receipt["next"]), (&json!(3), &Value::Null), "{receipt}");
    assert_eq!(list().await, [] as [String; 0]);
    for letter in &letters[2..] {
        assert_eq!(only(&server, &format!("rerun_of={letter}")).await["status"], "succeeded");
    }
}

async fn starts_keep_to_their_rate(database: Database) {
    let Some(server) = database.server() else { return };
    deploy(server, "f/failing/rated", "export function main() { return 1; }", json!({"rate": [{"limit": 5, "per_ms": 1000}]})).await;
    let none = json!({});
    let ids = futures_util::future::join_all((0..4).map(|_| server.start_run("f/failing/rated", &none))).await;
    let mut started = Vec::new();
    for id in ids {
        let run = server.ended_run(&id.unwrap()).await.unwrap();
        assert_eq!(run["status"], "succeeded", "{run}");
        started.push(run["started_at"].as_str().unwrap().to_owned());
    }
    started.sort();
    // From the first to the last: a start may come late, and then the next is not put off for it.
    let whole_us = micros(&started[3]) - micros(&started[0]);
    assert!(whole_us >= 500_000, "{started:?}");
}

async fn a_workspace_executes_no_more_than_its_limit(database: Database) {
    let Some(server) = database.start(&[]) else { return };
    let set = send(&server, reqwest::Method::PATCH, "/api/w/default/settings", &json!({"running_runs_max": 2})).await;
    assert_eq!(set.status, 200, "{set:?}");
    let source = "export async function main() { await new Promise(r => setTimeout(r, 150)); return 1; }";
    server.deploy("f/failing/slow", "typescript", source).await.unwrap();
    let none = json!({});
    let calls = futures_util::future::join_all((0..7).map(|_| server.call("f/failing/slow", &none))).await;
    let mut spans = Vec::new();
    for call in calls {
        let call = call.unwrap();
        assert_eq!(call.status, 200, "{call:?}");
        let run = server.ended_run(call.header("sandmill-run-id").unwrap()).await.unwrap();
        let at = |field: &str| micros(run[field].as_str().unwrap());
        spans.push((at("started_at"), at("ended_at")));
    }
    for (start, _) in &spans {
        let at_once = spans.iter().filter(|(from, to)| from <= start && start < to).count();
        assert!(at_once <= 2, "{at_once} at once: {spans:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_together_execute_no_more_than_the_limit() {
    const LIMIT: usize = 3;
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let shared = ["--database-url", &url, "--admin-token", "sm_a_token_that_all_nodes_of_a_test_know"];
    let servers = [Server::start(&shared).unwrap(), Server::start(&shared).unwrap()];
    let set = send(&servers[0], reqwest::Method::PATCH, "/api/w/default/settings", &json!({"running_runs_max": LIMIT})).await;
    assert_eq!(set.status, 200, "{set:?}");
    let source = "export async function main() { await new Promise(r => setTimeout(r, 40)); return 1; }";
    servers[0].deploy("f/failing/slow", "typescript", source).await.unwrap();
    let none = json!({});
    // Another node believes for a second that there is no limit and no script.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut spans = Vec::new();
    for round in 0..6 {
        // Now one alone, now both.
        let calls = (0..12).map(|n| servers[if round % 3 == 0 { 0 } else { n % 2 }].call("f/failing/slow", &none));
        for call in futures_util::future::join_all(calls).await {
            let call = call.unwrap();
            assert_eq!(call.status, 200, "{call:?}");
            let run = servers[0].ended_run(call.header("sandmill-run-id").unwrap()).await.unwrap();
            let at = |field: &str| micros(run[field].as_str().unwrap());
            spans.push((at("started_at"), at("ended_at")));
        }
    }
    for (start, _) in &spans {
        let at_once = spans.iter().filter(|(from, to)| from <= start && start < to).count();
        assert!(at_once <= LIMIT, "{at_once} at once: {spans:?}");
    }
}

async fn runs_are_found_by_their_labels(database: Database) {
    let Some(server) = database.server() else { return };
    let manifest = json!({"labels": {"customer": "/customer/id", "paid": "/paid"}});
    let body = json!({"language": "typescript", "source": "export function main(customer: any, paid: boolean) { return 1; }", "manifest": manifest});
    server.deploy_with("f/failing/labelled", body).await.unwrap();
    let arguments = |id: &str| json!({"customer": {"id": id}, "paid": true});
    let queued = server.start_run("f/failing/labelled", &arguments("ü:7")).await.unwrap();
    let waited = server.call("f/failing/labelled", &arguments("ü:7")).await.unwrap();
    server.call("f/failing/labelled", &arguments("other")).await.unwrap();
    server.ended_run(&queued).await.unwrap();
    let waited = server.ended_run(waited.header("sandmill-run-id").unwrap()).await.unwrap();
    assert_eq!(waited["labels"], json!({"customer": "ü:7", "paid": "true"}));
    let found = server.get_json("/api/w/default/runs?label=customer:%C3%BC:7").await.unwrap();
    let found: Vec<&str> = found["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(found, [waited["id"].as_str().unwrap(), &queued]);
}
