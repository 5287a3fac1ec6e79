//! What each operation asks of whoever calls: with every other scope it is refused, with that one alone it is not.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{ADMIN, Api, Call, delete, get, kinds, patch, post, put};

enum Needs {
    /// `domain:action`
    Scope(&'static str),
    /// Whatever it may do.
    AnyToken,
    /// Of a person: no token will do.
    Session,
    Nobody,
}

use Needs::{AnyToken, Nobody, Scope, Session};

const NONE: &str = "01999999-9999-7999-8999-999999999999";
const DOMAINS: [&str; 11] =
    ["scripts", "runs", "resources", "variables", "blobs", "triggers", "members", "identities", "tokens", "audit", "instance"];
const ACTIONS: [&str; 4] = ["read", "write", "start", "cancel"];
const OF_RUNS: &str = r#"{"filter": {"path": "f/t/none"}}"#;

/// Every operation of the description, what it needs, and a body that it takes.
const OPERATIONS: &[(&str, Needs, &str)] = &[
    ("post /api/auth/invitation", Nobody, ""),
    ("post /api/auth/login", Nobody, ""),
    ("post /api/auth/logout", Session, ""),
    ("get /api/auth/me", Session, ""),
    ("get /api/auth/oidc/callback", Nobody, ""),
    ("post /api/auth/oidc/exchange", Nobody, ""),
    ("get /api/auth/oidc/start", Nobody, ""),
    ("put /api/auth/password", Session, r#"{"old": "old old old old", "new": "new new new new"}"#),
    ("get /api/auth/sessions", Session, ""),
    ("delete /api/auth/sessions", Session, ""),
    ("delete /api/auth/sessions/{id}", Session, ""),
    ("get /api/instance/audit", Scope("audit:read"), ""),
    ("get /api/instance/audit/export", Scope("audit:read"), ""),
    ("get /api/instance/audit/verify", Scope("audit:read"), ""),
    ("post /api/instance/keys/rotate", Scope("instance:write"), ""),
    ("get /api/instance/nodes", Scope("instance:read"), ""),
    ("get /api/instance/plans", Scope("instance:read"), ""),
    ("delete /api/instance/plans/{plan}", Scope("instance:write"), ""),
    ("get /api/instance/plans/{plan}", Scope("instance:read"), ""),
    ("put /api/instance/plans/{plan}", Scope("instance:write"), "{}"),
    ("get /api/instance/tokens", Scope("tokens:read"), ""),
    ("post /api/instance/tokens", Scope("tokens:write"), "{}"),
    ("delete /api/instance/tokens/{id}", Scope("tokens:write"), ""),
    ("get /api/instance/tokens/{id}", Scope("tokens:read"), ""),
    ("post /api/instance/tokens/{id}/rotate", Scope("tokens:write"), "{}"),
    ("get /api/instance/usage", Scope("instance:read"), ""),
    ("get /api/instance/users", Scope("instance:read"), ""),
    ("post /api/instance/users", Scope("instance:write"), r#"{"name": "made"}"#),
    ("get /api/instance/users/{name}", Scope("instance:read"), ""),
    ("patch /api/instance/users/{name}", Scope("instance:write"), "{}"),
    ("get /api/instance/users/{name}/sessions", Scope("instance:read"), ""),
    ("delete /api/instance/users/{name}/sessions", Scope("instance:write"), ""),
    ("get /api/instance/version", AnyToken, ""),
    ("get /api/instance/workspaces", Scope("instance:read"), ""),
    ("post /api/instance/workspaces", Scope("instance:write"), r#"{"name": "made"}"#),
    ("delete /api/instance/workspaces/{workspace}", Scope("instance:write"), ""),
    ("get /api/instance/workspaces/{workspace}", Scope("instance:read"), ""),
    ("patch /api/instance/workspaces/{workspace}", Scope("instance:write"), "{}"),
    ("post /api/instance/workspaces/{workspace}/archive", Scope("instance:write"), ""),
    ("post /api/instance/workspaces/{workspace}/unarchive", Scope("instance:write"), ""),
    ("get /api/w/{workspace}/access", Scope("members:read"), ""),
    ("get /api/w/{workspace}/access/{path}", Scope("members:read"), ""),
    ("put /api/w/{workspace}/access/{path}", Scope("members:write"), "{}"),
    ("get /api/w/{workspace}/audit", Scope("audit:read"), ""),
    ("get /api/w/{workspace}/audit/export", Scope("audit:read"), ""),
    ("get /api/w/{workspace}/audit/verify", Scope("audit:read"), ""),
    ("get /api/w/{workspace}/components/{digest}", Scope("scripts:read"), ""),
    ("get /api/w/{workspace}/dead-letters", Scope("runs:read"), ""),
    ("post /api/w/{workspace}/dead-letters/discard", Scope("runs:cancel"), OF_RUNS),
    ("post /api/w/{workspace}/dead-letters/replay", Scope("runs:start"), OF_RUNS),
    ("delete /api/w/{workspace}/dead-letters/{id}", Scope("runs:cancel"), ""),
    ("post /api/w/{workspace}/dead-letters/{id}/replay", Scope("runs:start"), ""),
    ("get /api/w/{workspace}/folders", Scope("members:read"), ""),
    ("delete /api/w/{workspace}/folders/{name}", Scope("members:write"), ""),
    ("get /api/w/{workspace}/folders/{name}", Scope("members:read"), ""),
    ("put /api/w/{workspace}/folders/{name}", Scope("members:write"), "{}"),
    ("get /api/w/{workspace}/grants/{path}", Scope("scripts:read"), ""),
    ("patch /api/w/{workspace}/grants/{path}", Scope("scripts:write"), "{}"),
    ("get /api/w/{workspace}/groups", Scope("members:read"), ""),
    ("delete /api/w/{workspace}/groups/{name}", Scope("members:write"), ""),
    ("get /api/w/{workspace}/groups/{name}", Scope("members:read"), ""),
    ("put /api/w/{workspace}/groups/{name}", Scope("members:write"), r#"{"members": []}"#),
    ("post /api/w/{workspace}/held-runs/{path}", Scope("triggers:start"), r#"{"action": "release", "all": true}"#),
    ("get /api/w/{workspace}/invitations", Scope("members:read"), ""),
    ("post /api/w/{workspace}/invitations", Scope("members:write"), r#"{"role": "viewer"}"#),
    ("delete /api/w/{workspace}/invitations/{id}", Scope("members:write"), ""),
    ("get /api/w/{workspace}/members", Scope("members:read"), ""),
    ("delete /api/w/{workspace}/members/{name}", Scope("members:write"), ""),
    ("put /api/w/{workspace}/members/{name}", Scope("members:write"), r#"{"role": "viewer"}"#),
    ("get /api/w/{workspace}/programs/{path}", Scope("scripts:read"), ""),
    ("get /api/w/{workspace}/quotas", Scope("runs:read"), ""),
    ("get /api/w/{workspace}/resource-types", Scope("resources:read"), ""),
    ("delete /api/w/{workspace}/resource-types/{name}", Scope("resources:write"), ""),
    ("get /api/w/{workspace}/resource-types/{name}", Scope("resources:read"), ""),
    ("put /api/w/{workspace}/resource-types/{name}", Scope("resources:write"), r#"{"schema": {"type": "object"}}"#),
    ("get /api/w/{workspace}/resources", Scope("resources:read"), ""),
    ("delete /api/w/{workspace}/resources/{path}", Scope("resources:write"), ""),
    ("get /api/w/{workspace}/resources/{path}", Scope("resources:read"), ""),
    ("put /api/w/{workspace}/resources/{path}", Scope("resources:write"), r#"{"type": "sqlite", "value": {"name": "x"}}"#),
    ("get /api/w/{workspace}/route-description", Scope("triggers:read"), ""),
    ("get /api/w/{workspace}/runs", Scope("runs:read"), ""),
    ("post /api/w/{workspace}/runs", Scope("runs:start"), r#"{"path": "f/t/echo"}"#),
    ("post /api/w/{workspace}/runs/cancel", Scope("runs:cancel"), OF_RUNS),
    ("post /api/w/{workspace}/runs/rerun", Scope("runs:start"), OF_RUNS),
    ("get /api/w/{workspace}/runs/{id}", Scope("runs:read"), ""),
    ("post /api/w/{workspace}/runs/{id}/cancel", Scope("runs:cancel"), ""),
    ("get /api/w/{workspace}/runs/{id}/events", Scope("runs:read"), ""),
    ("get /api/w/{workspace}/runs/{id}/log", Scope("runs:read"), ""),
    ("post /api/w/{workspace}/runs/{id}/rerun", Scope("runs:start"), ""),
    ("get /api/w/{workspace}/runs/{id}/result", Scope("runs:read"), ""),
    ("get /api/w/{workspace}/scripts", Scope("scripts:read"), ""),
    ("get /api/w/{workspace}/scripts/{path}", Scope("scripts:read"), ""),
    ("put /api/w/{workspace}/scripts/{path}", Scope("scripts:write"), r#"{"language": "typescript", "source": "x"}"#),
    ("get /api/w/{workspace}/service-accounts", Scope("identities:read"), ""),
    ("delete /api/w/{workspace}/service-accounts/{name}", Scope("identities:write"), ""),
    ("get /api/w/{workspace}/service-accounts/{name}", Scope("identities:read"), ""),
    ("put /api/w/{workspace}/service-accounts/{name}", Scope("identities:write"), "{}"),
    ("get /api/w/{workspace}/settings", Scope("instance:read"), ""),
    ("patch /api/w/{workspace}/settings", Scope("instance:write"), "{}"),
    ("get /api/w/{workspace}/tokens", Scope("tokens:read"), ""),
    ("post /api/w/{workspace}/tokens", Scope("tokens:write"), "{}"),
    ("delete /api/w/{workspace}/tokens/{id}", Scope("tokens:write"), ""),
    ("get /api/w/{workspace}/tokens/{id}", Scope("tokens:read"), ""),
    ("post /api/w/{workspace}/tokens/{id}/rotate", Scope("tokens:write"), "{}"),
    ("get /api/w/{workspace}/trigger-events/{path}", Scope("triggers:read"), ""),
    ("post /api/w/{workspace}/trigger-events/{path}", Scope("triggers:start"), r#"{"action": "replay", "all": true}"#),
    ("get /api/w/{workspace}/trigger-kinds", Scope("triggers:read"), ""),
    ("post /api/w/{workspace}/trigger-mode/{path}", Scope("triggers:write"), r#"{"mode": "off"}"#),
    (
        "post /api/w/{workspace}/trigger-previews",
        Scope("triggers:read"),
        r#"{"path": "f/t/echo", "kind": "ticker", "config": {"every_ms": 1000}}"#,
    ),
    (
        "post /api/w/{workspace}/trigger-probes",
        Scope("triggers:write"),
        r#"{"path": "f/t/echo", "kind": "ticker", "config": {"every_ms": 1000}}"#,
    ),
    ("get /api/w/{workspace}/trigger-status/{path}", Scope("triggers:read"), ""),
    ("get /api/w/{workspace}/triggers", Scope("triggers:read"), ""),
    ("delete /api/w/{workspace}/triggers/{path}", Scope("triggers:write"), ""),
    ("get /api/w/{workspace}/triggers/{path}", Scope("triggers:read"), ""),
    ("put /api/w/{workspace}/triggers/{path}", Scope("triggers:write"), r#"{"kind": "probe", "target": "f/t/echo"}"#),
    ("get /api/w/{workspace}/usage", Scope("runs:read"), ""),
    ("get /api/w/{workspace}/variables", Scope("variables:read"), ""),
    ("delete /api/w/{workspace}/variables/{path}", Scope("variables:write"), ""),
    ("get /api/w/{workspace}/variables/{path}", Scope("variables:read"), ""),
    ("put /api/w/{workspace}/variables/{path}", Scope("variables:write"), r#"{"text": "x"}"#),
    ("get /api/w/{workspace}/versions/{path}", Scope("scripts:read"), ""),
    ("get /errors/{code}", Nobody, ""),
    ("get /health", Nobody, ""),
    ("get /metrics", Scope("instance:read"), ""),
    ("get /openapi.json", Nobody, ""),
    // Of a kind of trigger: what asks for the scope is the same for all.
    ("get /probe/{workspace}/run/{path}", Scope("runs:start"), ""),
    ("post /probe/{workspace}/run/{path}", Scope("runs:start"), "{}"),
    ("post /probe/{workspace}/start/{path}", Scope("runs:start"), "{}"),
    ("post /probe/{workspace}/stream/{path}", Scope("runs:start"), "{}"),
    ("get /ready", Nobody, ""),
];

fn call(operation: &str, body: &'static str) -> Call {
    let (method, path) = operation.split_once(' ').unwrap();
    // What happens to a workspace as a whole happens to none that the other calls need.
    let path = path.replace("workspaces/{workspace}", "workspaces/nobodys").replace("{workspace}", "w").replace("{path}", "f/t/echo");
    let path = path.replace("{name}", "somebody").replace("{plan}", "pro").replace("{code}", "error").replace("{id}", NONE);
    let uri = path.replace("{digest}", &format!("sha256:{}", "1".repeat(64)));
    let call = match method {
        "get" => get(uri),
        "put" => put(uri),
        "post" => post(uri),
        "patch" => patch(uri),
        "delete" => delete(uri),
        other => panic!("{other} {uri}"),
    };
    if body.is_empty() { call } else { call.header("content-type", "application/json").body(body) }
}

#[test]
fn every_operation_is_in_the_table() {
    let description: Value = serde_json::from_str(&sandmill_api::openapi(&kinds())).unwrap();
    let mut described = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            let (_, needs, _) = OPERATIONS
                .iter()
                .find(|(known, ..)| *known == name)
                .unwrap_or_else(|| panic!("{name} is new: say in host/api/tests/it/scopes.rs which scope it needs"));
            assert_eq!(matches!(needs, Nobody), operation["security"] == json!([{}]), "{name}: what is described is what is asked for");
            described.insert(name);
        }
    }
    let gone: Vec<&str> = OPERATIONS.iter().map(|(operation, ..)| *operation).filter(|known| !described.contains(*known)).collect();
    assert!(gone.is_empty(), "{gone:?} are described no more");
    assert_eq!(described.len(), OPERATIONS.len(), "each is there once");
}

/// Tokens are of the installation: what they may not do they may not do for lack of the scope alone.
#[tokio::test]
async fn every_operation_needs_its_scope() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let all: Vec<String> = DOMAINS.iter().flat_map(|domain| ACTIONS.iter().map(move |action| format!("{domain}:{action}"))).collect();
    for (number, (operation, needs, body)) in OPERATIONS.iter().enumerate() {
        match needs {
            Nobody => {
                let answer = call(operation, body).no_token().to(&api).await;
                assert!(!matches!(answer.status.as_u16(), 401 | 403), "{operation}: {answer:?}");
            }
            AnyToken => {
                let token = format!("sm_any{number}");
                api.token(&token, Some(api.workspace), &["blobs:read"]).await;
                assert_eq!(call(operation, body).token(&token).to(&api).await.status, 200, "{operation}");
            }
            Session => {
                call(operation, body).token(ADMIN).to(&api).await.is_problem(401, "unauthorized");
            }
            Scope(scope) => {
                assert!(all.iter().any(|known| known == scope), "{scope}");
                let others: Vec<&str> = all.iter().map(String::as_str).filter(|other| other != scope).collect();
                let (with, without) = (format!("sm_with{number}"), format!("sm_without{number}"));
                api.token(&with, None, &[*scope]).await;
                api.token(&without, None, &others).await;
                let refused = call(operation, body).token(&without).to(&api).await;
                assert_eq!(refused.status, 403, "{operation} without {scope}: {refused:?}");
                let problem = refused.is_problem(403, "forbidden");
                let detail = problem["detail"].as_str().unwrap();
                assert!(detail.starts_with(&format!("the token lacks the scope {scope}")), "{operation}: {detail}");
                let answer = call(operation, body).token(&with).to(&api).await;
                // Some ask for more than the scope, of what is given: that nobody gives more than they have.
                let is_lacking =
                    answer.status == 403 && answer.value()["detail"].as_str().unwrap().starts_with("the token lacks the scope");
                assert!(!is_lacking && !matches!(answer.status.as_u16(), 401 | 405), "{operation} with {scope}: {answer:?}");
                // It is refused for its scope, not for a body or a URL that nobody could use.
                assert!(!matches!(answer.status.as_u16(), 400 | 415), "{operation}: {answer:?}");
            }
        }
    }
    api.stop().await;
}
