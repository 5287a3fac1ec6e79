//! An HTTP handler as the users of wstd write them.

use std::{collections::BTreeMap, convert::Infallible};

use anyhow::{Context, anyhow};
use futures_lite::stream::unfold;
use serde_json::{Value, json};
use wstd::{
    http::{
        Body, Client, Error, Request, Response, StatusCode,
        body::Bytes,
    },
    time::Duration,
};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    match request.uri().path().trim_end_matches('/').rsplit('/').next() {
        Some("stream") => Ok(stream(&request)),
        Some("fail") => Err(anyhow!("asked to fail")),
        Some("panic") => panic!("asked to panic"),
        Some("fetch") => fetch(&request).await,
        Some("teapot") => reply(StatusCode::IM_A_TEAPOT, &json!({ "teapot": true })),
        _ => echo(request).await,
    }
}

/// What arrived, as JSON.
async fn echo(request: Request<Body>) -> Result<Response<Body>, Error> {
    let (parts, mut body) = request.into_parts();
    // Pairs, for a name may come twice.
    let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in &parts.headers {
        headers.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    let bytes = body.contents().await?;
    let text = String::from_utf8_lossy(bytes);
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.into_owned()));
    eprintln!("serving {} {}", parts.method, parts.uri.path());
    reply(
        StatusCode::OK,
        &json!({
            "language": "rust",
            "method": parts.method.as_str(),
            "path": parts.uri.path(),
            "query": parts.uri.query(),
            "headers": headers,
            "body": body,
        }),
    )
}

/// Five lines, with `?pause=MS` that far from each other.
fn stream(request: &Request<Body>) -> Response<Body> {
    let pause = Duration::from_millis(number(request, "pause").unwrap_or(0));
    let lines = unfold(0_u32, move |line| async move {
        if line == 5 {
            return None;
        }
        if line > 0 {
            wstd::task::sleep(pause).await;
        }
        Some((Ok::<_, Infallible>(Bytes::from(format!("line {line}\n"))), line + 1))
    });
    Response::new(Body::from_try_stream(lines))
}

/// Gets `?url=` and says what came back.
async fn fetch(request: &Request<Body>) -> Result<Response<Body>, Error> {
    let url = parameter(request, "url").context("no ?url=")?;
    let mut response = Client::new().send(Request::get(url).body(Body::empty())?).await?;
    let status = response.status().as_u16();
    let bytes = response.body_mut().contents().await?;
    reply(StatusCode::OK, &json!({ "status": status, "body": String::from_utf8_lossy(bytes) }))
}

fn parameter<'a>(request: &'a Request<Body>, name: &str) -> Option<&'a str> {
    request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn number(request: &Request<Body>, name: &str) -> Option<u64> {
    parameter(request, name)?.parse().ok()
}

fn reply(status: StatusCode, value: &Value) -> Result<Response<Body>, Error> {
    let response = Response::builder().status(status).header("content-type", "application/json").header("x-made-by", "wstd");
    Ok(response.body(value.to_string().into())?)
}
