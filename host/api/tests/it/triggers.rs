//! Triggers: who may do what with them, what is shown, and what becomes of what they keep.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    audit::of_request,
    support::{Api, Call, delete, get, post, put},
};

const AT: &str = "/api/w/w/triggers/f/t/hook";
const TICKER: &str = "/api/w/w/triggers/f/t/ticker";

fn hook() -> Value {
    json!({"kind": "probe", "target": "f/t/echo"})
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

/// A request that does what an operation on triggers is for, as [`crate::audit::example`]; none if it is none of these.
pub(crate) async fn example(api: &Api, method: &str, path: &str) -> Option<(Call, Option<(&'static str, String)>)> {
    if !path.contains("trigger") && !path.starts_with("held-runs/") {
        return None;
    }
    let trigger = json!({"kind": "probe", "target": "f/t/echo", "description": "hunter2"});
    let made = put(AT).json(trigger.clone()).to(api).await;
    assert_eq!(made.status, 200, "{made:?}");
    let asked = json!({"path": "f/t/hook", "kind": "ticker", "config": {"every_ms": 1000, "token": "hunter2"}});
    let discard = json!({"action": "discard", "all": true});
    let (call, action) = match (method, path) {
        ("put", "triggers/{path}") => (put(AT).json(trigger), "triggers.put"),
        ("delete", "triggers/{path}") => (delete(AT), "triggers.delete"),
        ("post", "trigger-mode/{path}") => (post("/api/w/w/trigger-mode/f/t/hook").json(json!({"mode": "held"})), "triggers.mode"),
        ("post", "trigger-events/{path}") => (post("/api/w/w/trigger-events/f/t/hook").json(discard), "triggers.events"),
        ("post", "held-runs/{path}") => (post("/api/w/w/held-runs/f/t/hook").json(discard), "triggers.held"),
        ("post", "trigger-probes") => return Some((post("/api/w/w/trigger-probes").json(asked), Some(("triggers.probe", String::new())))),
        ("post", "trigger-previews") => return Some((post("/api/w/w/trigger-previews").json(asked), None)),
        _ => return None,
    };
    Some((call, Some((action, "f/t/hook".to_owned()))))
}

async fn api() -> Api {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    api
}

#[tokio::test]
async fn a_trigger_is_put_shown_listed_and_deleted() {
    let api = api().await;
    get(AT).to(&api).await.is_problem(404, "not_found");
    let body = json!({
        "kind": "ticker", "target": "f/t/echo", "description": "nightly", "mode": "off",
        "config": {"every_ms": 1000, "token": "$var:f/t/token"}, "options": {"priority": 3},
    });
    put(TICKER).json(body.clone()).to(&api).await.is_problem(422, "invalid_trigger");
    assert_eq!(put("/api/w/w/variables/f/t/token").json(json!({"text": "hunter2", "secret": true})).to(&api).await.status, 200);
    let made = put(TICKER).header("x-request-id", "made").json(body.clone()).to(&api).await;
    assert_eq!(made.status, 200, "{made:?}");
    let shown = get(TICKER).to(&api).await;
    let value = shown.value();
    assert_eq!(made.value(), value);
    assert_eq!((&value["path"], &value["kind"], &value["mode"]), (&json!("f/t/ticker"), &json!("ticker"), &json!("off")));
    assert_eq!((&value["config"], &value["options"]), (&body["config"], &json!({"priority": 3})), "references stay references");
    assert_eq!(value["answered_by"], "u/ann");
    assert!(!shown.text().contains("hunter2"));

    assert_eq!(put(AT).json(hook()).to(&api).await.status, 200);
    for (query, expected) in [
        ("", &["f/t/hook", "f/t/ticker"][..]),
        ("?kind=ticker", &["f/t/ticker"]),
        ("?kind=none", &[]),
        ("?target=f/t/echo&prefix=f/t/h", &["f/t/hook"]),
        ("?target=f/t/none", &[]),
    ] {
        let list = get(format!("/api/w/w/triggers{query}")).to(&api).await.value();
        let paths: Vec<&str> = list["items"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap()).collect();
        assert_eq!(paths, expected, "{query}");
    }
    get("/api/w/w/triggers?kind=%00").to(&api).await.is_problem(400, "bad_request");

    // Switching off works whatever is wrong; switching on needs all that it refers to.
    let mode = |mode: &str| post("/api/w/w/trigger-mode/f/t/ticker").json(json!({ "mode": mode }));
    assert_eq!(mode("held").to(&api).await.value()["mode"], "held");
    assert_eq!(delete("/api/w/w/variables/f/t/token").to(&api).await.status, 204);
    assert_eq!(mode("off").to(&api).await.value()["mode"], "off");
    mode("on").to(&api).await.is_problem(422, "invalid_trigger");

    assert_eq!(delete(TICKER).to(&api).await.status, 204);
    delete(TICKER).to(&api).await.is_problem(404, "not_found");
    api.stop().await;
}

#[tokio::test]
async fn the_audit_log_has_names_of_what_changed_and_no_values() {
    let api = api().await;
    let body = json!({"kind": "ticker", "target": "f/t/echo", "mode": "off", "config": {"every_ms": 1000, "token": "hunter2"}});
    assert_eq!(put(TICKER).header("x-request-id", "made").json(body.clone()).to(&api).await.status, 200);
    let other = with(body, "config", json!({"every_ms": 1000, "token": "hunter3"}));
    assert_eq!(put(TICKER).header("x-request-id", "changed").json(other).to(&api).await.status, 200);
    let mode = post("/api/w/w/trigger-mode/f/t/ticker").header("x-request-id", "mode").json(json!({"mode": "capture"}));
    assert_eq!(mode.to(&api).await.value()["mode"], "capture");
    for (request, action, changed) in [
        ("made", "triggers.put", json!(["kind", "target", "mode", "answered_by", "config.every_ms", "config.token"])),
        ("changed", "triggers.put", json!(["config.token"])),
        ("mode", "triggers.mode", json!(["mode"])),
    ] {
        let entries = of_request(&api, "w/w", request).await;
        assert_eq!((&entries[0]["action"], &entries[0]["target"]), (&json!(action), &json!("f/t/ticker")), "{entries:?}");
        assert!(entries[0].to_string().contains(&changed.to_string()), "{entries:?}");
        assert!(!entries[0].to_string().contains("hunter"), "{entries:?}");
    }
    api.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_and_changes_nothing() {
    let api = api().await;
    for (body, status, code) in [
        (json!({"kind": "none", "target": "f/t/echo"}), 404, "not_found"),
        (with(hook(), "target", json!("f/t")), 400, "invalid_path"),
        (with(hook(), "mode", json!("of")), 400, "bad_request"),
        (with(hook(), "config", json!([])), 422, "invalid_trigger"),
        (with(hook(), "options", json!({"priorities": 1})), 422, "invalid_trigger"),
        (with(hook(), "options", json!({"priority": 1001})), 422, "invalid_trigger"),
        (json!({"kind": "ticker", "target": "f/t/echo", "config": {"every_ms": 0}}), 422, "invalid_trigger"),
        (json!({"kind": "ticker", "target": "f/t/echo", "config": {"every_ms": "hunter2"}}), 422, "invalid_trigger"),
        (with(hook(), "hunter2", json!(1)), 400, "bad_request"),
        (with(hook(), "revision", json!(7)), 409, "conflict"),
    ] {
        let refused = put(AT).json(body.clone()).to(&api).await;
        refused.is_problem(status, code);
        assert!(!refused.text().contains("hunter2"), "{refused:?}");
    }
    get(AT).to(&api).await.is_problem(404, "not_found");
    let made = put(AT).json(with(hook(), "revision", json!(0))).to(&api).await.value();
    put(AT).json(with(hook(), "revision", json!(0))).to(&api).await.is_problem(409, "conflict");
    assert_eq!(put(AT).json(with(hook(), "revision", made["revision"].clone())).to(&api).await.status, 200);
    // What is left out of the mode is as it was.
    assert_eq!(put(AT).json(with(hook(), "mode", json!("off"))).to(&api).await.value()["mode"], "off");
    assert_eq!(put(AT).json(hook()).to(&api).await.value()["mode"], "off");
    api.stop().await;
}

/// Whoever may write a trigger gains nothing by it that they may not do themselves.
#[tokio::test]
async fn a_trigger_gives_nobody_more_than_they_have() {
    const EVE: &str = "sm_eve";
    let api = api().await;
    assert_eq!(put("/api/w/w/variables/f/secret/rate").json(json!({"text": "7777"})).to(&api).await.status, 200);
    api.token(EVE, Some(api.workspace), &["triggers:*:f/t/*", "runs:start:f/mine/*"]).await;
    let refused = put(AT).json(hook()).token(EVE).to(&api).await;
    refused.is_problem(403, "forbidden");
    assert!(refused.text().contains("runs:start:f/t/echo"), "{refused:?}");
    // What is there cannot be told from what is not.
    let elsewhere = |path: &str| get(format!("/api/w/w/triggers/{path}")).token(EVE);
    assert_eq!(
        put("/api/w/w/triggers/f/closed/there")
            .json(json!({"kind": "ticker", "target": "f/t/echo", "config": {"every_ms": 1}, "mode": "off"}))
            .to(&api)
            .await
            .status,
        200
    );
    let (there, nowhere) = (elsewhere("f/closed/there").to(&api).await, elsewhere("f/closed/nowhere").to(&api).await);
    assert_eq!((there.status, nowhere.status), (nowhere.status, there.status));
    there.is_problem(403, "forbidden");
    assert_eq!(get("/api/w/w/triggers").token(EVE).to(&api).await.value()["items"], json!([]));

    // By nothing that is made of it does she learn a variable that she may not read.
    let config = json!({"every_ms": "$var:f/secret/rate"});
    for (url, status, code) in [("/api/w/w/trigger-previews", 422, "invalid_trigger"), ("/api/w/w/trigger-probes", 403, "forbidden")] {
        let body = json!({"path": "f/t/x", "kind": "ticker", "config": config});
        let refused = post(url).json(body).token(EVE).to(&api).await;
        refused.is_problem(status, code);
        assert!(!refused.text().contains("7777"), "{url}: {refused:?}");
    }
    let own = json!({"kind": "ticker", "target": "f/mine/x", "config": config});
    put("/api/w/w/triggers/f/t/x").json(own).token(EVE).to(&api).await.is_problem(403, "forbidden");

    // Nor does she let go what another's trigger keeps, or start what she may not.
    assert_eq!(put(AT).json(with(hook(), "mode", json!("capture"))).to(&api).await.status, 200);
    let replay = post("/api/w/w/trigger-events/f/t/hook").json(json!({"action": "replay", "all": true}));
    replay.token(EVE).to(&api).await.is_problem(403, "forbidden");
    api.token("sm_looks", Some(api.workspace), &["triggers:read"]).await;
    for (url, body) in [
        ("/api/w/w/trigger-events/f/t/hook", json!({"action": "discard", "all": true})),
        ("/api/w/w/held-runs/f/t/hook", json!({"action": "release", "all": true})),
        ("/api/w/w/trigger-mode/f/t/hook", json!({"mode": "off"})),
    ] {
        post(url).json(body).token("sm_looks").to(&api).await.is_problem(403, "forbidden");
    }
    api.stop().await;
}

/// Whoever may start a script could else switch off the URL that others call, or have kept what they send.
#[tokio::test]
async fn terms_of_a_scripts_own_url_are_its_writers() {
    const EVE: &str = "sm_eve";
    let api = api().await;
    api.token(EVE, Some(api.workspace), &["triggers:*:f/eve/*", "runs:start:f/t/*"]).await;
    for mode in ["on", "off", "held", "capture"] {
        let refused = put("/api/w/w/triggers/f/eve/hook").json(with(hook(), "mode", json!(mode))).token(EVE).to(&api).await;
        refused.is_problem(403, "forbidden");
        assert!(refused.text().contains("scripts:write:f/t/echo"), "{refused:?}");
    }
    // Nor by changing the mode of one that somebody else has set up.
    assert_eq!(put("/api/w/w/triggers/f/eve/hook").json(hook()).to(&api).await.status, 200);
    let captures = post("/api/w/w/trigger-mode/f/eve/hook").json(json!({"mode": "capture"}));
    captures.token(EVE).to(&api).await.is_problem(403, "forbidden");
    // What is no script's own takes no such right.
    let ticker = json!({"kind": "ticker", "target": "f/t/echo", "config": {"every_ms": 1000}, "mode": "off"});
    assert_eq!(put("/api/w/w/triggers/f/eve/ticker").json(ticker).token(EVE).to(&api).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn connections_are_tested_and_instants_told() {
    let api = api().await;
    let probe = |config: Value| post("/api/w/w/trigger-probes").json(json!({"path": "f/t/x", "kind": "ticker", "config": config}));
    assert_eq!(probe(json!({"every_ms": 1})).to(&api).await.status, 204);
    let down = probe(json!({"every_ms": 1, "is_down": true})).to(&api).await;
    assert!(down.is_problem(422, "invalid_trigger")["detail"].as_str().unwrap().contains("nobody answers"), "{down:?}");
    post("/api/w/w/trigger-probes").json(json!({"path": "f/t/x"})).to(&api).await.is_problem(404, "not_found");
    let nothing = post("/api/w/w/trigger-probes").json(json!({"path": "f/t/x", "kind": "probe"}));
    nothing.to(&api).await.is_problem(400, "bad_request");

    let body = json!({"kind": "ticker", "target": "f/t/echo", "config": {"every_ms": 60_000}, "mode": "off"});
    assert_eq!(put(TICKER).json(body).to(&api).await.status, 200);
    let asked = json!({"path": "f/t/ticker", "after": "2026-01-31T12:00:00Z", "limit": 2});
    let preview = post("/api/w/w/trigger-previews").json(asked.clone()).to(&api).await;
    assert_eq!(preview.value()["instants"], json!(["2026-01-31T12:01:00.000000Z", "2026-01-31T12:02:00.000000Z"]), "{preview:?}");
    let other = with(asked.clone(), "config", json!({"every_ms": 1000}));
    assert_eq!(post("/api/w/w/trigger-previews").json(other).to(&api).await.value()["instants"][0], "2026-01-31T12:00:01.000000Z");
    for (name, value) in [("limit", json!(101)), ("limit", json!(0)), ("after", json!("soon"))] {
        post("/api/w/w/trigger-previews").json(with(asked.clone(), name, value)).to(&api).await.is_problem(400, "bad_request");
    }
    let kinds = get("/api/w/w/trigger-kinds").to(&api).await.value();
    let names: Vec<&str> = kinds["items"].as_array().unwrap().iter().map(|kind| kind["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["probe", "ticker"]);
    assert!(kinds["options"]["properties"]["payload_bytes_max"].is_object(), "{kinds}");
    api.stop().await;
}

#[tokio::test]
async fn what_is_captured_is_looked_at_replayed_and_forgotten() {
    let api = api().await;
    assert_eq!(put(AT).json(with(hook(), "mode", json!("capture"))).to(&api).await.status, 200);
    for n in 0..3 {
        let captured = post("/probe/w/start/f/t/echo").json(json!({ "n": n })).to(&api).await;
        assert_eq!(captured.status, 202, "{captured:?}");
        api.clock.advance(Duration::from_millis(2));
    }
    assert_eq!(get("/api/w/w/runs").to(&api).await.value()["items"], json!([]), "none starts a run");
    let list = get("/api/w/w/trigger-events/f/t/hook").to(&api).await.value();
    let items = list["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["kept_as"]), (3, &json!("captured")), "{list}");
    assert_eq!(items[0]["payload"], "{\"n\":2}", "the newest first");
    let id = items[0]["id"].as_str().unwrap();
    let one = get(format!("/api/w/w/trigger-events/f/t/hook?id={id}")).to(&api).await.value();
    assert_eq!((&one["items"][0]["payload"], &one["items"][0]["is_whole"]), (&json!("{\"n\":2}"), &json!(true)));
    get("/api/w/w/trigger-events/f/t/hook?id=x").to(&api).await.is_problem(400, "bad_request");

    let act = |body: Value| post("/api/w/w/trigger-events/f/t/hook").json(body);
    let replayed = act(json!({"action": "replay", "ids": [id]})).to(&api).await.value();
    assert_eq!((&replayed["done"], &replayed["passed_over"]), (&json!(1), &json!(0)), "{replayed}");
    let runs = get("/api/w/w/runs?trigger_path=f/t/hook").to(&api).await.value();
    assert_eq!(runs["items"].as_array().unwrap().len(), 1, "{runs}");
    api.ended(runs["items"][0]["id"].as_str().unwrap()).await;
    let discarded = act(json!({"action": "discard", "all": true, "kept_as": "dead"})).to(&api).await.value();
    assert_eq!(discarded["done"], 0, "none is dead");
    let discarded = act(json!({"action": "discard", "all": true})).to(&api).await.value();
    assert_eq!((&discarded["done"], &discarded["next"]), (&json!(3), &Value::Null));
    let gone = act(json!({"action": "replay", "ids": [id]})).to(&api).await.value();
    assert_eq!((&gone["passed_over"], &gone["problems"][0]["code"]), (&json!(1), &json!("not_found")), "{gone}");
    for wrong in
        [json!({"action": "replay"}), json!({"action": "replay", "ids": [id], "all": true}), json!({"action": "replay", "ids": ["x"]})]
    {
        act(wrong).to(&api).await.is_problem(400, "bad_request");
    }
    api.stop().await;
}

#[tokio::test]
async fn held_runs_are_let_go_by_their_own_trigger_alone() {
    let api = api().await;
    api.deploy("f/t/null").await;
    assert_eq!(put(AT).json(with(hook(), "mode", json!("held"))).to(&api).await.status, 200);
    let other = json!({"kind": "probe", "target": "f/t/null"});
    assert_eq!(put("/api/w/w/triggers/f/t/other").json(other).to(&api).await.status, 200);
    let mut runs = Vec::new();
    for n in 0..2 {
        let held = post("/probe/w/start/f/t/echo").json(json!({ "n": n })).to(&api).await;
        assert_eq!(held.status, 202, "{held:?}");
        runs.push(held.run_id());
        api.clock.advance(Duration::from_millis(2));
    }
    let status = async |run: &str| get(format!("/api/w/w/runs/{run}")).to(&api).await.value()["status"].clone();
    assert_eq!(status(&runs[0]).await, "held");
    let steer = |path: &str, body: Value| post(format!("/api/w/w/held-runs/{path}")).json(body);
    let released = steer("f/t/other", json!({"action": "release", "ids": [&runs[0]]})).to(&api).await.value();
    assert_eq!(
        (&released["done"], &released["problems"][0]["code"]),
        (&json!(0), &json!("not_found")),
        "a trigger is not the way to another's"
    );

    // Who may let go what the trigger holds, and not start its script.
    api.token("sm_half", Some(api.workspace), &["triggers:start"]).await;
    let refused = steer("f/t/hook", json!({"action": "release", "all": true})).token("sm_half").to(&api).await.value();
    assert_eq!((&refused["done"], &refused["problems"][0]["code"]), (&json!(0), &json!("forbidden")), "{refused}");
    assert_eq!(status(&runs[0]).await, "held");

    let released = steer("f/t/hook", json!({"action": "release", "ids": [&runs[0]]})).to(&api).await.value();
    assert_eq!(released["done"], 1, "{released}");
    assert_eq!(api.ended(&runs[0]).await["status"], "succeeded");
    let discarded = steer("f/t/hook", json!({"action": "discard", "all": true})).to(&api).await.value();
    assert_eq!(discarded["done"], 1, "{discarded}");
    assert_eq!(status(&runs[1]).await, "cancelled");
    api.stop().await;
}

#[tokio::test]
async fn an_archived_workspace_keeps_its_triggers_as_they_are() {
    let api = api().await;
    assert_eq!(put(AT).json(with(hook(), "mode", json!("off"))).to(&api).await.status, 200);
    assert_eq!(post("/api/instance/workspaces/w/archive").to(&api).await.status, 200);
    for call in [
        put(AT).json(hook()),
        delete(AT),
        post("/api/w/w/trigger-mode/f/t/hook").json(json!({"mode": "on"})),
        post("/api/w/w/trigger-events/f/t/hook").json(json!({"action": "replay", "all": true})),
        post("/api/w/w/held-runs/f/t/hook").json(json!({"action": "release", "all": true})),
        post("/api/w/w/trigger-probes").json(json!({"path": "f/t/hook"})),
    ] {
        call.to(&api).await.is_problem(409, "workspace_archived");
    }
    assert_eq!(get(AT).to(&api).await.value()["mode"], "off");
    let preview = post("/api/w/w/trigger-previews").json(json!({"path": "f/t/x", "kind": "ticker", "config": {"every_ms": 1}}));
    assert_eq!(preview.to(&api).await.status, 200, "it only looks");
    api.stop().await;
}

#[tokio::test]
async fn as_many_triggers_as_the_quota_says() {
    let api = api().await;
    let quota = crate::support::patch("/api/instance/workspaces/w").json(json!({"quotas": {"triggers": 1}}));
    assert_eq!(quota.to(&api).await.status, 200);
    let off = |target: &str| json!({"kind": "ticker", "target": target, "config": {"every_ms": 1}, "mode": "off"});
    assert_eq!(put(TICKER).json(off("f/t/echo")).to(&api).await.status, 200);
    assert_eq!(put(TICKER).json(off("f/t/echo")).to(&api).await.status, 200, "the same again is no more");
    put("/api/w/w/triggers/f/t/second").json(off("f/t/echo")).to(&api).await.is_problem(429, "quota_exceeded");
    assert_eq!(delete(TICKER).to(&api).await.status, 204);
    assert_eq!(put("/api/w/w/triggers/f/t/second").json(off("f/t/echo")).to(&api).await.status, 200);
    api.stop().await;
}
