//! Runs: start, list, show, result, log, cancel, rerun.

use sandmill_model::Input;
use serde_json::{Value, json};

use crate::support::{Api, get, post};

async fn start(api: &Api, path: &str, args: Value) -> String {
    let answer = post("/api/w/w/runs").json(json!({"path": path, "args": args})).to(api).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let run = answer.value()["run_id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(&*format!("/api/w/w/runs/{run}")));
    run
}

#[tokio::test]
async fn a_started_run_can_be_followed_to_its_result() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let run = start(&api, "f/t/echo", json!({"a": [1, 2]})).await;
    let shown = api.ended(&run).await;
    assert_eq!((&shown["status"], &shown["outcome"], &shown["attempt"]), (&json!("succeeded"), &json!("ok"), &json!(1)));
    assert_eq!((&shown["trigger"], &shown["run_as"]), (&Value::Null, &json!("u/ann")));
    assert_eq!(shown["arguments"], json!({"a": [1, 2]}));
    assert_eq!(shown["usage"], json!({"fuel": 7, "memory_peak_bytes": 65_536, "cpu_ns": 1_000, "wall_ns": 2_000}));
    let result = get(format!("/api/w/w/runs/{run}/result")).to(&api).await;
    assert_eq!((result.text(), result.header("content-type")), (r#"{"a":[1,2]}"#, Some("application/json")));
    assert_eq!(result.run_id(), run);
    assert!(matches!(api.stage.last_attempt().input, Input::Arguments(_)));
    api.stop().await;
}

#[tokio::test]
async fn an_event_can_take_the_place_of_arguments() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let call = |event: Value| post("/api/w/w/runs").json(json!({"path": "f/t/echo", "wait": true, "event": event}));
    let event = || match api.stage.last_attempt().input {
        Input::Event(event) => event,
        Input::Arguments(arguments) => panic!("arguments: {arguments:?}"),
    };
    let run = call(json!({"kind": "other", "metadata": {"topic": "t"}, "payload": {"a": 1}})).to(&api).await;
    assert_eq!(run.text(), r#"{"a":1}"#, "the payload is the arguments of a script without a preprocessor");
    assert_eq!((&*event().trigger.kind, event().trigger.path, event().metadata.as_str()), ("other", None, r#"{"topic":"t"}"#));
    let shown = api.ended(&run.run_id()).await;
    assert_eq!((&shown["trigger"], &shown["event"]), (&json!("other"), &json!({"topic": "t"})));
    for (sent, expected) in [
        (json!({"payload": "text"}), &b"text"[..]),
        (json!({"payload": [1]}), b"[1]"),
        (json!({"payload_base64": "/wA="}), b"\xff\0"),
        (json!({}), b""),
    ] {
        assert_eq!(call(sent.clone()).to(&api).await.status, 200, "{sent}");
        assert_eq!((&event().payload[..], &*event().trigger.kind), (expected, "http"), "{sent}");
    }
    for key in ["kind", "trigger", "body", "raw", "encoding"] {
        call(json!({"metadata": {key: "forged"}})).to(&api).await.is_problem(400, "bad_request");
    }
    for bad in [
        json!({"kind": ""}),
        json!({"kind": "Über"}),
        json!({"kind": "x".repeat(33)}),
        json!({"metadata": []}),
        json!({"payload": 1, "payload_base64": ""}),
        json!({"payload_base64": "?"}),
    ] {
        call(bad.clone()).to(&api).await.is_problem(400, "bad_request");
    }
    post("/api/w/w/runs").json(json!({"path": "f/t/echo", "args": {}, "event": {}})).to(&api).await.is_problem(400, "bad_request");
    let keyed = || call(json!({"payload": {"a": 2}})).header("idempotency-key", "once");
    let first = keyed().to(&api).await.run_id();
    let again = keyed().to(&api).await;
    assert_eq!((again.run_id(), again.header("idempotency-replayed")), (first, Some("true")));
    call(json!({"payload": {"a": 3}})).header("idempotency-key", "once").to(&api).await.is_problem(422, "idempotency_mismatch");
    api.stop().await;
}

#[tokio::test]
async fn waiting_gives_the_result_itself() {
    let api = Api::new().await;
    for name in ["echo", "bytes", "error", "skipped"] {
        api.deploy(&format!("f/t/{name}")).await;
    }
    let call = |path: &str| post("/api/w/w/runs").json(json!({"path": path, "wait": true}));
    assert_eq!(call("f/t/echo@1").to(&api).await.text(), "{}");
    let bytes = call("f/t/bytes").to(&api).await;
    assert_eq!((bytes.header("content-type"), &bytes.body[..]), (Some("image/png"), &b"\x89PNG"[..]));
    assert_eq!(bytes.header("content-security-policy"), Some("sandbox"));
    assert_eq!(call("f/t/skipped").to(&api).await.text(), "null");
    call("f/t/error").to(&api).await.is_problem(500, "error");
    api.stop().await;
}

#[tokio::test]
async fn results_keep_their_form_when_they_are_read_later() {
    let api = Api::new().await;
    for (name, status, content_type) in [
        ("bytes", 200, "image/png"),
        ("null", 200, "application/json"),
        ("error", 500, "application/problem+json"),
        ("invalid", 422, "application/problem+json"),
    ] {
        api.deploy(&format!("f/t/{name}")).await;
        let run = start(&api, &format!("f/t/{name}"), json!({})).await;
        api.ended(&run).await;
        let result = get(format!("/api/w/w/runs/{run}/result")).to(&api).await;
        assert_eq!((result.status.as_u16(), result.header("content-type")), (status, Some(content_type)), "{name}");
        assert_eq!(result.header("x-content-type-options"), Some("nosniff"), "{name}");
        assert_eq!(result.run_id(), run);
    }
    api.stop().await;
}

#[tokio::test]
async fn what_cannot_be_started() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    for (body, status, code) in [
        (json!({"path": "f/t/nothing"}), 404, "not_found"),
        (json!({"path": "f/t/echo@9"}), 404, "not_found"),
        (json!({"path": "f/t/../echo"}), 400, "invalid_path"),
        (json!({"path": "f/t%2Fecho/x"}), 400, "invalid_path"),
        (json!({"path": "f/t/echo", "args": [1]}), 422, "invalid_arguments"),
        (json!({"path": "f/t/echo", "args": {"n": "unfit"}}), 422, "invalid_arguments"),
        (json!({"path": "f/t/echo", "arguments": {}}), 400, "bad_request"),
        (json!({"args": {}}), 400, "bad_request"),
        (json!([]), 400, "bad_request"),
    ] {
        let problem = post("/api/w/w/runs").json(body).to(&api).await.is_problem(status, code);
        assert_eq!(code == "invalid_arguments", problem["faults"].is_array());
    }
    post("/api/w/w/runs").body("{").to(&api).await.is_problem(400, "invalid_json");
    post("/api/w/w/runs").body(&b"\xff"[..]).to(&api).await.is_problem(400, "invalid_json");
    post("/api/w/w/runs").header("content-type", "text/plain").body("{}").to(&api).await.is_problem(415, "unsupported_media_type");
    api.stop().await;
}

#[tokio::test]
async fn logs_come_as_lines_of_json_or_as_text() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let run = start(&api, "f/t/echo", json!({})).await;
    api.ended(&run).await;
    let uri = format!("/api/w/w/runs/{run}/log");
    for accept in ["*/*", "application/x-ndjson", "application/json, text/plain"] {
        let answer = get(uri.clone()).header("accept", accept).to(&api).await;
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["level"], &lines[0]["stream"], &lines[0]["message"]), (&json!("info"), &json!("log"), &json!("first")));
        assert_eq!((&lines[1]["message"], &lines[1]["fields"]), (&json!("second \"quoted\""), &json!({"n": 1})));
    }
    for accept in ["text/plain", "text/*;q=0.5", "image/png, text/plain"] {
        let answer = get(uri.clone()).header("accept", accept).to(&api).await;
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("content-security-policy"), Some("sandbox"));
        let lines: Vec<&str> = answer.text().lines().collect();
        assert!(lines[0].ends_with("Z INFO  first") && lines[1].ends_with("Z WARN  second \"quoted\" {\"n\":1}"), "{lines:?}");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_run_can_be_cancelled_once() {
    let api = Api::new().await;
    api.deploy("f/t/gate").await;
    let run = start(&api, "f/t/gate", json!({})).await;
    api.wait(&run, |run| run["status"] == "running").await;
    assert_eq!(get(format!("/api/w/w/runs/{run}/log")).to(&api).await.text(), "");
    let answer = post(format!("/api/w/w/runs/{run}/cancel")).to(&api).await;
    assert_eq!((answer.status.as_u16(), answer.value()), (202, json!({"run_id": run, "status": "running"})));
    assert_eq!(api.ended(&run).await["status"], "cancelled");
    get(format!("/api/w/w/runs/{run}/result")).to(&api).await.is_problem(500, "cancelled");
    post(format!("/api/w/w/runs/{run}/cancel")).to(&api).await.is_problem(409, "conflict");
    api.stop().await;
}

#[tokio::test]
async fn a_waiting_run_is_cancelled_at_once() {
    let api = Api::new().await;
    api.deploy("f/t/gate").await;
    // More than this node takes at once: the last ones wait.
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(start(&api, "f/t/gate", json!({})).await);
    }
    let last = runs.last().unwrap();
    let answer = post(format!("/api/w/w/runs/{last}/cancel")).to(&api).await;
    assert_eq!((answer.status.as_u16(), answer.value()), (200, json!({"run_id": last, "status": "cancelled"})));
    api.stage.open_gate();
    for run in &runs {
        api.ended(run).await;
    }
    assert_eq!(api.ended(last).await["attempt"], 0);
    api.stop().await;
}

