//! Examples of triggers, each against the real thing: `live.json` says what happens there, and what comes of it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use reqwest::Method;
use sandmill_testkit::server::{Answer, Server};
use serde_json::{Value, json};

use crate::triggers::broker::Broker;

/// Within which all has come of what happened.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an example's `live.json` says, if it has one.
fn steps(folder: &Path) -> Vec<Value> {
    fs::read_to_string(folder.join("live.json")).map_or_else(|_| Vec::new(), |text| serde_json::from_str(&text).unwrap())
}

/// What is there before the example is pushed.
pub(super) fn prepare(folder: &Path, broker: Option<&Broker>) {
    for step in steps(folder) {
        if let Some(stream) = step.get("stream") {
            publish(broker.unwrap(), stream, &step["publish"]);
        }
    }
}

/// Holds an example that was pushed to its `live.json`. Its triggers are deleted then.
pub(super) async fn hold(server: &Server, folder: &Path) {
    let steps = steps(folder);
    for step in &steps {
        if let Some(request) = step.get("request") {
            ask(server, request, step).await;
        } else if step["trigger"].is_string() {
            results(server, step).await;
        }
    }
    for step in steps.iter().filter(|step| step["trigger"].is_string()) {
        let path = format!("/api/w/default/triggers/f/examples/{}", step["trigger"].as_str().unwrap());
        let gone = server.request(Method::DELETE, &path).send().await.unwrap();
        assert!(gone.status().is_success(), "{gone:?}");
    }
}

/// A request of somebody who has nothing but what it says.
async fn ask(server: &Server, request: &Value, step: &Value) {
    let method = request["method"].as_str().unwrap().parse().unwrap();
    let mut asked = reqwest::Client::new().request(method, format!("{}{}", server.url, request["path"].as_str().unwrap()));
    for (name, value) in request["headers"].as_object().unwrap() {
        asked = asked.header(name, value.as_str().unwrap());
    }
    let asked = asked.body(request["body"].as_str().unwrap_or_default().to_owned());
    let answer = Answer::read(asked.send().await.unwrap()).await.unwrap();
    assert_eq!(json!(answer.status), step["status"], "{step}: {answer:?}");
    if let Some(expect) = step.get("expect") {
        assert_eq!(&answer.json().unwrap(), expect, "{step}: {answer:?}");
    }
}

fn publish(broker: &Broker, stream: &Value, messages: &Value) {
    let mut client = broker.client();
    client.make_stream(stream["name"].as_str().unwrap(), stream["subject"].as_str().unwrap()).unwrap();
    for message in messages.as_array().unwrap() {
        client.publish(message[0].as_str().unwrap(), &[], message[1].to_string().as_bytes()).unwrap();
    }
}

/// Waits until these are results of the trigger's runs. What cannot be waited for in a test is set otherwise before: nobody waits for the night.
async fn results(server: &Server, step: &Value) {
    let path = format!("f/examples/{}", step["trigger"].as_str().unwrap());
    if let Some(other) = step["config"].as_object() {
        let stored = server.get_json(&format!("/api/w/default/triggers/{path}")).await.unwrap();
        let mut body =
            json!({"kind": stored["kind"], "target": stored["target"], "config": stored["config"], "options": stored["options"]});
        for (name, value) in other {
            body["config"][name] = value.clone();
        }
        let put = server.request(Method::PUT, &format!("/api/w/default/triggers/{path}")).json(&body).send().await.unwrap();
        assert!(put.status().is_success(), "{:?}", put.text().await);
    }
    let (deadline, mut found) = (Instant::now() + PATIENCE, Vec::new());
    let expected = step["results"].as_array().unwrap();
    while !expected.iter().all(|one| found.contains(one)) {
        assert!(Instant::now() < deadline, "{path}: {found:?} and not {expected:?}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
        let runs = server.get_json(&format!("/api/w/default/runs?trigger_path={path}&status=succeeded")).await.unwrap();
        found.clear();
        for run in runs["items"].as_array().unwrap() {
            found.push(server.get_json(&format!("/api/w/default/runs/{}/result", run["id"].as_str().unwrap())).await.unwrap());
        }
    }
}
