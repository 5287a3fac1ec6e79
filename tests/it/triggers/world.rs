//! A server with a trigger, and what became of its events.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use reqwest::Method;
use sandmill_testkit::server::{Answer, Server};
use serde_json::{Value, json};

use super::rig::Rig;
use crate::{shared::Database, site::ALLOWED};

/// Shows the whole event as arguments and as result.
const SHOWS: &str = "export const preprocessor = (event: any) => ({ event });
export const main = (event: any) => event.body;";
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Requests that are under way at once.
const AT_ONCE: usize = 16;
/// Runs of one page.
const PAGE: u32 = 100;

/// A server for all cases that leave it as it was.
pub(crate) fn shared(database: Database) -> Option<&'static Server> {
    static SQLITE: OnceLock<Option<Server>> = OnceLock::new();
    static POSTGRES: OnceLock<Option<Server>> = OnceLock::new();
    let server = match database {
        Database::Sqlite => &SQLITE,
        Database::Postgres => &POSTGRES,
    };
    server.get_or_init(|| own(database)).as_ref()
}

/// A server of the case's own. Scripts and kinds may reach this machine.
pub(crate) fn own(database: Database) -> Option<Server> {
    database.start(&ALLOWED)
}

/// A trigger of a case that all kinds keep.
pub(crate) fn named<R: Rig>(case: &str) -> String {
    format!("{}_{case}", R::NAME)
}

/// `f/triggers/<kind>_<case>`: both the trigger's path and its script's.
pub(crate) fn path(name: &str) -> String {
    format!("f/triggers/{name}")
}

/// Deploys the script and puts the trigger, and waits until it is listened to.
pub(crate) async fn place<R: Rig>(rig: &R, server: &Server, name: &str, options: &Value) {
    server.deploy(&path(name), "typescript", SHOWS).await.unwrap();
    let config = rig.config(server, name).await;
    let answer = put(server, name, &body_of::<R>(name, &config, options)).await;
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    listening(server, name).await;
}

/// As a trigger is put.
pub(crate) fn body_of<R: Rig>(name: &str, config: &Value, options: &Value) -> Value {
    json!({"kind": R::KIND, "target": path(name), "config": config, "options": options, "mode": "on"})
}

pub(crate) async fn put(server: &Server, name: &str, body: &Value) -> Answer {
    send(server, Method::PUT, &format!("triggers/{}", path(name)), Some(body)).await
}

pub(crate) async fn delete(server: &Server, name: &str) {
    let answer = send(server, Method::DELETE, &format!("triggers/{}", path(name)), None).await;
    assert!(matches!(answer.status, 200 | 204), "{answer:?}");
}

/// "Test connection" of what would be put.
pub(crate) async fn probe(server: &Server, name: &str, mut body: Value) -> Answer {
    body["path"] = path(name).into();
    if let Some(body) = body.as_object_mut() {
        // It is about what is connected to, and how.
        body.retain(|key, _| ["path", "kind", "config"].contains(&key.as_str()));
    }
    send(server, Method::POST, "trigger-probes", Some(&body)).await
}

