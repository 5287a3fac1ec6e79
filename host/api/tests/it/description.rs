//! The description of the API is fresh, and true.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use crate::support::{Api, delete, get, patch, post, put};

/// Only its freshness is looked at: all other tests read what the code says, so that a stale file hides no operation.
const CHECKED_IN: &str = include_str!("../../openapi.json");

#[tokio::test]
async fn is_fresh_and_served() {
    assert!(sandmill_api::openapi() == CHECKED_IN, "host/api/openapi.json is not fresh: run `cargo xtask codegen`");
    let api = Api::new().await;
    let served = get("/openapi.json").no_token().to(&api).await;
    assert_eq!((served.text(), served.header("content-type")), (CHECKED_IN, Some("application/json")));
    api.stop().await;
}

/// Every operation that is described is there, has a sentence, and asks for a token unless the description says that it does not.
#[tokio::test]
async fn every_operation_is_routed() {
    let api = Api::new().await;
    let description: Value = serde_json::from_str(&sandmill_api::openapi()).unwrap();
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
            let open = operation["security"] == serde_json::json!([{}]);
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
    let description: Value = serde_json::from_str(&sandmill_api::openapi()).unwrap();
    let items = description["paths"].as_object().unwrap().iter();
    let described: BTreeSet<String> =
        items.flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))).collect();
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!((only(&routed, &described), only(&described, &routed)), (Vec::new(), Vec::new()), "routed alone, described alone");
    assert!(routed.len() > 100, "{routed:?}");
}