#[tokio::test]
async fn a_rerun_takes_the_same_arguments() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let first = post("/probe/w/run/f/t/echo").body("{\"a\":1}").to(&api).await.run_id();
    api.ended(&first).await;
    let answer = post(format!("/api/w/w/runs/{first}/rerun")).to(&api).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let second = answer.run_id();
    assert_ne!(first, second);
    let second = api.ended(&second).await;
    assert_eq!((&second["arguments"], &second["cause"]), (&json!({"a": 1}), &json!({"kind": "rerun", "run": first})));
    api.stop().await;
}

#[tokio::test]
async fn a_rerun_takes_other_arguments_and_either_version() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let first = start(&api, "f/t/echo", json!({"a": 1})).await;
    api.ended(&first).await;
    api.deploy_version("f/t/echo", 2).await;
    let again = async |body: Value| {
        let run = post(format!("/api/w/w/runs/{first}/rerun")).body(body.to_string()).to(&api).await.run_id();
        let run = api.ended(&run).await;
        (run["arguments"].clone(), run["number"].clone())
    };
    assert_eq!(again(json!({})).await, (json!({"a": 1}), json!(2)));
    assert_eq!(again(json!({"version": "same"})).await, (json!({"a": 1}), json!(1)));
    assert_eq!(again(json!({"args": {"b": 2}, "version": "newest"})).await, (json!({"b": 2}), json!(2)));
    for (body, status, code) in [
        (json!({"args": [1]}), 422, "invalid_arguments"),
        (json!({"version": "oldest"}), 400, "bad_request"),
        (json!({"arguments": {}}), 400, "bad_request"),
    ] {
        post(format!("/api/w/w/runs/{first}/rerun")).body(body.to_string()).to(&api).await.is_problem(status, code);
    }
    api.stop().await;
}

