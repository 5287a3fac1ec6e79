//! The server that cases fetch from: each path behaves in a way of its own.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{Barrier, watch},
};
use tokio_util::{sync::CancellationToken, sync::DropGuard, task::TaskTracker};

type Body = UnsyncBoxBody<Bytes, io::Error>;

const CHUNK_BYTES: usize = 64 * 1024;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _stop: DropGuard,
}

/// Who waits for whom, and what was counted.
struct State {
    barriers: Mutex<BTreeMap<usize, Arc<Barrier>>>,
    /// Requests and answers that the client gave up.
    given_up: watch::Sender<usize>,
    /// Bytes of `/endless`.
    sent: watch::Sender<usize>,
}

impl Server {
    /// It ends with what is returned.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(serve(listener)));
        Ok(Self { address, _stop: stop.drop_guard() })
    }
}

async fn serve(listener: TcpListener) {
    let state = Arc::new(State { barriers: Mutex::default(), given_up: watch::Sender::new(0), sent: watch::Sender::new(0) });
    let connections = TaskTracker::new();
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| {
            let state = Arc::clone(&state);
            async move { Ok::<_, Infallible>(answer(&state, request).await) }
        });
        let connection = http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service);
        connections.spawn(stop.clone().run_until_cancelled_owned(connection));
    }
}

async fn answer(state: &Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let query = parameters(request.uri().query().unwrap_or_default());
    let number = |name: &str, otherwise: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    match request.uri().path() {
        "/echo" => echo(request).await,
        // As it arrives.
        "/mirror" => Response::new(request.into_body().map_err(io::Error::other).boxed_unsync()),
        "/status" => plain(number("code", 200), ""),
        "/redirect" => redirect(number("code", 302), query.get("to").map_or("/echo", String::as_str)),
        "/loop" => redirect(302, "/loop"),
        "/countdown" => match number("n", 0) {
            0 => plain(200, "landed"),
            n => redirect(302, &format!("/countdown?n={}", n - 1)),
        },
        "/headers" => headers(),
        "/early" => plain(413, "too much"),
        "/late" => {
            tokio::time::sleep(Duration::from_millis(number("ms", 0) as u64)).await;
            plain(200, "late")
        }
        "/together" => together(state, number("n", 1)).await,
        "/chunks" => streamed(stream::iter((0..number("n", 3)).map(|at| Ok(format!("chunk {at}\n").into())))),
        "/cut" => cut(number("length", 0)),
        "/hang" => {
            let _given_up = GivenUp(Arc::clone(state));
            std::future::pending().await
        }
        "/hang-body" => {
            let first = (GivenUp(Arc::clone(state)), true);
            streamed(stream::unfold(first, |(guard, is_first)| async move {
                if !is_first {
                    std::future::pending::<()>().await;
                }
                Some((Ok("first".into()), (guard, false)))
            }))
        }
        "/endless" => endless(state),
        "/sent" => plain(200, &state.sent.borrow().to_string()),
        "/given-up" => {
            let n = number("n", 1);
            let reached = state.given_up.subscribe().wait_for(|count| *count >= n).await.map_or(0, |count| *count);
            plain(200, &reached.to_string())
        }
        _ => plain(404, "nothing here"),
    }
}

fn parameters(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), percent_decode_str(value).decode_utf8_lossy().into_owned())).collect()
}

fn plain(status: usize, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or_default();
    response
}

fn streamed(chunks: impl futures_util::Stream<Item = io::Result<Bytes>> + Send + 'static) -> Response<Body> {
    use futures_util::StreamExt;
    Response::new(StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))).boxed_unsync())
}

/// What arrived, as JSON.
async fn echo(request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let headers: BTreeMap<String, String> =
        parts.headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
    let arrived = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path_and_query().map(ToString::to_string),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
        "bytes": body.len(),
    });
    let mut response = plain(200, &arrived.to_string());
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn redirect(status: usize, to: &str) -> Response<Body> {
    let mut response = plain(status, "elsewhere");
    if let Ok(to) = header::HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

fn headers() -> Response<Body> {
    let mut response = plain(200, "");
    for (name, value) in [("set-cookie", "a=1"), ("set-cookie", "b=2; HttpOnly"), ("x-two", "1"), ("x-two", "2"), ("x-latin", "\u{e9}")] {
        let latin1: Vec<u8> = value.chars().filter_map(|character| u8::try_from(character).ok()).collect();
        if let Ok(value) = header::HeaderValue::from_bytes(&latin1) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// Answers once `n` requests wait.
async fn together(state: &State, n: usize) -> Response<Body> {
    let barrier =
        Arc::clone(state.barriers.lock().unwrap_or_else(PoisonError::into_inner).entry(n).or_insert_with(|| Arc::new(Barrier::new(n))));
    barrier.wait().await;
    plain(200, "together")
}

/// A body that fails half-way: of `length`, or in chunks if that is 0.
fn cut(length: usize) -> Response<Body> {
    let half: [io::Result<Bytes>; 2] = [Ok("half of i".into()), Err(io::Error::other("cut"))];
    // A turn in between, so that the first half is sent.
    let mut response = streamed(stream::unfold(half.into_iter(), |mut half| async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        half.next().map(|chunk| (chunk, half))
    }));
    if length > 0 {
        response.headers_mut().insert(header::CONTENT_LENGTH, header::HeaderValue::from(length));
    }
    response
}

fn endless(state: &Arc<State>) -> Response<Body> {
    let guard = GivenUp(Arc::clone(state));
    streamed(stream::unfold(guard, |guard| async move {
        guard.0.sent.send_modify(|sent| *sent += CHUNK_BYTES);
        Some((Ok(Bytes::from_static(&[b'x'; CHUNK_BYTES])), guard))
    }))
}

/// Counts when whoever had it is dropped.
struct GivenUp(Arc<State>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.given_up.send_modify(|count| *count += 1);
    }
}
