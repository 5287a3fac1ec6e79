//! Events that do not start a run each: held, captured, filtered, gathered. Of kinds that listen and of one that takes requests.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use sandmill_testkit::server::{Answer, Server};
use serde_json::{Value, json};

use super::world::{self, path};
use crate::shared::{Database, on_both};

on_both![
    what_a_listener_holds_is_released_or_discarded,
    what_a_listener_captures_is_replayed_and_forgotten,
    a_key_is_for_one_request_also_while_it_is_held,
    only_what_fits_is_taken,
    requests_are_gathered,
    items_that_are_gathered_move_with_the_state,
];

const SHOWS: &str = "export const preprocessor = (event: any) => ({ event });
export const main = (event: any) => event.body;";
const GATHERS: &str = "export const main = (events: any[]) => events.length;";
/// Finds five items, and none after that.
const FINDS: &str = "import { state } from 'sandmill';
export function main() {
    if (state.get('found')) return [];
    state.set('found', true);
    return [1, 2, 3, 4, 5].map((n) => ({ n }));
}";
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Deploys the script, and puts the trigger that starts it.
pub(super) async fn place(server: &Server, name: &str, source: &str, trigger: Value) {
    server.deploy(&path(name), "typescript", source).await.unwrap();
    set(server, name, trigger).await;
}

async fn set(server: &Server, name: &str, mut trigger: Value) {
    trigger["target"] = path(name).into();
    let answer = world::put(server, name, &trigger).await;
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
}

/// Each second, whether the runs of before have ended or not.
fn each_second(mode: &str) -> Value {
    json!({"kind": "schedule", "config": {"cron": "* * * * * *", "time_zone": "UTC", "overlap": "allow"}, "mode": mode})
}