pub(crate) async fn send(server: &Server, method: Method, rest: &str, body: Option<&Value>) -> Answer {
    let mut request = server.request(method, &format!("/api/w/default/{rest}"));
    if let Some(body) = body {
        request = request.json(body);
    }
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

pub(crate) async fn status(server: &Server, name: &str) -> Value {
    server.get_json(&format!("/api/w/default/trigger-status/{}", path(name))).await.unwrap()
}

/// Events that were kept and started no run.
pub(crate) async fn kept(server: &Server, name: &str) -> Vec<Value> {
    let list = server.get_json(&format!("/api/w/default/trigger-events/{}", path(name))).await.unwrap();
    list["items"].as_array().unwrap().clone()
}

/// Waits until the status is as it should be.
pub(crate) async fn until(server: &Server, name: &str, patience: Duration, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + patience;
    loop {
        let status = status(server, name).await;
        if is_so(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{name}: not {what} within {patience:?}: {status}\n{}", server.log());
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until somebody listens at every seat, if there are any.
pub(crate) async fn listening(server: &Server, name: &str) -> Value {
    let all = |status: &Value| status["seats"].as_array().unwrap().iter().all(|seat| seat["state"] == "listening");
    until(server, name, Duration::from_secs(30), "listened to", all).await
}

/// Waits until it is noticed that the other side went away.
pub(crate) async fn cut_off(server: &Server, name: &str) {
    let none = |status: &Value| status["seats"].as_array().unwrap().iter().all(|seat| seat["state"] != "listening");
    until(server, name, Duration::from_secs(30), "cut off", none).await;
}

/// Ids of all runs of the trigger's script that have ended, but for records of what was skipped; and whether others have not.
async fn list(server: &Server, name: &str) -> (Vec<String>, bool) {
    let (mut ids, mut is_busy, mut cursor) = (Vec::new(), false, String::new());
    loop {
        let path = path(name);
        let page = server.get_json(&format!("/api/w/default/runs?trigger_path={path}&path={path}&limit={PAGE}{cursor}")).await.unwrap();
        for run in page["items"].as_array().unwrap() {
            match run["status"].as_str().unwrap() {
                "succeeded" | "failed" | "cancelled" => ids.push(run["id"].as_str().unwrap().to_owned()),
                "skipped" => {}
                _ => is_busy = true,
            }
        }
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    (ids, is_busy)
}

/// All runs of the trigger's script that have ended, with their arguments.
pub(crate) async fn runs(server: &Server, name: &str) -> Vec<Value> {
    details(server, &list(server, name).await.0).await
}

async fn details(server: &Server, ids: &[String]) -> Vec<Value> {
    let mut details = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        let each = some.iter().map(|id| async move { server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap() });
        details.extend(join_all(each).await);
    }
    details
}

/// Waits until so many runs have ended and none goes on.
pub(crate) async fn ended<R: Rig>(server: &Server, name: &str, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + R::PATIENCE;
    loop {
        let (ids, is_busy) = list(server, name).await;
        if ids.len() >= count && !is_busy {
            return details(server, &ids).await;
        }
        let found = ids.len();
        assert!(Instant::now() < deadline, "{name}: {found} of {count} runs, busy: {is_busy}\n{}", server.log());
        tokio::time::sleep(LOOK).await;
    }
}

/// Sends these until the host has them.
pub(crate) async fn send_all<R: Rig>(rig: &R, server: &Server, name: &str, payloads: &[Vec<u8>]) {
    let mut left = payloads.to_vec();
    for _ in 0..3 {
        left = rig.send(server, name, &left).await;
        if left.is_empty() {
            return;
        }
    }
    panic!("{} events are not taken\n{}", left.len(), server.log());
}

/// Payloads that are told apart.
pub(crate) fn numbered(from: usize, count: usize) -> Vec<Vec<u8>> {
    (from..from + count).map(|n| json!({"n": n, "id": format!("item {n}")}).to_string().into_bytes()).collect()
}

/// `body` of the event that a run was started with.
pub(crate) fn body(run: &Value) -> &Value {
    &run["arguments"]["event"]["body"]
}

/// A payload as `preprocessor(event)` gets it.
pub(crate) fn as_an_event_has_it(payload: &[u8]) -> Value {
    match std::str::from_utf8(payload) {
        Ok("") => Value::Null,
        Ok(text) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        Err(_) => STANDARD.encode(payload).into(),
    }
}

/// Waits until so many runs have ended well, at least; no more than a page has.
pub(crate) async fn until_runs<R: Rig>(server: &Server, name: &str, count: usize) {
    let (deadline, path) = (Instant::now() + R::PATIENCE, path(name));
    let list = format!("/api/w/default/runs?trigger_path={path}&path={path}&status=succeeded&limit={PAGE}");
    loop {
        let found = server.get_json(&list).await.map_or(0, |page| page["items"].as_array().map_or(0, Vec::len));
        if found >= count {
            return;
        }
        assert!(Instant::now() < deadline, "{name}: {found} of {count} runs\n{}", server.log());
        tokio::time::sleep(LOOK / 10).await;
    }
}
