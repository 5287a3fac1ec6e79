//! The API against its description: requests that it allows, and such that it does not, with and without credentials. No answer is a
//! fault of ours, and each is one that the description has: its status, its type, its shape.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use reqwest::Method;
use sandmill_testkit::{schemathesis::schemathesis, server::Server};
use serde_json::{Map, Value, json};

/// Which checks do not hold for which operations, and why.
const CONFIG: &str = include_str!("schemathesis/config.toml");
/// A check of our own.
const CHECKS: &str = include_str!("schemathesis/checks.py");
/// Random requests to each operation; those that are made of the limits of every parameter and member come first, and are some thousand.
const EXAMPLES: &str = "2";
/// Seconds after which one of them hangs; it takes ten to twenty on two idle cores.
const LIMIT_S: &str = "240";
/// A segment of a path.
const SEGMENT: &str = "^([A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}|\\.[A-Za-z0-9_-][A-Za-z0-9_.-]{0,62}|\\.\\.[A-Za-z0-9_.-]{1,62})$";
/// Below `f/demo`, where runs are started: what throws, which is tried first, what returns, and what is not there.
const SCRIPTS: [&str; 3] = ["fails", "hello", "absent"];
/// How long whoever waits for a run waits: those of tags that no node has never begin.
const WAIT_LIMIT_MS: &str = "5000";

/// Of whom the own password is changed; of everybody else it is not the one that the requests say.
const OLD_PASSWORD: &str = "correct horse battery";
const NEW_PASSWORD: &str = "another horse battery";
/// Operations that end the session which asks, or others of the same person.
const ENDS_SESSIONS: &str = "^(POST /api/auth/logout|DELETE /api/auth/sessions(/[{]id[}])?)$";

