//! Workspaces and plans.

use std::time::Duration;

use sandmill_store::removal::Step;
use serde_json::json;

use crate::{
    audit::{Runs, example, of_request, operations},
    support::{Api, delete, get, patch, post, put},
};

const AT: &str = "/api/instance/workspaces";

#[tokio::test]
async fn a_workspace_is_made_shown_and_listed() {
    let api = Api::new().await;
    let made = post(AT).json(json!({"name": "acme", "quotas": {"scripts": 3}})).to(&api).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.value();
    assert_eq!((&made["status"], &made["plan"], &made["quotas"]["scripts"]), (&json!("active"), &json!(null), &json!(3)));
    assert_eq!(get(format!("{AT}/acme")).to(&api).await.value(), made);
    let first = get(format!("{AT}?limit=1")).to(&api).await.value();
    assert_eq!(first["items"], json!([made]));
    let rest = get(format!("{AT}?limit=1&cursor={}", first["next"].as_str().unwrap())).to(&api).await.value();
    assert_eq!((&rest["items"][0]["name"], &rest["next"]), (&json!("w"), &json!(null)));
    post(AT).json(json!({"name": "acme"})).to(&api).await.is_problem(409, "conflict");
    for bad in [
        json!({"name": "A"}),
        json!({"name": ""}),
        json!({"name": "b", "plan": "none"}),
        json!({"name": "b", "quotas": {"runs_per_dai": 1}}),
        json!({"name": "b", "quotas": {"scripts": -1}}),
        json!({"name": "b", "more": 1}),
    ] {
        post(AT).json(bad).to(&api).await.is_problem(400, "bad_request");
    }
    get(format!("{AT}/nobodys")).to(&api).await.is_problem(404, "not_found");
    api.stop().await;
}

