//! What a manifest says of dispatch, each held against the built binary.

use serde_json::{Value, json};

use crate::shared::{Database, on_both, wait_for_status};
use sandmill_testkit::server::Server;

on_both![
    a_concurrency_limit_by_key_is_each_values_own,
    a_rate_by_key_is_each_values_own_and_a_burst_starts_at_once,
    the_greater_priority_goes_first,
    a_tag_of_the_manifest_chooses_the_node,
    only_the_outcomes_that_are_named_are_tried_again,
];

async fn deploy(server: &Server, path: &str, source: &str, manifest: Value) {
    server.deploy_with(path, json!({"language": "typescript", "source": source, "manifest": manifest})).await.unwrap();
}

async fn result(server: &Server, id: &str) -> Value {
    let run = server.ended_run(id).await.unwrap();
    assert_eq!(run["status"], "succeeded", "{run}");
    server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap()
}

async fn cancel(server: &Server, id: &str) {
    let path = format!("/api/w/default/runs/{id}/cancel");
    assert!(server.request(reqwest::Method::POST, &path).send().await.unwrap().status().is_success());
    assert_eq!(server.ended_run(id).await.unwrap()["status"], "cancelled");
}

async fn a_concurrency_limit_by_key_is_each_values_own(database: Database) {
    let Some(server) = database.server() else { return };
    // The first of each account waits until the other's is there: so the accounts do not wait for each other.
    let source = "import { state } from 'sandmill';
        export async function main(account: { id: string }, n: number) {
            const began = Date.now();
            state.set(account.id, true);
            while (!state.get(account.id === 'a' ? 'b' : 'a')) await new Promise(r => setTimeout(r, 10));
            await new Promise(r => setTimeout(r, 50));
            return [began, Date.now()];
        }";
    deploy(server, "f/terms/keyed", source, json!({"dispatch": {"concurrency": [{"limit": 1, "key": "/account/id"}]}})).await;
    let mut ids = Vec::new();
    for n in 0..6 {
        let account = if n < 3 { "a" } else { "b" };
        ids.push(server.start_run("f/terms/keyed", &json!({"account": {"id": account}, "n": n})).await.unwrap());
    }
    for of_account in ids.chunks(3) {
        let mut spans = Vec::new();
        for id in of_account {
            let span = result(server, id).await;
            spans.push((span[0].as_i64().unwrap(), span[1].as_i64().unwrap()));
        }
        spans.sort_unstable();
        assert!(spans.windows(2).all(|two| two[0].1 <= two[1].0), "two of one account at once: {spans:?}");
    }
}

async fn a_rate_by_key_is_each_values_own_and_a_burst_starts_at_once(database: Database) {
    let Some(server) = database.server() else { return };
    // Longer than this test takes: what starts does so without having been put off.
    let rate = json!([{"limit": 2, "per_ms": 7_200_000, "burst": 2, "key": "/account"}]);
    deploy(server, "f/terms/rated", "export function main(account: string) { return account; }", json!({"dispatch": {"rate": rate}})).await;
    let mut late = Vec::new();
    for account in ["a", "b"] {
        for n in 0..3 {
            let id = server.start_run("f/terms/rated", &json!({"account": account})).await.unwrap();
            if n < 2 {
                assert_eq!(result(server, &id).await, json!(account), "a burst starts at once");
            } else {
                late.push(id);
            }
        }
    }
    for id in late {
        assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap()["status"], "queued", "no more than the burst");
        cancel(server, &id).await;
    }
}

async fn the_greater_priority_goes_first(database: Database) {
    let Some(server) = database.start(&["--slots", "1"]) else { return };
    let source = "export async function main(ms: number) { await new Promise(r => setTimeout(r, ms)); return Date.now(); }";
    for (path, priority) in [("f/terms/low", -5), ("f/terms/usual", 0), ("f/terms/high", 5)] {
        deploy(&server, path, source, json!({"dispatch": {"priority": priority}})).await;
    }
    // Loads the program, so that what follows waits for the slot alone.
    let first = server.start_run("f/terms/usual", &json!({"ms": 1})).await.unwrap();
    result(&server, &first).await;
    let holds = server.start_run("f/terms/usual", &json!({"ms": 60_000})).await.unwrap();
    wait_for_status(&server, &holds, "running").await;
    let mut ids = Vec::new();
    for path in ["f/terms/low", "f/terms/usual", "f/terms/high", "f/terms/low", "f/terms/high"] {
        ids.push(server.start_run(path, &json!({"ms": 2})).await.unwrap());
    }
    cancel(&server, &holds).await;
    let mut ended = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        ended.push((result(&server, id).await.as_i64().unwrap(), index));
    }
    ended.sort_unstable();
    assert_eq!(ended.iter().map(|(_, index)| *index).collect::<Vec<_>>(), [2, 4, 1, 0, 3], "high, usual, low; of equals the older");
}

async fn a_tag_of_the_manifest_chooses_the_node(database: Database) {
    let Some(server) = database.start(&["--tags", "gpu"]) else { return };
    for tag in ["gpu", "tpu"] {
        deploy(&server, &format!("f/terms/{tag}"), "export function main() { return 1; }", json!({"dispatch": {"tag": tag}})).await;
    }
    let unserved = server.start_run("f/terms/tpu", &json!({})).await.unwrap();
    let served = server.start_run("f/terms/gpu", &json!({})).await.unwrap();
    assert_eq!(result(&server, &served).await, json!(1));
    assert_eq!(server.get_json(&format!("/api/w/default/runs/{served}")).await.unwrap()["tag"], "gpu");
    let waits = server.get_json(&format!("/api/w/default/runs/{unserved}")).await.unwrap();
    assert_eq!((&waits["status"], &waits["tag"]), (&json!("queued"), &json!("tpu")), "although it came first");
    cancel(&server, &unserved).await;
}

async fn only_the_outcomes_that_are_named_are_tried_again(database: Database) {
    let Some(server) = database.server() else { return };
    let source = "export async function main(how: string) {
            if (how === 'error') throw new Error('no');
            await new Promise(r => setTimeout(r, 60000));
        }";
    let retry =
        |outcomes: Value| json!({"limits": {"wall_ms": 400}, "dispatch": {"retry": {"attempts": 2, "delay_ms": 1, "outcomes": outcomes}}});
    deploy(server, "f/terms/timeouts", source, retry(json!(["timeout"]))).await;
    deploy(server, "f/terms/errors", source, retry(json!(["error"]))).await;
    let runs = [
        ("f/terms/timeouts", "timeout", 2),
        ("f/terms/timeouts", "error", 1),
        ("f/terms/errors", "timeout", 1),
        ("f/terms/errors", "error", 2),
    ];
    for (path, outcome, attempts) in runs {
        let id = server.start_run(path, &json!({"how": outcome})).await.unwrap();
        let run = server.ended_run(&id).await.unwrap();
        assert_eq!((run["outcome"].as_str(), run["attempt"].as_u64()), (Some(outcome), Some(attempts)), "{path}: {run}");
    }
}
