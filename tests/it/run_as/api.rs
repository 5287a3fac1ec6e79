//! Runs that call the API by the token that the host has of them: what they may, and what attackers try.

use reqwest::Method;
use sandmill_testkit::server::{Answer, Server};
use serde_json::{Value, json};

use super::{Caller, WHO, account};
use crate::shared::{Database, on_both};

/// Sends what it is given, with a token and an address that are not its own.
const ASKS: &str = "export async function main(calls: any, again = 0) {
    const send = async ([method, path, body]: any) => {
        try {
            const url = path.startsWith('http') ? path : 'http://sandmill.internal/api/w/default' + path;
            const headers = { 'content-type': 'application/json', authorization: 'Bearer stolen', 'x-forwarded-for': '192.0.2.7' };
            const answer = await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
            const text = await answer.text();
            return { status: answer.status, body: text === '' ? null : JSON.parse(text) };
        } catch (error: any) {
            return { error: error.cause?.code ?? String(error) };
        }
    };
    for (let tries = 0; tries < again; tries++) {
        if ((await send(calls[0])).status !== 200) break;
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const answers = [];
    for (const call of calls) answers.push(await send(call));
    return answers;
}";

on_both![
    a_run_does_over_the_api_what_it_was_granted,
    a_run_may_no_more_than_whom_it_acts_as,
    a_right_that_is_taken_away_is_gone_within_a_run,
    without_a_grant_there_is_no_api,
    the_audit_log_names_the_run,
];

async fn deploys_asking(server: &Server, path: &str, api: &[&str]) {
    let body = json!({"language": "typescript", "source": ASKS, "manifest": {"grants": {"api": api}}});
    server.deploy_with(path, body).await.unwrap();
}

impl Caller<'_> {
    /// Has a run send requests; what they were answered.
    async fn asks(&self, path: &str, run_as: Option<&str>, args: Value) -> Vec<Value> {
        let mut body = json!({"path": path, "wait": true, "args": args});
        if let Some(run_as) = run_as {
            body["run_as"] = run_as.into();
        }
        let answer = self.sends(Method::POST, "/api/w/default/runs", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json().unwrap().as_array().unwrap().clone()
    }
}

fn starts(path: &str) -> Value {
    json!(["POST", "/runs", {"path": path, "wait": true}])
}

async fn a_run_does_over_the_api_what_it_was_granted(database: Database) {
    let Some(server) = database.server() else { return };
    let ann = Caller::new(server, "own-ann", "developer").await;
    account(server, "own-strong", &["*:*"], &[]).await;
    server.deploy("f/own/child", "typescript", WHO).await.unwrap();
    server.deploy("f/own/other", "typescript", WHO).await.unwrap();
    let strong = json!({"language": "typescript", "source": WHO, "manifest": {"run_as": "s/own-strong"}});
    server.deploy_with("f/own/strong", strong).await.unwrap();
    deploys_asking(server, "f/own/asks", &["runs:start:f/own/child", "runs:start:f/own/strong", "scripts:write:f/own/made/*"]).await;

    let answers = ann.asks("f/own/asks", None, json!({"calls": [starts("f/own/child"), starts("f/own/strong")]})).await;
    for answer in answers {
        assert_eq!(answer, json!({"status": 200, "body": "u/own-ann"}), "it acts as the run does, whatever the script names");
    }
    // All these Ann might, or nobody from within a run.
    let source = json!({"language": "typescript", "source": WHO});
    let named = json!({"path": "f/own/child", "run_as": "s/own-strong"});
    for beyond in [
        starts("f/own/other"),
        json!(["POST", "/runs", named]),
        json!(["GET", "/runs"]),
        json!(["GET", "/scripts/f/own/child"]),
        json!(["PUT", "/scripts/f/own/child", source]),
        json!(["GET", "/tokens"]),
        json!(["POST", "/tokens", {"scopes": ["runs:start:f/own/child"]}]),
        json!(["GET", "/members"]),
        json!(["PATCH", "/grants/f/own/made/x", {"give": []}]),
    ] {
        let answers = ann.asks("f/own/asks", None, json!({"calls": [beyond.clone()]})).await;
        assert_eq!(answers[0]["status"], 403, "{beyond}: {answers:?}");
    }
    let made = json!(["PUT", "/scripts/f/own/made/x", source]);
    assert_eq!(ann.asks("f/own/asks", None, json!({"calls": [made]})).await[0]["status"], 201);
    // What is not the API of its workspace is nothing at all.
    for url in [
        "http://sandmill.internal/api/w/other/runs",
        "http://sandmill.internal/api/w/default/../other/runs",
        "http://sandmill.internal/api/instance/version",
        "http://sandmill.internal/hooks/default/run/f/own/child",
        "http://sandmill.internal/metrics",
        "http://sandmill.internal:8000/api/w/default/runs",
        "https://sandmill.internal/api/w/default/runs",
        &format!("{}/api/w/default/runs", server.url),
    ] {
        let answers = ann.asks("f/own/asks", None, json!({"calls": [["GET", url]]})).await;
        assert_eq!(answers[0]["error"], "HTTP-request-denied", "{url}: {answers:?}");
    }
    // Others have no use for the form of such tokens.
    let forged =
        Caller { server, identity: String::new(), token: format!("sr_{}_{}", "00000000-0000-7000-8000-000000000001", "a".repeat(52)) };
    assert_eq!(forged.sends(Method::GET, "/api/w/default/runs", json!({})).await.status, 401);
}

