//! What scripts ask for, and who gives it.

use serde_json::{Value, json};

use crate::support::{Api, get, patch, put};

const GRANTS: &str = "/api/w/w/grants/f/a/caller";

fn asking(grants: &Value, source: &str) -> Value {
    json!({"language": "typescript", "source": source, "manifest": {"grants": grants}})
}

async fn deploy(api: &Api, token: &str, body: Value) -> Value {
    let answer = put("/api/w/w/scripts/f/a/caller").json(body).token(token).to(api).await;
    assert!(answer.status.is_success(), "{answer:?}");
    answer.value()
}

#[tokio::test]
async fn what_is_asked_is_shown_and_given() {
    let api = Api::new().await;
    let asked = json!({"runs": ["f/b/*"], "variables": ["f/a/x"], "sql": ["read f/db/main"]});
    let deployed = deploy(&api, "sm_admin", asking(&asked, "1")).await;
    assert_eq!(deployed["missing"], json!(["runs:f/b/*", "variables:f/a/x", "sql:read f/db/main"]));
    let shown = get(GRANTS).to(&api).await.value();
    assert_eq!((&shown["given"], &shown["missing"]), (&json!([]), &deployed["missing"]));
    let changed = patch(GRANTS).json(json!({"give": ["runs:f/b/*", "sql:write f/db/*"]})).to(&api).await.value();
    assert_eq!(changed["missing"], json!(["variables:f/a/x"]));
    let given: Vec<&Value> = changed["given"].as_array().unwrap().iter().map(|given| &given["grant"]).collect();
    assert_eq!(given, ["runs:f/b/*", "sql:write f/db/*"]);
    assert!(changed["given"][0]["by"].as_str().unwrap().starts_with("u/"), "{changed}");
    let deployed = deploy(&api, "sm_admin", asking(&asked, "2")).await;
    assert_eq!(deployed["missing"], json!(["variables:f/a/x"]), "a new version keeps what was given");
    let unchanged = deploy(&api, "sm_admin", asking(&asked, "2")).await;
    assert_eq!(unchanged["missing"], json!(["variables:f/a/x"]));
    let changed = patch(GRANTS).json(json!({"take": ["runs:f/b/*", "runs:f/none"]})).to(&api).await.value();
    assert_eq!(changed["missing"], json!(["runs:f/b/*", "variables:f/a/x"]));
    api.stop().await;
}

#[tokio::test]
async fn nobody_gives_what_they_may_not_do_themselves() {
    let api = Api::new().await;
    api.token(
        "sm_ann",
        Some(api.workspace),
        &["scripts:write:f/a/*", "runs:start:f/b/*", "variables:read:f/a/*", "resources:read:f/db/main", "blobs:read:r/*"],
    )
    .await;
    let give = async |grant: &str| patch(GRANTS).json(json!({"give": ["runs:f/b/c", grant]})).token("sm_ann").to(&api).await;
    for good in [
        "runs:f/b/*",
        "runs:f/b/*/d*",
        "variables:f/a/x",
        "resources:f/db/main",
        "sql:read f/db/main",
        "http:https://a.example",
        "blob:read r/x/",
    ] {
        assert_eq!(give(good).await.status, 200, "{good}");
    }
    for (bad, scope) in [
        ("runs:f/*", "runs:start:f/*"),
        ("runs:*", "runs:start:*"),
        ("runs:f/b*", "runs:start:f/b*"),
        ("runs:f/a/caller", "runs:start:f/a/caller"),
        ("variables:f/b/x", "variables:read:f/b/x"),
        ("secrets:f/a/x", "variables:write:f/a/x"),
        ("resources:f/db/*", "resources:read:f/db/*"),
        ("sql:read f/db/other", "resources:read:f/db/other"),
        ("blob:write r/x/", "blobs:write:r/x/*"),
        ("sql:write f/db/main", "resources:write:f/db/main"),
        ("http:https://a.example with f/a/x", "resources:write:f/a/x"),
        ("blob:read *", "blobs:read:*"),
    ] {
        let refused = give(bad).await.is_problem(403, "forbidden");
        assert!(refused["detail"].as_str().unwrap().contains(scope), "{bad}: {refused}");
    }
    for wrong in ["runs:../x", "runs:b/c", "moon:f/b/c", ""] {
        assert_eq!(give(wrong).await.status, 400, "{wrong}");
    }
    let elsewhere = patch("/api/w/w/grants/f/b/other").json(json!({"give": ["runs:f/b/c"]})).token("sm_ann").to(&api).await;
    elsewhere.is_problem(403, "forbidden");
    get(GRANTS).token("sm_ann").to(&api).await.is_problem(403, "forbidden");
    api.stop().await;
}

