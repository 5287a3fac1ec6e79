//! Resources, their types and variables: who may do what, what comes out, and what never does.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::{Api, Call, delete, get, post, put};

const TYPE: &str = "/api/w/w/resource-types/account";
const MAIN: &str = "/api/w/w/resources/f/db/main";
const TOKEN: &str = "/api/w/w/variables/f/demo/token";

fn database(password: &str) -> Value {
    json!({"type": "postgresql", "value": {"host": "db", "database": "d", "user": "u", "password": password}, "description": "main"})
}

#[tokio::test]
async fn a_resource_shows_no_secret() {
    let api = Api::new().await;
    get(MAIN).to(&api).await.is_problem(404, "not_found");
    let written = put(MAIN).json(database("hunter2")).to(&api).await;
    assert_eq!(written.status, 200, "{written:?}");
    let shown = get(MAIN).to(&api).await;
    let value = shown.value();
    assert_eq!(written.value(), value);
    assert_eq!((&value["path"], &value["type"], &value["description"]), (&json!("f/db/main"), &json!("postgresql"), &json!("main")));
    assert_eq!(value["fields"], json!({"host": "db", "database": "d", "user": "u"}));
    assert_eq!((&value["secrets"], &value["updated_by"]), (&json!(["/password"]), &json!("u/ann")));
    let list = get("/api/w/w/resources?prefix=f/db/").to(&api).await;
    assert_eq!(list.value()["items"][0]["path"], "f/db/main");
    for answer in [&written, &shown, &list] {
        assert!(!answer.text().contains("hunter2"));
    }
    // What is left out stays, null goes.
    let mut body = json!({"type": "postgresql", "value": {"host": "other", "database": "d", "user": "u"}});
    assert_eq!(put(MAIN).json(body.clone()).to(&api).await.value()["secrets"], json!(["/password"]));
    body["value"]["password"] = Value::Null;
    assert_eq!(put(MAIN).json(body).to(&api).await.value()["secrets"], json!([]));
    assert_eq!(delete(MAIN).to(&api).await.status, 204);
    delete(MAIN).to(&api).await.is_problem(404, "not_found");
    api.stop().await;
}

