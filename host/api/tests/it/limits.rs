//! Limits of bodies, at the limit and past it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use sandmill_api::{ApiOptions, BodyRoom, ClientAddress};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::support::{ADMIN, Api, kinds, post, put};

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
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
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

/// Strangers send them.
#[tokio::test]
async fn a_login_is_small() {
    const LOGIN_BYTES_MAX: usize = 16 * 1024;
    let api = Api::new().await;
    for uri in ["/api/auth/login", "/api/auth/invitation", "/api/auth/oidc/exchange"] {
        let send = |bytes: usize| post(uri).no_token().header("content-type", "application/json").body(" ".repeat(bytes));
        assert_ne!(send(LOGIN_BYTES_MAX).to(&api).await.status, 413, "{uri}");
        send(LOGIN_BYTES_MAX + 1).to(&api).await.is_problem(413, "payload_too_large");
    }
    api.stop().await;
}

/// A request from an address, whose body comes in these parts; if it announces more, the rest never comes.
fn in_parts(uri: &str, address: [u8; 4], announced: Option<usize>, parts: &[&'static str]) -> Request<Body> {
    let parts: Vec<Result<Bytes, std::io::Error>> = parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect();
    let mut request = Request::builder().method("POST").uri(uri).header("authorization", format!("Bearer {ADMIN}"));
    let body = match announced {
        Some(length) => {
            request = request.header("content-length", length);
            Body::from_stream(stream::iter(parts).chain(stream::pending()).boxed())
        }
        None => Body::from_stream(stream::iter(parts)),
    };
    let mut request = request.body(body).unwrap();
    request.extensions_mut().insert(ClientAddress { address: address.into(), is_secure: true });
    request
}

#[tokio::test]
async fn bodies_of_strangers_that_stop_keep_nobody_out() {
    // Of one address, and some more.
    const PLACES: usize = 256;
    const MORE: usize = 4;
    let body_room = BodyRoom { wait: Duration::from_millis(50), ..BodyRoom::default() };
    let api = Api::with(ApiOptions { body_room, ..Default::default() }).await;
    api.deploy("f/t/null").await;
    let mut stopped = JoinSet::new();
    for network in 1..=4 {
        for _ in 0..PLACES + MORE {
            stopped.spawn(api.router.clone().oneshot(in_parts("/api/auth/login", [192, 0, 2, network], Some(100), &["{"])));
        }
    }
    for _ in 0..4 * MORE {
        assert_eq!(stopped.join_next().await.unwrap().unwrap().unwrap().status(), 429);
    }
    for (uri, expected) in [("/api/auth/login", 400), ("/probe/w/run/f/t/null", 200)] {
        let answer = api.router.clone().oneshot(in_parts(uri, [192, 0, 2, 5], None, &["{", "}"])).await.unwrap();
        assert_eq!(answer.status(), expected, "{uri}");
    }
    assert_eq!(stopped.len(), 4 * PLACES);
    stopped.shutdown().await;
    api.stop().await;
}

/// Of bodies with secrets, which have a limit of their own.
const SECRET_BYTES_MAX: usize = 512 * 1024;
const CHUNK_BYTES: usize = 1024;

/// Every operation that is described: those that take no body do not read one, those that do end where their limit is.
#[tokio::test]
async fn no_operation_reads_a_body_without_end() {
    let api = api().await;
    let description: Value = serde_json::from_str(&sandmill_api::openapi(&kinds())).unwrap();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let uri = path.replace("{workspace}", "w").replace("{path}", "f/t/null").replace("{name}", "http").replace("{code}", "error");
            let uri = uri.replace("{id}", "01999999-9999-7999-8999-999999999999").replace("{digest}", "sha256:00").replace("{plan}", "pro");
            let send = async |announced: Option<usize>, media_type: &str| {
                let read = Arc::new(AtomicUsize::new(0));
                let count = Arc::clone(&read);
                let endless = stream::repeat_with(move || {
                    count.fetch_add(CHUNK_BYTES, Relaxed);
                    Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; CHUNK_BYTES]))
                });
                let mut request = Request::builder().method(method.to_uppercase().as_str()).uri(&uri);
                request = request.header("authorization", format!("Bearer {ADMIN}")).header("content-type", media_type);
                if let Some(bytes) = announced {
                    request = request.header("content-length", bytes);
                }
                let answering = api.router.clone().oneshot(request.body(Body::from_stream(endless.boxed())).unwrap());
                let answer = tokio::time::timeout(Duration::from_secs(20), answering).await.expect("an answer comes").unwrap();
                (answer.status().as_u16(), read.load(Relaxed))
            };
            let takes_body = operation.get("requestBody").is_some();
            // The limit of components is the largest.
            assert_eq!(send(Some(COMPONENT_BYTES_MAX + 1), "application/json").await, (413, 0), "{method} {path}");
            for media_type in ["application/json", "application/wasm"] {
                let (status, read) = send(None, media_type).await;
                assert!(read <= SECRET_BYTES_MAX + 8 * CHUNK_BYTES, "{method} {path}: {read} bytes were read");
                // A token is nobody who is logged in.
                let is_known = path != "/api/auth/password";
                if takes_body {
                    assert!(matches!(status, 413 | 415) || (status == 401 && !is_known), "{method} {path}: {status}");
                }
            }
        }
    }
    api.stop().await;
}