/// All that one of those who ask asks.
struct Pass<'a> {
    who: &'static str,
    token: Option<&'a str>,
    /// The file with the description.
    description: &'static str,
    /// Options that choose operations.
    chosen: &'a [&'a str],
    operations: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_one_that_the_description_has() {
    let Some(program) = schemathesis() else { return };
    // All that is asked comes from one address.
    let server = Server::start(&["--requests-per-s-max", "0", "--wait-limit-ms", WAIT_LIMIT_MS]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let description = server.get_json("/openapi.json").await.unwrap();
    fs::write(folder.path().join("checks.py"), CHECKS.replace("OUTCOMES_OF_RUNS", &outcomes(&description).join(" "))).unwrap();
    let readable = readable(description.clone());
    fs::write(folder.path().join("openapi.json"), readable.to_string()).unwrap();
    fs::write(folder.path().join("own.json"), with_own_password(readable).to_string()).unwrap();
    let (config, people) = config(&server).await;
    fs::write(folder.path().join("config.toml"), config).unwrap();
    let operations: usize = description["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
    let check = |pass: &Pass<'_>| {
        let output = run(&program, folder.path(), &server, pass);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let Pass { who, operations, .. } = pass;
        assert!(output.status.success(), "{who}: {}\n{out}\n{err}", output.status);
        assert!(out.contains(&format!("Tested: {operations}\n")), "{who}: not all of the {operations} operations were asked\n{out}");
    };

    assert_eq!(status(&server, "/api/auth/sessions", &people.ida).await, 200);
    // First, because wrong passwords of everybody else are counted. Each may end the session that asks.
    for (name, token) in [
        ("^DELETE /api/auth/sessions/[{]id[}]$", &people.kim),
        ("^DELETE /api/auth/sessions$", &people.kim),
        ("^PUT /api/auth/password$", &people.kim),
        ("^POST /api/auth/logout$", &people.lou),
    ] {
        assert_eq!(status(&server, "/api/auth/me", token).await, 200, "{name}");
        let chosen = ["--include-name-regex", name];
        check(&Pass { who: "a person of themselves", token: Some(token), description: "own.json", chosen: &chosen, operations: 1 });
    }
    // Each was done at least once. Who shows too often what is not good is told nothing else.
    for gone in [&people.kim, &people.kim_elsewhere, &people.lou] {
        let status = status(&server, "/api/auth/me", gone).await;
        assert!(matches!(status, 401 | 429), "{status}");
    }
    session(&server, "kim", NEW_PASSWORD).await;

    let of_workspace = token(&server, "/api/w/default/tokens").await.0;
    let all = |who, token| Pass { who, token, description: "openapi.json", chosen: &[], operations };
    for pass in [
        all("the installation's token", Some(server.token.as_str())),
        all("a workspace's token", Some(of_workspace.as_str())),
        Pass { chosen: &["--exclude-name-regex", ENDS_SESSIONS], operations: operations - 3, ..all("a person", Some(people.ida.as_str())) },
        all("nobody", None),
    ] {
        check(&pass);
        if let Some(token) = pass.token {
            // Else most answers were 401, and it proves little.
            assert_eq!(status(&server, "/api/instance/version", token).await, 200, "{}: it was revoked meanwhile", pass.who);
        }
    }
    let failed = fs::read_to_string(folder.path().join("failed.txt")).unwrap();
    for answered in ["POST /api/w/{workspace}/runs", "POST /hooks/{workspace}/run/f/{folder}/{script}"] {
        assert!(failed.lines().any(|operation| operation == answered), "{answered} was never answered with a run that failed:\n{failed}");
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// With which codes runs fail, but by a fault of ours.
fn outcomes(description: &Value) -> Vec<&str> {
    let all = description["components"]["schemas"]["FilterQuery"]["properties"]["outcome"]["enum"].as_array().unwrap();
    let all: Vec<&str> = all.iter().filter_map(Value::as_str).filter(|name| !matches!(*name, "ok" | "skipped" | "host_fault")).collect();
    assert!(all.contains(&"error") && all.contains(&"timeout"), "{all:?}");
    all
}

fn run(program: &Path, folder: &Path, server: &Server, pass: &Pass<'_>) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", LIMIT_S]).arg(program);
    command.args(["--config-file", "config.toml", "run", pass.description, "--url", &server.url, "--no-color"]).args(pass.chosen);
    // The same requests each time; those that are built on answers to others are not: what they change, they take from one another.
    command.args(["--phases", "coverage,fuzzing", "--max-examples", EXAMPLES, "--generation-deterministic", "--continue-on-failure"]);
    command.args(["--request-timeout", "60"]);
    if let Some(token) = pass.token {
        // It shows each operation a token that is none, and whoever does that too often is told 429. As nobody, all is refused anyway.
        command.args(["--exclude-checks", "ignored_auth"]);
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    command.current_dir(folder).output().unwrap()
}

async fn status(server: &Server, path: &str, token: &str) -> u16 {
    reqwest::Client::new().get(format!("{}{path}", server.url)).bearer_auth(token).send().await.unwrap().status().as_u16()
}

/// Sessions of people, each by its secret.
struct People {
    /// Who runs the installation.
    ida: String,
    kim: String,
    kim_elsewhere: String,
    lou: String,
}

impl People {
    async fn log_in(server: &Server) -> Self {
        for (name, password, is_instance_admin) in
            [("ida", "a horse of her own", true), ("kim", OLD_PASSWORD, false), ("lou", "a horse of his own", false)]
        {
            let user = json!({"name": name, "password": password, "is_instance_admin": is_instance_admin});
            assert_eq!(
                server.request(Method::POST, "/api/instance/users").json(&user).send().await.unwrap().status().as_u16(),
                201,
                "{name}"
            );
        }
        let member = server.request(Method::PUT, "/api/w/default/members/ida").json(&json!({"role": "admin"})).send().await.unwrap();
        assert_eq!(member.status().as_u16(), 200);
        Self {
            ida: session(server, "ida", "a horse of her own").await,
            kim: session(server, "kim", OLD_PASSWORD).await,
            kim_elsewhere: session(server, "kim", OLD_PASSWORD).await,
            lou: session(server, "lou", "a horse of his own").await,
        }
    }
}

/// Logs somebody in, without a cookie; returns the secret of the session.
async fn session(server: &Server, user: &str, password: &str) -> String {
    let login = json!({"user": user, "password": password, "carrier": "header"});
    let answer = reqwest::Client::new().post(format!("{}/api/auth/login", server.url)).json(&login).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{user}");
    let opened: Value = answer.json().await.unwrap();
    opened["token"].as_str().unwrap().to_owned()
}

/// Which of somebody's sessions `secret` is of.
async fn session_id(server: &Server, secret: &str) -> String {
    let list = reqwest::Client::new().get(format!("{}/api/auth/sessions", server.url)).bearer_auth(secret).send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    let own = list["items"].as_array().unwrap().iter().find(|item| item["is_current"] == true).unwrap();
    own["id"].as_str().unwrap().to_owned()
}

/// The configuration, with what the server has from now on: something of each kind, and tokens that may go.
async fn config(server: &Server) -> (String, People) {
    server.deploy("f/demo/hello", "typescript", "export function main(name = 'x') { console.log(name); return { name }; }").await.unwrap();
    let run = server.start_run("f/demo/hello", &json!({"name": "a"})).await.unwrap();
    server.ended_run(&run).await.unwrap();
    let made = server.request(Method::POST, "/api/instance/workspaces").json(&json!({"name": "other"})).send().await.unwrap();
    assert_eq!(made.status().as_u16(), 201);
    let ann = json!({"name": "ann", "password": "correct horse battery"});
    assert_eq!(server.request(Method::POST, "/api/instance/users").json(&ann).send().await.unwrap().status().as_u16(), 201);
    for (path, body) in [
        ("/api/w/default/resource-types/demo", json!({"schema": {"type": "object"}})),
        ("/api/w/default/resources/f/demo/hello", json!({"type": "demo", "value": {}})),
        ("/api/w/default/variables/f/demo/hello", json!({"text": "a"})),
        ("/api/w/default/triggers/f/demo/hello", json!({"kind": "webhook", "target": "f/demo/hello"})),
        ("/api/instance/plans/demo", json!({})),
        ("/api/w/default/members/ann", json!({"role": "developer"})),
        ("/api/w/default/groups/team", json!({"members": ["ann"]})),
        ("/api/w/default/folders/shared", json!({"readers": ["g/team"]})),
        ("/api/w/default/access/f/demo/hello", json!({"readers": ["u/ann"]})),
        ("/api/w/default/service-accounts/robot", json!({"scopes": ["runs:read"]})),
    ] {
        let put = server.request(Method::PUT, path).json(&body).send().await.unwrap();
        assert_eq!(put.status().as_u16(), 200, "{path}");
    }
    let invitation = server.request(Method::POST, "/api/w/default/invitations").json(&json!({"role": "viewer"})).send().await.unwrap();
    assert_eq!(invitation.status().as_u16(), 201);
    server.deploy("f/demo/fails", "typescript", "export function main() { throw new Error('for good'); }").await.unwrap();
    let letter = server.start_run("f/demo/fails", &json!({})).await.unwrap();
    server.ended_run(&letter).await.unwrap();
    let letters = server.get_json("/api/w/default/dead-letters").await.unwrap();
    assert_eq!(letters["items"][0]["id"], letter.as_str(), "{letters}");
    let people = People::log_in(server).await;
    let elsewhere = session_id(server, &people.kim_elsewhere).await;
    let (of_workspace, of_instance) = (token(server, "/api/w/default/tokens").await.1, token(server, "/api/instance/tokens").await.1);
    let config = CONFIG.replace("\"RUN\"", &format!("\"{run}\"")).replace("\"LETTER\"", &format!("\"{letter}\""));
    let config = config.replace("TOKEN_OF_WORKSPACE", &of_workspace).replace("TOKEN_OF_INSTANCE", &of_instance);
    (config.replace("SESSION_ELSEWHERE", &elsewhere), people)
}

/// A new token: its secret and its id.
async fn token(server: &Server, path: &str) -> (String, String) {
    let made = server.request(Method::POST, path).json(&json!({"label": "described"})).send().await.unwrap();
    assert_eq!(made.status().as_u16(), 201, "{path}");
    let made: Value = made.json().await.unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["secret"]), text(&made["token"]["id"]))
}

/// The description as the tool can work with it.
///
/// - A path has slashes, and a parameter in a URL has none: the two names in it become parameters.
/// - A cursor is what a list gave, and cannot be made up: it is left out.
/// - `default` is for what later releases add; now every status has to be named.
/// - The schema of a stream of events is that of the data in them, which the tool takes for the events.
/// - The tool takes names from lists: nobody who asks is disabled or logged out.
/// - A path that starts a run is one of [`SCRIPTS`]: of made up ones none is there.
fn readable(mut description: Value) -> Value {
    let mut paths = Map::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        let mut item = item.clone();
        let starts = path.starts_with("/hooks/");
        for (method, operation) in item.as_object_mut().unwrap() {
            adapt(operation);
            if path.starts_with("/api/instance/users/{name}") && method != "get" {
                let parameters = operation["parameters"].as_array_mut().unwrap();
                parameters.iter_mut().for_each(|parameter| parameter["schema"] = json!({"type": "string", "enum": ["ann"]}));
            }
            if starts {
                adapt_start(operation);
            }
        }
        paths.insert(path.replace("{path}", "f/{folder}/{script}"), item);
    }
    description["paths"] = Value::Object(paths);
    for schema in description["components"]["schemas"].as_object_mut().unwrap().values_mut() {
        if let Some(members) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            members.remove("cursor");
        }
    }
    let submission = &mut description["components"]["schemas"]["RunSubmission"];
    assert!(submission["properties"]["path"].is_object(), "{submission}");
    submission["properties"]["path"] = json!({"type": "string", "enum": SCRIPTS.map(|script| format!("f/demo/{script}"))});
    // What has all members is refused: some exclude each other.
    submission["examples"] = json!([{"path": "f/demo/fails", "wait": true}, {"path": "f/demo/hello", "wait": true}]);
    description
}

