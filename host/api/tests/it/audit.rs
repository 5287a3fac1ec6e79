//! The audit log: every change and every denied attempt is in it, and nobody reads another's.

use std::{convert::Infallible, future::pending, pin::pin, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use sandmill_model::{
    audit::{Entry, Link, Verifier},
    trigger::Kinds,
};
use sandmill_store::StoreError;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt;

use crate::{
    support::{ADMIN, Api, Call, delete, get, patch, post, put},
    triggers,
};

/// The target is what the operation made.
const MADE: &str = "(made)";
const TOKEN: &str = "/api/w/w/variables/f/demo/token";
/// Of people; no entry has it.
const PASSWORD: &str = "hunter2 hunter2 hunter2";

/// Runs that examples steer.
pub(crate) struct Runs {
    waiting: String,
    ended: String,
    pub(crate) dead: String,
}

impl Runs {
    pub(crate) async fn start(api: &Api) -> Self {
        let start = async |body: Value| {
            let answer = post("/api/w/w/runs").json(body).to(api).await;
            assert_eq!(answer.status, 202, "{answer:?}");
            answer.run_id()
        };
        let waiting = start(json!({"path": "f/t/echo", "delay_ms": 1_000_000})).await;
        let ended = start(json!({"path": "f/t/echo"})).await;
        let dead = start(json!({"path": "f/t/error"})).await;
        api.ended(&ended).await;
        api.ended(&dead).await;
        Self { waiting, ended, dead }
    }
}

/// A request that does what the operation is for, and the action and the target of its entry; none for the start of a run. An operation
/// without an example fails the test: whatever changes something is audited, and shown here to be.
pub(crate) async fn example(api: &Api, runs: &Runs, operation: &str) -> (Call, Option<(&'static str, String)>) {
    let (method, path) = operation.split_once(" /api/").unwrap();
    let path = path.strip_prefix("w/{workspace}/").unwrap_or(path);
    let script = json!({"language": "typescript", "source": "export function main() { return 'audited'; }"});
    let kind = json!({"schema": {"type": "object", "properties": {"user": {"type": "string"}}}});
    let account = json!({"type": "postgresql", "value": {"host": "h", "database": "d", "user": "u", "password": "hunter2"}});
    let token = json!({"label": "made", "scopes": ["runs:read"]});
    let plan = json!({"quotas": {"scripts": 5}});
    let at = |target: &str| target.to_owned();
    if let Some(found) = of_people(api, method, path).await {
        return found;
    }
    if let Some(found) = triggers::example(api, method, path).await {
        return found;
    }
    match (method, path) {
        ("put", "scripts/{path}") => (put("/api/w/w/scripts/f/t/new").json(script), Some(("scripts.deploy", at("f/t/new")))),
        ("patch", "grants/{path}") => {
            (patch("/api/w/w/grants/f/t/echo").json(json!({"give": ["runs:f/b/*"]})), Some(("grants.change", at("f/t/echo"))))
        }
        ("patch", "settings") => (patch("/api/w/w/settings").json(json!({"weight": 2})), Some(("settings.change", at("")))),
        ("put", "resource-types/{name}") => (put("/api/w/w/resource-types/made").json(kind), Some(("resource-types.put", at("made")))),
        ("delete", "resource-types/{name}") => {
            put("/api/w/w/resource-types/made").json(kind).to(api).await;
            (delete("/api/w/w/resource-types/made"), Some(("resource-types.delete", at("made"))))
        }
        ("put", "resources/{path}") => (put("/api/w/w/resources/f/t/db").json(account), Some(("resources.put", at("f/t/db")))),
        ("delete", "resources/{path}") => {
            put("/api/w/w/resources/f/t/db").json(account).to(api).await;
            (delete("/api/w/w/resources/f/t/db"), Some(("resources.delete", at("f/t/db"))))
        }
        ("put", "variables/{path}") => (put("/api/w/w/variables/f/t/x").json(json!({"text": "x"})), Some(("variables.put", at("f/t/x")))),
        ("delete", "variables/{path}") => {
            put("/api/w/w/variables/f/t/x").json(json!({"text": "x"})).to(api).await;
            (delete("/api/w/w/variables/f/t/x"), Some(("variables.delete", at("f/t/x"))))
        }
        ("post", "runs/cancel") => {
            (post("/api/w/w/runs/cancel").json(json!({"filter": {"path": "f/t/none"}})), Some(("runs.cancel", at(""))))
        }
        ("post", "runs/{id}/cancel") => {
            (post(format!("/api/w/w/runs/{}/cancel", runs.waiting)), Some(("runs.cancel", runs.waiting.clone())))
        }
        ("delete", "dead-letters/{id}") => {
            (delete(format!("/api/w/w/dead-letters/{}", runs.dead)), Some(("dead-letters.discard", runs.dead.clone())))
        }
        ("post", "dead-letters/discard") => {
            (post("/api/w/w/dead-letters/discard").json(json!({"filter": {"path": "f/t/none"}})), Some(("dead-letters.discard", at(""))))
        }
        ("post", "tokens" | "instance/tokens") => {
            let url = path.strip_prefix("instance/").map_or("/api/w/w/tokens", |_| "/api/instance/tokens");
            (post(url).json(token), Some(("tokens.create", at(MADE))))
        }
        ("delete", "tokens/{id}" | "instance/tokens/{id}") => {
            let (url, id) = made_token(api, path, token).await;
            (delete(format!("{url}/{id}")), Some(("tokens.delete", id)))
        }
        ("post", "tokens/{id}/rotate" | "instance/tokens/{id}/rotate") => {
            let (url, id) = made_token(api, path, token).await;
            (post(format!("{url}/{id}/rotate")).json(json!({})), Some(("tokens.rotate", id)))
        }
        ("put", "instance/plans/{plan}") => (put("/api/instance/plans/pro").json(plan), Some(("plans.put", at("pro")))),
        ("delete", "instance/plans/{plan}") => {
            put("/api/instance/plans/pro").json(plan).to(api).await;
            (delete("/api/instance/plans/pro"), Some(("plans.delete", at("pro"))))
        }
        ("post", "instance/workspaces") => {
            (post("/api/instance/workspaces").json(json!({"name": "made"})), Some(("workspaces.create", at("made"))))
        }
        ("patch", "instance/workspaces/{workspace}") => {
            let url = made_workspace(api, "changed").await;
            (patch(url).json(json!({"quotas": {"scripts": 5}})), Some(("workspaces.change", at("changed"))))
        }
        ("post", "instance/workspaces/{workspace}/archive") => {
            let url = made_workspace(api, "old").await;
            (post(format!("{url}/archive")), Some(("workspaces.archive", at("old"))))
        }
        ("post", "instance/workspaces/{workspace}/unarchive") => {
            let url = made_workspace(api, "back").await;
            post(format!("{url}/archive")).to(api).await;
            (post(format!("{url}/unarchive")), Some(("workspaces.unarchive", at("back"))))
        }
        ("delete", "instance/workspaces/{workspace}") => {
            let url = made_workspace(api, "gone").await;
            post(format!("{url}/archive")).to(api).await;
            (delete(format!("{url}?confirm=gone")), Some(("workspaces.delete", at("gone"))))
        }
        ("post", "instance/keys/rotate") => (post("/api/instance/keys/rotate"), Some(("keys.rotate", at("")))),
        ("post", "runs") => (post("/api/w/w/runs").json(json!({"path": "f/t/echo"})), None),
        ("post", "runs/rerun") => (post("/api/w/w/runs/rerun").json(json!({"filter": {"path": "f/t/none"}})), None),
        ("post", "runs/{id}/rerun") => (post(format!("/api/w/w/runs/{}/rerun", runs.ended)), None),
        ("post", "dead-letters/replay") => (post("/api/w/w/dead-letters/replay").json(json!({"filter": {"path": "f/t/none"}})), None),
        ("post", "dead-letters/{id}/replay") => (post(format!("/api/w/w/dead-letters/{}/replay", runs.dead)), None),
        _ => panic!("{operation} may change something: say here what its entry in the audit log is"),
    }
}

/// Where tokens are that `operation` is about, and the id of one that was just made.
async fn made_token(api: &Api, operation: &str, token: Value) -> (&'static str, String) {
    let url = if operation.starts_with("instance/") { "/api/instance/tokens" } else { "/api/w/w/tokens" };
    let made = post(url).json(token).to(api).await;
    assert_eq!(made.status, 201, "{made:?}");
    (url, made.value()["token"]["id"].as_str().unwrap().to_owned())
}

/// Its URL.
async fn made_workspace(api: &Api, name: &str) -> String {
    let made = post("/api/instance/workspaces").json(json!({"name": name})).to(api).await;
    assert_eq!(made.status, 201, "{made:?}");
    format!("/api/instance/workspaces/{name}")
}

/// The same of those that are about people; none if it is none of them.
async fn of_people(api: &Api, method: &str, path: &str) -> Option<(Call, Option<(&'static str, String)>)> {
    let make = async |call: Call| {
        let answer = call.to(api).await;
        assert!(answer.status.is_success() || answer.status == 409, "{answer:?}");
        answer.value()
    };
    let (bob, member) = (json!({"name": "bob", "password": PASSWORD}), json!({"role": "viewer"}));
    make(post("/api/instance/users").json(bob)).await;
    let invite = || post("/api/w/w/invitations").json(json!({"role": "viewer"}));
    let (call, action, target) = match (method, path) {
        ("post", "instance/users") => {
            (post("/api/instance/users").json(json!({"name": "made", "password": PASSWORD})), "users.create", "made")
        }
        ("patch", "instance/users/{name}") => {
            (patch("/api/instance/users/bob").json(json!({"display_name": "Bob", "password": PASSWORD})), "users.change", "bob")
        }
        ("delete", "instance/users/{name}/sessions") => (delete("/api/instance/users/bob/sessions"), "sessions.end", "bob"),
        ("put", "members/{name}") => (put("/api/w/w/members/bob").json(member), "members.put", "bob"),
        ("delete", "members/{name}") => {
            make(put("/api/w/w/members/bob").json(member)).await;
            (delete("/api/w/w/members/bob"), "members.delete", "bob")
        }
        ("post", "invitations") => (invite(), "invitations.create", ""),
        ("delete", "invitations/{id}") => {
            let id = make(invite()).await["id"].as_str().unwrap().to_owned();
            return Some((delete(format!("/api/w/w/invitations/{id}")), Some(("invitations.delete", id))));
        }
        ("put", "groups/{name}") => (put("/api/w/w/groups/ops").json(json!({"members": []})), "groups.put", "ops"),
        ("delete", "groups/{name}") => {
            make(put("/api/w/w/groups/ops").json(json!({"members": []}))).await;
            (delete("/api/w/w/groups/ops"), "groups.delete", "ops")
        }
        ("put", "folders/{name}") => (put("/api/w/w/folders/shut").json(json!({})), "folders.put", "shut"),
        ("delete", "folders/{name}") => {
            make(put("/api/w/w/folders/shut").json(json!({}))).await;
            (delete("/api/w/w/folders/shut"), "folders.delete", "shut")
        }
        ("put", "service-accounts/{name}") => {
            (put("/api/w/w/service-accounts/deployer").json(json!({"scopes": ["runs:start:f/*"]})), "service-accounts.put", "deployer")
        }
        ("delete", "service-accounts/{name}") => {
            make(put("/api/w/w/service-accounts/deployer").json(json!({"scopes": ["runs:start:f/*"]}))).await;
            (delete("/api/w/w/service-accounts/deployer"), "service-accounts.delete", "deployer")
        }
        ("put", "access/{path}") => (put("/api/w/w/access/f/t/x").json(json!({})), "access.put", "f/t/x"),
        _ => return None,
    };
    Some((call, Some((action, target.to_owned()))))
}

/// Operations of the description that may change something, as `method path`; but for those by which one becomes known, see
/// [`whoever_logs_in_leaves_entries_without_secrets`].
pub(crate) fn operations() -> Vec<String> {
    let description: Value = serde_json::from_str(&sandmill_api::openapi(&Kinds::default())).unwrap();
    let all = description["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let methods: Vec<String> = item.as_object().unwrap().keys().cloned().collect();
        let is_open = path.starts_with("/api/auth/");
        methods.into_iter().filter(move |method| method != "get" && !is_open).map(move |method| format!("{method} {path}"))
    });
    all.collect()
}

/// All entries of a chain, newest first.
async fn entries(api: &Api, chain: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(format!("/api/{chain}/audit?limit=200{cursor}")).to(api).await;
        assert_eq!(page.status, 200, "{page:?}");
        let page = page.value();
        all.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { return all };
        cursor = format!("&cursor={next}");
    }
}

pub(crate) async fn of_request(api: &Api, chain: &str, request: &str) -> Vec<Value> {
    entries(api, chain).await.into_iter().filter(|entry| entry["request_id"] == request).collect()
}

#[tokio::test]
async fn every_operation_that_changes_something_leaves_an_entry() {
    let api = Api::new().await;
    for path in ["f/t/echo", "f/t/error"] {
        api.deploy(path).await;
    }
    api.token("sm_little", Some(api.workspace), &["blobs:read"]).await;
    for (index, operation) in operations().iter().enumerate() {
        let runs = Runs::start(&api).await;
        let (call, expected) = example(&api, &runs, operation).await;
        // So that no attempt is one too many.
        api.denials.run(&api.store, &*api.clock, std::future::ready(())).await;
        let request = format!("denied-{index}");
        call.clone().token("sm_little").header("x-request-id", &request).to(&api).await.is_problem(403, "forbidden");
        let denied = of_request(&api, "w/w", &request).await;
        assert_eq!(denied.len(), 1, "{operation}: {denied:?}");
        assert_eq!((&denied[0]["action"], &denied[0]["outcome"]), (&json!("access.denied"), &json!("denied")), "{operation}");
        assert_eq!((&denied[0]["actor"]["kind"], &denied[0]["actor"]["identity"]), (&json!("token"), &json!("u/ann")), "{operation}");
        assert!(denied[0]["target"].as_str().unwrap().contains(" /api/"), "{denied:?}");

        let request = format!("unknown-{index}");
        call.clone().no_token().header("x-request-id", &request).to(&api).await.is_problem(401, "unauthorized");
        let unknown = of_request(&api, "instance", &request).await;
        assert_eq!(unknown.len(), 1, "{operation}: {unknown:?}");
        assert_eq!((&unknown[0]["action"], &unknown[0]["actor"]["kind"]), (&json!("auth.failed"), &json!("anonymous")), "{operation}");

        let request = format!("done-{index}");
        let answer = call.header("x-request-id", &request).to(&api).await;
        assert!(answer.status.is_success(), "{operation}: {answer:?}");
        let chain = if operation.contains("/w/{workspace}") { "w/w" } else { "instance" };
        let made = answer.text();
        let done = of_request(&api, chain, &request).await;
        let Some((action, target)) = expected else {
            assert!(done.is_empty(), "{operation}: the run tells of its start: {done:?}");
            continue;
        };
        assert_eq!(done.len(), 1, "{operation}: {done:?}");
        let target = if target == MADE { serde_json::from_str::<Value>(made).unwrap()["token"]["id"].clone() } else { json!(target) };
        assert_eq!((&done[0]["action"], &done[0]["target"]), (&json!(action), &target), "{operation}");
        assert_eq!((&done[0]["outcome"], &done[0]["actor"]["identity"]), (&json!("done"), &json!("u/ann")), "{operation}");
        assert!(!done[0].to_string().contains("hunter2"), "{operation}: {done:?}");
    }
    assert!(api.store.audit.close(api_now(&api), api_now(&api)).await.unwrap() == 0, "nothing that was begun is left over");
    api.stop().await;
}

#[tokio::test]
async fn whoever_logs_in_leaves_entries_without_secrets() {
    let api = Api::new().await;
    assert_eq!(post("/api/instance/users").json(json!({"name": "eve", "password": PASSWORD})).to(&api).await.status, 201);
    let asked = |call: Call, request: &str| call.header("x-request-id", request);
    let login = |password: &str| {
        let body = json!({"user": "eve", "password": password, "carrier": "header"});
        post("/api/auth/login").no_token().json(body)
    };
    asked(login("hunter2 hunter2"), "wrong").to(&api).await.is_problem(401, "unauthorized");
    let opened = asked(login(PASSWORD), "right").to(&api).await.value();
    let session = opened["token"].as_str().unwrap().to_owned();
    // Who is no member has no business there, whether there is such a workspace or not.
    for (request, workspace) in [("there", "w"), ("nowhere", "nobodys")] {
        let call = put(format!("/api/w/{workspace}/variables/f/t/x")).json(json!({"text": "x"})).token(&session);
        asked(call, request).to(&api).await.is_problem(404, "not_found");
    }
    let change = json!({"old": PASSWORD, "new": format!("{PASSWORD} too")});
    let changed = asked(put("/api/auth/password").json(change).token(&session), "changed").to(&api).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let session = changed.value()["token"].as_str().unwrap().to_owned();
    assert_eq!(asked(post("/api/auth/logout").token(&session), "out").to(&api).await.status, 204);
    let invited = post("/api/w/w/invitations").json(json!({"role": "viewer"})).to(&api).await.value();
    let with = json!({"invitation": invited["invitation"], "user": "cy", "password": PASSWORD});
    let accept = post("/api/auth/invitation").no_token().json(with);
    assert_eq!(asked(accept, "in").to(&api).await.status, 201);
    for (request, action, outcome, kind, identity) in [
        ("wrong", "auth.failed", "denied", "anonymous", json!(null)),
        ("right", "auth.login", "done", "session", json!("u/eve")),
        ("there", "access.denied", "denied", "session", json!("u/eve")),
        ("nowhere", "access.denied", "denied", "session", json!("u/eve")),
        ("changed", "auth.password", "done", "session", json!("u/eve")),
        ("out", "auth.logout", "done", "session", json!("u/eve")),
        ("in", "auth.invitation", "done", "anonymous", json!("u/cy")),
    ] {
        let found = of_request(&api, "instance", request).await;
        // Who comes in by an invitation is made a user, which has an entry of its own, before.
        assert_eq!(found.len(), if request == "in" { 2 } else { 1 }, "{request}: {found:?}");
        let said = (&found[0]["action"], &found[0]["outcome"], &found[0]["actor"]["kind"], &found[0]["actor"]["identity"]);
        assert_eq!(said, (&json!(action), &json!(outcome), &json!(kind), &identity), "{request}");
    }
    let made = of_request(&api, "instance", "in").await.swap_remove(1);
    assert_eq!((&made["action"], &made["target"], &made["before"]), (&json!("users.create"), &json!("cy"), &Value::Null), "{made}");
    assert_eq!((&made["actor"]["identity"], &made["after"]["has_password"]), (&json!("u/cy"), &json!(true)), "{made}");
    let became = of_request(&api, "w/w", "in").await;
    assert_eq!((became.len(), &became[0]["action"], &became[0]["target"]), (1, &json!("members.put"), &json!("cy")), "{became:?}");
    let by = format!("invitation {}", invited["id"].as_str().unwrap());
    assert_eq!((&became[0]["actor"], &became[0]["before"]), (&made["actor"], &Value::Null), "{became:?}");
    assert_eq!(became[0]["after"], json!({"role": "viewer", "by": by}), "{became:?}");
    for entry in [entries(&api, "instance").await, entries(&api, "w/w").await].concat() {
        let text = entry.to_string();
        for secret in ["hunter2", "ss_", "si_", "argon2"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    api.stop().await;
}

fn api_now(api: &Api) -> sandmill_model::Timestamp {
    use sandmill_model::Clock as _;
    api.clock.now()
}

#[tokio::test]
async fn an_entry_tells_what_was_there_and_what_is() {
    let api = Api::new().await;
    let newest = async || entries(&api, "w/w").await.swap_remove(0);
    put(TOKEN).json(json!({"text": "hunter2", "secret": true})).header("user-agent", "curl/8").to(&api).await;
    let first = newest().await;
    assert_eq!((&first["before"], &first["after"]["secret"]), (&Value::Null, &json!(true)), "{first}");
    assert_eq!(first["origin"]["user_agent"], "curl/8");
    let digest = first["after"]["digest"].as_str().unwrap().to_owned();
    put(TOKEN).json(json!({"text": "hunter3", "secret": true})).to(&api).await;
    let second = newest().await;
    assert_eq!(second["before"]["digest"], json!(digest));
    assert!(second["after"]["digest"].is_string() && second["after"]["digest"] != json!(digest), "{second}");
    put(TOKEN).json(json!({"text": "plain"})).to(&api).await;
    assert_eq!(newest().await["after"]["text"], "plain");
    delete(TOKEN).to(&api).await;
    let last = newest().await;
    assert_eq!((&last["action"], &last["before"]["text"], &last["after"]), (&json!("variables.delete"), &json!("plain"), &Value::Null));

    // What is refused changes nothing and is no entry; what is not there either.
    let count = entries(&api, "w/w").await.len();
    put(TOKEN).json(json!({"text": 1})).to(&api).await.is_problem(400, "bad_request");
    delete(TOKEN).to(&api).await.is_problem(404, "not_found");
    delete("/api/w/w/settings").to(&api).await.is_problem(405, "method_not_allowed");
    assert_eq!(entries(&api, "w/w").await.len(), count);
    assert!(entries(&api, "w/w").await.iter().all(|entry| !entry.to_string().contains("hunter")));
    api.stop().await;
}

#[tokio::test]
async fn entries_of_the_installation_tell_what_was_there() {
    let api = Api::new().await;
    let done = async |call: Call| {
        let answer = call.to(&api).await;
        assert!(answer.status.is_success(), "{answer:?}");
        let entry = entries(&api, "instance").await.swap_remove(0);
        for secret in ["hunter2", "argon2"] {
            assert!(!entry.to_string().contains(secret), "{entry}");
        }
        (entry["before"].clone(), entry["after"].clone())
    };
    let plan = |scripts: u64| put("/api/instance/plans/pro").json(json!({"quotas": {"scripts": scripts}}));
    assert_eq!(done(plan(5)).await.0, Value::Null);
    let (before, after) = done(plan(6)).await;
    assert_eq!((&before["quotas"]["scripts"], &after["quotas"]["scripts"]), (&json!(5), &json!(6)));
    let (before, after) = done(delete("/api/instance/plans/pro")).await;
    assert_eq!((&before["quotas"]["scripts"], after), (&json!(6), Value::Null));

    let url = made_workspace(&api, "made").await;
    let (before, after) = done(patch(&*url).json(json!({"quotas": {"scripts": 5}}))).await;
    assert_eq!((&before["overrides"], &after["overrides"]), (&json!({}), &json!({"scripts": 5})));
    let (before, after) = done(post(format!("{url}/archive"))).await;
    assert_eq!((&before["status"], &after["status"]), (&json!("active"), &json!("archived")));
    let (before, after) = done(delete(format!("{url}?confirm=made"))).await;
    assert_eq!((&before["status"], &after["status"]), (&json!("archived"), &json!("deleting")));

    let (before, after) = done(post("/api/instance/users").json(json!({"name": "eve", "password": PASSWORD}))).await;
    assert_eq!((before, &after["has_password"]), (Value::Null, &json!(true)));
    let change = json!({"email": "eve@example.test", "password": format!("{PASSWORD} too"), "is_disabled": true});
    let (before, after) = done(patch("/api/instance/users/eve").json(change)).await;
    assert_eq!((&before["email"], &before["is_disabled"], &before["has_new_password"]), (&Value::Null, &json!(false), &Value::Null));
    assert_eq!((&after["email"], &after["is_disabled"]), (&json!("eve@example.test"), &json!(true)));
    assert_eq!(after["has_new_password"], true);
    api.stop().await;
}

#[tokio::test]
async fn entries_of_tokens_and_invitations_tell_what_was_there() {
    let api = Api::new().await;
    let token = json!({"label": "made", "scopes": ["runs:read"]});
    for (operation, chain) in [("tokens", "w/w"), ("instance/tokens", "instance")] {
        let (url, id) = made_token(&api, operation, token.clone()).await;
        let rotated = post(format!("{url}/{id}/rotate")).json(json!({"overlap_s": 60})).to(&api).await.value();
        let entry = entries(&api, chain).await.swap_remove(0);
        assert_eq!((&entry["before"]["label"], &entry["before"]["old_secret_until"]), (&json!("made"), &Value::Null), "{entry}");
        assert!(entry["after"]["old_secret_until"].is_string(), "{entry}");
        assert_ne!(entry["before"]["prefix"], entry["after"]["prefix"], "{entry}");
        assert!(!entry.to_string().contains(rotated["secret"].as_str().unwrap()), "{entry}");
        delete(format!("{url}/{id}")).to(&api).await;
        let entry = entries(&api, chain).await.swap_remove(0);
        assert_eq!((&entry["before"]["scopes"], &entry["after"]), (&json!(["runs:read"]), &Value::Null), "{entry}");
    }
    let made = post("/api/w/w/invitations").json(json!({"role": "viewer"})).to(&api).await.value();
    delete(format!("/api/w/w/invitations/{}", made["id"].as_str().unwrap())).to(&api).await;
    let entry = entries(&api, "w/w").await.swap_remove(0);
    assert_eq!((&entry["before"]["role"], &entry["after"]), (&json!("viewer"), &Value::Null), "{entry}");
    assert!(!entry.to_string().contains("si_"), "{entry}");
    api.stop().await;
}

/// Whoever changes large values again and again does not fill the disk with them: their sizes and digests are kept then.
#[tokio::test]
async fn values_of_a_flood_of_changes_are_left_out() {
    let api = Api::new().await;
    let put_one = async |round: usize, bytes: usize| {
        let text = format!("{round:04}{}", "x".repeat(bytes));
        assert_eq!(put(TOKEN).json(json!({"text": text})).to(&api).await.status, 200);
    };
    for round in 0..400 {
        put_one(round, 7_000).await;
    }
    let all = entries(&api, "w/w").await;
    let bytes: usize = all.iter().map(|entry| entry["before"].to_string().len() + entry["after"].to_string().len()).sum();
    assert!(all.len() == 400 && bytes < 4_500_000, "{} entries have {bytes} bytes", all.len());
    assert!(all[0]["after"]["left_out_bytes"].as_u64().unwrap() > 7_000, "{}", all[0]);
    assert_eq!(all[1]["after"]["digest"], all[0]["before"]["digest"], "digests tell whether it is the same");
    assert!(all[399]["after"]["text"].as_str().unwrap().starts_with("0000x"), "{}", all[399]);
    // Others are not in its shadow, and it takes some again after a while.
    api.clock.advance(Duration::from_secs(60));
    put_one(400, 7_000).await;
    assert!(entries(&api, "w/w").await[0]["after"]["text"].is_string());
    api.stop().await;
}

/// It is in the chain of whoever tried, whether there is such a workspace or not; the other one learns nothing.
#[tokio::test]
async fn an_attempt_on_another_workspace_is_in_ones_own_log() {
    let api = Api::new().await;
    let stranger = api.workspace("other").await;
    api.token("sm_stranger", Some(stranger), &["*:*"]).await;
    for (index, workspace) in ["w", "nobodys"].into_iter().enumerate() {
        for (call, method) in
            [(get(format!("/api/w/{workspace}/runs")), "GET"), (delete(format!("/api/w/{workspace}/variables/f/a/b")), "DELETE")]
        {
            let request = format!("foreign-{index}-{method}");
            call.token("sm_stranger").header("x-request-id", &request).to(&api).await.is_problem(404, "not_found");
            let own = of_request(&api, "w/other", &request).await;
            assert_eq!((own.len(), &own[0]["action"]), (1, &json!("access.denied")));
            assert!(own[0]["target"].as_str().unwrap().starts_with(&format!("{method} /api/w/{workspace}/")), "{own:?}");
            for others in ["w/w", "instance"] {
                assert_eq!(of_request(&api, others, &request).await.len(), 0, "{others}");
            }
        }
    }
    // A start that is denied, at a trigger's own URL.
    api.deploy("f/t/echo").await;
    api.token("sm_little", Some(api.workspace), &["runs:start:f/a/*"]).await;
    let denied = post("/probe/w/run/f/t/echo").token("sm_little").header("x-request-id", "start").to(&api).await;
    denied.is_problem(403, "forbidden");
    let own = of_request(&api, "w/w", "start").await;
    assert_eq!((own.len(), &own[0]["target"]), (1, &json!("POST /probe/w/run/f/t/echo")));
    api.stop().await;
}

#[tokio::test]
async fn a_flood_of_denied_attempts_is_bounded() {
    let api = Api::new().await;
    api.token("sm_little", Some(api.workspace), &["blobs:read"]).await;
    for _ in 0..50 {
        get("/api/w/w/scripts").token("sm_little").to(&api).await.is_problem(403, "forbidden");
        get("/api/w/w/scripts").token("sm_nobody").to(&api).await.is_problem(401, "unauthorized");
    }
    assert_eq!((entries(&api, "w/w").await.len(), entries(&api, "instance").await.len()), (10, 10));
    // Another is not in its shadow.
    api.token("sm_other", Some(api.workspace), &["blobs:read"]).await;
    get("/api/w/w/scripts").token("sm_other").to(&api).await.is_problem(403, "forbidden");
    assert_eq!(entries(&api, "w/w").await.len(), 11);
    api.denials.run(&api.store, &*api.clock, std::future::ready(())).await;
    let newest = entries(&api, "w/w").await.swap_remove(0);
    assert_eq!((&newest["action"], &newest["attempts"]), (&json!("access.denied"), &json!(40)), "{newest}");
    assert_eq!(entries(&api, "instance").await[0]["attempts"], 40);
    api.stop().await;
}

#[tokio::test]
async fn a_flood_of_one_workspace_hides_no_other() {
    let api = Api::new().await;
    let other = api.workspace("other").await;
    for index in 0..220 {
        let token = format!("sm_other{index}");
        api.token(&token, Some(other), &["blobs:read"]).await;
        get("/api/w/other/scripts").token(&token).to(&api).await.is_problem(403, "forbidden");
    }
    api.token("sm_little", Some(api.workspace), &["blobs:read"]).await;
    for _ in 0..12 {
        get("/api/w/w/scripts").token("sm_little").to(&api).await.is_problem(403, "forbidden");
    }
    assert_eq!((entries(&api, "w/w").await.len(), entries(&api, "w/other").await.len()), (10, 110));
    api.denials.run(&api.store, &*api.clock, std::future::ready(())).await;
    let (own, others) = (entries(&api, "w/w").await.swap_remove(0), entries(&api, "w/other").await.swap_remove(0));
    assert_eq!((&own["attempts"], &own["actor"]["identity"]), (&json!(2), &json!("u/ann")), "{own}");
    assert_eq!((&others["attempts"], &others["actor"]["kind"]), (&json!(110), &json!("anonymous")), "{others}");
    assert!(entries(&api, "instance").await.is_empty(), "it is nothing to the installation");
    api.stop().await;
}

#[tokio::test]
async fn nothing_is_changed_or_acknowledged_without_an_entry() {
    let api = Api::new().await;
    let set = |text: &str| put(TOKEN).json(json!({"text": text}));
    assert_eq!(set("one").to(&api).await.status, 200);
    let text = async || get(TOKEN).to(&api).await.value()["text"].clone();

    api.faults.of_audit(Some(StoreError::Full), None);
    set("two").to(&api).await.is_problem(507, "storage_full");
    assert_eq!(text().await, "one", "nothing that cannot be kept is begun");
    api.faults.of_audit(None, Some(StoreError::Unavailable));
    set("three").to(&api).await.is_problem(503, "unavailable");
    // What was denied stays denied.
    get(TOKEN).token("sm_nobody").to(&api).await.is_problem(401, "unauthorized");
    api.faults.of_audit(None, None);

    let count = entries(&api, "w/w").await.len();
    assert_eq!(text().await, "three", "it was done, and whoever asked was not told so");
    assert_eq!(api.store.audit.close(api_now(&api), api_now(&api)).await.unwrap(), 1);
    let all = entries(&api, "w/w").await;
    assert_eq!((all.len(), &all[0]["outcome"], &all[0]["target"]), (count + 1, &json!("unknown"), &json!("f/demo/token")));
    api.stop().await;
}

#[tokio::test]
async fn a_change_comes_to_its_end_although_its_caller_has_gone() {
    let api = Api::new().await;
    assert_eq!(put(TOKEN).json(json!({"text": "one"})).to(&api).await.status, 200);
    api.faults.hold_changes(true);
    {
        let mut call = pin!(delete(TOKEN).header("x-request-id", "gone").to(&api));
        tokio::select! {
            answer = call.as_mut() => panic!("{answer:?}"),
            () = api.faults.have_held(1) => {}
        }
    }
    assert_eq!(get(TOKEN).to(&api).await.status, 200, "it is not done yet");
    api.faults.hold_changes(false);
    tokio::time::timeout(Duration::from_secs(20), api.endings.finish()).await.unwrap();
    assert_eq!(get(TOKEN).to(&api).await.status, 404);
    let found = of_request(&api, "w/w", "gone").await;
    assert_eq!((found.len(), &found[0]["outcome"], &found[0]["before"]["text"]), (1, &json!("done"), &json!("one")), "{found:?}");
    assert_eq!(api.store.audit.close(api_now(&api), api_now(&api)).await.unwrap(), 0, "nothing that was begun is left over");
    api.stop().await;
}

/// Whoever goes before the end of a body has not said all of it, though what came may look whole.
#[tokio::test]
async fn a_body_that_breaks_off_changes_nothing() {
    let api = Api::new().await;
    let waits = Arc::new(Notify::new());
    let came = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(br#"{"text": "one"}"#)) });
    let rest = stream::once({
        let waits = Arc::clone(&waits);
        async move {
            waits.notify_one();
            pending().await
        }
    });
    let request = Request::put(TOKEN)
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("content-type", "application/json")
        .body(Body::from_stream(came.chain(rest)));
    {
        let mut call = pin!(api.router.clone().oneshot(request.unwrap()));
        tokio::select! {
            answer = call.as_mut() => panic!("{answer:?}"),
            () = waits.notified() => {}
        }
    }
    tokio::time::timeout(Duration::from_secs(20), api.endings.finish()).await.unwrap();
    get(TOKEN).to(&api).await.is_problem(404, "not_found");
    assert!(entries(&api, "w/w").await.is_empty());
    assert_eq!(api.store.audit.close(api_now(&api), api_now(&api)).await.unwrap(), 0, "nothing that was begun is left over");
    api.stop().await;
}

#[tokio::test]
async fn an_export_verifies_line_by_line() {
    let api = Api::new().await;
    for text in ["one", "two", "three"] {
        put(TOKEN).json(json!({"text": text, "description": "a\nb ✓"})).to(&api).await;
    }
    get("/api/w/w/scripts").no_token().to(&api).await.is_problem(401, "unauthorized");
    for chain in ["w/w", "instance"] {
        let export = get(format!("/api/{chain}/audit/export")).to(&api).await;
        assert_eq!(export.header("content-type"), Some("application/x-ndjson"));
        let mut verifier = Verifier::new(Link::START, None);
        for line in export.text().lines() {
            verifier.add(&serde_json::from_str::<Entry>(line).unwrap()).unwrap();
        }
        let head = verifier.last();
        assert!(head.number > 0, "{chain}");
        let verdict = get(format!("/api/{chain}/audit/verify?head={head}")).to(&api).await.value();
        assert_eq!(
            (&verdict["valid"], &verdict["head"], &verdict["next"]),
            (&json!(true), &json!(head.to_string()), &Value::Null),
            "{verdict}"
        );
        let beyond = get(format!("/api/{chain}/audit/verify?head={}:{}", head.number + 1, head.hash.hex())).to(&api).await.value();
        assert_eq!(beyond["valid"], json!(false), "{beyond}");
        let other = get(format!("/api/{chain}/audit/verify?head={}:{}", head.number, Link::START.hash.hex())).to(&api).await.value();
        assert!(other["fault"].as_str().unwrap().contains("not the one that was noted"), "{other}");
    }
    let rest = get("/api/w/w/audit/export?after=2").to(&api).await;
    assert_eq!(rest.text().lines().count(), 1);
    api.stop().await;
}

#[tokio::test]
async fn the_log_is_read_with_its_own_scope() {
    let api = Api::new().await;
    put(TOKEN).json(json!({"text": "x"})).to(&api).await;
    let other = api.workspace("other").await;
    api.token("sm_reader", Some(api.workspace), &["audit:read"]).await;
    api.token("sm_runs", Some(api.workspace), &["runs:*", "scripts:*", "audit:write"]).await;
    api.token("sm_other", Some(other), &["*:*"]).await;
    for path in ["audit", "audit/export", "audit/verify"] {
        let own = format!("/api/w/w/{path}");
        assert_eq!(get(&*own).token("sm_reader").to(&api).await.status, 200, "{path}");
        let denied = get(&*own).token("sm_runs").to(&api).await.is_problem(403, "forbidden");
        assert!(denied["detail"].as_str().unwrap().contains("audit:read"), "{denied}");
        get(&*own).token("sm_other").to(&api).await.is_problem(404, "not_found");
        let instance = format!("/api/instance/{path}");
        assert_eq!(get(&*instance).to(&api).await.status, 200, "{path}");
        get(&*instance).token("sm_reader").to(&api).await.is_problem(403, "forbidden");
        get(&*instance).token("sm_other").to(&api).await.is_problem(403, "forbidden");
    }
    let filtered = async |query: &str| {
        let items = get(format!("/api/w/w/audit?{query}")).token("sm_reader").to(&api).await.value()["items"].clone();
        items.as_array().unwrap().len()
    };
    assert_eq!((filtered("action=variables.*").await, filtered("action=variables.put&outcome=done&target=f/demo/*").await), (1, 1));
    assert_eq!((filtered("actor=u/nobody").await, filtered("before=2000-01-01T00:00:00Z").await), (0, 0));
    for bad in ["outcome=x", "from=yesterday", "target=%00", "limit=0", "cursor=x"] {
        get(format!("/api/w/w/audit?{bad}")).to(&api).await.is_problem(400, "bad_request");
    }
    for bad in ["head=x", "after=1"] {
        get(format!("/api/w/w/audit/verify?{bad}")).to(&api).await.is_problem(400, "bad_request");
    }
    for bad in ["-1", "x", "9223372036854775808"] {
        get(format!("/api/w/w/audit/export?after={bad}")).to(&api).await.is_problem(400, "bad_request");
    }
    api.stop().await;
}