#[tokio::test]
async fn no_problem_repeats_what_was_sent() {
    let api = Api::new().await;
    let send = async |call: Call, status: u16, code: &str| {
        let answer = call.to(&api).await;
        assert!(!answer.text().contains("hunter2"), "{answer:?}");
        answer.is_problem(status, code);
        answer.value()
    };
    let mut wrong = database("x");
    wrong["value"]["password"] = json!(["hunter2"]);
    wrong["value"]["port"] = json!("hunter2");
    let problem = send(put(MAIN).json(wrong), 422, "invalid_resource").await;
    let mut pointers: Vec<&str> = problem["faults"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/password", "/port"]);
    send(put(MAIN).json(json!({"type": "hunter2!", "value": {}})), 422, "invalid_resource").await;
    send(put(MAIN).json(json!({"type": "hunter2", "value": {}})), 422, "invalid_resource").await;
    send(put(MAIN).json(json!({"type": {"hunter2": 1}, "value": {}})), 400, "bad_request").await;
    send(put(MAIN).json(json!({"type": "http", "value": {}, "hunter2": 1})), 400, "bad_request").await;
    send(put(MAIN).json(json!({"type": "http", "value": "hunter2"})), 422, "invalid_resource").await;
    send(put(MAIN).body("{\"type\": \"hunter2"), 400, "invalid_json").await;
    send(put(MAIN).body("hunter2").header("content-type", "text/plain"), 415, "unsupported_media_type").await;
    send(put(MAIN).json(database(&"hunter2".repeat(100_000))), 413, "payload_too_large").await;
    send(put(MAIN).json(database(&"hunter2".repeat(10_000))), 422, "invalid_resource").await;
    send(put(TOKEN).json(json!({"text": ["hunter2"], "secret": true})), 400, "bad_request").await;
    send(put(TOKEN).json(json!({"text": "hunter2\u{0}", "secret": true})), 422, "invalid_resource").await;
    send(put("/api/w/w/resources/f/db/../hunter3").json(database("hunter2")), 400, "invalid_path").await;
    send(put("/api/w/w/resources/f/db%2fmain/x").json(database("hunter2")), 400, "invalid_path").await;
    send(put("/api/w/w/resources/f/db/main@3").json(database("hunter2")), 400, "invalid_path").await;
    get(MAIN).to(&api).await.is_problem(404, "not_found");
    api.stop().await;
}

#[tokio::test]
async fn nobody_names_a_database_of_a_path_where_they_may_not_write() {
    const EVE: &str = "sm_eve";
    let api = Api::new().await;
    api.token(EVE, Some(api.workspace), &["resources:*:f/*!f/billing/", "resources:*:u/eve/*"]).await;
    let named = |name: &str| json!({"type": "sqlite", "value": {"name": name}});
    let shares = |name: &str, other: &str| json!({"type": "sqlite", "value": {"name": name}, "shares": other});
    assert_eq!(put("/api/w/w/resources/f/billing/ledger").json(named("ledger")).to(&api).await.status, 200);
    assert_eq!(put("/api/w/w/resources/f/billing/gone").json(named("gone")).to(&api).await.status, 200);
    let gone = api.store.resources.find(api.workspace, &"f/billing/gone".parse().unwrap()).await.unwrap().unwrap();
    let (path, revision, name) = (gone.path, gone.revision, "gone".to_owned());
    let opening = sandmill_model::Opening { workspace: api.workspace, path, revision, name };
    assert!(api.store.resources.open_database(opening).await.unwrap(), "its file stays");
    assert_eq!(delete("/api/w/w/resources/f/billing/gone").to(&api).await.status, 204);
    // What is there, what was there, and whatever she says of it: one answer.
    let mut details = Vec::new();
    for body in [
        named("ledger"),
        shares("ledger", "f/billing/ledger"),
        shares("ledger", "f/open/none"),
        shares("ledger", "u/eve/x"),
        named("gone"),
        shares("gone", "f/billing/gone"),
    ] {
        let refused = put("/api/w/w/resources/u/eve/x").json(body).token(EVE).to(&api).await;
        refused.is_problem(409, "conflict");
        assert!(!refused.text().contains("billing"), "{refused:?}");
        details.push(refused.value()["detail"].clone());
    }
    details.dedup();
    assert_eq!(details.len(), 1, "{details:?}");
    get("/api/w/w/resources/u/eve/x").token(EVE).to(&api).await.is_problem(404, "not_found");
    put("/api/w/w/resources/u/eve/x").json(shares("x", "no path")).token(EVE).to(&api).await.is_problem(400, "invalid_path");
    // Nor does somebody with more come to share hers unawares.
    assert_eq!(put("/api/w/w/resources/u/eve/x").json(named("payroll")).token(EVE).to(&api).await.status, 200);
    put("/api/w/w/resources/f/billing/payroll").json(named("payroll")).to(&api).await.is_problem(409, "conflict");
    // Whoever may write at both shares it, and what is shared is changed without saying so again.
    let shared = || put("/api/w/w/resources/f/open/ledger");
    assert_eq!(shared().json(shares("ledger", "f/billing/ledger")).to(&api).await.status, 200);
    assert_eq!(shared().json(named("ledger")).token(EVE).to(&api).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn types_are_checked_and_stay_while_they_are_used() {
    let api = Api::new().await;
    let schema = |kind: &str| json!({"type": "object", "properties": {"key": {"type": kind, "writeOnly": true}}});
    assert_eq!(put(TYPE).json(json!({"schema": schema("string"), "description": "x"})).to(&api).await.status, 200);
    let shown = get(TYPE).to(&api).await.value();
    assert_eq!((&shown["name"], &shown["schema"], &shown["is_built_in"]), (&json!("account"), &schema("string"), &json!(false)));
    let names =
        |value: Value| value["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let first = get("/api/w/w/resource-types?limit=2").to(&api).await.value();
    let second = get(format!("/api/w/w/resource-types?limit=9&cursor={}", first["next"].as_str().unwrap())).to(&api).await.value();
    assert_eq!(
        (names(first), names(second)),
        (vec!["account".into(), "http".into()], vec!["postgresql".into(), "s3".into(), "sqlite".into()])
    );

    assert_eq!(put(MAIN).json(json!({"type": "account", "value": {"key": "hunter2"}})).to(&api).await.status, 200);
    let refused = put(TYPE).json(json!({"schema": schema("integer")})).to(&api).await;
    refused.is_problem(409, "conflict");
    assert!(refused.text().contains("f/db/main") && !refused.text().contains("hunter2"));
    delete(TYPE).to(&api).await.is_problem(409, "conflict");
    delete(MAIN).to(&api).await;
    assert_eq!(delete(TYPE).to(&api).await.status, 204);
    delete(TYPE).to(&api).await.is_problem(404, "not_found");
    get(TYPE).to(&api).await.is_problem(404, "not_found");

    put("/api/w/w/resource-types/http").json(json!({"schema": schema("string")})).to(&api).await.is_problem(409, "conflict");
    delete("/api/w/w/resource-types/http").to(&api).await.is_problem(409, "conflict");
    put("/api/w/w/resource-types/Http").json(json!({"schema": schema("string")})).to(&api).await.is_problem(400, "invalid_path");
    let array = json!({"type": "object", "properties": {"list": {"items": {"writeOnly": true}}}});
    put(TYPE).json(json!({"schema": array})).to(&api).await.is_problem(422, "invalid_resource_type");
    api.stop().await;
}

#[tokio::test]
async fn a_variable_shows_its_text_unless_it_is_secret() {
    let api = Api::new().await;
    let plain = put(TOKEN).json(json!({"text": "hello"})).to(&api).await;
    assert_eq!(
        (plain.status.as_u16(), plain.value()["text"].clone(), plain.value()["secret"].clone()),
        (200, json!("hello"), json!(false))
    );
    let secret = put(TOKEN).json(json!({"text": "hunter2", "secret": true})).to(&api).await;
    assert_eq!((secret.status.as_u16(), secret.value()["text"].clone()), (200, Value::Null));
    assert_eq!(get(TOKEN).to(&api).await.value(), secret.value());
    assert_eq!(put(TOKEN).json(json!({"secret": true, "description": "kept"})).to(&api).await.status, 200);
    put(TOKEN).json(json!({"secret": false})).to(&api).await.is_problem(422, "invalid_resource");
    let list = get("/api/w/w/variables").to(&api).await;
    assert_eq!((list.value()["items"][0]["secret"].clone(), list.text().contains("hunter2")), (json!(true), false));
    assert_eq!(delete(TOKEN).to(&api).await.status, 204);
    get(TOKEN).to(&api).await.is_problem(404, "not_found");
    put(TOKEN).json(json!({"secret": true})).to(&api).await.is_problem(422, "invalid_resource");
    api.stop().await;
}

/// Lists do not tell of paths that they do not show: neither by gaps nor by where they go on.
#[tokio::test]
async fn lists_are_of_what_a_token_covers() {
    let api = Api::new().await;
    for path in ["f/a/hidden", "f/b/one", "f/c/hidden", "f/d/two", "f/e/hidden", "f/e/three", "f/f/hidden"] {
        put(format!("/api/w/w/variables/{path}")).json(json!({"text": "x"})).to(&api).await;
        put(format!("/api/w/w/resources/{path}")).json(database("x")).to(&api).await;
        api.deploy(path).await;
    }
    let scopes =
        ["variables", "resources", "scripts"].map(|list| ["f/b/*", "f/d/*", "f/e/three"].map(|path| format!("{list}:read:{path}")));
    let scopes: Vec<&str> = scopes.as_flattened().iter().map(String::as_str).collect();
    api.token("sm_some", Some(api.workspace), &scopes).await;
    for list in ["variables", "resources", "scripts"] {
        let (mut uri, mut pages) = (format!("/api/w/w/{list}?limit=2"), Vec::new());
        loop {
            let page = get(&*uri).token("sm_some").to(&api).await.value();
            pages.push(page["items"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>());
            let Some(next) = page["next"].as_str() else { break };
            let stands_at = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(next).unwrap();
            assert_eq!(stands_at, pages.last().unwrap().last().unwrap().as_bytes());
            uri = format!("/api/w/w/{list}?limit=2&cursor={next}");
        }
        assert_eq!(pages, [vec!["f/b/one", "f/d/two"], vec!["f/e/three"]], "{list}");
    }
    api.stop().await;
}

#[tokio::test]
async fn scopes_say_who_may() {
    let api = Api::new().await;
    let other = api.workspace("other").await;
    api.token("sm_reads", Some(api.workspace), &["resources:read:f/db/*", "variables:read:f/demo/*"]).await;
    api.token("sm_writes", Some(api.workspace), &["resources:write:f/db/*", "variables:write:f/demo/*"]).await;
    api.token("sm_own", Some(api.workspace), &["*:*"]).await;
    api.token("sm_other", Some(other), &["*:*"]).await;
    api.token("sm_runs", Some(api.workspace), &["runs:*", "scripts:*", "instance:*"]).await;
    for path in ["f/db/main", "f/else/main"] {
        assert_eq!(put(format!("/api/w/w/resources/{path}")).json(database("hunter2")).to(&api).await.status, 200);
    }
    for path in ["f/demo/token", "f/else/token"] {
        assert_eq!(put(format!("/api/w/w/variables/{path}")).json(json!({"text": "plain"})).to(&api).await.status, 200);
    }
    for (token, call, status) in [
        ("sm_reads", get(MAIN), 200),
        ("sm_reads", get("/api/w/w/resources/f/else/main"), 403),
        ("sm_reads", put(MAIN).json(database("x")), 403),
        ("sm_reads", delete(MAIN), 403),
        ("sm_reads", get("/api/w/w/resource-types"), 200),
        ("sm_reads", get("/api/w/w/resource-types/http"), 200),
        ("sm_reads", get(TOKEN), 200),
        ("sm_reads", delete(TOKEN), 403),
        ("sm_writes", get(MAIN), 403),
        ("sm_writes", put(MAIN).json(database("x")), 200),
        ("sm_writes", put("/api/w/w/resources/f/else/main").json(database("x")), 403),
        ("sm_writes", put(TYPE).json(json!({"schema": {"type": "object"}})), 403),
        ("sm_writes", get("/api/w/w/resources"), 403),
        ("sm_writes", get(TOKEN), 403),
        ("sm_own", put(TYPE).json(json!({"schema": {"type": "object"}})), 200),
        ("sm_own", delete(TYPE), 204),
        ("sm_own", post("/api/instance/keys/rotate"), 403),
        ("sm_other", get(MAIN), 404),
        ("sm_other", put(MAIN).json(database("x")), 404),
        ("sm_other", get("/api/w/other/resources/f/db/main"), 404),
        ("sm_other", get("/api/w/other/variables/f/demo/token"), 404),
        ("sm_other", delete("/api/w/other/variables/f/demo/token"), 404),
        ("sm_runs", get(MAIN), 403),
        ("sm_runs", get("/api/w/w/resources"), 403),
        ("sm_runs", get("/api/w/w/resource-types"), 403),
        ("sm_runs", get("/api/w/w/variables"), 403),
        ("sm_runs", post("/api/instance/keys/rotate"), 403),
    ] {
        let answer = call.clone().token(token).to(&api).await;
        assert_eq!(answer.status.as_u16(), status, "{token} {answer:?}");
    }
    // Who writes what was there already does not read it so.
    let kept = put(TOKEN).json(json!({})).token("sm_writes").to(&api).await;
    assert_eq!((kept.status.as_u16(), kept.value()["text"].clone()), (200, Value::Null));
    for (list, path) in [("resources", "f/db/main"), ("variables", "f/demo/token")] {
        let seen = get(format!("/api/w/w/{list}")).token("sm_reads").to(&api).await.value();
        let paths: Vec<&str> = seen["items"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap()).collect();
        assert_eq!(paths, [path]);
    }
    api.stop().await;
}

#[tokio::test]
async fn keys_are_rotated() {
    let api = Api::new().await;
    put(MAIN).json(database("hunter2")).to(&api).await;
    put(TOKEN).json(json!({"text": "hunter2", "secret": true})).to(&api).await;
    let rotated = post("/api/instance/keys/rotate").to(&api).await;
    assert_eq!(rotated.status, 200, "{rotated:?}");
    let value = rotated.value();
    assert_eq!((&value["workspaces"], &value["resealed"], value["wrapped_by"].as_str().unwrap().len()), (&json!(1), &json!(2), 16));
    let path = "f/demo/token".parse().unwrap();
    assert_eq!(api.store.variables.reveal(api.workspace, &path).await.unwrap().unwrap().text, "hunter2");
    api.stop().await;
}