/// An endpoint of a kind of trigger: the parameters are those of [`adapt`]. Of bodies JSON is sent.
fn adapt_start(operation: &mut Value) {
    for parameter in operation["parameters"].as_array_mut().unwrap() {
        match parameter["name"].as_str() {
            Some("folder") => parameter["schema"] = json!({"type": "string", "enum": ["demo"]}),
            Some("script") => parameter["schema"] = json!({"type": "string", "enum": SCRIPTS}),
            _ => {}
        }
    }
    if let Some(body) = operation.get_mut("requestBody") {
        body["content"].as_object_mut().unwrap().remove("*/*");
    }
}

/// The same for the one whose password this is: no request could guess it.
fn with_own_password(mut description: Value) -> Value {
    let members = &mut description["components"]["schemas"]["PasswordRequest"]["properties"];
    for (member, password) in [("old", OLD_PASSWORD), ("new", NEW_PASSWORD)] {
        assert!(members[member].is_object(), "the request to change a password has no `{member}`");
        members[member] = json!({"type": "string", "enum": [password]});
    }
    description
}

fn adapt(operation: &mut Value) {
    if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
        parameters.retain(|parameter| parameter["name"] != "cursor");
        let count = parameters.len();
        parameters.retain(|parameter| parameter["name"] != "path" || parameter["in"] != "path");
        if parameters.len() < count {
            let segment = |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "pattern": SEGMENT}});
            parameters.extend(["folder", "script"].map(segment));
        }
    }
    let answers = operation["responses"].as_object_mut().unwrap();
    answers.remove("default");
    for answer in answers.values_mut() {
        if let Some(events) = answer.get_mut("content").and_then(|content| content.get_mut("text/event-stream")) {
            *events = json!({});
        }
    }
}
