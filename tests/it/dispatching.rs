//! How runs are dispatched: again after a failure, once for one key, later, in order, on the nodes that serve their tag.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::shared::{Database, micros, on_both};
use sandmill_testkit::server::{Answer, Server};

on_both![
    a_failure_is_tried_again_and_its_log_is_kept,
    another_error_is_not_tried_again,
    the_time_of_a_run_bounds_its_tries,
    one_key_is_one_run,
    a_delayed_run_starts_when_it_is_due,
    equal_ordering_keys_execute_one_after_another,
    a_concurrency_limit_holds,
    a_tag_waits_for_a_node_that_serves_it,
    wrong_manifests_are_refused,
    what_is_built_in_returns_its_arguments,
    the_log_of_a_later_attempt_is_seen_while_it_executes,
];

async fn start(server: &Server, body: Value) -> Answer {
    let request = server.request(reqwest::Method::POST, "/api/w/default/runs").json(&body);
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

fn run_id(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json().unwrap()["run_id"].as_str().unwrap().to_owned()
}

async fn a_failure_is_tried_again_and_its_log_is_kept(database: Database) {
    let Some(server) = database.server() else { return };
    let source = "import { context, state } from 'sandmill';
        export function main() {
            const tries = (state.get<number>('tries') ?? 0) + 1;
            state.set('tries', tries);
            console.log('try', tries, 'attempt', context.attempt);
            if (tries < 3) { const e = new Error('busy'); e.name = 'RateLimited'; throw e; }
            return tries;
        }";
    let retry = json!({"attempts": 5, "delay_ms": 50, "retry_if": {"pointer": "/name", "operator": "equals", "value": "RateLimited"}});
    let body = json!({"language": "typescript", "source": source, "manifest": {"dispatch": {"retry": retry}}});
    server.deploy_with("f/dispatching/retry", body).await.unwrap();
    let answer = server.call("f/dispatching/retry", &json!({})).await.unwrap();
    assert_eq!((answer.status, answer.json().unwrap()), (200, json!(3)), "whoever waits gets the last try's result");
    let id = answer.header("sandmill-run-id").unwrap();
    let run = server.ended_run(id).await.unwrap();
    assert_eq!((run["status"].as_str(), run["attempt"].as_u64()), (Some("succeeded"), Some(3)), "{run}");
    let log = server.run_log(id).await.unwrap();
    for line in ["try 1 attempt 1", "try 2 attempt 2", "try 3 attempt 3"] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

async fn another_error_is_not_tried_again(database: Database) {
    let Some(server) = database.server() else { return };
    let retry_if = json!({"pointer": "/name", "operator": "equals", "value": "RateLimited"});
    let manifest = json!({"dispatch": {"retry": {"attempts": 5, "delay_ms": 10, "retry_if": retry_if}}});
    let body = json!({"language": "typescript", "source": "export function main() { throw new TypeError('no'); }", "manifest": manifest});
    server.deploy_with("f/dispatching/hopeless", body).await.unwrap();
    let id = server.start_run("f/dispatching/hopeless", &json!({})).await.unwrap();
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!((run["outcome"].as_str(), run["attempt"].as_u64()), (Some("error"), Some(1)), "{run}");
}

async fn the_time_of_a_run_bounds_its_tries(database: Database) {
    let Some(server) = database.server() else { return };
    let manifest =
        json!({"dispatch": {"run_ms": 700, "retry": {"attempts": 100, "delay_ms": 100, "backoff": "constant", "jitter_percent": 0}}});
    let source = "export async function main() { await new Promise(r => setTimeout(r, 100)); throw new Error('again'); }";
    server.deploy_with("f/dispatching/bounded", json!({"language": "typescript", "source": source, "manifest": manifest})).await.unwrap();
    let began = Instant::now();
    let id = server.start_run("f/dispatching/bounded", &json!({})).await.unwrap();
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!(run["status"], "failed", "{run}");
    assert!((2..=6).contains(&run["attempt"].as_u64().unwrap()), "{run}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

async fn one_key_is_one_run(database: Database) {
    let Some(server) = database.server() else { return };
    let source = "import { state } from 'sandmill';
        export function main(n: number) { const c = (state.get<number>('c') ?? 0) + 1; state.set('c', c); return {n, c}; }";
    server.deploy("f/dispatching/once", "typescript", source).await.unwrap();
    let call = async |how: &str, key: &str, n: u32| {
        let request = server.request(reqwest::Method::POST, &format!("/hooks/default/{how}/f/dispatching/once"));
        Answer::read(request.header("idempotency-key", key).json(&json!({"n": n})).send().await.unwrap()).await.unwrap()
    };
    let first = call("run", "a", 7).await;
    assert_eq!((first.status, first.json().unwrap()), (200, json!({"n": 7, "c": 1})));
    let again = call("run", "a", 7).await;
    assert_eq!((again.status, again.json().unwrap()), (200, json!({"n": 7, "c": 1})), "the first run's result");
    assert_eq!(again.header("sandmill-run-id"), first.header("sandmill-run-id"));
    let started = call("start", "a", 7).await;
    assert_eq!(run_id(&started), first.header("sandmill-run-id").unwrap());
    assert_eq!(started.header("idempotency-replayed"), Some("true"));
    let other = call("run", "a", 8).await;
    assert_eq!(other.status, 422, "{other:?}");
    assert_eq!(other.json().unwrap()["code"], "idempotency_mismatch");
    let many = futures_util::future::join_all((0..20).map(|_| call("start", "many", 9))).await;
    let ids: std::collections::HashSet<String> = many.iter().map(run_id).collect();
    assert_eq!(ids.len(), 1, "twenty at once are one run");
    server.ended_run(ids.iter().next().unwrap()).await.unwrap();
    assert_eq!(call("run", "b", 1).await.json().unwrap()["c"], 3, "it executed once for each key");
    let long = call("start", &"k".repeat(256), 1).await;
    assert_eq!(long.status, 400, "{long:?}");
    let body = json!({"path": "f/dispatching/once", "args": {"n": 1}});
    let keyed = async |key: &str| {
        let request = server.request(reqwest::Method::POST, "/api/w/default/runs").header("idempotency-key", key).json(&body);
        run_id(&Answer::read(request.send().await.unwrap()).await.unwrap())
    };
    assert_eq!(keyed("api").await, keyed("api").await);
}

async fn a_delayed_run_starts_when_it_is_due(database: Database) {
    let Some(server) = database.server() else { return };
    server.deploy("f/dispatching/later", "typescript", "export function main() { return 1; }").await.unwrap();
    let began = Instant::now();
    let id = run_id(&start(server, json!({"path": "f/dispatching/later", "delay_ms": 700})).await);
    let run = server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap();
    assert_eq!(run["status"], "queued");
    assert_eq!(server.ended_run(&id).await.unwrap()["status"], "succeeded");
    assert!((Duration::from_millis(700)..Duration::from_secs(5)).contains(&began.elapsed()), "{:?}", began.elapsed());
    let both = start(server, json!({"path": "f/dispatching/later", "delay_ms": 1, "wait": true})).await;
    assert_eq!(both.status, 400, "{both:?}");
    let due = |at: &str| start(server, json!({"path": "f/dispatching/later", "scheduled_for": at}));
    let at = run_id(&due("2001-01-01T00:00:00+02:00").await);
    let run = server.ended_run(&at).await.unwrap();
    assert_eq!((run["status"].as_str(), &run["scheduled_for"]), (Some("succeeded"), &run["created_at"]), "what is over is now: {run}");
    for wrong in ["tomorrow", "9999-01-01T00:00:00Z", "2026-02-30T00:00:00Z"] {
        assert_eq!(due(wrong).await.status, 400, "{wrong}");
    }
    let soon = micros(run["ended_at"].as_str().unwrap()) + 1_500_000;
    let id = run_id(&due(&chrono::DateTime::from_timestamp_micros(soon).unwrap().to_rfc3339()).await);
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!((run["status"].as_str(), micros(run["scheduled_for"].as_str().unwrap())), (Some("succeeded"), soon), "{run}");
    assert!(micros(run["started_at"].as_str().unwrap()) >= soon, "{run}");
    let cancelled = run_id(&start(server, json!({"path": "f/dispatching/later", "delay_ms": 3_600_000})).await);
    let cancel = server.request(reqwest::Method::POST, &format!("/api/w/default/runs/{cancelled}/cancel")).send().await.unwrap();
    assert_eq!(cancel.status(), 200);
    assert_eq!(server.ended_run(&cancelled).await.unwrap()["status"], "cancelled");
}

async fn equal_ordering_keys_execute_one_after_another(database: Database) {
    let Some(server) = database.server() else { return };
    let source = "export async function main(customer: string, n: number) {
            const began = Date.now(); await new Promise(r => setTimeout(r, 30)); return [began, Date.now()];
        }";
    let manifest = json!({"dispatch": {"ordering_key": "/customer"}});
    server.deploy_with("f/dispatching/ordered", json!({"language": "typescript", "source": source, "manifest": manifest})).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push((n % 2, server.start_run("f/dispatching/ordered", &json!({"customer": format!("c{}", n % 2), "n": n})).await.unwrap()));
    }
    let mut last = [0.0, 0.0];
    for (customer, id) in ids {
        server.ended_run(&id).await.unwrap();
        let result = server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap();
        let (began, ended) = (result[0].as_f64().unwrap(), result[1].as_f64().unwrap());
        assert!(began >= last[customer], "a run began before the one before it had ended");
        last[customer] = ended;
    }
}

async fn a_concurrency_limit_holds(database: Database) {
    let Some(server) = database.server() else { return };
    let source = "export async function main() { const began = Date.now(); await new Promise(r => setTimeout(r, 500)); return [began, Date.now()]; }";
    let manifest = json!({"dispatch": {"concurrency": [{"limit": 2}]}});
    server.deploy_with("f/dispatching/limited", json!({"language": "typescript", "source": source, "manifest": manifest})).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(server.start_run("f/dispatching/limited", &json!({})).await.unwrap());
    }
    let parked = server.get_json("/api/w/default/runs?path=f/dispatching/limited&status=parked").await.unwrap();
    assert!(!parked["items"].as_array().unwrap().is_empty(), "{parked}");
    let mut edges = Vec::new();
    for id in ids {
        assert_eq!(server.ended_run(&id).await.unwrap()["status"], "succeeded");
        let result = server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap();
        edges.push((result[0].as_i64().unwrap(), 1));
        edges.push((result[1].as_i64().unwrap(), -1));
    }
    edges.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, step) in edges {
        now += step;
        most = most.max(now);
    }
    assert!(most <= 2, "{most} at once");
}

