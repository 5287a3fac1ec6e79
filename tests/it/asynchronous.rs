//! Runs that nobody waits for: status, result, log, cancel, rerun; and more of them than there are slots.

use serde_json::{Value, json};

use crate::shared::server;
use sandmill_testkit::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn start_then_read_everything() {
    let server = server();
    let source = "export async function main(n: number) { console.log('got', n); console.error('careful'); await new Promise(r => setTimeout(r, 50)); return {twice: n * 2}; }";
    server.deploy("f/async/double", "typescript", source).await.unwrap();
    let id = server.start_run("f/async/double", &json!({"n": 21})).await.unwrap();
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!(
        (run["status"].as_str(), run["outcome"].as_str(), run["path"].as_str()),
        (Some("succeeded"), Some("ok"), Some("f/async/double"))
    );
    assert_eq!(run["arguments"], json!({"n": 21}));
    for key in ["fuel", "memory_peak_bytes", "cpu_ns", "wall_ns"] {
        assert!(run["usage"][key].as_u64().unwrap() > 0, "{key}: {run}");
    }
    assert!(run["usage"]["wall_ns"].as_u64().unwrap() >= 50_000_000, "{run}");
    assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap(), json!({"twice": 42}));
    let log = server.run_log(&id).await.unwrap();
    assert!(log.contains("got 21") && log.contains("careful"), "{log}");
    let again: Value =
        server.request(reqwest::Method::POST, &format!("/api/w/default/runs/{id}/rerun")).send().await.unwrap().json().await.unwrap();
    let again = again["run_id"].as_str().unwrap().to_owned();
    assert_ne!(again, id);
    assert_eq!(server.ended_run(&again).await.unwrap()["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_wait_limit_the_answer_is_where_to_look() {
    let server = Server::start(&["--wait-limit-ms", "200"]).unwrap();
    let source = "export async function main() { await new Promise(r => setTimeout(r, 1500)); return 'late'; }";
    server.deploy("f/async/late", "typescript", source).await.unwrap();
    let answer = server.call("f/async/late", &json!({})).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    let location = answer.header("location").unwrap().to_owned();
    let pending = server.request(reqwest::Method::GET, &location).send().await.unwrap();
    assert_eq!(pending.status().as_u16(), 202);
    let id = answer.header("sandmill-run-id").unwrap();
    assert_eq!(server.ended_run(id).await.unwrap()["status"], "succeeded");
    assert_eq!(server.get_json(&location).await.unwrap(), json!("late"));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_runs_than_slots_all_end() {
    let server = Server::start(&["--slots", "2"]).unwrap();
    let source = "export async function main(n: number) { await new Promise(r => setTimeout(r, 20)); return n; }";
    server.deploy("f/async/slots", "typescript", source).await.unwrap();
    let calls = (0..40).map(|n| {
        let server = &server;
        async move { (n, server.call("f/async/slots", &json!({"n": n})).await.unwrap()) }
    });
    for (n, answer) in futures_util::future::join_all(calls).await {
        assert_eq!((answer.status, answer.text()), (200, n.to_string()));
    }
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.push((n, server.start_run("f/async/slots", &json!({"n": n})).await.unwrap()));
    }
    for (n, id) in ids {
        server.ended_run(&id).await.unwrap();
        assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap(), json!(n));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_newest_first_page_by_page() {
    let server = Server::start(&[]).unwrap();
    server.deploy("f/async/list", "typescript", "export function main(n: number) { return n; }").await.unwrap();
    for n in 0..7 {
        server.call("f/async/list", &json!({"n": n})).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut page = server.get_json("/api/w/default/runs?limit=3").await.unwrap();
    loop {
        seen.extend(page["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        page = server.get_json(&format!("/api/w/default/runs?limit=3&cursor={next}")).await.unwrap();
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.dedup();
    assert_eq!((seen.len(), &seen), (7, &sorted));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_on_postgresql() {
    let Some(postgres) = sandmill_testkit::postgres::Postgres::shared() else { return };
    let mut server = Server::start(&["--database-url", &postgres.database()]).unwrap();
    let source = "import { state } from 'sandmill';\nexport function main(n: number) { state.set('n', n); console.log('kept', n); return { kept: state.get('n') }; }";
    server.deploy("f/async/postgres", "typescript", source).await.unwrap();
    let answer = server.call("f/async/postgres", &json!({"n": 1})).await.unwrap();
    assert_eq!(answer.json().unwrap(), json!({"kept": 1}));
    let waited = answer.header("sandmill-run-id").unwrap().to_owned();
    let mut ids = vec![waited];
    for n in 2..20 {
        ids.push(server.start_run("f/async/postgres", &json!({"n": n})).await.unwrap());
    }
    server.kill().unwrap();
    server.restart().unwrap();
    for id in &ids[1..] {
        assert_eq!(server.ended_run(id).await.unwrap()["status"], "succeeded");
    }
    let listed = server.get_json("/api/w/default/runs?limit=100").await.unwrap();
    assert!(listed["items"].as_array().unwrap().len() >= ids.len() - 1, "{listed}");
    let log = server.run_log(&ids[1]).await.unwrap();
    assert!(log.contains("kept 2"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_can_be_read_while_the_run_goes_on() {
    let server = server();
    let source = "export async function main() { console.log('first'); await new Promise(r => setTimeout(r, 30000)); }";
    server.deploy("f/asynchronous/log", "typescript", source).await.unwrap();
    let id = server.start_run("f/asynchronous/log", &json!({})).await.unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let log = server.run_log(&id).await.unwrap();
        if log.contains("first") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the line does not come");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap()["status"], "running");
    server.request(reqwest::Method::POST, &format!("/api/w/default/runs/{id}/cancel")).send().await.unwrap();
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!(run["outcome"], "cancelled");
    let log = server.run_log(&id).await.unwrap();
    assert!(log.contains("first"), "what was logged is kept");
}
