//! Who may do what; and that nobody learns of another workspace.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{ADMIN, Api, Call, get, post, put};

#[tokio::test]
async fn without_a_valid_token_nothing_is_told() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let requests: [fn() -> Call; 6] = [
        || get("/api/w/w/scripts"),
        || get("/api/w/nobodys/scripts"),
        || put("/api/w/w/scripts/f/t/echo"),
        || post("/probe/w/run/f/t/echo"),
        || get("/api/instance/version"),
        || get("/metrics"),
    ];
    for request in requests {
        let long = "x".repeat(300);
        for call in [request().no_token(), request().token("sm_unknown"), request().token(""), request().token(&long)] {
            let answer = call.to(&api).await;
            answer.is_problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"sandmill\""));
        }
        request().no_token().header("authorization", "Basic c21fYWRtaW46").to(&api).await.is_problem(401, "unauthorized");
    }
    api.stop().await;
}

#[tokio::test]
async fn tokens_work_in_the_query() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    assert_eq!(get(format!("/api/w/w/scripts?token={ADMIN}")).no_token().to(&api).await.status, 200);
    assert_eq!(post(format!("/probe/w/run/f/t/echo?x=1&token={ADMIN}")).no_token().to(&api).await.status, 200);
    get("/api/w/w/scripts?token=sm_unknown").no_token().to(&api).await.is_problem(401, "unauthorized");
    api.stop().await;
}