async fn a_tag_waits_for_a_node_that_serves_it(database: Database) {
    let Some(mut server) = database.start(&["--tags", "gpu"]) else { return };
    server.deploy("f/dispatching/tagged", "typescript", "export function main() { return 1; }").await.unwrap();
    let served = run_id(&start(&server, json!({"path": "f/dispatching/tagged", "tag": "gpu"})).await);
    assert_eq!(server.ended_run(&served).await.unwrap()["status"], "succeeded");
    let unserved = run_id(&start(&server, json!({"path": "f/dispatching/tagged", "tag": "tpu"})).await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(server.get_json(&format!("/api/w/default/runs/{unserved}")).await.unwrap()["status"], "queued");
    let nodes = server.get_json("/api/instance/nodes").await.unwrap();
    assert_eq!((nodes["items"][0]["tags"].clone(), nodes["items"].as_array().unwrap().len()), (json!(["gpu"]), 1), "{nodes}");
    let bad = start(&server, json!({"path": "f/dispatching/tagged", "tag": "a b"})).await;
    assert_eq!(bad.status, 400, "{bad:?}");
    assert!(server.stop().unwrap().success());
}

async fn wrong_manifests_are_refused(database: Database) {
    let Some(server) = database.server() else { return };
    for (dispatch, word) in [
        (json!({"retry": {"attempts": 0}}), "retry.attempts"),
        (json!({"concurrency": [{"limit": 0}]}), "at least 1"),
        (json!({"ordering_key": "customer"}), "JSON pointer"),
        (json!({"prioritty": 1}), "prioritty"),
    ] {
        let body = json!({"language": "typescript", "source": "export function main() {}", "manifest": {"dispatch": dispatch}});
        let refused = server.deploy_with("f/dispatching/wrong", body).await.unwrap_err().to_string();
        assert!(refused.contains("invalid_manifest") && refused.contains(word), "{refused}");
    }
}

async fn what_is_built_in_returns_its_arguments(database: Database) {
    let Some(server) = database.server() else { return };
    server.deploy("f/dispatching/identity", "identity", "").await.unwrap();
    let answer = server.call("f/dispatching/identity", &json!({"a": [1, null]})).await.unwrap();
    assert_eq!((answer.status, answer.json().unwrap()), (200, json!({"a": [1, null]})));
    let id = server.start_run("f/dispatching/identity", &json!({"b": 2})).await.unwrap();
    assert_eq!(server.ended_run(&id).await.unwrap()["status"], "succeeded");
    assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap(), json!({"b": 2}));
    let refused = server.deploy("f/dispatching/identity", "identity", "text").await.unwrap_err().to_string();
    assert!(refused.contains("built in"), "{refused}");
}

async fn the_log_of_a_later_attempt_is_seen_while_it_executes(database: Database) {
    let Some(server) = database.server() else { return };
    let source = "import { context } from 'sandmill';
        export async function main() {
            console.log('attempt', context.attempt);
            if (context.attempt === 1) throw new Error('once');
            await new Promise(r => setTimeout(r, 30000));
        }";
    let manifest = json!({"dispatch": {"retry": {"attempts": 2, "delay_ms": 1}}});
    server.deploy_with("f/dispatching/live", json!({"language": "typescript", "source": source, "manifest": manifest})).await.unwrap();
    let id = server.start_run("f/dispatching/live", &json!({})).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let log = server.run_log(&id).await.unwrap();
        if log.contains("attempt 2") {
            assert_eq!((log.matches("attempt 1").count(), log.matches("attempt 2").count()), (1, 1), "{log}");
            break;
        }
        assert!(Instant::now() < deadline, "{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let cancel = server.request(reqwest::Method::POST, &format!("/api/w/default/runs/{id}/cancel")).send().await.unwrap();
    assert_eq!(cancel.status(), 202);
    assert_eq!(server.ended_run(&id).await.unwrap()["status"], "cancelled");
}
