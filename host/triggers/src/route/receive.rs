//! A route's request as an event.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header::CONTENT_TYPE};
use sandmill_model::{
    Code, JsonText, RequestId,
    code::Refusal,
    trigger::{File, Incoming, NewEvent, Received, Reception},
};
use serde_json::{Map, Value};

use super::{ready::Ready, signature::Checked};
use crate::web::{
    body, json_text,
    metadata::{self, METADATA_BYTES_MAX},
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
    let Checked { dedup_key, occurred_at, answer } = checked;
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
    let event = NewEvent { dedup_key, occurred_at, ..received.event };
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
    let has_body = !body.is_empty() && parts.method != Method::GET && parts.method != Method::HEAD;
    let (payload, files) = if has_body { read(&parts.headers, body, id)? } else { (arguments(&query, &of_url.params)?, Vec::new()) };
    let metadata = metadata::of_request(&parts.method, &parts.uri, &query, &parts.headers)?;
    Ok(Received { files, ..Received::from(NewEvent::new(with_route(&metadata, of_url)?, payload)) })
}

/// A body by its media type, with the files that are in it.
fn read(headers: &HeaderMap, body: Bytes, _id: RequestId) -> Result<(Bytes, Vec<File>), Refusal> {
    Ok((body::payload(headers, body)?, Vec::new()))
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

/// The same with `params` and `route`.
fn with_route(metadata: &JsonText, OfUrl { params, route }: &OfUrl) -> Result<JsonText, Refusal> {
    let mut out = metadata.as_str().as_bytes().to_vec();
    // The brace that ends it; there are members before it.
    out.pop();
    out.extend_from_slice(b",\"params\":{");
    for (at, (name, value)) in params.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_json_string(&mut out, name);
        out.push(b':');
        push_json_string(&mut out, value);
    }
    out.extend_from_slice(b"},\"route\":");
    push_json_string(&mut out, route);
    out.push(b'}');
    if out.len() > METADATA_BYTES_MAX {
        return Err(Refusal::new(Code::BadRequest, format!("URL and headers together are longer than {METADATA_BYTES_MAX} bytes")));
    }
    Ok(json_text(out))
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