pub(super) async fn switch(server: &Server, name: &str, mode: &str) {
    let answer = world::send(server, Method::POST, &format!("trigger-mode/{}", path(name)), Some(&json!({ "mode": mode }))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn post(server: &Server, name: &str, key: Option<&str>, body: &Value) -> Answer {
    let mut request = server.request(Method::POST, &format!("/hooks/default/run/{}", path(name))).json(body);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

/// Ids of the runs of the trigger's script that are so.
pub(super) async fn runs(server: &Server, name: &str, status: &str) -> Vec<String> {
    let list = format!("/api/w/default/runs?trigger_path={path}&path={path}&status={status}&limit=100", path = path(name));
    let page = server.get_json(&list).await.unwrap();
    page["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
}

pub(super) async fn until<T>(server: &Server, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}\n{}", server.log());
        tokio::time::sleep(LOOK).await;
    }
}

/// Does something to held runs or kept events; returns how many it was done to, and how many were passed over.
async fn act(server: &Server, what: &str, name: &str, body: Value) -> (u64, u64) {
    let answer = world::send(server, Method::POST, &format!("{what}/{}", path(name)), Some(&body)).await;
    let receipt = answer.json().unwrap();
    assert_eq!((answer.status, &receipt["next"]), (200, &Value::Null), "{receipt}");
    (receipt["done"].as_u64().unwrap(), receipt["passed_over"].as_u64().unwrap())
}

async fn what_a_listener_holds_is_released_or_discarded(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let name = "modes_held";
    place(server, name, SHOWS, each_second("held")).await;
    until(server, "too few are held", async || (runs(server, name, "held").await.len() >= 4).then_some(())).await;
    switch(server, name, "off").await;
    let held = runs(server, name, "held").await;
    assert_eq!(runs(server, name, "succeeded").await, Vec::<String>::new());
    assert_eq!(act(server, "held-runs", name, json!({"action": "release", "ids": [held[0]]})).await, (1, 0));
    let released = server.ended_run(&held[0]).await.unwrap();
    assert_eq!((&released["status"], &released["arguments"]["event"]["kind"]), (&json!("succeeded"), &json!("schedule")), "{released}");
    assert_eq!(act(server, "held-runs", name, json!({"action": "discard", "ids": [held[1]]})).await, (1, 0));
    assert_eq!(server.ended_run(&held[1]).await.unwrap()["status"], "cancelled");
    // What has gone is held no longer.
    assert_eq!(act(server, "held-runs", name, json!({"action": "release", "ids": [held[0], held[1]]})).await, (0, 2));
    assert_eq!(act(server, "held-runs", name, json!({"action": "discard", "all": true})).await, (held.len() as u64 - 2, 0));
    assert_eq!(runs(server, name, "held").await, Vec::<String>::new());
    assert_eq!(runs(server, name, "succeeded").await, [held[0].clone()]);
    world::delete(server, name).await;
}

async fn what_a_listener_captures_is_replayed_and_forgotten(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let name = "modes_captured";
    place(server, name, SHOWS, each_second("capture")).await;
    until(server, "too few are kept", async || (world::kept(server, name).await.len() >= 2).then_some(())).await;
    switch(server, name, "off").await;
    let kept = world::kept(server, name).await;
    assert!(kept.iter().all(|event| event["kept_as"] == "captured"), "{kept:?}");
    let list = server.get_json(&format!("/api/w/default/runs?trigger_path={}", path(name))).await.unwrap();
    assert_eq!(list["items"], json!([]), "none has started a run");
    let id = &kept[0]["id"];
    // As often as somebody wants to try.
    for _ in 0..2 {
        assert_eq!(act(server, "trigger-events", name, json!({"action": "replay", "ids": [id]})).await, (1, 0));
    }
    let replayed =
        until(server, "the replays do not end", async || Some(runs(server, name, "succeeded").await).filter(|runs| runs.len() == 2)).await;
    for run in replayed {
        let run = server.ended_run(&run).await.unwrap();
        assert_eq!(run["arguments"]["event"]["scheduled_for"], kept[0]["event"]["scheduled_for"], "{run}");
        assert!(run["arguments"]["event"]["scheduled_for"].is_string(), "{run}");
    }
    assert_eq!(world::kept(server, name).await.len(), kept.len());
    assert_eq!(act(server, "trigger-events", name, json!({"action": "discard", "ids": [id]})).await, (1, 0));
    assert_eq!(act(server, "trigger-events", name, json!({"action": "replay", "ids": [id]})).await, (0, 1));
    assert_eq!(act(server, "trigger-events", name, json!({"action": "discard", "all": true})).await, (kept.len() as u64 - 1, 0));
    assert_eq!(world::kept(server, name).await, Vec::<Value>::new());
    world::delete(server, name).await;
}

async fn a_key_is_for_one_request_also_while_it_is_held(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let name = "modes_keys";
    place(server, name, SHOWS, json!({"kind": "webhook", "config": {}, "mode": "held"})).await;
    let first = post(server, name, Some("k"), &json!({"n": 1})).await;
    assert_eq!((first.status, &first.json().unwrap()["status"]), (202, &json!("held")), "{first:?}");
    let again = post(server, name, Some("k"), &json!({"n": 1})).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")), "{again:?}");
    assert_eq!(again.json().unwrap()["run_id"], first.json().unwrap()["run_id"]);
    let other = post(server, name, Some("k"), &json!({"n": 2})).await;
    assert_eq!((other.status, other.json().unwrap()["code"].as_str()), (422, Some("idempotency_mismatch")), "{other:?}");
    assert_eq!(act(server, "held-runs", name, json!({"action": "release", "all": true})).await, (1, 0));
    let run = server.ended_run(first.json().unwrap()["run_id"].as_str().unwrap()).await.unwrap();
    assert_eq!((&run["status"], &run["arguments"]["event"]["body"]), (&json!("succeeded"), &json!({"n": 1})), "{run}");
    world::delete(server, name).await;
}

async fn only_what_fits_is_taken(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let name = "modes_filtered";
    let trigger = |mode: &str| {
        let filter = json!({
            "all": [{"pointer": "/body/action", "operator": "equals", "value": "opened"}],
            "none": [{"pointer": "/headers/x-draft", "operator": "exists"}],
        });
        json!({"kind": "webhook", "config": {}, "mode": mode, "options": {"filter": filter}})
    };
    place(server, name, SHOWS, trigger("on")).await;
    let fits = json!({"action": "opened", "n": 1});
    for mode in ["on", "held", "capture"] {
        set(server, name, trigger(mode)).await;
        let left_out = post(server, name, None, &json!({"action": "closed"})).await;
        assert_eq!((left_out.status, left_out.header("sandmill-run-id")), (204, None), "{mode}: {left_out:?}");
        let draft = server.request(Method::POST, &format!("/hooks/default/run/{}", path(name))).header("x-draft", "1").json(&fits);
        assert_eq!(draft.send().await.unwrap().status(), 204, "{mode}");
        let taken = post(server, name, None, &fits).await;
        assert_eq!(taken.status, if mode == "on" { 200 } else { 202 }, "{mode}: {taken:?}");
    }
    assert_eq!((runs(server, name, "held").await.len(), world::kept(server, name).await.len()), (1, 1));
    until(server, "the run is not there", async || (runs(server, name, "succeeded").await.len() == 1).then_some(())).await;
    assert_eq!(act(server, "held-runs", name, json!({"action": "discard", "all": true})).await, (1, 0));
    world::delete(server, name).await;
}

async fn requests_are_gathered(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let name = "modes_gathered";
    let trigger = |batch: Value, mode: &str| json!({"kind": "webhook", "config": {}, "mode": mode, "options": {"batch": batch}});
    place(server, name, GATHERS, trigger(json!({"events_max": 3, "wait_ms": 60_000}), "on")).await;
    let bodies = [1, 2, 3].map(|n| json!({ "n": n }));
    let answers = join_all(bodies.iter().map(|body| post(server, name, None, body))).await;
    let run = answers[0].header("sandmill-run-id").unwrap();
    assert!(answers.iter().all(|answer| answer.status == 202 && answer.header("sandmill-run-id") == Some(run)), "{answers:?}");
    let run = server.ended_run(run).await.unwrap();
    let mut found: Vec<i64> =
        run["arguments"]["events"].as_array().unwrap().iter().filter_map(|event| event["body"]["n"].as_i64()).collect();
    found.sort_unstable();
    assert_eq!((&run["status"], found.as_slice()), (&json!("succeeded"), &[1, 2, 3][..]), "{run}");
    assert_eq!(run["trigger_path"], path(name), "{run}");

    // One that stays alone waits for its time, and in mode held the batch is what waits.
    set(server, name, trigger(json!({"events_max": 100, "wait_ms": 200}), "held")).await;
    let alone = post(server, name, None, &json!({"n": 4})).await;
    assert_eq!((alone.status, &alone.json().unwrap()["status"]), (202, &json!("held")), "{alone:?}");
    assert_eq!(act(server, "held-runs", name, json!({"action": "release", "all": true})).await, (1, 0));
    let run = server.ended_run(alone.header("sandmill-run-id").unwrap()).await.unwrap();
    assert_eq!((&run["status"], run["arguments"]["events"].as_array().map(Vec::len)), (&json!("succeeded"), Some(1)), "{run}");

    // What is captured is not gathered; a replay is a batch of one.
    set(server, name, trigger(json!({"events_max": 100, "wait_ms": 60_000}), "capture")).await;
    let captured = post(server, name, None, &json!({"n": 5})).await;
    assert_eq!((captured.status, captured.json().unwrap()["captured"].is_string()), (202, true), "{captured:?}");
    assert_eq!(act(server, "trigger-events", name, json!({"action": "replay", "all": true})).await, (1, 0));
    let replayed = until(server, "the replay does not end", async || {
        let runs = runs(server, name, "succeeded").await;
        (runs.len() == 3).then_some(runs)
    })
    .await;
    let sizes = join_all(replayed.iter().map(|run| async move {
        let run = server.ended_run(run).await.unwrap();
        run["arguments"]["events"].as_array().map_or(0, Vec::len)
    }))
    .await;
    assert_eq!((sizes.iter().sum::<usize>(), sizes.iter().max()), (5, Some(&3)), "{sizes:?}");
    world::delete(server, name).await;
}

async fn items_that_are_gathered_move_with_the_state(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let name = "modes_items";
    let finds = format!("{}_finds", path(name));
    server.deploy(&finds, "typescript", FINDS).await.unwrap();
    let config = json!({"cron": "* * * * * *", "time_zone": "UTC", "script": finds});
    let options = json!({"batch": {"events_max": 2, "wait_ms": 60_000}});
    place(server, name, GATHERS, json!({"kind": "poll", "config": config, "options": options, "mode": "on"})).await;
    // It was asked again, and what it had found was its state.
    until(server, "it is not asked again", async || (runs(server, name, "skipped").await.len() >= 2).then_some(())).await;
    let gathered = until(server, "the items are not there", async || {
        let runs = runs(server, name, "succeeded").await;
        (runs.len() >= 3).then_some(runs)
    })
    .await;
    let mut found = Vec::new();
    let mut sizes = Vec::new();
    for run in &gathered {
        let run = server.ended_run(run).await.unwrap();
        let events = run["arguments"]["events"].as_array().unwrap().clone();
        sizes.push(events.len());
        found.extend(events.iter().filter_map(|event| event["body"]["n"].as_i64()));
    }
    sizes.sort_unstable();
    found.sort_unstable();
    assert_eq!((sizes, found), (vec![1, 2, 2], vec![1, 2, 3, 4, 5]));
    world::delete(server, name).await;
}
