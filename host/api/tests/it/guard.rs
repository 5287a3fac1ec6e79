//! What every answer says to browsers, and how often an address may ask.

use std::time::Duration;

use sandmill_api::ApiOptions;
use serde_json::json;

use crate::support::{Answer, Api, delete, get, head, options, post, put};

/// It says to browsers what every answer of ours says.
fn is_guarded(answer: &Answer) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{answer:?}");
    }
    let policies: Vec<_> = answer.headers.get_all("content-security-policy").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(policies.iter().any(|policy| policy.contains("default-src 'none'; frame-ancestors 'none'")), "{policies:?}");
}

#[tokio::test]
async fn every_answer_of_the_api_is_guarded() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let run = post("/probe/w/run/f/t/echo").body("{}").to(&api).await.run_id();
    api.ended(&run).await;
    for call in [
        get("/api/w/w/scripts"),
        get("/api/w/w/scripts").no_token(),
        get("/nowhere"),
        delete("/api/w/w/runs"),
        get(format!("/api/w/w/runs/{run}/result")),
        get(format!("/api/w/w/runs/{run}/events")),
        get("/openapi.json"),
        get("/errors/error"),
        get("/metrics"),
        get("/health"),
    ] {
        let answer = call.to(&api).await;
        is_guarded(&answer);
        assert_eq!(answer.header("strict-transport-security"), None);
    }
    api.stop().await;
}

/// Whatever goes wrong, with the API or an endpoint.
#[tokio::test]
async fn every_problem_is_guarded() {
    let api = Api::with(ApiOptions { routes_host: Some("run.example.org".parse().unwrap()), ..Default::default() }).await;
    api.deploy("f/t/echo").await;
    api.token("sm_reads", Some(api.workspace), &["scripts:read"]).await;
    let panics = json!({"language": "typescript", "source": "PANIC"});
    let start = "/probe/w/run/f/t/echo";
    for (call, host, status) in [
        (head("/api/w/w/scripts"), "example.org", 200),
        (head("/nowhere"), "example.org", 404),
        (options("/nowhere"), "example.org", 404),
        (options("/api/w/w/scripts"), "example.org", 405),
        (get("/api/w/w/scripts?limit=x"), "example.org", 400),
        (get("/api/w/w/scripts").token("sm_wrong"), "example.org", 401),
        (get("/api/w/w/runs").token("sm_reads"), "example.org", 403),
        (post("/api/w/w/runs").header("content-length", "999999999999"), "example.org", 413),
        (put("/api/w/w/scripts/f/t/panics").json(panics), "example.org", 500),
        (get("/api/w/w/scripts"), "a b", 400),
        (get("/api/w/w/scripts"), "run.example.org", 404),
        (get("/probe/w"), "run.example.org", 404),
        (post(start), "example.org", 404),
        (post(start).token("sm_wrong"), "run.example.org", 401),
        (post(start).token("sm_reads"), "run.example.org", 403),
        (post("/probe/w/run/f/t/nothing"), "run.example.org", 404),
        (head(start), "run.example.org", 405),
        (options(start), "run.example.org", 405),
    ] {
        let answer = call.header("host", host).to(&api).await;
        assert_eq!(answer.status, status, "{answer:?}");
        is_guarded(&answer);
    }
    // What a script answers is kept in a sandbox, and else as the script has it.
    let answer = post(start).header("host", "run.example.org").body("{}").to(&api).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-security-policy")), (200, Some("sandbox")), "{answer:?}");
    assert_eq!((answer.header("x-content-type-options"), answer.header("x-frame-options")), (Some("nosniff"), None));
    api.stop().await;
}

#[tokio::test]
async fn what_came_by_tls_stays_there() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    for (is_secure, expected) in [(true, Some("max-age=31536000")), (false, None)] {
        for call in [get("/api/w/w/scripts"), get("/nowhere").no_token(), post("/probe/w/run/f/t/echo").body("{}")] {
            let answer = call.client("192.0.2.1", is_secure).to(&api).await;
            assert_eq!(answer.header("strict-transport-security"), expected, "{answer:?}");
        }
    }
    api.stop().await;
}

#[tokio::test]
async fn an_address_starts_runs_only_so_often() {
    let api = Api::with(ApiOptions { endpoint_requests_per_s_max: 5, ..Default::default() }).await;
    api.deploy("f/t/echo").await;
    let start = async |address: &str| post("/probe/w/run/f/t/echo").body("{}").client(address, false).to(&api).await;
    for _ in 0..10 {
        assert_eq!(start("192.0.2.1").await.status, 200);
    }
    let refused = start("192.0.2.1").await;
    refused.is_problem(429, "too_many_requests");
    assert_eq!((refused.header("retry-after"), refused.header("content-security-policy")), (Some("1"), Some("sandbox")));
    let nowhere = post("/probe/nowhere").no_token().client("192.0.2.1", false).to(&api).await;
    nowhere.is_problem(429, "too_many_requests");
    assert_eq!(start("192.0.2.2").await.status, 200, "others are not concerned");
    assert_eq!(get("/api/w/w/scripts").client("192.0.2.1", false).to(&api).await.status, 200, "the API is counted apart");
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(start("192.0.2.1").await.status, 200);
    api.stop().await;
    let api = Api::with(ApiOptions { endpoint_requests_per_s_max: 0, ..Default::default() }).await;
    api.deploy("f/t/echo").await;
    for _ in 0..20 {
        assert_eq!(post("/probe/w/run/f/t/echo").body("{}").client("192.0.2.1", false).to(&api).await.status, 200);
    }
    api.stop().await;
}

#[tokio::test]
async fn an_address_asks_only_so_often() {
    let api = Api::with(ApiOptions { requests_per_s_max: 5, ..Default::default() }).await;
    api.deploy("f/t/echo").await;
    let ask = async |address: &str| get("/api/w/w/scripts").client(address, false).to(&api).await;
    // As much as in two seconds, at once.
    for _ in 0..10 {
        assert_eq!(ask("192.0.2.1").await.status, 200);
    }
    let refused = ask("192.0.2.1").await;
    refused.is_problem(429, "too_many_requests");
    assert_eq!(refused.header("retry-after"), Some("1"));
    is_guarded(&refused);
    get("/nowhere").no_token().client("192.0.2.1", false).to(&api).await.is_problem(429, "too_many_requests");
    assert_eq!(ask("192.0.2.2").await.status, 200, "others are not concerned");
    let start = post("/probe/w/run/f/t/echo").body("{}").client("192.0.2.1", false).to(&api).await;
    assert_eq!(start.status, 200, "what starts runs is counted apart");
    // A household is one address.
    for _ in 0..10 {
        assert_eq!(ask("2001:db8::1").await.status, 200);
    }
    ask("2001:db8::2").await.is_problem(429, "too_many_requests");
    assert_eq!(ask("2001:db8:0:1::1").await.status, 200);
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(ask("192.0.2.1").await.status, 200);
    api.stop().await;
}
