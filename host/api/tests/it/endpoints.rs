//! Endpoints of trigger kinds, of which the API knows nothing but the contract.

use sandmill_model::{Input, OutcomeKind};
use serde_json::json;

use crate::support::{Api, get, post, put};

#[tokio::test]
async fn a_result_is_the_kinds_answer() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let answer = post("/probe/w/run/f/t/echo").body("{\"a\":1}").to(&api).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "probe:{\"a\":1}"));
    assert_eq!(answer.header("content-security-policy"), Some("sandbox"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));

    let attempt = api.stage.last_attempt();
    assert_eq!((attempt.run.to_string(), &*attempt.run_as, &*attempt.workspace_name), (answer.run_id(), "u/ann", "w"));
    assert!(matches!(&attempt.input, Input::Event(event) if &*event.trigger.kind == "probe"));
    let run = api.ended(&answer.run_id()).await;
    assert_eq!((&run["trigger"], &run["status"], &run["path"]), (&json!("probe"), &json!("succeeded"), &json!("f/t/echo")));
    api.stop().await;
}

#[tokio::test]
async fn versions_can_be_chosen() {
    let api = Api::new().await;
    for source in ["one", "two"] {
        put("/api/w/w/scripts/f/t/echo").json(json!({"language": "typescript", "source": source})).to(&api).await;
    }
    let digest = get("/api/w/w/scripts/f/t/echo@1").to(&api).await.value()["version"].as_str().unwrap().to_owned();
    for (selector, number) in [("", 2), ("@1", 1), ("@2", 2), ("%401", 1), (&*format!("@{digest}"), 1)] {
        let answer = post(format!("/probe/w/run/f/t/echo{selector}")).to(&api).await;
        assert_eq!(answer.status, 200, "{selector}: {answer:?}");
        assert_eq!(api.ended(&answer.run_id()).await["number"], number, "{selector}");
    }
    post("/probe/w/run/f/t/echo@3").to(&api).await.is_problem(404, "not_found");
    api.stop().await;
}

#[tokio::test]
async fn a_receipt_comes_once_the_run_is_durable() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let answer = post("/probe/w/start/f/t/echo").body("{\"a\":1}").to(&api).await;
    assert_eq!(answer.status, 202);
    let run = answer.value()["run_id"].as_str().unwrap().to_owned();
    assert_eq!(answer.value(), json!({"run_id": run, "status": "queued"}));
    assert_eq!(answer.header("location"), Some(&*format!("/api/w/w/runs/{run}")));
    assert_eq!(answer.header("content-security-policy"), Some("sandbox"));
    api.ended(&run).await;
    assert_eq!(get(format!("/api/w/w/runs/{run}/result")).to(&api).await.text(), "{\"a\":1}");
    let unfit = post("/probe/w/start/f/t/echo").body("{\"a\":\"unfit\"}").to(&api).await.is_problem(422, "invalid_arguments");
    assert_eq!(unfit["faults"], json!([{"pointer": "/n", "message": "must be a number"}]));
    api.stop().await;
}

#[tokio::test]
async fn every_bad_outcome_is_a_problem_of_its_code() {
    let api = Api::new().await;
    api.token("sm_hook", Some(api.workspace), &["runs:start:f/t/*"]).await;
    for kind in
        OutcomeKind::ALL.into_iter().filter(|kind| !matches!(kind, OutcomeKind::Ok | OutcomeKind::Skipped | OutcomeKind::InvalidArguments))
    {
        let path = format!("f/t/{}", kind.name());
        api.deploy(&path).await;
        let status = if kind == OutcomeKind::Timeout { 504 } else { 500 };
        let open = post(format!("/probe/w/run/{path}")).to(&api).await;
        let problem = open.is_problem(status, kind.name());
        assert_eq!(problem["run_id"], open.run_id());
        assert_eq!(problem["detail"], "secret message");
        assert_eq!(problem["error"], json!({"name": "SecretError", "message": "secret message", "stack": "at main (secret.ts:7:1)"}));
        assert_eq!(open.header("content-security-policy"), Some("sandbox"));

        let closed = post(format!("/probe/w/run/{path}")).token("sm_hook").to(&api).await;
        closed.is_problem(status, kind.name());
        assert!(!closed.text().to_lowercase().contains("secret"), "{}", closed.text());
    }
    api.stop().await;
}

