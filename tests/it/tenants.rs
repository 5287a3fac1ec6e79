//! Workspaces do not learn of each other. Every operation that the server describes is called as somebody of one workspace and with ids, paths, digests
//! and cursors of another: the answer must be, to the byte, that for what does not exist. An operation that [`OPERATIONS`] does not have fails the test.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use sandmill_testkit::{
    guests::guest,
    server::{Answer, Server},
};
use serde_json::{Value, json};

/// Begins all content, which ends with the name of its workspace; it is in no name.
const MARK: &str = "zebra-7351";
/// How long runs may take to end.
const RUNS_LIMIT: Duration = Duration::from_secs(60);

/// Every operation, with the query and the body that it is called with; several times where it can name things in several ways. `{…}` are filled in.
const OPERATIONS: &[(&str, &[(&str, &str)])] = &[
    ("GET /api/instance/audit", &[("", "")]),
    ("GET /api/instance/audit/export", &[("", "")]),
    ("GET /api/instance/audit/verify", &[("", "")]),
    ("POST /api/auth/invitation", &[("", r#"{"invitation": "si_{workspace}", "user": "{name}", "password": "{name}-{name}-{name}"}"#)]),
    ("POST /api/auth/login", &[("", r#"{"user": "{name}", "password": "{name}-{name}-{name}"}"#)]),
    ("POST /api/auth/logout", &[("", "")]),
    ("GET /api/auth/me", &[("", "")]),
    ("GET /api/auth/oidc/callback", &[("code={id}&state={id}", "")]),
    (
        "POST /api/auth/oidc/exchange",
        &[("", r#"{"code": "sc_{workspace}", "verifier": "{name}-{name}-{name}-{name}-{name}-{name}-{name}"}"#)],
    ),
    ("GET /api/auth/oidc/start", &[("return_to=/{path}", "")]),
    ("PUT /api/auth/password", &[("", r#"{"old": "{name}-{name}-{name}", "new": "{workspace}-{workspace}-{workspace}"}"#)]),
    ("GET /api/auth/sessions", &[("", "")]),
    ("DELETE /api/auth/sessions", &[("", "")]),
    ("DELETE /api/auth/sessions/{id}", &[("", "")]),
    ("POST /api/instance/keys/rotate", &[("", "")]),
    ("GET /api/instance/nodes", &[("", "")]),
    ("GET /api/instance/plans", &[("", "")]),
    ("DELETE /api/instance/plans/{plan}", &[("", "")]),
    ("GET /api/instance/plans/{plan}", &[("", "")]),
    ("PUT /api/instance/plans/{plan}", &[("", "{}")]),
    ("GET /api/instance/tokens", &[("", "")]),
    ("POST /api/instance/tokens", &[("", "{}")]),
    ("DELETE /api/instance/tokens/{id}", &[("", "")]),
    ("GET /api/instance/tokens/{id}", &[("", "")]),
    ("POST /api/instance/tokens/{id}/rotate", &[("", "{}")]),
    ("GET /api/instance/usage", &[("", "")]),
    ("GET /api/instance/users", &[("", "")]),
    ("POST /api/instance/users", &[("", r#"{"name": "{name}"}"#)]),
    ("GET /api/instance/users/{name}", &[("", "")]),
    ("PATCH /api/instance/users/{name}", &[("", r#"{"display_name": "x"}"#)]),
    ("GET /api/instance/users/{name}/sessions", &[("", "")]),
    ("DELETE /api/instance/users/{name}/sessions", &[("", "")]),
    ("GET /api/instance/version", &[("", "")]),
    ("GET /api/instance/workspaces", &[("", "")]),
    ("POST /api/instance/workspaces", &[("", r#"{"name": "{workspace}"}"#)]),
    ("DELETE /api/instance/workspaces/{workspace}", &[("confirm={workspace}", "")]),
    ("GET /api/instance/workspaces/{workspace}", &[("", "")]),
    ("PATCH /api/instance/workspaces/{workspace}", &[("", "{}")]),
    ("POST /api/instance/workspaces/{workspace}/archive", &[("", "")]),
    ("POST /api/instance/workspaces/{workspace}/unarchive", &[("", "")]),
    // Denied attempts go on being recorded: they are left out.
    ("GET /api/w/{workspace}/audit", &[("outcome=done", ""), ("outcome=done&target={path}", ""), ("outcome=done&actor=u/{workspace}", "")]),
    ("GET /api/w/{workspace}/audit/export", &[("after=1000000", "")]),
    ("GET /api/w/{workspace}/audit/verify", &[("", "")]),
    ("GET /api/w/{workspace}/access", &[("", "")]),
    ("GET /api/w/{workspace}/access/{path}", &[("", "")]),
    ("PUT /api/w/{workspace}/access/{path}", &[("", "{}"), ("", r#"{"readers": ["u/{name}"]}"#), ("", r#"{"readers": ["g/{name}"]}"#)]),
    ("GET /api/w/{workspace}/components/{digest}", &[("", "")]),
    ("GET /api/w/{workspace}/dead-letters", &[("", ""), ("path={path}", ""), ("parent={id}", ""), ("cursor={after_id}", "")]),
    (
        "POST /api/w/{workspace}/dead-letters/discard",
        &[("", r#"{"filter": {"path": "{path}"}}"#), ("", r#"{"filter": {"path": "{path}"}, "cursor": "{after_id}"}"#)],
    ),
    (
        "POST /api/w/{workspace}/dead-letters/replay",
        &[("", r#"{"filter": {"path": "{path}"}}"#), ("", r#"{"filter": {"path": "{path}"}, "cursor": "{after_id}"}"#)],
    ),
    ("DELETE /api/w/{workspace}/dead-letters/{id}", &[("", "")]),
    ("POST /api/w/{workspace}/dead-letters/{id}/replay", &[("", "")]),
    ("GET /api/w/{workspace}/folders", &[("", ""), ("cursor={after_name}", "")]),
    ("DELETE /api/w/{workspace}/folders/{name}", &[("", "")]),
    ("GET /api/w/{workspace}/folders/{name}", &[("", "")]),
    ("PUT /api/w/{workspace}/folders/{name}", &[("", "{}"), ("", r#"{"owners": ["u/{name}"]}"#), ("", r#"{"owners": ["g/{name}"]}"#)]),
    ("GET /api/w/{workspace}/grants/{path}", &[("", "")]),
    ("PATCH /api/w/{workspace}/grants/{path}", &[("", r#"{"give": ["runs:{path}"]}"#)]),
    ("GET /api/w/{workspace}/groups", &[("", ""), ("cursor={after_name}", "")]),
    ("DELETE /api/w/{workspace}/groups/{name}", &[("", "")]),
    ("GET /api/w/{workspace}/groups/{name}", &[("", "")]),
    ("PUT /api/w/{workspace}/groups/{name}", &[("", r#"{"members": ["{name}"]}"#), ("", r#"{"members": []}"#)]),
    (
        "POST /api/w/{workspace}/held-runs/{path}",
        &[
            ("", r#"{"action": "release", "ids": ["{id}"]}"#),
            ("", r#"{"action": "discard", "all": true}"#),
            ("", r#"{"action": "discard", "all": true, "cursor": "{after_id}"}"#),
        ],
    ),
    ("GET /api/w/{workspace}/invitations", &[("", ""), ("cursor={after_invitation}", "")]),
    ("POST /api/w/{workspace}/invitations", &[("", r#"{"role": "viewer", "hours": 0}"#)]),
    ("DELETE /api/w/{workspace}/invitations/{id}", &[("", "")]),
    ("GET /api/w/{workspace}/members", &[("", ""), ("cursor={after_name}", "")]),
    ("DELETE /api/w/{workspace}/members/{name}", &[("", "")]),
    ("PUT /api/w/{workspace}/members/{name}", &[("", r#"{"role": "viewer"}"#)]),
    ("GET /api/w/{workspace}/programs/{path}", &[("", "")]),
    ("GET /api/w/{workspace}/quotas", &[("", "")]),
    ("GET /api/w/{workspace}/resource-types", &[("", ""), ("cursor={after_name}", "")]),
    ("DELETE /api/w/{workspace}/resource-types/{name}", &[("", "")]),
    ("GET /api/w/{workspace}/resource-types/{name}", &[("", "")]),
    ("PUT /api/w/{workspace}/resource-types/{name}", &[("", r#"{"schema": {"type": "object"}}"#)]),
    ("GET /api/w/{workspace}/resources", &[("", ""), ("prefix={path}", ""), ("cursor={after_path}", "")]),
    ("DELETE /api/w/{workspace}/resources/{path}", &[("", "")]),
    ("GET /api/w/{workspace}/resources/{path}", &[("", "")]),
    (
        "PUT /api/w/{workspace}/resources/{path}",
        &[("", r#"{"type": "sqlite", "value": {"name": "{name}"}, "shares": "{path}"}"#), ("", r#"{"type": "{name}", "value": {}}"#)],
    ),
    ("GET /api/w/{workspace}/route-description", &[("", "")]),
    (
        "GET /api/w/{workspace}/runs",
        &[
            ("", ""),
            ("path={path}", ""),
            ("trigger_path={path}", ""),
            ("parent={id}", ""),
            ("rerun_of={id}", ""),
            ("handler_of={id}", ""),
            ("cursor={after_id}", ""),
        ],
    ),
    (
        "POST /api/w/{workspace}/runs",
        &[
            ("", r#"{"path": "{path}"}"#),
            ("", r#"{"path": "{path}@1", "wait": true}"#),
            ("", r#"{"path": "{path}@{version}"}"#),
            ("", r#"{"path": "{path}", "run_as": "s/{name}"}"#),
        ],
    ),
    (
        "POST /api/w/{workspace}/runs/cancel",
        &[
            ("", r#"{"filter": {"path": "{path}"}}"#),
            ("", r#"{"filter": {"parent": "{id}"}}"#),
            ("", r#"{"filter": {"path": "{path}"}, "cursor": "{after_id}"}"#),
        ],
    ),
    (
        "POST /api/w/{workspace}/runs/rerun",
        &[
            ("", r#"{"filter": {"path": "{path}"}}"#),
            ("", r#"{"filter": {"parent": "{id}"}}"#),
            ("", r#"{"filter": {"path": "{path}"}, "cursor": "{after_id}"}"#),
        ],
    ),
    ("GET /api/w/{workspace}/runs/{id}", &[("", "")]),
    ("POST /api/w/{workspace}/runs/{id}/cancel", &[("", "")]),
    ("GET /api/w/{workspace}/runs/{id}/events", &[("", "")]),
    ("GET /api/w/{workspace}/runs/{id}/log", &[("", "")]),
    ("POST /api/w/{workspace}/runs/{id}/rerun", &[("", ""), ("", r#"{"version": "same"}"#)]),
    ("GET /api/w/{workspace}/runs/{id}/result", &[("", "")]),
    ("GET /api/w/{workspace}/scripts", &[("", ""), ("prefix={path}", ""), ("cursor={after_path}", "")]),
    ("GET /api/w/{workspace}/scripts/{path}", &[("", "")]),
    ("PUT /api/w/{workspace}/scripts/{path}", &[("", r#"{"language": "identity", "source": ""}"#)]),
    ("GET /api/w/{workspace}/service-accounts", &[("", ""), ("cursor={after_name}", "")]),
    ("DELETE /api/w/{workspace}/service-accounts/{name}", &[("", "")]),
    ("GET /api/w/{workspace}/service-accounts/{name}", &[("", "")]),
    (
        "PUT /api/w/{workspace}/service-accounts/{name}",
        &[("", "{}"), ("", r#"{"users": ["u/{name}"]}"#), ("", r#"{"scopes": ["runs:start:{path}"]}"#)],
    ),
    ("GET /api/w/{workspace}/settings", &[("", "")]),
    ("PATCH /api/w/{workspace}/settings", &[("", r#"{"error_handler": "{path}"}"#)]),
    ("GET /api/w/{workspace}/tokens", &[("", ""), ("cursor={after_token}", "")]),
    ("POST /api/w/{workspace}/tokens", &[("", r#"{"start": "{path}"}"#), ("", r#"{"scopes": ["runs:read:{path}"]}"#)]),
    ("DELETE /api/w/{workspace}/tokens/{id}", &[("", "")]),
    ("GET /api/w/{workspace}/tokens/{id}", &[("", "")]),
    ("POST /api/w/{workspace}/tokens/{id}/rotate", &[("", "{}")]),
    ("GET /api/w/{workspace}/trigger-events/{path}", &[("", ""), ("id={id}", ""), ("cursor={after_id}", "")]),
    (
        "POST /api/w/{workspace}/trigger-events/{path}",
        &[
            ("", r#"{"action": "replay", "ids": ["{id}"]}"#),
            ("", r#"{"action": "replay", "all": true}"#),
            ("", r#"{"action": "discard", "all": true, "cursor": "{after_id}"}"#),
        ],
    ),
    ("GET /api/w/{workspace}/trigger-kinds", &[("", "")]),
    ("POST /api/w/{workspace}/trigger-mode/{path}", &[("", r#"{"mode": "off"}"#)]),
    (
        "POST /api/w/{workspace}/trigger-previews",
        &[("", r#"{"path": "{path}"}"#), ("", r#"{"path": "{path}", "kind": "webhook", "config": {"x": "$var:{path}"}}"#)],
    ),
    (
        "POST /api/w/{workspace}/trigger-probes",
        &[("", r#"{"path": "{path}"}"#), ("", r#"{"path": "{path}", "kind": "webhook", "config": {"x": "$res:{path}"}}"#)],
    ),
    ("GET /api/w/{workspace}/trigger-status/{path}", &[("", "")]),
    (
        "GET /api/w/{workspace}/triggers",
        &[("", ""), ("prefix={path}", ""), ("target={path}", ""), ("kind={name}", ""), ("cursor={after_path}", "")],
    ),
    ("DELETE /api/w/{workspace}/triggers/{path}", &[("", "")]),
    ("GET /api/w/{workspace}/triggers/{path}", &[("", "")]),
    (
        "PUT /api/w/{workspace}/triggers/{path}",
        &[
            ("", r#"{"kind": "webhook", "target": "{path}"}"#),
            ("", r#"{"kind": "webhook", "target": "{path}", "config": {"x": "$var:{path}"}}"#),
            ("", r#"{"kind": "webhook", "target": "{path}", "options": {"run_as": "s/{name}"}}"#),
            ("", r#"{"kind": "{name}", "target": "{path}"}"#),
        ],
    ),
    ("GET /api/w/{workspace}/usage", &[("", "")]),
    ("GET /api/w/{workspace}/variables", &[("", ""), ("prefix={path}", ""), ("cursor={after_path}", "")]),
    ("DELETE /api/w/{workspace}/variables/{path}", &[("", "")]),
    ("GET /api/w/{workspace}/variables/{path}", &[("", "")]),
    ("PUT /api/w/{workspace}/variables/{path}", &[("", r#"{"text": "x"}"#)]),
    ("GET /api/w/{workspace}/versions/{path}", &[("", "")]),
    ("GET /errors/{code}", &[("", "")]),
    ("GET /health", &[("", "")]),
    ("GET /metrics", &[("", "")]),
    ("GET /openapi.json", &[("", "")]),
    ("GET /ready", &[("", "")]),
    ("POST /hooks/{workspace}/run/{path}", &[("", "{}")]),
    // As the description has it this is the same.
    ("POST /hooks/{workspace}/run/{path}@{version}", &[("", "{}")]),
    ("GET /hooks/{workspace}/run/{path}", &[("", "")]),
    ("POST /hooks/{workspace}/start/{path}", &[("", "{}")]),
    ("POST /hooks/{workspace}/stream/{path}", &[("", "{}")]),
    ("GET /r/{workspace}/{path}", &[("", "")]),
    ("POST /r/{workspace}/{path}", &[("", "{}")]),
    ("PUT /r/{workspace}/{path}", &[("", "{}")]),
    ("PATCH /r/{workspace}/{path}", &[("", "{}")]),
    ("DELETE /r/{workspace}/{path}", &[("", "")]),
];

#[derive(Clone, Debug)]
struct Ids {
    run: String,
    component: String,
    version: String,
    token: String,
    invitation: String,
    /// Of a person.
    session: String,
}

/// A workspace with one thing of each kind, and who may do something there.
struct Made {
    names: Names,
    /// A token for all of it.
    token: String,
    /// A token that starts what is at one path.
    start: String,
    /// A session of an admin of the workspace, as it is sent in a header.
    session: String,
}

/// What a request names.
#[derive(Clone, Debug)]
struct Names(BTreeMap<&'static str, String>);

impl Names {
    fn of(workspace: &str, word: &str, ids: &Ids) -> Self {
        let Ids { run, component, version, token, invitation, session } = ids.clone();
        let (path, name) = (format!("f/only/{word}"), format!("only-{word}"));
        // As lists give it for the last that they show.
        let after = |last: &str| URL_SAFE_NO_PAD.encode(last);
        Self(BTreeMap::from([
            ("workspace", workspace.to_owned()),
            ("after_path", after(&path)),
            ("after_name", after(&name)),
            ("after_id", after(&run)),
            ("after_token", after(&token)),
            ("after_invitation", after(&invitation)),
            ("path", path),
            ("name", name),
            ("plan", format!("only-{word}")),
            ("id", run),
            ("digest", component),
            ("version", version),
            ("token", token),
            ("invitation", invitation),
            ("session", session),
            ("code", "not_found".to_owned()),
        ]))
    }

    fn in_workspace(&self, workspace: &str) -> Self {
        let mut names = self.clone();
        names.0.insert("workspace", workspace.to_owned());
        names
    }

    fn fill(&self, template: &str) -> String {
        self.0.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    /// An answer without what it repeats of the request, and without what differs from request to request.
    fn forget(&self, answer: &Answer) -> String {
        let mut text = match answer.json() {
            Ok(mut body) => {
                forget_moments(&mut body);
                body.to_string()
            }
            Err(_) => answer.text(),
        };
        let mut names: Vec<(&&str, &String)> = self.0.iter().collect();
        // One may be part of another.
        names.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        for (name, value) in names {
            text = text.replace(value.as_str(), &format!("{{{name}}}"));
        }
        let kind = answer.header("content-type").unwrap_or_default();
        format!("{} {kind}\n{text}", answer.status)
    }
}

/// Times and new ids, in whatever depth.
fn forget_moments(value: &mut Value) {
    const MOMENTS: [&str; 15] = [
        "id",
        "request_id",
        "run_id",
        "created_at",
        "updated_at",
        "revision",
        "seen_at",
        "last_used_at",
        "used_at",
        "idle_until",
        "at",
        "secret",
        "prefix",
        "head",
        "verified",
    ];
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if MOMENTS.contains(&name.as_str()) { *member = Value::Null } else { forget_moments(member) }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forget_moments),
        _ => {}
    }
}

/// `token` may be one of a session.
async fn call(server: &Server, token: &str, operation: &str, names: &Names, (query, body): (&str, &str)) -> Answer {
    let (method, path) = operation.split_once(' ').unwrap();
    // An id of what the operation is about.
    let path = path.replace("tokens/{id}", "tokens/{token}").replace("invitations/{id}", "invitations/{invitation}");
    let path = path.replace("sessions/{id}", "sessions/{session}");
    let method: Method = method.parse().unwrap();
    let query = if query.is_empty() { String::new() } else { format!("?{}", names.fill(query)) };
    let mut request = reqwest::Client::new().request(method, format!("{}{}{query}", server.url, names.fill(&path))).bearer_auth(token);
    if !body.is_empty() {
        request = request.header("content-type", "application/json").body(names.fill(body));
    }
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

async fn admin(server: &Server, method: Method, path: &str, body: Value) -> Value {
    let answer = Answer::read(server.request(method, path).json(&body).send().await.unwrap()).await.unwrap();
    assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
    answer.json().unwrap_or_default()
}

async fn made(server: &Server, word: &str, guest_name: &str) -> Made {
    admin(server, Method::POST, "/api/instance/workspaces", json!({"name": word})).await;
    let (at, mark) = (format!("/api/w/{word}"), format!("{MARK}-{word}"));
    let source = format!("export function main() {{ console.log('{mark}'); throw new Error('{mark}'); }}");
    let manifest = json!({"description": mark});
    let script = json!({"language": "javascript", "source": source, "manifest": manifest});
    let version = admin(server, Method::PUT, &format!("{at}/scripts/f/only/{word}"), script).await["version"].as_str().unwrap().to_owned();
    let upload = server.request(Method::PUT, &format!("{at}/scripts/f/part/{word}")).header("content-type", "application/wasm");
    assert_eq!(upload.body(fs::read(guest(guest_name)).unwrap()).send().await.unwrap().status(), 201);
    let component = server.get_json(&format!("{at}/scripts/f/part/{word}")).await.unwrap()["component"].as_str().unwrap().to_owned();
    let schema = json!({"schema": {"type": "object", "description": mark}});
    admin(server, Method::PUT, &format!("{at}/resource-types/only-{word}"), schema).await;
    let database = json!({"type": "sqlite", "value": {"name": "main"}, "description": mark});
    admin(server, Method::PUT, &format!("{at}/resources/f/only/{word}"), database).await;
    admin(server, Method::PUT, &format!("{at}/variables/f/only/{word}"), json!({"text": mark})).await;
    let trigger = json!({"kind": "webhook", "target": format!("f/only/{word}"), "description": mark});
    admin(server, Method::PUT, &format!("{at}/triggers/f/only/{word}"), trigger).await;
    let user = json!({"name": format!("only-{word}"), "display_name": mark, "password": format!("{mark}-{mark}")});
    admin(server, Method::POST, "/api/instance/users", user).await;
    admin(server, Method::PUT, &format!("{at}/members/only-{word}"), json!({"role": "viewer"})).await;
    let group = json!({"members": [format!("only-{word}")], "description": mark});
    admin(server, Method::PUT, &format!("{at}/groups/only-{word}"), group).await;
    let folder = json!({"readers": [format!("g/only-{word}")], "description": mark});
    admin(server, Method::PUT, &format!("{at}/folders/only-{word}"), folder).await;
    let account = json!({"scopes": [format!("runs:start:f/only/{word}")], "users": [format!("g/only-{word}")], "description": mark});
    admin(server, Method::PUT, &format!("{at}/service-accounts/only-{word}"), account).await;
    let invited = admin(server, Method::POST, &format!("{at}/invitations"), json!({"role": "viewer"})).await;
    admin(server, Method::PUT, &format!("/api/instance/plans/only-{word}"), json!({"description": mark})).await;
    admin(server, Method::PATCH, &format!("/api/instance/workspaces/{word}"), json!({"plan": format!("only-{word}")})).await;
    let run = admin(server, Method::POST, &format!("{at}/runs"), json!({"path": format!("f/only/{word}")})).await["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let deadline = Instant::now() + RUNS_LIMIT;
    while server.get_json(&format!("{at}/runs/{run}")).await.unwrap()["status"] != "failed" {
        assert!(Instant::now() < deadline, "the run does not fail");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = json!({"label": mark, "identity": format!("u/{word}"), "scopes": ["*:*"]});
    let token = admin(server, Method::POST, &format!("{at}/tokens"), asked).await;
    let start = admin(server, Method::POST, &format!("{at}/tokens"), json!({"start": format!("f/only/{word}")})).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let session = text(&boss(server, word).await["token"]);
    let (token_id, invitation, session_id) = (text(&token["token"]["id"]), text(&invited["id"]), session_id(server, &session).await);
    let ids = Ids { run, component, version, token: token_id, invitation, session: session_id };
    Made { names: Names::of(word, word, &ids), token: text(&token["secret"]), start: text(&start["secret"]), session }
}

/// Logs an admin of the workspace in.
async fn boss(server: &Server, word: &str) -> Value {
    let (user, password) = (format!("boss-{word}"), format!("{MARK}-boss-of-{word}"));
    admin(server, Method::POST, "/api/instance/users", json!({"name": user, "password": password})).await;
    admin(server, Method::PUT, &format!("/api/w/{word}/members/{user}"), json!({"role": "admin"})).await;
    admin(server, Method::POST, "/api/auth/login", json!({"user": user, "password": password, "carrier": "header"})).await
}

/// The id of somebody's only session.
async fn session_id(server: &Server, secret: &str) -> String {
    let list = reqwest::Client::new().get(format!("{}/api/auth/sessions", server.url)).bearer_auth(secret).send().await.unwrap();
    Answer::read(list).await.unwrap().json().unwrap()["items"][0]["id"].as_str().unwrap().to_owned()
}

/// Everything that can be read of a workspace, but for what ends only with a run and what is made anew each time.
async fn seen(server: &Server, names: &Names) -> Vec<String> {
    let is_told =
        |operation: &str| operation.starts_with("GET /api/w/") && !operation.ends_with("/events") && !operation.contains("/programs/");
    let mut seen = Vec::new();
    for (operation, calls) in OPERATIONS.iter().filter(|(operation, _)| is_told(operation)) {
        for each in *calls {
            let answer = call(server, &server.token, operation, names, *each).await;
            seen.push(format!("{operation} {}", names.forget(&answer)));
        }
    }
    seen
}

/// Reading first, making last: what one call makes in its own workspace must not be there for another.
fn in_order() -> Vec<(&'static str, &'static [(&'static str, &'static str)])> {
    let rank = |operation: &str| match operation.split(' ').next() {
        Some("GET") => 0,
        // Before there are types of these names.
        Some("PUT") if operation.contains("/resources/") => 2,
        Some("PUT") => 3,
        _ => 1,
    };
    let mut all: Vec<_> = OPERATIONS.to_vec();
    all.sort_by_key(|(operation, _)| rank(operation));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_in_the_table() {
    let server = Server::start(&[]).unwrap();
    let description = server.get_json("/openapi.json").await.unwrap();
    let mut described = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        described.extend(item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    assert!(described.len() > 40, "{described:?}");
    for operation in described {
        assert!(
            OPERATIONS.iter().any(|(known, calls)| *known == operation && !calls.is_empty()),
            "{operation} is new: add it to OPERATIONS in tests/it/tenants.rs, with what it takes from a request"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_another_workspace_can_be_read_or_learnt() {
    learns_nothing(|ours| ours.token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_logged_in_learns_nothing_of_another_workspace() {
    learns_nothing(|ours| ours.session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_starts_one_path_learns_nothing_of_another_workspace() {
    learns_nothing(|ours| ours.start).await;
}

/// Calls everything as somebody of one workspace, with what is another's.
async fn learns_nothing(caller: fn(Made) -> String) {
    let server = Server::start(&[]).unwrap();
    let (ours, Made { names: theirs, session: their_session, .. }) =
        (made(&server, "ours", "hello").await, made(&server, "theirs", "chaos").await);
    let token = caller(ours);
    // Not of noughts only: that is what an audit log begins with.
    let digest = |prefix: &str| format!("{prefix}{}", "1".repeat(64));
    let digest_of_none = theirs.0["digest"].split_once(':').map_or_else(|| digest(""), |(kind, _)| digest(&format!("{kind}:")));
    // In the order of each list it comes behind what is ours, as theirs does: a cursor says where to go on, whether something is there or not.
    let none = |number: u32| format!("0fffffff-ffff-7fff-bfff-fffffffffff{number}");
    let (component, version) = (digest_of_none.clone(), digest_of_none);
    let ids = Ids { run: none(1), component, version, token: none(2), invitation: none(3), session: none(4) };
    let nobody = Names::of("nowhere", "unknown", &ids);
    let before = seen(&server, &theirs).await;
    assert!(before.iter().any(|answer| answer.contains(MARK)), "there is something to be seen: {before:?}");
    // Whoever logged out would learn nothing indeed.
    for (operation, calls) in in_order().into_iter().filter(|(operation, _)| *operation != "POST /api/auth/logout") {
        for each in calls {
            // Their workspace, and one that never was, with all that is theirs.
            let (there, nowhere) = (theirs.clone(), theirs.in_workspace("nowhere"));
            // Our workspace, with what is theirs and with what never was.
            let (ours, nothing) = (theirs.in_workspace("ours"), nobody.in_workspace("ours"));
            for (known, unknown) in [(there, nowhere), (ours, nothing)] {
                let answer = call(&server, &token, operation, &known, *each).await;
                let expected = call(&server, &token, operation, &unknown, *each).await;
                let said = answer.text() + &format!("{:?}", answer.headers);
                assert!(!said.contains(&format!("{MARK}-theirs")), "{operation} {each:?} shows what is another's: {answer:?}");
                assert!(answer.status < 500, "{operation} {each:?}: {answer:?}");
                // What is of people or of nobody asks for a session, or for a password that is right.
                if operation.contains("{workspace}") || operation.contains("{plan}") {
                    assert_ne!(answer.status, 401, "{operation} {each:?}: whoever asks is known: {answer:?}");
                }
                // No operation is left out: those of the installation name users, tokens and sessions.
                assert_eq!(known.forget(&answer), unknown.forget(&expected), "{operation} {each:?}: the answers tell that it is there");
            }
        }
    }
    assert_eq!(seen(&server, &theirs).await, before, "nothing of theirs has changed");
    assert_eq!(call(&server, &their_session, "GET /api/auth/me", &theirs, ("", "")).await.status, 200, "their session goes on");
}

/// What one workspace was told to come back with says nothing in another.
#[tokio::test(flavor = "multi_thread")]
async fn keys_and_events_of_another_workspace_mean_nothing() {
    const LINES: usize = 5;
    let server = Server::start(&[]).unwrap();
    for word in ["theirs", "ours"] {
        admin(&server, Method::POST, "/api/instance/workspaces", json!({"name": word})).await;
        let source = format!(
            "export function main() {{ for (let i = 0; i < {LINES}; i++) console.log('line {MARK}-{word}'); return 'result {MARK}-{word}'; }}"
        );
        let script = json!({"language": "javascript", "source": source});
        admin(&server, Method::PUT, &format!("/api/w/{word}/scripts/f/same/echo"), script).await;
    }
    let ask = async |workspace: &str, verb: &str, key: &str, last_event: &str| {
        let request = server.request(Method::POST, &format!("/hooks/{workspace}/{verb}/f/same/echo")).json(&json!({}));
        let request = request.header("idempotency-key", key).header("last-event-id", last_event);
        Answer::read(request.send().await.unwrap()).await.unwrap()
    };
    let theirs = ask("theirs", "stream", "the-same-key", "").await;
    let (their_run, their_events) = (theirs.header("sandmill-run-id").unwrap(), theirs.text());
    assert!(their_events.contains(&format!("{MARK}-theirs")), "{their_events}");
    let their_first = their_events.lines().find_map(|line| line.strip_prefix("id:")).unwrap().trim().to_owned();

    let ours = ask("ours", "run", "the-same-key", "").await;
    assert_eq!((ours.status, ours.header("idempotency-replayed")), (200, None), "{ours:?}");
    assert_eq!(ours.text(), format!("\"result {MARK}-ours\""));
    assert_ne!(ours.header("sandmill-run-id"), Some(their_run));

    // Of a new run nothing is left out, wherever another's events had come to.
    let events = ask("ours", "stream", "a-key-of-ours", &their_first).await.text();
    assert_eq!(events.matches(&format!("line {MARK}-ours")).count(), LINES, "{events}");
    // Of a run that is there, events come from there on; none is another's.
    let events = ask("ours", "stream", "the-same-key", &their_first).await.text();
    assert!(!events.contains(&format!("{MARK}-theirs")), "{events}");
    let follow = async |run: &str| {
        let request = server.request(Method::GET, &format!("/api/w/ours/runs/{run}/events")).header("last-event-id", &their_first);
        let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
        let mut body = answer.json().unwrap();
        forget_moments(&mut body);
        (answer.status, body.to_string().replace(run, "{id}"))
    };
    let none = follow("01999999-9999-7999-8999-999999999999").await;
    assert_eq!(none.0, 404);
    assert_eq!(follow(their_run).await, none, "the answers tell that it is there");
}
