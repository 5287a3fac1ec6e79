//! What every answer says to browsers, and how often an address may ask.

use std::time::Duration;

use sandmill_api::ApiOptions;

use crate::support::{Api, delete, get, post};

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
        assert_eq!(answer.header("strict-transport-security"), None);
    }
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
