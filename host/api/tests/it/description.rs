//! The description of the API is fresh, and true.

use serde_json::Value;

use crate::support::{Api, delete, get, patch, post, put};

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
    let description: Value = serde_json::from_str(CHECKED_IN).unwrap();
    let mut operations = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations += 1;
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
    assert_eq!(operations, 112);
    api.stop().await;
}
