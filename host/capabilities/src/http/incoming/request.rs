//! A run's input as a request.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sandmill_model::{Attempt, Event, Input, JsonText};
use serde::Deserialize;

/// Where a request goes whose event does not say: handlers of one script alone answer here.
const ROOT: &str = "/";
/// What is known of an event beside its payload is told if it is not longer, percent-encoded.
const METADATA_BYTES_MAX: usize = 8 * 1024;
/// The authority where the caller named none.
const AUTHORITY: &str = "localhost";

/// RFC 3986's unreserved characters stay as they are.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How the answer is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// By somebody who speaks HTTP: whatever it is, it is the answer.
    Http,
    /// By anybody else: the body is the result, and a status of 400 or more an error.
    Event,
}

/// A request, and how its answer is meant.
#[derive(Debug)]
pub struct Incoming {
    pub request: Request<Bytes>,
    pub asked: Asked,
}

/// What events tell that came as HTTP requests.
#[derive(Deserialize)]
struct HttpMetadata<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    /// Path of the request as the script sees it, percent-encoded.
    #[serde(borrow)]
    target: Option<Cow<'a, str>>,
    #[serde(default)]
    query: BTreeMap<String, Values>,
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

impl Incoming {
    #[must_use]
    pub fn of(attempt: &Attempt) -> Self {
        if let Input::Event(event) = &attempt.input
            && let Some(request) = of_http(event)
        {
            return Self { request, asked: Asked::Http };
        }
        Self { request: cloud_event(attempt), asked: Asked::Event }
    }
}

/// None if the event did not come as a request.
fn of_http(event: &Event) -> Option<Request<Bytes>> {
    let told: HttpMetadata<'_> = event.metadata.read().ok()?;
    let method = Method::from_bytes(told.method.as_bytes()).ok()?;
    let uri = uri(&told)?;
    // Their payload is made of the query.
    let has_body = method != Method::GET && method != Method::HEAD;
    let body = if has_body { event.payload.clone() } else { Bytes::new() };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    for (name, value) in &told.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            request.headers_mut().append(name, value);
        }
    }
    Some(request)
}

fn uri(told: &HttpMetadata<'_>) -> Option<Uri> {
    let mut target = told.target.as_deref().filter(|target| target.starts_with('/')).unwrap_or(ROOT).to_owned();
    let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let mut separator = '?';
    for (name, values) in &told.query {
        let values = match values {
            Values::One(value) => std::slice::from_ref(value),
            Values::Many(values) => values,
        };
        for value in values {
            target.push(separator);
            target.push_str(&encoded(name));
            target.push('=');
            target.push_str(&encoded(value));
            separator = '&';
        }
    }
    let authority = told.headers.get("host").map_or(AUTHORITY, String::as_str);
    let build = |authority| Uri::builder().scheme("http").authority(authority).path_and_query(target.as_str()).build();
    build(authority).or_else(|_| build(AUTHORITY)).ok()
}

/// CloudEvents 1.0, binary mode.
fn cloud_event(attempt: &Attempt) -> Request<Bytes> {
    let (kind, source, body, metadata) = match &attempt.input {
        Input::Arguments(arguments) => ("call", String::new(), Bytes::copy_from_slice(arguments.as_str().as_bytes()), None),
        Input::Event(event) => {
            let path = event.trigger.path.as_deref().unwrap_or_default();
            (event.trigger.kind.as_ref(), format!("/{}/{path}", event.trigger.kind), event.payload.clone(), Some(&event.metadata))
        }
    };
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::builder().scheme("http").authority(AUTHORITY).path_and_query(ROOT).build().unwrap_or_default();
    let content_type = if metadata.is_some() { content_type(request.body()) } else { "application/json" };
    let attributes = [
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", attempt.run.to_string()),
        ("ce-source", format!("/sandmill/{}{source}", attempt.workspace_name)),
        ("ce-type", format!("dev.sandmill.{kind}")),
        ("ce-subject", attempt.path.to_string()),
        ("ce-time", attempt.started_at.to_string()),
        ("ce-metadata", metadata.and_then(told).unwrap_or_default()),
    ];
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in attributes.into_iter().filter(|(_, value)| !value.is_empty()) {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    request
}

/// JSON as CloudEvents write texts in headers; none if it is too long for one.
fn told(metadata: &JsonText) -> Option<String> {
    if metadata.as_str().len() > METADATA_BYTES_MAX {
        return None;
    }
    let encoded = utf8_percent_encode(metadata.as_str(), ENCODED).to_string();
    (encoded.len() <= METADATA_BYTES_MAX).then_some(encoded)
}

fn content_type(body: &Bytes) -> &'static str {
    match std::str::from_utf8(body) {
        Ok(text) if sandmill_model::json::check(text).is_ok() => "application/json",
        Ok(_) => "text/plain; charset=utf-8",
        Err(_) => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::event::TriggerRef;

    use super::*;

    fn event(metadata: &str, payload: &'static [u8]) -> Event {
        Event {
            trigger: TriggerRef { kind: "test".into(), path: None },
            metadata: JsonText::parse(metadata).unwrap(),
            payload: Bytes::from_static(payload),
            dedup_key: None,
            ordering_key: None,
        }
    }

    #[test]
    fn a_request_is_itself_again() {
        let metadata = r#"{"method":"PUT","path":"/hooks/w/run/f/a/b","query":{"a b":"ü&=","many":["1","2"]},"headers":{"host":"example.com:8080","x-a":"1, 2"}}"#;
        let request = of_http(&event(metadata, b"body")).unwrap();
        assert_eq!(request.method(), Method::PUT);
        assert_eq!(request.uri(), "http://example.com:8080/?a%20b=%C3%BC%26%3D&many=1&many=2");
        assert_eq!(request.headers()["x-a"], "1, 2");
        assert_eq!(request.body().as_ref(), b"body");
    }

    #[test]
    fn what_a_caller_says_can_break_nothing() {
        let metadata = r#"{"method":"GET","target":"/a/b","headers":{"host":"no host\r\n","bad name":"x","x-bad":"a\nb"}}"#;
        let request = of_http(&event(metadata, b"{\"made\":\"of the query\"}")).unwrap();
        assert_eq!(request.uri(), "http://localhost/a/b");
        assert!(request.headers().iter().all(|(name, _)| name == "host") && request.body().is_empty());
        for other in ["{}", r#"{"method":"a b"}"#, r#"{"topic":"orders"}"#, r#"{"method":7}"#] {
            assert!(of_http(&event(other, b"")).is_none(), "{other}");
        }
    }

    #[test]
    fn content_types() {
        for (body, expected) in
            [(&b"{}"[..], "application/json"), (b"hi", "text/plain; charset=utf-8"), (b"\xff", "application/octet-stream")]
        {
            assert_eq!(content_type(&Bytes::from_static(body)), expected);
        }
    }
}
