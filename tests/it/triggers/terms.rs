//! Common options of triggers, on the runs that come of them: tried again, told of, kept, put in order, put off, known again, as somebody else.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use sandmill_testkit::server::{Answer, Server};
use serde_json::{Value, json};

use super::world::{self, path};
use crate::shared::{Database, micros, on_both};

on_both![
    what_fails_is_tried_again_told_of_and_replayed,
    equal_keys_execute_one_after_another,
    starts_keep_to_the_rate_of_the_trigger,
    a_key_is_known_as_long_as_its_window,
    runs_are_elsewhere_and_as_somebody_else,
];

/// Puts a trigger at the URL of its script.
async fn place(server: &Server, name: &str, source: &str, options: Value) {
    server.deploy(&path(name), "typescript", source).await.unwrap();
    let trigger = json!({"kind": "webhook", "target": path(name), "config": {}, "options": options});
    let answer = world::put(server, name, &trigger).await;
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
}

async fn post(server: &Server, name: &str, key: Option<&str>, body: &Value) -> Answer {
    let mut request = server.request(Method::POST, &format!("/hooks/default/start/{}", path(name))).json(body);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

/// The run that a request started, or was a repetition of.
async fn start(server: &Server, name: &str, key: Option<&str>, body: &Value) -> String {
    let answer = post(server, name, key, body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json().unwrap()["run_id"].as_str().unwrap().to_owned()
}

/// The runs that there are once there is one.
async fn found(server: &Server, query: &str) -> Vec<Value> {
    for _ in 0..600 {
        let list = server.get_json(&format!("/api/w/default/{query}")).await.unwrap();
        let items = list["items"].as_array().unwrap();
        if !items.is_empty() {
            return items.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing for {query}\n{}", server.log());
}

async fn what_fails_is_tried_again_told_of_and_replayed(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let (name, handler) = ("terms_fails", path("terms_handler"));
    let source =
        |main: &str| format!("export const preprocessor = (event: any) => ({{ event }});\nexport function main(event: any) {{ {main} }}");
    server.deploy(&handler, "typescript", "export const main = (path: string, attempt: number) => [path, attempt];").await.unwrap();
    let retry = json!({"attempts": 3, "delay_ms": 10, "jitter_percent": 0});
    place(server, name, &source("throw new RangeError('broken');"), json!({"retry": retry, "error_handler": handler})).await;
    let failed = start(server, name, None, &json!({"n": 7})).await;
    let run = server.ended_run(&failed).await.unwrap();
    assert_eq!((&run["status"], &run["attempt"], &run["trigger_path"]), (&json!("failed"), &json!(3), &json!(path(name))), "{run}");
    let told = found(server, &format!("runs?handler_of={failed}")).await;
    let told = server.ended_run(told[0]["id"].as_str().unwrap()).await.unwrap();
    assert_eq!((&told["path"], &told["arguments"]["attempt"]), (&json!(handler), &json!(3)), "{told}");

    // Mended, it does what it should with the event as it came, and on the terms of the trigger.
    let letters = found(server, &format!("dead-letters?path={}", path(name))).await;
    assert_eq!((letters.len(), letters[0]["id"].as_str()), (1, Some(failed.as_str())), "{letters:?}");
    let passes = "import { context } from 'sandmill';\n".to_owned()
        + &source("if (context.attempt < 2) throw new Error('busy'); return event.body;");
    server.deploy(&path(name), "typescript", &passes).await.unwrap();
    let replayed = world::send(server, Method::POST, &format!("dead-letters/{failed}/replay"), Some(&json!({}))).await;
    assert_eq!(replayed.status, 202, "{replayed:?}");
    let run = server.ended_run(replayed.json().unwrap()["run_id"].as_str().unwrap()).await.unwrap();
    assert_eq!((&run["status"], &run["attempt"], &run["trigger_path"]), (&json!("succeeded"), &json!(2), &json!(path(name))), "{run}");
    assert_eq!((&run["arguments"]["event"]["body"], &run["arguments"]["event"]["kind"]), (&json!({"n": 7}), &json!("webhook")), "{run}");
    let letters = server.get_json(&format!("/api/w/default/dead-letters?path={}", path(name))).await.unwrap();
    assert_eq!(letters["items"], json!([]));
    world::delete(server, name).await;
}

async fn equal_keys_execute_one_after_another(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let name = "terms_ordered";
    let source = "export async function main(of: string) {
        const began = Date.now(); await new Promise(r => setTimeout(r, 50)); return [began, Date.now()];
    }";
    place(server, name, source, json!({"ordering_key": "/body/of"})).await;
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push((n % 2, start(server, name, None, &json!({"of": format!("key {}", n % 2)})).await));
    }
    let mut last = [0.0, 0.0];
    for (key, id) in ids {
        assert_eq!(server.ended_run(&id).await.unwrap()["status"], "succeeded");
        let result = server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap();
        let (began, ended) = (result[0].as_f64().unwrap(), result[1].as_f64().unwrap());
        assert!(began >= last[key], "a run began before the one before it had ended");
        last[key] = ended;
    }
    world::delete(server, name).await;
}

async fn starts_keep_to_the_rate_of_the_trigger(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let name = "terms_rated";
    place(server, name, "export const main = () => 1;", json!({"rate": [{"limit": 4, "per_ms": 1000}]})).await;
    let none = json!({});
    let ids = join_all((0..4).map(|_| start(server, name, None, &none))).await;
    let mut started = Vec::new();
    for id in ids {
        let run = server.ended_run(&id).await.unwrap();
        started.push(micros(run["started_at"].as_str().unwrap()));
    }
    started.sort_unstable();
    // A start may come late, and then the next is not put off for it.
    assert!(started[3] - started[0] >= 600_000, "{started:?}");
    world::delete(server, name).await;
}

async fn a_key_is_known_as_long_as_its_window(database: Database) {
    const WINDOW: Duration = Duration::from_secs(4);
    let Some(server) = world::shared(database) else { return };
    let (known, never) = ("terms_known", "terms_never_known");
    let options = json!({"dedup": {"key": "/body/id", "window_ms": 4_000}});
    place(server, known, "export const main = () => 1;", options).await;
    place(server, never, "export const main = () => 1;", json!({"dedup": {"window_ms": 0}})).await;
    let first = start(server, known, None, &json!({"id": 1, "n": 1})).await;
    let again = post(server, known, None, &json!({"id": 1, "n": 2})).await;
    assert_eq!((again.status, again.json().unwrap()["run_id"].as_str()), (202, Some(first.as_str())), "{again:?}");
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_ne!(start(server, known, None, &json!({"id": 2})).await, first);
    // What lacks the key is no repetition of what lacks it, too.
    assert_ne!(start(server, known, None, &json!({})).await, start(server, known, None, &json!({})).await);
    assert_ne!(start(server, never, Some("k"), &json!({})).await, start(server, never, Some("k"), &json!({})).await);
    tokio::time::sleep(WINDOW + Duration::from_secs(1)).await;
    assert_ne!(start(server, known, None, &json!({"id": 1})).await, first, "its window is over");
    world::delete(server, known).await;
    world::delete(server, never).await;
}

async fn runs_are_elsewhere_and_as_somebody_else(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let account = json!({"scopes": ["runs:start:f/triggers/*"], "users": []});
    let put = world::send(server, Method::PUT, "service-accounts/terms-robot", Some(&account)).await;
    assert!(matches!(put.status, 200 | 201), "{put:?}");
    let name = "terms_robot";
    let source = "import { context } from 'sandmill'; export const main = () => context.runAs;";
    place(server, name, source, json!({"run_as": "s/terms-robot"})).await;
    let id = start(server, name, None, &json!({})).await;
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!((&run["status"], &run["run_as"]), (&json!("succeeded"), &json!("s/terms-robot")), "{run}");
    assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap(), "s/terms-robot");

    // Nobody serves that tag: it waits.
    let elsewhere = "terms_elsewhere";
    place(server, elsewhere, "export const main = () => 1;", json!({"tag": "nowhere", "priority": 7})).await;
    let id = start(server, elsewhere, None, &json!({})).await;
    let run = server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap();
    assert_eq!((&run["status"], &run["tag"]), (&json!("queued"), &json!("nowhere")), "{run}");
    let cancelled = server.request(Method::POST, &format!("/api/w/default/runs/{id}/cancel")).send().await.unwrap();
    assert!(cancelled.status().is_success(), "{cancelled:?}");
    assert_eq!(server.ended_run(&id).await.unwrap()["status"], "cancelled");
    world::delete(server, name).await;
    world::delete(server, elsewhere).await;
}