/// What each endpoint needs, tried with a token that has just that and with one that has everything else.
#[tokio::test]
async fn every_endpoint_needs_its_scope() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let run = post("/probe/w/run/f/t/echo").to(&api).await.run_id();
    api.ended(&run).await;
    let component = put("/api/w/w/scripts/f/t/c").header("content-type", "application/wasm").body("\0asm").to(&api).await.value();
    let component =
        get(format!("/api/w/w/scripts/f/t/c@{}", component["number"])).to(&api).await.value()["component"].as_str().unwrap().to_owned();
    let source = json!({"language": "typescript", "source": "x"});
    let start = json!({"path": "f/t/echo"});
    let all = ["scripts:read", "scripts:write", "runs:read", "runs:start", "runs:cancel", "instance:read"];
    for (number, (scope, status, call)) in [
        ("scripts:read", 200, get("/api/w/w/scripts")),
        ("scripts:read", 200, get("/api/w/w/scripts/f/t/echo")),
        ("scripts:read", 200, get("/api/w/w/versions/f/t/echo")),
        ("scripts:read", 200, get("/api/w/w/programs/f/t/echo")),
        ("scripts:read", 200, get(format!("/api/w/w/components/{component}"))),
        ("scripts:write", 201, put("/api/w/w/scripts/f/t/new").json(source)),
        ("runs:read", 200, get("/api/w/w/runs")),
        ("runs:read", 200, get(format!("/api/w/w/runs/{run}"))),
        ("runs:read", 200, get(format!("/api/w/w/runs/{run}/result"))),
        ("runs:read", 200, get(format!("/api/w/w/runs/{run}/log"))),
        ("runs:read", 200, get(format!("/api/w/w/runs/{run}/events"))),
        ("runs:start", 202, post("/api/w/w/runs").json(start)),
        ("runs:start", 202, post(format!("/api/w/w/runs/{run}/rerun"))),
        ("runs:start", 200, post("/probe/w/run/f/t/echo")),
        ("runs:start", 202, post("/probe/w/start/f/t/echo")),
        ("runs:start", 200, post("/probe/w/stream/f/t/echo")),
        ("runs:cancel", 409, post(format!("/api/w/w/runs/{run}/cancel"))),
    ]
    .into_iter()
    .enumerate()
    {
        let others: Vec<&str> = all.into_iter().filter(|other| *other != scope).collect();
        let (with, without) = (format!("sm_with{number}"), format!("sm_without{number}"));
        api.token(&with, Some(api.workspace), &[scope]).await;
        api.token(&without, Some(api.workspace), &others).await;
        call.clone().token(&without).to(&api).await.is_problem(403, "forbidden");
        let answer = call.token(&with).to(&api).await;
        assert_eq!(answer.status, status, "{scope} {answer:?}");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_globs_edge_is_kept() {
    let api = Api::new().await;
    for path in ["f/t/echo", "f/other/echo"] {
        api.deploy(path).await;
    }
    api.token("sm_t", Some(api.workspace), &["runs:start:f/t/*", "runs:read:f/t/*", "scripts:read:f/t/*"]).await;
    let own = post("/probe/w/run/f/t/echo").token("sm_t").to(&api).await.run_id();
    let other = post("/probe/w/run/f/other/echo").to(&api).await.run_id();
    for run in [&own, &other] {
        api.ended(run).await;
    }
    post("/probe/w/run/f/other/echo").token("sm_t").to(&api).await.is_problem(403, "forbidden");
    get("/api/w/w/scripts/f/other/echo").token("sm_t").to(&api).await.is_problem(403, "forbidden");
    assert_eq!(get(format!("/api/w/w/runs/{own}/result")).token("sm_t").to(&api).await.status, 200);
    get(format!("/api/w/w/runs/{other}/result")).token("sm_t").to(&api).await.is_problem(404, "not_found");
    get(format!("/api/w/w/runs/{other}/events")).token("sm_t").to(&api).await.is_problem(404, "not_found");
    post(format!("/api/w/w/runs/{other}/rerun")).token("sm_t").to(&api).await.is_problem(404, "not_found");
    for list in ["runs", "scripts"] {
        let items = get(format!("/api/w/w/{list}")).token("sm_t").to(&api).await.value()["items"].as_array().unwrap().clone();
        assert!(!items.is_empty() && items.iter().all(|item| item["path"] == "f/t/echo"), "{items:?}");
    }
    api.stop().await;
}

/// Lists do not tell of runs that they do not show: neither by gaps, nor by where they go on, nor by what a filter finds.
#[tokio::test]
async fn lists_are_of_what_a_token_covers() {
    let api = Api::new().await;
    for path in ["f/t/echo", "f/other/echo"] {
        api.deploy(path).await;
    }
    api.token("sm_t", Some(api.workspace), &["runs:*:f/t/*"]).await;
    let mut own = Vec::new();
    for _ in 0..3 {
        own.push(post("/probe/w/run/f/t/echo").to(&api).await.run_id());
        let other = post("/probe/w/run/f/other/echo").to(&api).await.run_id();
        api.ended(&other).await;
    }
    let (mut uri, mut listed) = ("/api/w/w/runs?limit=1".to_owned(), Vec::new());
    loop {
        let page = get(&*uri).token("sm_t").to(&api).await.value();
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "no gaps: {page}");
        listed.push(items[0]["id"].as_str().unwrap().to_owned());
        let Some(next) = page["next"].as_str() else { break };
        uri = format!("/api/w/w/runs?limit=1&cursor={next}");
    }
    own.reverse();
    assert_eq!(listed, own);
    for list in ["runs", "dead-letters"] {
        get(format!("/api/w/w/{list}?path=f/other/echo")).token("sm_t").to(&api).await.is_problem(403, "forbidden");
        assert_eq!(get(format!("/api/w/w/{list}?path=f/t/echo")).token("sm_t").to(&api).await.status, 200);
    }
    for bulk in ["runs/cancel", "runs/rerun", "dead-letters/replay", "dead-letters/discard"] {
        let steer = |filter: Value| post(format!("/api/w/w/{bulk}")).json(json!({"filter": filter})).token("sm_t");
        steer(json!({"path": "f/other/echo"})).to(&api).await.is_problem(403, "forbidden");
        let receipt = steer(json!({"run_as": "u/ann"})).to(&api).await.value();
        let expected = if bulk == "runs/rerun" { 3 } else { 0 };
        assert_eq!((&receipt["done"], &receipt["passed_over"]), (&json!(expected), &json!(0)), "{bulk}: {receipt}");
    }
    api.stop().await;
}

