//! Around every request: its id, its span, its metrics, what of it is audited, the body of its problem, and a net below panics.
//!
//! The query of a URL is never logged: a token may be in it.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use metrics::{Counter, Histogram};
use sandmill_dispatch::trace::{TRACEPARENT, go_on_from};
use sandmill_model::{Clock, RequestId, RunId};
use tracing::{Instrument, Span, field};

use crate::{
    ClientAddress,
    app::App,
    audit::{self, Watch},
    gate,
    problem::Problem,
    request::headers::{self, REQUEST_ID},
};

/// Characters of a request id that a caller chose.
const REQUEST_ID_CHARACTERS_MAX: usize = 64;
/// Statuses are below this.
const STATUSES: usize = 600;

/// A part of the API that is counted apart. Handles are made once, so that a request costs an addition.
pub(crate) struct Surface {
    name: &'static str,
    answered: Vec<OnceLock<Counter>>,
    latency: Histogram,
}

impl Surface {
    pub(crate) fn new(name: &'static str) -> Self {
        metrics::describe_counter!("sandmill_http_requests_total", "Requests answered, by surface and status");
        metrics::describe_histogram!(
            "sandmill_http_request_seconds",
            metrics::Unit::Seconds,
            "Time from a request's headers to its answer"
        );
        Self {
            name,
            answered: (0..STATUSES).map(|_| OnceLock::new()).collect(),
            latency: metrics::histogram!("sandmill_http_request_seconds", "surface" => name),
        }
    }

    fn record(&self, status: StatusCode, started: Instant) {
        self.latency.record(started.elapsed().as_secs_f64());
        if let Some(counter) = self.answered.get(usize::from(status.as_u16())) {
            let register =
                || metrics::counter!("sandmill_http_requests_total", "surface" => self.name, "status" => status.as_str().to_owned());
            counter.get_or_init(register).increment(1);
        }
    }
}

/// What the layer of a router needs.
#[derive(Clone)]
pub(crate) struct Observer {
    pub(crate) app: Arc<App>,
    pub(crate) surface: Arc<Surface>,
}

/// Among the extensions of an answer that says what is wrong, in our words.
#[derive(Clone, Copy)]
pub(crate) struct IsProblem;

/// As a layer.
pub(crate) async fn layer(State(observer): State<Observer>, request: Request, next: Next) -> Response {
    let passed = gate::pass(&observer.app, &request);
    if passed.is_ok() && audit::is_change(&request) {
        let endings = Arc::clone(&observer.app.endings);
        return endings.answer(request, |request| routed(observer, passed, request, next)).await;
    }
    routed(observer, passed, request, next).await
}

async fn routed(observer: Observer, passed: Result<(), Problem>, request: Request, next: Next) -> Response {
    let mut response = observed(&observer.app, &observer.surface, passed, request, |request| next.run(request)).await;
    headers::guard(response.headers_mut());
    response
}

/// Answers `request` with `answer`, if it has `passed`: nobody is asked who they are before.
pub(crate) async fn observed<F>(
    app: &Arc<App>,
    surface: &Surface,
    passed: Result<(), Problem>,
    request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let started = Instant::now();
    let id = request_id(request.headers(), app.clock.as_ref());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let client = request.extensions().get::<ClientAddress>().copied();
    let client_address = client.map(|client| field::display(client.address));
    let span = tracing::debug_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        %method,
        path = uri.path(),
        client = client_address,
        run = field::Empty
    );
    if let Some(parent) = request.headers().get(TRACEPARENT).and_then(|parent| parent.to_str().ok()) {
        go_on_from(&span, parent);
    }
    let mut watch = Watch::new(app, (&id, &method, &uri), &request);
    let answering = async {
        let begun = match passed {
            Ok(()) => watch.begin().await,
            Err(problem) => Err(problem),
        };
        match begun {
            Ok(()) => answer(request).await,
            Err(problem) => problem.into_response(),
        }
    };
    let answered = AssertUnwindSafe(answering).catch_unwind().instrument(span.clone()).await;
    let mut response = answered.unwrap_or_else(|panic| Problem::internal(panic_text(panic.as_ref())).into_response());
    watch.end(&mut response).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        report(&problem, &id, &method, &uri);
        problem.write(id.to_str().unwrap_or_default(), &mut response);
        response.extensions_mut().insert(IsProblem);
    }
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), elapsed_us = started.elapsed().as_micros() as u64, "answered"));
    surface.record(response.status(), started);
    response.headers_mut().insert(REQUEST_ID, id);
    if client.is_some_and(|client| client.is_secure) {
        headers::only_secure(response.headers_mut());
    }
    response
}

/// The log says what the caller is not told.
fn report(problem: &Problem, id: &HeaderValue, method: &Method, uri: &Uri) {
    if let Some(cause) = problem.cause() {
        tracing::error!(id = id.to_str().unwrap_or_default(), %method, path = uri.path(), code = problem.code().name(), cause, "a request failed");
    }
}

/// Puts the run into the span of the request that started it.
pub(crate) fn note_run(run: RunId) {
    Span::current().record("run", field::display(run));
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without a text"))
}

/// The caller's, if it cannot upset a log or a header; else a new one.
fn request_id(headers: &HeaderMap, clock: &dyn Clock) -> HeaderValue {
    let sane = |value: &&HeaderValue| {
        (1..=REQUEST_ID_CHARACTERS_MAX).contains(&value.len())
            && value.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    headers.get(REQUEST_ID).filter(sane).cloned().unwrap_or_else(|| {
        HeaderValue::from_maybe_shared(RequestId::new(clock.now()).to_string()).unwrap_or(HeaderValue::from_static("unknown"))
    })
}
