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
/// Random requests to each operation; those that are made of the limits of every parameter and member come first, and are some thousand.
const EXAMPLES: &str = "2";
/// Seconds after which one of the three hangs; it takes ten to twenty on two idle cores.
const LIMIT_S: &str = "240";
/// A segment of a path.
const SEGMENT: &str = "^([A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}|\\.[A-Za-z0-9_-][A-Za-z0-9_.-]{0,62}|\\.\\.[A-Za-z0-9_.-]{1,62})$";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_one_that_the_description_has() {
    let Some(program) = schemathesis() else { return };
    // All that is asked comes from one address.
    let server = Server::start(&["--requests-per-s-max", "0"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let description = server.get_json("/openapi.json").await.unwrap();
    fs::write(folder.path().join("openapi.json"), readable(description.clone()).to_string()).unwrap();
    fs::write(folder.path().join("config.toml"), config(&server).await).unwrap();
    let operations: usize = description["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();

    let of_workspace = token(&server, "/api/w/default/tokens").await.0;
    for token in [Some(server.token.as_str()), Some(of_workspace.as_str()), None] {
        let output = run(&program, folder.path(), &server, token);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let who = match token {
            None => "nobody",
            Some(token) if token == server.token => "the installation's token",
            Some(_) => "a workspace's token",
        };
        assert!(output.status.success(), "{who}: {}\n{out}\n{err}", output.status);
        assert!(out.contains(&format!("Tested: {operations}\n")), "{who}: not all of the {operations} operations were asked\n{out}");
        if let Some(token) = token {
            // Else most answers were 401, and it proves little.
            let version =
                reqwest::Client::new().get(format!("{}/api/instance/version", server.url)).bearer_auth(token).send().await.unwrap();
            assert_eq!(version.status().as_u16(), 200, "{who}: it was revoked meanwhile");
        }
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

fn run(program: &Path, folder: &Path, server: &Server, token: Option<&str>) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", LIMIT_S]).arg(program);
    command.args(["--config-file", "config.toml", "run", "openapi.json", "--url", &server.url, "--no-color"]);
    // The same requests each time; those that are built on answers to others are not: what they change, they take from one another.
    command.args(["--phases", "coverage,fuzzing", "--max-examples", EXAMPLES, "--generation-deterministic", "--continue-on-failure"]);
    command.args(["--request-timeout", "60"]);
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    command.current_dir(folder).output().unwrap()
}

/// The configuration, with what the server has from now on: something of each kind, and tokens that may go.
async fn config(server: &Server) -> String {
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
    let (of_workspace, of_instance) = (token(server, "/api/w/default/tokens").await.1, token(server, "/api/instance/tokens").await.1);
    CONFIG.replace("\"RUN\"", &format!("\"{run}\"")).replace("TOKEN_OF_WORKSPACE", &of_workspace).replace("TOKEN_OF_INSTANCE", &of_instance)
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
fn readable(mut description: Value) -> Value {
    let mut paths = Map::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        let mut item = item.clone();
        item.as_object_mut().unwrap().values_mut().for_each(adapt);
        paths.insert(path.replace("{path}", "f/{folder}/{script}"), item);
    }
    description["paths"] = Value::Object(paths);
    for schema in description["components"]["schemas"].as_object_mut().unwrap().values_mut() {
        if let Some(members) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            members.remove("cursor");
        }
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
