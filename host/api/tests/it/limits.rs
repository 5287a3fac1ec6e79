//! Limits of bodies, at the limit and past it.

use axum::body::Body;
use futures_util::stream;
use http::Request;
use sandmill_api::ApiOptions;
use serde_json::json;
use tower::ServiceExt;

use crate::support::{ADMIN, Api, post, put};

const BODY_BYTES_MAX: usize = 1_000;
const COMPONENT_BYTES_MAX: usize = 2_000;

async fn api() -> Api {
    let options = ApiOptions { body_bytes_max: BODY_BYTES_MAX, component_bytes_max: COMPONENT_BYTES_MAX, ..Default::default() };
    let api = Api::with(options).await;
    api.deploy("f/t/null").await;
    api
}

#[tokio::test]
async fn arguments() {
    let api = api().await;
    let body = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    assert_eq!(post("/probe/w/run/f/t/null").body(body(BODY_BYTES_MAX)).to(&api).await.status, 200);
    post("/probe/w/run/f/t/null").body(body(BODY_BYTES_MAX + 1)).to(&api).await.is_problem(413, "payload_too_large");
    post("/api/w/w/runs").body(body(BODY_BYTES_MAX + 1)).to(&api).await.is_problem(413, "payload_too_large");
    api.stop().await;
}

#[tokio::test]
async fn components_have_their_own_limit() {
    let api = api().await;
    let wasm = |bytes: usize| {
        let body = format!("\0asm{}", " ".repeat(bytes - 4));
        put("/api/w/w/scripts/f/t/c").header("content-type", "application/wasm").body(body)
    };
    assert_eq!(wasm(COMPONENT_BYTES_MAX).to(&api).await.status, 201);
    wasm(COMPONENT_BYTES_MAX + 1).to(&api).await.is_problem(413, "payload_too_large");
    let source = json!({"language": "typescript", "source": "x".repeat(BODY_BYTES_MAX)});
    put("/api/w/w/scripts/f/t/c").json(source).to(&api).await.is_problem(413, "payload_too_large");
    api.stop().await;
}

/// Whoever may not start the script must not be able to make the server read; nor whoever announces too much.
#[tokio::test]
async fn a_body_that_is_not_wanted_is_not_read() {
    let api = api().await;
    api.token("sm_weak", Some(api.workspace), &["scripts:read"]).await;
    let call = |token: &'static str, method: &'static str, uri: &'static str, length: Option<usize>| {
        let never = Body::from_stream(stream::pending::<Result<bytes::Bytes, std::io::Error>>());
        let mut request = Request::builder().method(method).uri(uri).header("authorization", format!("Bearer {token}"));
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        api.router.clone().oneshot(request.body(never).unwrap())
    };
    for (token, method, uri, length, status) in [
        ("sm_weak", "POST", "/probe/w/run/f/t/null", None, 403),
        ("sm_weak", "PUT", "/api/w/w/scripts/f/t/null", None, 403),
        ("sm_unknown", "POST", "/probe/w/run/f/t/null", None, 401),
        ("sm_unknown", "PUT", "/api/w/w/scripts/f/t/null", None, 401),
        ("sm_unknown", "POST", "/api/w/w/runs", None, 401),
        (ADMIN, "POST", "/probe/w/run/f/t/null", Some(BODY_BYTES_MAX + 1), 413),
        (ADMIN, "POST", "/api/w/w/runs", Some(BODY_BYTES_MAX + 1), 413),
        (ADMIN, "POST", "/probe/w/run/f/t/..", None, 400),
    ] {
        assert_eq!(call(token, method, uri, length).await.unwrap().status(), status, "{method} {uri}");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_script_may_take_less_than_the_server() {
    let api = api().await;
    let manifest = json!({"limits": {"arguments_bytes": 10}});
    put("/api/w/w/scripts/f/t/null").json(json!({"language": "typescript", "source": "", "manifest": manifest})).to(&api).await;
    assert_eq!(post("/probe/w/run/f/t/null").body("{\"a\": 123}").to(&api).await.status, 200);
    post("/probe/w/run/f/t/null").body("{\"a\": 1234}").to(&api).await.is_problem(413, "payload_too_large");
    api.stop().await;
}