#[tokio::test]
async fn many_runs_are_cancelled_and_done_again() {
    let api = Api::new().await;
    for name in ["gate", "echo"] {
        api.deploy(&format!("f/t/{name}")).await;
    }
    let mut waiting = Vec::new();
    for _ in 0..40 {
        waiting.push(start(&api, "f/t/gate", json!({})).await);
    }
    let other = start(&api, "f/t/echo", json!({"a": 1})).await;
    let bulk = async |what: &str, body: Value| post(format!("/api/w/w/runs/{what}")).body(body.to_string()).to(&api).await;
    let answer = bulk("cancel", json!({"filter": {"path": "f/t/gate"}})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let receipt = answer.value();
    assert_eq!(receipt["done"].as_u64().unwrap() + receipt["ending"].as_u64().unwrap(), 40, "{receipt}");
    api.stage.open_gate();
    for run in &waiting {
        assert_eq!(api.ended(run).await["status"], "cancelled");
    }
    assert_eq!(api.ended(&other).await["status"], "succeeded");
    let keyed = json!({"filter": {"path": "f/t/echo"}});
    for _ in 0..2 {
        let answer = post("/api/w/w/runs/rerun").header("idempotency-key", "k").body(keyed.to_string()).to(&api).await;
        assert_eq!(answer.value()["done"].as_u64().unwrap_or(0), 1, "{answer:?}");
    }
    let again = get(format!("/api/w/w/runs?rerun_of={other}")).to(&api).await.value();
    assert_eq!(again["items"].as_array().unwrap().len(), 1, "a repetition of the request starts nothing twice: {again}");
    bulk("cancel", json!({"filter": {}})).await.is_problem(400, "bad_request");
    bulk("cancel", json!({})).await.is_problem(400, "bad_request");
    bulk("rerun", json!({"filter": {"state": "failed"}})).await.is_problem(400, "bad_request");
    api.stop().await;
}

#[tokio::test]
async fn lists_are_newest_first_and_filtered() {
    let api = Api::new().await;
    for name in ["echo", "error"] {
        api.deploy(&format!("f/t/{name}")).await;
    }
    let mut runs = Vec::new();
    for path in ["f/t/echo", "f/t/error", "f/t/echo", "f/t/echo"] {
        let run = post(format!("/probe/w/run/{path}")).to(&api).await.run_id();
        api.ended(&run).await;
        runs.insert(0, run);
    }
    let ids = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
    };
    let first = get("/api/w/w/runs?limit=3").to(&api).await.value();
    assert_eq!(ids(&first), runs[..3]);
    let second = get(format!("/api/w/w/runs?limit=3&cursor={}", first["next"].as_str().unwrap())).to(&api).await.value();
    assert_eq!((ids(&second), &second["next"]), (runs[3..].to_vec(), &Value::Null));
    let failed = get("/api/w/w/runs?status=failed").to(&api).await.value();
    assert_eq!(ids(&failed), [runs[2].clone()]);
    let of_path = get("/api/w/w/runs?path=f%2Ft%2Fecho").to(&api).await.value();
    assert_eq!(ids(&of_path).len(), 3);
    get("/api/w/w/runs?status=odd").to(&api).await.is_problem(400, "bad_request");
    get("/api/w/w/runs?path=..").to(&api).await.is_problem(400, "invalid_path");
    api.stop().await;
}