/// The same answer, byte for byte, for what is not there and for what is another's.
#[tokio::test]
async fn another_workspace_looks_like_none() {
    type Method = fn(String) -> Call;
    let api = Api::new().await;
    let stranger = api.workspace("other").await;
    api.token("sm_stranger", Some(stranger), &["*:*"]).await;
    api.deploy("f/t/echo").await;
    let run = post("/probe/w/run/f/t/echo").to(&api).await.run_id();
    api.ended(&run).await;
    put("/api/w/w/scripts/f/t/c").header("content-type", "application/wasm").body("\0asm").to(&api).await;
    let component = get("/api/w/w/scripts/f/t/c").to(&api).await.value()["component"].as_str().unwrap().to_owned();

    let body = |method: Method, uri: String| {
        let api = &api;
        async move { method(uri).token("sm_stranger").header("x-request-id", "same").to(api).await.is_problem(404, "not_found").to_string() }
    };
    let (get, post): (Method, Method) = (get, post);
    for (method, resource) in [(get, "scripts"), (get, "scripts/f/t/echo"), (get, "runs"), (get, &*format!("runs/{run}"))] {
        let theirs = body(method, format!("/api/w/w/{resource}")).await;
        assert_eq!(theirs, body(method, format!("/api/w/nobodys/{resource}")).await);
    }
    assert_eq!(body(post, "/probe/w/run/f/t/echo".into()).await, body(post, "/probe/nobodys/run/f/t/echo".into()).await);

    let unknown = "01999999-9999-7999-8999-999999999999";
    for (method, rest) in [(get, ""), (get, "/result"), (get, "/log"), (get, "/events"), (post, "/cancel"), (post, "/rerun")] {
        let theirs = body(method, format!("/api/w/other/runs/{run}{rest}")).await;
        assert_eq!(theirs, body(method, format!("/api/w/other/runs/{unknown}{rest}")).await);
        assert_eq!(theirs, body(method, format!("/api/w/other/runs/nonsense{rest}")).await);
    }
    let missing = format!("sha256:{}", "0".repeat(64));
    let theirs = body(get, format!("/api/w/other/components/{component}")).await;
    assert_eq!(theirs, body(get, format!("/api/w/other/components/{missing}")).await);
    api.stop().await;
}

#[tokio::test]
async fn a_revocation_is_seen_within_a_second() {
    let api = Api::new().await;
    let token = api.token("sm_short", Some(api.workspace), &["scripts:read"]).await;
    assert_eq!(get("/api/w/w/scripts").token("sm_short").to(&api).await.status, 200);
    assert!(api.store.tokens.revoke(Some(api.workspace), token).await.unwrap());
    api.clock.advance(Duration::from_secs(1));
    get("/api/w/w/scripts").token("sm_short").to(&api).await.is_problem(401, "unauthorized");
    api.token("sm_short", Some(api.workspace), &["scripts:read"]).await;
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(get("/api/w/w/scripts").token("sm_short").to(&api).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn a_workspace_is_looked_up_once_for_all_who_need_it() {
    let api = Api::new().await;
    for (uri, status) in [("/api/w/w/scripts", 200), ("/api/w/nobodys/scripts", 404)] {
        assert_eq!(get(uri).to(&api).await.status, status);
        api.clock.advance(Duration::from_secs(2));
        let before = api.faults.workspaces_looked_up();
        let answers = futures_util::future::join_all((0..200).map(|_| get(uri).to(&api))).await;
        assert!(answers.iter().all(|answer| answer.status == status), "{uri}");
        assert_eq!(api.faults.workspaces_looked_up() - before, 1, "{uri}");
    }
    api.stop().await;
}

#[tokio::test]
async fn metrics_are_the_installations() {
    let api = Api::new().await;
    api.token("sm_workspace", Some(api.workspace), &["*:*"]).await;
    get("/metrics").token("sm_workspace").to(&api).await.is_problem(403, "forbidden");
    assert_eq!(get("/metrics").to(&api).await.status, 200);
    let options = sandmill_api::ApiOptions { metrics: sandmill_api::MetricsAccess::Public, ..Default::default() };
    let public = Api::with(options).await;
    assert_eq!(get("/metrics").no_token().to(&public).await.status, 200);
    api.stop().await;
    public.stop().await;
}
