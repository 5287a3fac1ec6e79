//! Service accounts over HTTP, and what is refused before anything is done.

use serde_json::{Value, json};

use crate::support::{ADMIN, Api, delete, get, post, put};

async fn account(api: &Api, name: &str) {
    let answer = put(format!("/api/w/w/service-accounts/{name}")).json(json!({"scopes": ["runs:start:f/t/*"]})).to(api).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Names of a page, and the cursor of the next.
async fn page(api: &Api, token: &str, query: &str) -> (Vec<String>, Value) {
    let answer = get(format!("/api/w/w/service-accounts?{query}")).token(token).to(api).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let page = answer.value();
    let names = page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect();
    (names, page["next"].clone())
}

#[tokio::test]
async fn lists_are_of_what_a_token_covers() {
    let api = Api::new().await;
    for name in ["a1", "a2", "b1", "b2", "b3"] {
        account(&api, name).await;
    }
    api.token("sm_some", Some(api.workspace), &["identities:read:s/b*", "identities:start"]).await;
    let (names, next) = page(&api, ADMIN, "limit=2").await;
    assert_eq!(names, ["a1", "a2"]);
    let (names, next) = page(&api, ADMIN, &format!("limit=3&cursor={}", next.as_str().unwrap())).await;
    assert_eq!((names, next), (vec!["b1".to_owned(), "b2".to_owned(), "b3".to_owned()], Value::Null));
    let (names, next) = page(&api, "sm_some", "limit=2").await;
    assert_eq!(names, ["b1", "b2"]);
    let (names, next) = page(&api, "sm_some", &format!("limit=2&cursor={}", next.as_str().unwrap())).await;
    assert_eq!((names, next), (vec!["b3".to_owned()], Value::Null));
    for query in ["limit=0", "limit=201", "cursor=x"] {
        get(format!("/api/w/w/service-accounts?{query}")).to(&api).await.is_problem(400, "bad_request");
    }
    get("/api/w/w/service-accounts/a1").token("sm_some").to(&api).await.is_problem(403, "forbidden");
    let shown = get("/api/w/w/service-accounts/b1").token("sm_some").to(&api).await.value();
    assert_eq!((&shown["identity"], &shown["users"]), (&json!("s/b1"), &json!([])), "{shown}");
    delete("/api/w/w/service-accounts/b1").token("sm_some").to(&api).await.is_problem(403, "forbidden");
    api.stop().await;
}

#[tokio::test]
async fn an_account_is_of_its_workspace() {
    let api = Api::new().await;
    account(&api, "own").await;
    let other = api.workspace("other").await;
    api.token("sm_other", Some(other), &["*:*"]).await;
    for call in [get("/api/w/w/service-accounts"), get("/api/w/w/service-accounts/own"), delete("/api/w/w/service-accounts/own")] {
        call.token("sm_other").to(&api).await.is_problem(404, "not_found");
    }
    get("/api/w/other/service-accounts/own").token("sm_other").to(&api).await.is_problem(404, "not_found");
    delete("/api/w/other/service-accounts/own").token("sm_other").to(&api).await.is_problem(404, "not_found");
    assert_eq!(page(&api, ADMIN, "limit=2").await.0, ["own"]);
    api.stop().await;
}

#[tokio::test]
async fn what_is_not_well_formed_is_refused() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let many: Vec<String> = (0..65).map(|n| format!("runs:start:f/{n}/*")).collect();
    for body in [
        json!({"scopes": ["moon:fly"]}),
        json!({"scopes": many}),
        json!({"scopes": [format!("runs:start:f/{}", "x".repeat(1_000))]}),
        json!({"users": ["ann"]}),
        json!({"users": ["s/other"]}),
        json!({"users": ["u/nobody"]}),
        json!({"description": "\0"}),
    ] {
        put("/api/w/w/service-accounts/a").json(body).to(&api).await.is_problem(400, "bad_request");
    }
    for run_as in ["ann", "s/", "f/t/echo", "s/a/b", "s/*"] {
        let start = json!({"path": "f/t/echo", "run_as": run_as});
        post("/api/w/w/runs").json(start).to(&api).await.is_problem(400, "bad_request");
        let script = json!({"language": "typescript", "source": "x", "manifest": {"run_as": run_as}});
        put("/api/w/w/scripts/f/t/named").json(script).to(&api).await.is_problem(422, "invalid_manifest");
    }
    // The admin of these tests is no user, and on no list.
    account(&api, "a").await;
    let script = json!({"language": "typescript", "source": "x", "manifest": {"run_as": "s/a"}});
    put("/api/w/w/scripts/f/t/named").json(script).to(&api).await.is_problem(403, "forbidden");
    get("/api/w/w/scripts/f/t/named").to(&api).await.is_problem(404, "not_found");
    api.stop().await;
}
