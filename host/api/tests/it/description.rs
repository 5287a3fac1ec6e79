//! The description of the API is fresh, and true.

use std::{collections::BTreeSet, fs, path::Path};

use sandmill_model::trigger::Kinds;
use serde_json::{Value, json};

use crate::support::{Api, delete, get, kinds, patch, post, put};

/// Only its freshness is looked at: all other tests read what the code says, so that a stale file hides no operation.
const CHECKED_IN: &str = include_str!("../../openapi.json");

#[tokio::test]
async fn is_fresh_and_served() {
    let mut kept: Value = serde_json::from_str(CHECKED_IN).unwrap();
    let own: Value = serde_json::from_str(&sandmill_api::openapi(&Kinds::default())).unwrap();
    // What the server's kinds of trigger say is compared where they are: in the tests of the server.
    kept["paths"].as_object_mut().unwrap().retain(|path, _| own["paths"].get(path).is_some());
    assert!(own == kept, "host/api/openapi.json is not fresh: run `cargo xtask codegen`");
    let api = Api::new().await;
    let served = get("/openapi.json").no_token().to(&api).await;
    assert_eq!((served.text(), served.header("content-type")), (&*sandmill_api::openapi(&kinds()), Some("application/json")));
    api.stop().await;
}

/// As `method path`.
fn operations(description: &Value) -> BTreeSet<String> {
    let items = description["paths"].as_object().unwrap().iter();
    items.flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))).collect()
}

/// Of a kind of which nothing is known here all operations are described, each with what its caller waits for.
#[test]
fn operations_of_kinds_are_described() {
    let own: Value = serde_json::from_str(&sandmill_api::openapi(&Kinds::default())).unwrap();
    let all: Value = serde_json::from_str(&sandmill_api::openapi(&kinds())).unwrap();
    let added: Vec<String> = operations(&all).difference(&operations(&own)).cloned().collect();
    let (run, start, stream) = ("/probe/{workspace}/run/{path}", "/probe/{workspace}/start/{path}", "/probe/{workspace}/stream/{path}");
    assert_eq!(added, [format!("get {run}"), format!("post {run}"), format!("post {start}"), format!("post {stream}")]);
    assert_eq!(all["components"], own["components"], "they need nothing that is not there");
    for (path, method, answers) in [
        (run, "get", &["200 application/json", "202 application/json", "504 "][..]),
        (run, "post", &["200 application/json", "202 application/json", "504 ", "415 "]),
        (start, "post", &["202 application/json", "415 "]),
        (stream, "post", &["200 text/event-stream", "204 ", "415 "]),
    ] {
        let operation = &all["paths"][path][method];
        for answer in answers.iter().chain(&["401 ", "403 ", "404 ", "422 ", "429 ", "500 ", "503 "]) {
            let (status, media_type) = answer.split_once(' ').unwrap();
            let said = &operation["responses"][status];
            assert!(said.is_object(), "{method} {path}: {answer}");
            assert!(media_type.is_empty() || said["content"][media_type].is_object(), "{method} {path}: {said}");
        }
        assert_eq!(operation["responses"]["504"].is_object(), path == run, "{method} {path}");
        assert_eq!(operation["requestBody"].is_object(), method == "post", "{method} {path}");
        assert_eq!(operation["security"], json!([{"token": []}]), "{method} {path}: no cookie is looked at");
        let names: Vec<&str> = operation["parameters"].as_array().unwrap().iter().map(|each| each["name"].as_str().unwrap()).collect();
        assert!(names.starts_with(&["workspace", "path", "Idempotency-Key"]), "{names:?}");
        assert!(operation["parameters"][1]["schema"]["pattern"].as_str().unwrap().contains("sha256"), "{method} {path}: of a version");
    }
}

/// Every operation that is described is there, has a sentence, and asks for a token unless the description says that it does not.
#[tokio::test]
async fn every_operation_is_routed() {
    let api = Api::new().await;
    let description: Value = serde_json::from_str(&sandmill_api::openapi(&kinds())).unwrap();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{method} {path} has no sentence");
            let uri = path
                .replace("{workspace}", "w")
                .replace("{path}", "f/t/x")
                .replace("{name}", "http")
                .replace("{code}", "error")
                .replace("{plan}", "pro");
            let uri = uri.replace("{id}", "01999999-9999-7999-8999-999999999999").replace("{digest}", "sha256:00");
            let call = match method.as_str() {
                "get" => get(uri),
                "put" => put(uri),
                "post" => post(uri),
                "patch" => patch(uri),
                "delete" => delete(uri),
                other => panic!("{other} {path}"),
            };
            let answer = call.no_token().to(&api).await;
            let open = operation["security"] == json!([{}]);
            let expected = match (open, method.as_str()) {
                (false, _) => 401,
                // Nothing was sent.
                (true, "post") => 400,
                // This server has no provider.
                (true, _) if path.contains("/oidc/") => 404,
                (true, _) => 200,
            };
            assert_eq!(answer.status.as_u16(), expected, "{method} {path}");
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
        }
    }
    api.stop().await;
}

/// Where routes may be: the table of contents, and the one pattern of each kind of trigger, whose operations the kind says.
const ROUTERS: [&str; 2] = ["mount.rs", "router.rs"];
/// Other ways to have something answered, which would be seen neither here nor by who reads the table of contents.
const OTHER_WAYS: [&str; 4] = [".nest(", ".nest_service(", ".route_service(", ".fallback_service("];
const METHODS: [&str; 9] = ["any", "connect", "delete", "get", "head", "options", "patch", "post", "put"];

/// Sources below a folder, with their paths in it.
fn sources(folder: &Path, within: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{within}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            sources(&entry.path(), &format!("{path}/"), found);
        } else {
            found.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// The methods of what stands in the parentheses of `.route(`, behind its pattern.
fn methods(rest: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (1, 0, Vec::new());
    for (at, character) in rest.char_indices() {
        match character {
            '(' => {
                found.extend((depth == 1).then(|| &rest[from..at]));
                depth += 1;
            }
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if !character.is_ascii_alphanumeric() && character != '_' {
            from = at + character.len_utf8();
        }
    }
    found
}

/// What is routed is described, whatever it is called by; and nothing else is.
#[test]
fn every_route_is_described() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    for (path, text) in &files {
        assert!(!text.contains(".route(") || ROUTERS.contains(&path.as_str()), "{path} has routes: they belong in router.rs");
        let other = OTHER_WAYS.iter().find(|way| text.contains(**way));
        assert!(other.is_none(), "{path} has {other:?}, which this test does not see through: say `.route(` in router.rs");
    }
    let (_, router) = files.iter().find(|(path, _)| path == "router.rs").unwrap();
    let mut routed = BTreeSet::new();
    for route in router.split(".route(").skip(1) {
        let (pattern, rest) = route.trim_start().strip_prefix('"').and_then(|route| route.split_once('"')).unwrap();
        let methods = methods(rest);
        assert!(!methods.is_empty() && methods.iter().all(|method| METHODS.contains(method)), "{pattern}: {methods:?}");
        routed.extend(methods.iter().map(|method| format!("{method} {}", pattern.replace("{*path}", "{path}"))));
    }
    let described = operations(&serde_json::from_str(&sandmill_api::openapi(&Kinds::default())).unwrap());
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!((only(&routed, &described), only(&described, &routed)), (Vec::new(), Vec::new()), "routed alone, described alone");
    assert!(routed.len() > 100, "{routed:?}");
}