#[tokio::test]
async fn only_tokens_of_the_installation_may() {
    let api = Api::new().await;
    api.token("sm_reader", None, &["instance:read"]).await;
    api.token("sm_member", Some(api.workspace), &["*:*"]).await;
    assert_eq!(get(AT).token("sm_reader").to(&api).await.status, 200);
    for (token, call) in [
        ("sm_member", get(AT)),
        ("sm_member", get(format!("{AT}/w"))),
        ("sm_reader", post(AT).json(json!({"name": "x"}))),
        ("sm_reader", patch(format!("{AT}/w")).json(json!({}))),
        ("sm_reader", post(format!("{AT}/w/archive"))),
        ("sm_reader", post(format!("{AT}/w/unarchive"))),
        ("sm_reader", delete(format!("{AT}/w?confirm=w"))),
        ("sm_member", get("/api/instance/plans")),
        ("sm_reader", put("/api/instance/plans/p").json(json!({}))),
        ("sm_reader", delete("/api/instance/plans/p")),
    ] {
        call.token(token).to(&api).await.is_problem(403, "forbidden");
    }
    assert_eq!(get("/api/w/w/quotas").token("sm_member").to(&api).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn plans_and_limits_of_its_own() {
    let api = Api::new().await;
    let plan = put("/api/instance/plans/pro").json(json!({"quotas": {"runs_per_day": 100, "scripts": 5}, "description": "for teams"}));
    let plan = plan.to(&api).await.value();
    assert_eq!((&plan["name"], &plan["quotas"]["runs_per_day"], &plan["updated_by"]), (&json!("pro"), &json!(100), &json!("u/ann")));
    assert_eq!(get("/api/instance/plans/pro").to(&api).await.value(), plan);
    assert_eq!(get("/api/instance/plans").to(&api).await.value(), json!({"items": [plan], "next": null}));
    put("/api/instance/plans/PRO").json(json!({})).to(&api).await.is_problem(400, "bad_request");
    put("/api/instance/plans/x").json(json!({"quotas": {"scripts": "5"}})).to(&api).await.is_problem(400, "bad_request");
    let changed = patch(format!("{AT}/w")).json(json!({"plan": "pro", "quotas": {"scripts": null, "triggers": 2}})).to(&api).await.value();
    assert_eq!(changed["quotas"]["runs_per_day"], 100, "{changed}");
    assert_eq!((&changed["quotas"]["scripts"], &changed["overrides"]), (&json!(null), &json!({"scripts": null, "triggers": 2})));
    let seen = get("/api/w/w/quotas").to(&api).await.value();
    assert_eq!((&seen["plan"], &seen["quotas"]), (&json!("pro"), &changed["quotas"]));
    let back = patch(format!("{AT}/w")).json(json!({"quotas": {"scripts": "plan"}})).to(&api).await.value();
    assert_eq!((&back["plan"], &back["quotas"]["scripts"]), (&json!("pro"), &json!(5)));
    delete("/api/instance/plans/pro").to(&api).await.is_problem(409, "conflict");
    let without = patch(format!("{AT}/w")).json(json!({"plan": null})).to(&api).await.value();
    assert_eq!((&without["plan"], &without["quotas"]["triggers"]), (&json!(null), &json!(2)));
    assert_eq!(delete("/api/instance/plans/pro").to(&api).await.status, 204);
    delete("/api/instance/plans/pro").to(&api).await.is_problem(404, "not_found");
    api.stop().await;
}

#[tokio::test]
async fn in_an_archived_workspace_nothing_starts_and_nothing_changes() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let run = post("/probe/w/run/f/t/echo").to(&api).await.run_id();
    api.ended(&run).await;
    let token = post("/api/w/w/tokens").json(json!({"scopes": ["runs:read"]})).to(&api).await.value()["token"]["id"].clone();
    let token = format!("/api/w/w/tokens/{}", token.as_str().unwrap());
    assert_eq!(post(format!("{AT}/w/archive")).to(&api).await.value()["status"], "archived");
    for call in [
        post("/probe/w/run/f/t/echo"),
        post("/api/w/w/runs").json(json!({"path": "f/t/echo"})),
        post(format!("/api/w/w/runs/{run}/rerun")),
        put("/api/w/w/scripts/f/t/new").json(json!({"language": "typescript", "source": "x"})),
        put("/api/w/w/variables/f/t/v").json(json!({"text": "x"})),
        patch("/api/w/w/settings").json(json!({})),
        post("/api/w/w/tokens").json(json!({"scopes": ["runs:read"]})),
        post(format!("{token}/rotate")),
    ] {
        call.to(&api).await.is_problem(409, "workspace_archived");
    }
    for uri in ["/api/w/w/scripts", "/api/w/w/runs", "/api/w/w/scripts/f/t/echo", &format!("/api/w/w/runs/{run}/result")] {
        assert_eq!(get(uri).to(&api).await.status, 200, "{uri}");
    }
    assert_eq!(delete(&token).to(&api).await.status, 204, "a token can always be taken away");
    assert_eq!(post(format!("{AT}/w/unarchive")).to(&api).await.value()["status"], "active");
    assert_eq!(post("/probe/w/run/f/t/echo").to(&api).await.status, 200);
    api.stop().await;
}

/// What passes although the workspace is archived: what ends what is there, and starts of many, each of which is refused.
const OF_ARCHIVED: [&str; 6] = [
    "delete /api/w/{workspace}/tokens/{id}",
    "post /api/w/{workspace}/runs/cancel",
    "post /api/w/{workspace}/runs/{id}/cancel",
    "post /api/w/{workspace}/runs/rerun",
    "post /api/w/{workspace}/dead-letters/replay",
    "post /api/w/{workspace}/trigger-previews",
];

#[tokio::test]
async fn nothing_is_changed_in_an_archived_workspace() {
    let api = Api::new().await;
    for path in ["f/t/echo", "f/t/error"] {
        api.deploy(path).await;
    }
    let of_workspaces: Vec<String> = operations().into_iter().filter(|operation| operation.contains("/w/{workspace}/")).collect();
    assert!(OF_ARCHIVED.iter().all(|operation| of_workspaces.iter().any(|other| other == operation)), "{of_workspaces:?}");
    for (index, operation) in of_workspaces.iter().enumerate() {
        let runs = Runs::start(&api).await;
        let (call, _) = example(&api, &runs, operation).await;
        assert_eq!(post("/api/instance/workspaces/w/archive").to(&api).await.status, 200, "{operation}");
        let request = format!("archived-{index}");
        let answer = call.header("x-request-id", &request).to(&api).await;
        if OF_ARCHIVED.contains(&operation.as_str()) {
            assert!(answer.status.is_success(), "{operation}: {answer:?}");
        } else {
            assert_eq!(answer.status, 409, "{operation}: {answer:?}");
            answer.is_problem(409, "workspace_archived");
            let found = of_request(&api, "w/w", &request).await;
            assert!(found.is_empty(), "{operation}: it was not denied, and nothing was changed: {found:?}");
        }
        assert_eq!(post("/api/instance/workspaces/w/unarchive").to(&api).await.status, 200, "{operation}");
    }
    // Each of many is refused by itself, and their letters stay.
    let dead = Runs::start(&api).await.dead;
    post("/api/instance/workspaces/w/archive").to(&api).await;
    for path in ["runs/rerun", "dead-letters/replay"] {
        let receipt = post(format!("/api/w/w/{path}")).json(json!({"filter": {"path": "f/t/error"}})).to(&api).await.value();
        assert_eq!((&receipt["done"], &receipt["problems"][0]["code"]), (&json!(0), &json!("workspace_archived")), "{path}: {receipt}");
    }
    let letters = get("/api/w/w/dead-letters").to(&api).await.text().to_owned();
    assert!(letters.contains(&dead), "{letters}");
    api.stop().await;
}

#[tokio::test]
async fn a_deleted_workspace_is_gone_for_its_members_at_once() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    for query in ["", "?confirm=", "?confirm=W", "?confirm=other"] {
        delete(format!("{AT}/w{query}")).to(&api).await.is_problem(400, "bad_request");
    }
    let deleted = delete(format!("{AT}/w?confirm=w")).to(&api).await;
    assert_eq!((deleted.status.as_u16(), &deleted.value()["status"]), (202, &json!("deleting")));
    for call in [get("/api/w/w/scripts"), post("/probe/w/run/f/t/echo"), get("/api/w/w/quotas")] {
        call.to(&api).await.is_problem(404, "not_found");
    }
    post(AT).json(json!({"name": "w"})).to(&api).await.is_problem(409, "conflict");
    post(format!("{AT}/w/unarchive")).to(&api).await.is_problem(409, "conflict");
    while api.store.removals.step(api.workspace, sandmill_model::Clock::now(&*api.clock)).await.unwrap() != Step::Gone {}
    get(format!("{AT}/w")).to(&api).await.is_problem(404, "not_found");
    assert_eq!(post(AT).json(json!({"name": "w"})).to(&api).await.status, 201);
    // What this node believes of the old one is forgotten within a second.
    api.clock.advance(Duration::from_secs(2));
    assert_eq!(get("/api/w/w/scripts").to(&api).await.value()["items"], json!([]));
    api.stop().await;
}

