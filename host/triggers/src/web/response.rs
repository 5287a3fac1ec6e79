//! What a script returned, as the response to the caller: JSON as it is, bytes with their type, or, from an object that
//! starts with `$http`, the response that it describes.
//!
//! Whatever a script says, a browser must not take its answer for a page of this server: every response is sandboxed.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use sandmill_model::{Code, JsonText, Output, code::Refusal};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Header fields that one response may set.
const HEADERS_MAX: usize = 64;
/// Bytes of all header values that one response may set.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Fields that frame the message, that belong to one connection, that speak for the whole host name (`nel` with `report-to` has a browser tell somebody
/// else of each URL that is called there), that a proxy before the server obeys (`x-accel-redirect` is answered with what the proxy alone can reach), or
/// that are the host's own. Left out, not refused: scripts pass on whole sets of headers that they got elsewhere.
const RESERVED: [&str; 37] = [
    "accept-ch",
    "alt-svc",
    "clear-site-data",
    "connection",
    "content-length",
    "content-security-policy",
    "content-security-policy-report-only",
    "critical-ch",
    "date",
    "expect-ct",
    "keep-alive",
    "nel",
    "origin-agent-cluster",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "public-key-pins",
    "public-key-pins-report-only",
    "report-to",
    "reporting-endpoints",
    "sandmill-run-id",
    "server",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "set-login",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-accel-redirect",
    "x-content-type-options",
    "x-frame-options",
    "x-lighttpd-send-file",
    "x-request-id",
    "x-sendfile",
];

/// # Errors
/// What is wrong with the response that the script described.
pub(crate) fn of_output(output: &Output) -> Result<Response<Bytes>, Refusal> {
    match output {
        Output::Json(json) if describes_response(json.as_str()) => described(json),
        Output::Json(json) => Ok(response(HeaderValue::from_static("application/json"), shared(json))),
        Output::Bytes { content_type, data } => {
            let content_type = HeaderValue::from_str(content_type).map_err(|_| refuse("its content type is not a valid header value"))?;
            Ok(response(content_type, data.clone()))
        }
        Output::Kept(_) => Err(refuse("it is kept apart and was not fetched")),
    }
}

fn response(content_type: HeaderValue, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    protect(headers);
    response
}

fn protect(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// The text itself, not a copy of it.
fn shared(json: &JsonText) -> Bytes {
    struct Text(Arc<str>);
    impl AsRef<[u8]> for Text {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }
    Bytes::from_owner(Text(json.shared()))
}

/// By the first characters, so that usual results are not parsed.
fn describes_response(json: &str) -> bool {
    json.trim_start().strip_prefix('{').is_some_and(|inside| inside.trim_start().starts_with("\"$http\""))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(rename = "$http", borrow)]
    http: Described<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described<'a> {
    status: Option<u16>,
    #[serde(default, borrow)]
    headers: BTreeMap<Cow<'a, str>, Values>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    body_base64: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

fn refuse(why: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::RunError, format!("what the script returned cannot be a response: {why}"))
}

fn described(json: &JsonText) -> Result<Response<Bytes>, Refusal> {
    let Envelope { http } = json.read().map_err(|error| {
        refuse(format_args!("`$http` is {{status?, headers?, body? or body_base64?}} and stands alone in its object: {error}"))
    })?;
    let status = http.status.unwrap_or(200);
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|status| (200..=599).contains(&status.as_u16()))
        .ok_or_else(|| refuse(format_args!("status {status} is not within 200 and 599")))?;
    let (content_type, body) = body_of(&http)?;
    let mut headers = headers_of(http.headers)?;
    if let Some(content_type) = content_type {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    }
    protect(&mut headers);
    let empty = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    let mut response = Response::new(if empty { Bytes::new() } else { body });
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The body and the type that it has unless the headers name another.
fn body_of(http: &Described<'_>) -> Result<(Option<&'static str>, Bytes), Refusal> {
    match (http.body, &http.body_base64) {
        (Some(_), Some(_)) => Err(refuse("it has both `body` and `body_base64`")),
        (None, None) => Ok((None, Bytes::new())),
        (None, Some(text)) => {
            let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| refuse("`body_base64` is not base64"))?;
            Ok((Some("application/octet-stream"), bytes.into()))
        }
        (Some(raw), None) if raw.get().starts_with('"') => {
            let text: String = serde_json::from_str(raw.get()).map_err(refuse)?;
            Ok((Some("text/plain; charset=utf-8"), text.into()))
        }
        (Some(raw), None) => Ok((Some("application/json"), Bytes::copy_from_slice(raw.get().as_bytes()))),
    }
}

fn headers_of(described: BTreeMap<Cow<'_, str>, Values>) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::with_capacity(described.len() + 3);
    let mut total_bytes = 0;
    for (name, values) in described {
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse("a header's name has characters that are not allowed"))?;
        if RESERVED.contains(&field.as_str()) {
            continue;
        }
        let values = match values {
            Values::One(value) => vec![value],
            Values::Many(values) => values,
        };
        for value in values {
            total_bytes += value.len();
            // A value with a line break would let whoever controls it add headers of their own.
            let value = HeaderValue::from_str(&value).map_err(|_| {
                refuse(format_args!("the value of header `{field}` has a line break or another character that is not allowed"))
            })?;
            headers.append(field.clone(), value);
        }
        if headers.len() > HEADERS_MAX || total_bytes > HEADER_BYTES_MAX {
            return Err(refuse(format_args!("it has more than {HEADERS_MAX} headers or {HEADER_BYTES_MAX} bytes of them")));
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;
