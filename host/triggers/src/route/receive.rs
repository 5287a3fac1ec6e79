//! A route's request as an event.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header::CONTENT_TYPE};
use sandmill_model::{
    Code, JsonText, RequestId,
    code::Refusal,
    trigger::{Endpoint, Incoming, NewEvent, Received, Reception, Verbatim},
};
use serde_json::{Map, Value};

use super::{ready::Ready, signature::Checked};
use crate::web::{
    body::{self, Read},
    fields::Fields,
    metadata,
    multipart::Place,
    push_json_string,
    query::Query,
};

pub(super) fn receive(ready: &Ready, mut incoming: Incoming) -> Result<Reception, Refusal> {
    if *incoming.request.method() == Method::OPTIONS {
        // A browser asks, and shows nothing yet by which its page could be known. Whatever it asks, it starts nothing.
        let answer = ready.cors.as_ref().map(|cors| cors.preflight(incoming.request.headers()));
        return answer.map(Reception::Answer).ok_or_else(|| wrong_method(&Method::OPTIONS));
    }
    let checked = ready.auth.check(&mut incoming)?;
    let Checked { dedup_key, is_callers_key, occurred_at, answer } = checked;
    if let Some(answer) = answer {
        return Ok(Reception::Answer(answer));
    }
    let Incoming { request, params, route, id, .. } = incoming;
    let method = request.method();
    // A route that only answers whether it is there takes no `GET`.
    let is_taken = |taken: &Method| taken == method || *taken == Method::GET && *method == Method::HEAD;
    if !ready.methods.iter().any(is_taken) {
        return Err(wrong_method(method));
    }
    let of_url = OfUrl { params, route: route.unwrap_or_else(|| Arc::clone(ready.pattern.as_str())) };
    let received = event(request, &of_url, id)?;
    let event = NewEvent { dedup_key, is_callers_key, occurred_at, ..received.event };
    Ok(Reception::Event(Box::new(Received { event, wait_max: ready.wait_max, ..received })))
}

/// What the path of a request says.
struct OfUrl {
    params: Vec<(Arc<str>, String)>,
    /// The pattern.
    route: Arc<str>,
}

fn event(request: Request<Bytes>, of_url: &OfUrl, id: RequestId) -> Result<Received, Refusal> {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query())?;
    let passes = parts.extensions.get::<Verbatim>().is_some();
    let has_body = !body.is_empty() && parts.method != Method::GET && parts.method != Method::HEAD;
    let Read { payload, files } = if passes {
        body.into()
    } else if has_body {
        body::read(&parts.headers, body, Place { kind: <super::Route as Endpoint>::KIND, id })?
    } else {
        arguments(&query, &of_url.params)?.into()
    };
    let metadata = metadata::of_request(&parts.method, &parts.uri, &query, &parts.headers)?;
    let metadata = with_route(&metadata, of_url, below(parts.uri.path()))?;
    Ok(Received { files, ..Received::from(NewEvent::new(metadata, payload)) })
}

/// Of a request without a body: its query, and the parameters of its path, which nobody can take the place of by the query.
fn arguments(query: &Query<'_>, params: &[(Arc<str>, String)]) -> Result<Bytes, Refusal> {
    let mut out = Vec::new();
    query.push_json(&mut out);
    if params.is_empty() {
        return Ok(out.into());
    }
    let unreadable = |error: serde_json::Error| Refusal::new(Code::Internal, error.to_string());
    let mut members: Map<String, Value> = serde_json::from_slice(&out).map_err(unreadable)?;
    members.extend(params.iter().map(|(name, value)| (name.to_string(), Value::from(value.as_str()))));
    serde_json::to_vec(&members).map(Bytes::from).map_err(unreadable)
}

/// What follows prefix and workspace: to whoever answers HTTP behind a route it is the path.
fn below(path: &str) -> &str {
    let starts = path.match_indices('/').nth(2).map_or(path.len(), |(at, _)| at);
    path.get(starts..).filter(|rest| !rest.is_empty()).unwrap_or("/")
}

/// The same with `params`, `route` and `target`.
fn with_route(metadata: &JsonText, OfUrl { params, route }: &OfUrl, target: &str) -> Result<JsonText, Refusal> {
    let mut told = Fields::default();
    for (name, value) in params {
        told.push_text(name.to_string(), value);
    }
    let text = |text: &str| {
        let mut json = Vec::new();
        push_json_string(&mut json, text);
        json
    };
    let metadata = metadata::plus(metadata, "params", &told.into_json())?;
    metadata::plus(&metadata::plus(&metadata, "route", &text(route))?, "target", &text(target))
}

fn wrong_method(method: &Method) -> Refusal {
    Refusal::new(Code::MethodNotAllowed, format!("{method} does not go with this route"))
}

/// 200 without a body.
pub(super) fn nothing() -> Response<Bytes> {
    Response::new(Bytes::new())
}

/// 200 with a body.
pub(super) fn answer(content_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