#[tokio::test]
async fn what_deleted_workspaces_used_is_told_after_the_others() {
    let api = Api::new().await;
    let now = || sandmill_model::Clock::now(&*api.clock);
    for _ in 0..3 {
        let id = api.store.workspaces.ensure(sandmill_model::WorkspaceId::new(now()), "gone", now()).await.unwrap().id;
        assert!(api.store.usage.sample(id, now()).await.unwrap());
        api.store.workspaces.change_status(id, sandmill_store::workspaces::Status::Deleting, now()).await.unwrap().unwrap();
        while api.store.removals.step(id, now()).await.unwrap() != Step::Gone {}
    }
    let (mut found, mut cursor) = (Vec::new(), String::new());
    for _ in 0..10 {
        let page = get(format!("/api/instance/usage?limit=1{cursor}")).to(&api).await.value();
        for item in page["items"].as_array().unwrap() {
            found.push((item["workspace"].as_str().unwrap().to_owned(), item["deleted_at"].is_string()));
        }
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let expected = [("w", false), ("gone", true), ("gone", true), ("gone", true)];
    assert_eq!(found, expected.map(|(name, is_gone)| (name.to_owned(), is_gone)));
    let all = get("/api/instance/usage").to(&api).await.value();
    assert_eq!((all["items"].as_array().unwrap().len(), &all["next"]), (4, &json!(null)));
    assert_eq!(all["items"][1]["days"].as_array().unwrap().len(), 1);
    let two = get("/api/instance/usage?limit=2").to(&api).await.value();
    assert_eq!((two["items"].as_array().unwrap().len(), two["next"].is_string()), (2, true));
    let later = get("/api/instance/usage?from=2025-10-10&to=2025-10-11").to(&api).await.value();
    assert_eq!(later["items"].as_array().unwrap().len(), 1, "they were deleted before");
    api.stop().await;
}

#[tokio::test]
async fn what_was_used_is_told_by_day() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let run = post("/probe/w/run/f/t/echo").to(&api).await.run_id();
    api.ended(&run).await;
    let report = get("/api/w/w/usage").to(&api).await.value();
    assert_eq!(
        (&report["total"]["runs"], &report["total"]["attempts"], &report["total"]["fuel"]),
        (&json!({"ok": 1}), &json!(1), &json!(7))
    );
    assert_eq!((&report["days"][0]["day"], &report["to"]), (&json!("2025-10-09"), &json!("2025-10-09")));
    assert!(report["stored_bytes"].as_u64().unwrap() > 0, "{report}");
    let before = get("/api/w/w/usage?from=2025-09-01&to=2025-10-08").to(&api).await.value();
    assert_eq!((&before["total"]["attempts"], &before["days"]), (&json!(0), &json!([])));
    get("/api/w/w/usage?from=2025-10-10").to(&api).await.is_problem(400, "bad_request");
    get("/api/w/w/usage?from=x").to(&api).await.is_problem(400, "bad_request");
    let all = get("/api/instance/usage?limit=1").to(&api).await.value();
    assert_eq!((&all["items"][0]["workspace"], &all["items"][0]["runs"], &all["next"]), (&json!("w"), &json!({"ok": 1}), &json!(null)));
    assert_eq!((&all["items"][0]["days"][0]["day"], &all["items"][0]["deleted_at"]), (&json!("2025-10-09"), &json!(null)));
    assert_eq!(all["items"][0]["days"][0]["stored_bytes"], json!(null), "nobody has measured it");
    assert!(api.store.usage.sample(api.workspace, sandmill_model::Clock::now(&*api.clock)).await.unwrap());
    let report = get("/api/w/w/usage").to(&api).await.value();
    assert_eq!(report["days"][0]["stored_bytes"], report["stored_bytes"]);
    assert_eq!((&report["stored_byte_days"], &report["days"][0]["plan"]), (&report["stored_bytes"], &json!(null)));
    api.token("sm_some", Some(api.workspace), &["runs:read:f/t/*"]).await;
    get("/api/w/w/usage").token("sm_some").to(&api).await.is_problem(403, "forbidden");
    api.token("sm_member", Some(api.workspace), &["*:*"]).await;
    assert_eq!(get("/api/w/w/usage").token("sm_member").to(&api).await.status, 200);
    get("/api/instance/usage").token("sm_member").to(&api).await.is_problem(403, "forbidden");
    api.stop().await;
}