#[tokio::test]
async fn what_is_no_grant_is_not_asked_for() {
    let api = Api::new().await;
    for (wrong, at) in [
        (json!({"runs": ["../x"]}), "grants.runs[0]"),
        (json!({"runs": ["f/b/c", "b/c"]}), "grants.runs[1]"),
        (json!({"runs": "f/b/c"}), "grants.runs"),
        (json!({"runs": [1]}), "grants.runs[0]"),
        (json!({"sql": ["drop f/b/c"]}), "grants.sql[0]"),
        (json!({"blob": ["read a*/"]}), "grants.blob[0]"),
        (json!({"http": ["https://user@example.com"]}), "grants.http[0]"),
        (json!({"moon": []}), "grants.moon"),
    ] {
        let refused = put("/api/w/w/scripts/f/a/caller").json(asking(&wrong, "1")).token("sm_admin").to(&api).await;
        let problem = refused.is_problem(422, "invalid_manifest");
        assert!(problem["detail"].as_str().unwrap().contains(at), "{wrong}: {problem}");
    }
    get("/api/w/w/scripts/f/a/caller").to(&api).await.is_problem(404, "not_found");
    api.stop().await;
}

#[tokio::test]
async fn who_deploys_does_not_come_by_what_another_gave() {
    let api = Api::new().await;
    api.token("sm_ann", Some(api.workspace), &["scripts:*:f/a/*", "runs:start:f/b/*"]).await;
    let asked = json!({"runs": ["f/b/*"], "secrets": ["f/vault/key"]});
    deploy(&api, "sm_admin", asking(&asked, "trusted")).await;
    patch(GRANTS).json(json!({"give": ["runs:f/b/*", "secrets:f/vault/*", "variables:f/vault/*"]})).to(&api).await;
    // What a version does not ask for is of no use to it, and stays.
    let harmless = deploy(&api, "sm_ann", asking(&json!({"runs": ["f/b/*"]}), "harmless")).await;
    assert_eq!(harmless["missing"], json!([]));
    let evil = deploy(&api, "sm_ann", asking(&asked, "evil")).await;
    assert_eq!(evil["missing"], json!(["secrets:f/vault/key"]));
    let shown = get(GRANTS).to(&api).await.value();
    let given: Vec<&Value> = shown["given"].as_array().unwrap().iter().map(|given| &given["grant"]).collect();
    assert_eq!(given, ["runs:f/b/*", "variables:f/vault/*"]);
    api.stop().await;
}

/// Also where what was given and what is asked for only overlap.
#[tokio::test]
async fn who_deploys_does_not_come_by_a_part_of_what_another_gave() {
    let api = Api::new().await;
    let scopes = ["scripts:*:f/a/*", "variables:read:f/a/*", "resources:read:f/db/main"];
    api.token("sm_ann", Some(api.workspace), &scopes).await;
    for (number, (asked, given, stays)) in [
        (json!({"variables": ["f/*"]}), "variables:f/vault/x", false),
        (json!({"variables": ["f/*"]}), "variables:f/a/x", true),
        (json!({"variables": ["f/a*"]}), "variables:f/*/x", false),
        (json!({"variables": ["f/a/*"]}), "variables:*x", true),
        (json!({"variables": ["f/a/*"]}), "variables:f/vault/x", true),
        (json!({"sql": ["write f/db/main"]}), "sql:read f/db/*", true),
        (json!({"sql": ["write f/db/other"]}), "sql:read f/db/other", false),
        (json!({"blob": ["write *"]}), "blob:read reports/", false),
        (json!({"http": ["https://a.example with f/x/y"]}), "http:GET https://a.example/x with f/x/y", false),
        (json!({"http": ["https://a.example"]}), "http:GET https://a.example/x with f/x/y", true),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(patch(GRANTS).json(json!({"give": [given]})).to(&api).await.status, 200);
        let deployed = deploy(&api, "sm_ann", asking(&asked, &number.to_string())).await;
        assert_eq!(deployed["missing"].as_array().unwrap().len(), 1, "not all of it was given: {deployed}");
        let shown = get(GRANTS).to(&api).await.value();
        assert_eq!(shown["given"].as_array().unwrap().len(), usize::from(stays), "{asked} and {given}: {shown}");
        patch(GRANTS).json(json!({"take": [given]})).to(&api).await;
    }
    api.stop().await;
}

#[tokio::test]
async fn so_many_and_no_more() {
    let api = Api::new().await;
    let many = |from: usize, to: usize| (from..to).map(|n| format!("runs:f/b/{n}")).collect::<Vec<_>>();
    assert_eq!(patch(GRANTS).json(json!({"give": many(0, 512)})).to(&api).await.status, 200);
    patch(GRANTS).json(json!({"give": many(512, 513)})).to(&api).await.is_problem(400, "bad_request");
    let body = json!({"give": many(512, 513), "take": many(0, 1)});
    assert_eq!(patch(GRANTS).json(body).to(&api).await.value()["given"].as_array().unwrap().len(), 512);
    // Of the API fewer: a request of a run is compared with each.
    let of_api = |from: usize, to: usize| (from..to).map(|n| format!("api:runs:start:f/b/{n}")).collect::<Vec<_>>();
    let body = json!({"give": of_api(0, 64), "take": many(1, 100)});
    assert_eq!(patch(GRANTS).json(body).to(&api).await.status, 200);
    patch(GRANTS).json(json!({"give": of_api(64, 65)})).to(&api).await.is_problem(400, "bad_request");
    assert_eq!(patch(GRANTS).json(json!({"give": of_api(64, 65), "take": of_api(0, 1)})).to(&api).await.status, 200);
    assert_eq!(patch(GRANTS).json(json!({"give": of_api(1, 65)})).to(&api).await.status, 200, "what is there counts once");
    api.stop().await;
}
