//! A host name of its own for the endpoints of trigger kinds.

use sandmill_api::ApiOptions;
use sandmill_model::trigger::Kinds;

use crate::support::{Api, Call, delete, get, patch, post, put};

const ROUTES: &str = "run.example.org";

async fn api() -> Api {
    let api = Api::with(ApiOptions { routes_host: Some(ROUTES.parse().unwrap()), ..Default::default() }).await;
    api.deploy("f/t/echo").await;
    api
}

#[tokio::test]
async fn each_side_has_what_is_its_own() {
    let api = api().await;
    let start = || post("/probe/w/run/f/t/echo").body("{\"a\":1}");
    for host in [ROUTES, "RUN.EXAMPLE.ORG:8000"] {
        assert_eq!(start().header("host", host).to(&api).await.text(), "probe:{\"a\":1}");
        for call in [get("/api/w/w/scripts"), get("/health"), get("/metrics"), get("/openapi.json"), get("/"), delete("/api/w/w/runs")] {
            call.header("host", host).to(&api).await.is_problem(404, "not_found");
        }
    }
    for host in ["example.org", "127.0.0.1:8000"] {
        let refused = start().header("host", host).to(&api).await;
        refused.is_problem(404, "not_found");
        assert!(refused.text().contains(ROUTES), "{refused:?}");
        assert_eq!(refused.header("content-security-policy"), Some("sandbox"));
        assert_eq!(get("/api/w/w/scripts").header("host", host).to(&api).await.status, 200);
    }
    let by_url = post(format!("http://{ROUTES}/probe/w/run/f/t/echo")).header("host", "example.org");
    assert_eq!(by_url.to(&api).await.status, 200, "as HTTP/2 says it");
    api.stop().await;
}

/// Every operation that is described: with a token and without, it is not there.
#[tokio::test]
async fn no_operation_is_at_the_host_of_routes() {
    let api = api().await;
    let description: serde_json::Value = serde_json::from_str(&sandmill_api::openapi(&Kinds::default())).unwrap();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let uri = path.replace("{workspace}", "w").replace("{path}", "f/t/echo").replace("{name}", "http").replace("{code}", "error");
            let uri = uri.replace("{id}", "01999999-9999-7999-8999-999999999999").replace("{digest}", "sha256:00").replace("{plan}", "pro");
            let call: Call = match method.as_str() {
                "get" => get(uri),
                "put" => put(uri),
                "post" => post(uri),
                "delete" => delete(uri),
                _ => patch(uri),
            };
            for call in [call.clone(), call.no_token()] {
                call.header("host", ROUTES).to(&api).await.is_problem(404, "not_found");
            }
        }
    }
    api.stop().await;
}

#[tokio::test]
async fn an_unclear_host_is_refused() {
    let api = api().await;
    for call in [get("/api/w/w/scripts"), post("/probe/w/run/f/t/echo")] {
        call.header("host", "a b").to(&api).await.is_problem(400, "bad_request");
    }
    api.stop().await;
}