#[tokio::test]
async fn what_is_over_a_quota_is_refused() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let limit = |quotas: serde_json::Value| patch(format!("{AT}/w")).json(json!({ "quotas": quotas })).to(&api);
    assert_eq!(limit(json!({"scripts": 1, "runs_per_day": 2})).await.status, 200);
    let deploy =
        |path: &str, source: &str| put(format!("/api/w/w/scripts/{path}")).json(json!({"language": "typescript", "source": source}));
    let refused = deploy("f/t/new", "x").to(&api).await;
    refused.is_problem(429, "quota_exceeded");
    assert!(refused.value()["detail"].as_str().unwrap().contains("scripts = 1"), "{refused:?}");
    assert_eq!(deploy("f/t/echo", "another version").to(&api).await.status, 201, "no new path");
    assert_eq!(post("/probe/w/run/f/t/echo").to(&api).await.status, 200);
    assert_eq!(post("/api/w/w/runs").json(json!({"path": "f/t/echo"})).to(&api).await.status, 202);
    for call in [post("/probe/w/run/f/t/echo"), post("/api/w/w/runs").json(json!({"path": "f/t/echo"}))] {
        let refused = call.to(&api).await;
        refused.is_problem(429, "quota_exceeded");
        assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 60, "until the day is over: {refused:?}");
    }
    assert_eq!(limit(json!({"runs_per_day": null, "scripts": null, "stored_bytes": 1})).await.status, 200);
    assert_eq!(post("/probe/w/run/f/t/echo").to(&api).await.status, 200);
    deploy("f/t/new", "x").to(&api).await.is_problem(429, "quota_exceeded");
    put("/api/w/w/variables/f/t/v").json(json!({"text": "x"})).to(&api).await.is_problem(429, "quota_exceeded");
    api.stop().await;
}

#[tokio::test]
async fn that_there_is_none_is_remembered_as_long_as_that_there_is_one() {
    let api = Api::new().await;
    let ask = async |name: &str| get(format!("/api/w/{name}/variables")).to(&api).await.status.as_u16();
    assert_eq!((ask("later").await, ask("made").await), (404, 404));
    // Behind the server's back: nobody is asked again within a second, as it is for one that is there.
    api.workspace("later").await;
    assert_eq!(ask("later").await, 404);
    api.clock.advance(Duration::from_secs(1));
    assert_eq!((ask("later").await, ask("made").await), (200, 404));
    // Who makes it finds it at once.
    assert_eq!(post(AT).json(json!({"name": "made"})).to(&api).await.status, 201);
    assert_eq!(ask("made").await, 200);
    api.stop().await;
}