async fn a_run_may_no_more_than_whom_it_acts_as(database: Database) {
    let Some(server) = database.server() else { return };
    let admin = Caller::admin(server);
    let operator = Caller::new(server, "bound-op", "operator").await;
    account(server, "bound", &["runs:start:f/bound/asks"], &[]).await;
    let group = json!({"members": ["bound-op"]});
    assert_eq!(admin.sends(Method::PUT, "/api/w/default/groups/bound", group).await.status, 200);
    server.deploy("f/bound/child", "typescript", WHO).await.unwrap();
    deploys_asking(server, "f/bound/asks", &["runs:start:f/bound/*", "variables:write:f/bound/*"]).await;

    let puts = json!(["PUT", "/variables/f/bound/v", {"text": "x"}]);
    let calls = json!({"calls": [starts("f/bound/child"), puts]});
    let statuses = async |caller: &Caller<'_>, run_as: Option<&str>| {
        let answers = caller.asks("f/bound/asks", run_as, calls.clone()).await;
        answers.iter().map(|answer| answer["status"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&operator, None).await, [200, 403], "an operator writes no variables, whatever the script was granted");
    assert_eq!(statuses(&admin, Some("s/bound")).await, [403, 403]);
    assert_eq!(statuses(&operator, Some("g/bound")).await, [403, 403], "a group has no role");
    account(server, "bound-more", &["runs:start:f/bound/child", "variables:write"], &[]).await;
    let may = statuses(&admin, Some("s/bound-more")).await;
    assert!(may[0] == 200 && may[1] < 300, "{may:?}");
    // Nobody gives a script what they may not do.
    let narrow = admin.with_scopes(&["scripts:*:f/bound/*", "runs:start:f/bound/*"]).await;
    let give = async |grant: &str| {
        let path = "/api/w/default/grants/f/bound/asks";
        narrow.sends(Method::PATCH, path, json!({"give": [grant]})).await.status
    };
    assert_eq!(give("api:variables:write:f/bound/*").await, 403);
    assert_eq!(give("api:runs:start:f/*").await, 403);
    assert_eq!(give("api:runs:start:f/bound/child").await, 200);
    assert_eq!(give("api:tokens:write:*").await, 400);
}

async fn a_right_that_is_taken_away_is_gone_within_a_run(database: Database) {
    let Some(server) = database.server() else { return };
    let admin = Caller::admin(server);
    deploys_asking(server, "f/gone/asks", &["scripts:read:f/gone/*"]).await;
    let looks = json!({"calls": [["GET", "/scripts/f/gone/asks"]], "again": 400});
    account(server, "gone", &["scripts:read:f/gone/*", "runs:start:f/gone/*"], &[]).await;
    let run = admin.sends(Method::POST, "/api/w/default/runs", json!({"path": "f/gone/asks", "args": looks, "run_as": "s/gone"})).await;
    let id = run.json().unwrap()["run_id"].as_str().unwrap().to_owned();
    account(server, "gone", &[], &[]).await;
    server.ended_run(&id).await.unwrap();
    let result = server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap();
    assert_eq!(result[0]["status"], 403, "{result}");
}

async fn without_a_grant_there_is_no_api(database: Database) {
    let Some(server) = database.server() else { return };
    let admin = Caller::admin(server);
    let asking = json!({"language": "typescript", "source": ASKS, "manifest": {"grants": {"api": ["scripts:read:*"]}}});
    server.deploy_ungranted("f/none/asks", asking).await.unwrap();
    server.deploy("f/none/silent", "typescript", ASKS).await.unwrap();
    let calls = json!({"calls": [["GET", "/scripts"]]});
    for (path, said) in [("f/none/asks", "sandmill grants give f/none/asks"), ("f/none/silent", "may not call the API")] {
        assert_eq!(admin.asks(path, None, calls.clone()).await[0], json!({"error": "HTTP-request-denied"}));
        let runs = server.get_json(&format!("/api/w/default/runs?path={path}")).await.unwrap();
        let log = server.run_log(runs["items"][0]["id"].as_str().unwrap()).await.unwrap();
        assert!(log.contains(said), "{log}");
    }
}

async fn the_audit_log_names_the_run(database: Database) {
    let Some(server) = database.server() else { return };
    let admin = Caller::admin(server);
    deploys_asking(server, "f/told/asks", &["variables:write:f/told/*"]).await;
    let puts = json!({"calls": [["PUT", "/variables/f/told/v", {"text": "x"}]]});
    let answers: Vec<Value> = admin.asks("f/told/asks", None, puts).await;
    assert!(answers[0]["status"].as_u64().unwrap() < 300, "{answers:?}");
    let runs = server.get_json("/api/w/default/runs?path=f/told/asks").await.unwrap();
    let audit: Answer = admin.sends(Method::GET, "/api/w/default/audit?action=variables.put&target=f/told/v", json!({})).await;
    let entry = audit.json().unwrap()["items"][0].clone();
    assert_eq!(entry["actor"], json!({"kind": "run", "identity": "u/admin", "token": runs["items"][0]["id"]}), "{entry}");
    assert_ne!(entry["origin"]["address"], "192.0.2.7", "{entry}");
}