#[tokio::test]
async fn what_a_preprocessor_rejects_has_the_status_that_it_chose() {
    let api = Api::new().await;
    api.token("sm_hook", Some(api.workspace), &["runs:start:f/t/*"]).await;
    api.deploy("f/t/rejects").await;
    let open = post("/probe/w/run/f/t/rejects").to(&api).await;
    let problem = open.is_problem(401, "error");
    assert_eq!((&problem["run_id"], &problem["detail"]), (&json!(open.run_id()), &json!("secret message")));
    let closed = post("/probe/w/run/f/t/rejects").token("sm_hook").to(&api).await;
    closed.is_problem(401, "error");
    assert!(!closed.text().contains("secret"), "{}", closed.text());
    // The status of an error of `main` is the host's to say.
    post("/probe/w/run/f/t/rejects").body("{\"by\":\"main\"}").to(&api).await.is_problem(500, "error");
    // Who asks the API did nothing wrong.
    let run = open.run_id();
    get(format!("/api/w/w/runs/{run}/result")).to(&api).await.is_problem(500, "error");
    post("/api/w/w/runs").json(json!({"path": "f/t/rejects", "wait": true, "event": {}})).to(&api).await.is_problem(500, "error");
    let shown = get(format!("/api/w/w/runs/{run}")).to(&api).await.value();
    assert_eq!((&shown["outcome"], &shown["error"]["name"], &shown["attempt"]), (&json!("error"), &json!("Rejected"), &json!(1)));
    api.stop().await;
}

#[tokio::test]
async fn faults_of_arguments_are_for_whoever_sent_them() {
    let api = Api::new().await;
    api.token("sm_hook", Some(api.workspace), &["runs:start:f/t/*"]).await;
    api.deploy("f/t/invalid").await;
    let answer = post("/probe/w/run/f/t/invalid").token("sm_hook").to(&api).await;
    let problem = answer.is_problem(422, "invalid_arguments");
    assert_eq!(problem["faults"], json!([{"pointer": "/n", "message": "must be a number"}]));
    assert_eq!(problem["run_id"], answer.run_id());
    api.stop().await;
}

#[tokio::test]
async fn a_skipped_run_answers_null() {
    let api = Api::new().await;
    api.deploy("f/t/skipped").await;
    let answer = post("/probe/w/run/f/t/skipped").to(&api).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "probe:null"));
    api.stop().await;
}

#[tokio::test]
async fn what_the_kind_refuses_is_a_problem() {
    let api = Api::new().await;
    api.deploy("f/t/unanswerable").await;
    let answer = post("/probe/w/run/f/t/unanswerable").to(&api).await;
    assert_eq!(answer.is_problem(500, "error")["run_id"], answer.run_id());
    post("/probe/w/run/f/t/unanswerable").body("refuse").to(&api).await.is_problem(400, "invalid_json");
    post("/probe/w").to(&api).await.is_problem(404, "not_found");
    get("/probe").to(&api).await.is_problem(404, "not_found");
    get("/probe/").to(&api).await.is_problem(404, "not_found");
    api.stop().await;
}

#[tokio::test]
async fn wrong_methods_are_told_the_right_ones() {
    let api = Api::new().await;
    let answer = put("/probe/w/run/f/t/echo").no_token().to(&api).await;
    answer.is_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET,POST"));
    let answer = get("/probe/w/start/f/t/echo").to(&api).await;
    answer.is_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    api.stop().await;
}

#[tokio::test]
async fn paths_outside_the_grammar_go_nowhere() {
    let api = Api::new().await;
    for path in [
        "f/t/..",
        "f/t/%2e%2e",
        "f/t%2fecho",
        "f/t%2Fx/echo",
        "../f/t/echo",
        "f/t",
        "x/t/echo",
        "f/t/%00",
        "f/t/%FF",
        "f/t/a%20b",
        "f/t/a@0",
        "f//echo",
    ] {
        post(format!("/probe/w/run/{path}")).to(&api).await.is_problem(400, "invalid_path");
    }
    for workspace in ["..", "%2e%2e", "%77", "W", "x"] {
        post(format!("/probe/{workspace}/run/f/t/echo")).to(&api).await.is_problem(404, "not_found");
    }
    assert!(api.stage.attempts.lock().unwrap().is_empty());
    api.stop().await;
}

#[tokio::test]
async fn a_run_past_the_wait_limit_goes_on() {
    let options = sandmill_api::ApiOptions { wait_limit: std::time::Duration::from_millis(20), ..Default::default() };
    let api = Api::with(options).await;
    api.deploy("f/t/gate").await;
    let answer = post("/probe/w/run/f/t/gate").body("{\"a\":1}").to(&api).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let run = answer.run_id();
    assert_eq!(answer.value(), json!({"run_id": run, "status": "running"}));
    let location = answer.header("location").unwrap().to_owned();
    assert_eq!(location, format!("/api/w/w/runs/{run}/result"));
    let pending = get(location.clone()).to(&api).await;
    assert_eq!((pending.status.as_u16(), pending.header("location")), (202, Some(&*location)));
    api.stage.open_gate();
    api.ended(&run).await;
    assert_eq!(get(location).to(&api).await.text(), "{\"a\":1}");
    api.stop().await;
}
