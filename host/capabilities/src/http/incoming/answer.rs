//! A handler's answer as the end of its run.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use sandmill_model::{JsonText, Output, RunError};
use sandmill_sandbox::Ended;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Answer, Asked};

/// Bytes of an error's body that are shown in its message.
const SHOWN_BYTES_MAX: usize = 1_000;
const BINARY: &str = "application/octet-stream";

/// As scripts describe a response to whoever asked by HTTP.
#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "$http")]
    http: Described<'a>,
}

#[derive(Serialize)]
struct Described<'a> {
    status: u16,
    headers: BTreeMap<&'a str, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

pub(super) fn ended(answer: Answer, asked: Asked, bytes_max: usize) -> Ended {
    let ended = match asked {
        Asked::Http => described(&answer),
        Asked::Event if answer.status.as_u16() >= 400 => return Ended::Error(refused(&answer)),
        Asked::Event => content(answer),
    };
    match ended {
        Ended::Ok(output) if output.len_bytes() > bytes_max => Ended::ResultTooLarge { bytes: output.len_bytes() },
        ended => ended,
    }
}

fn described(answer: &Answer) -> Ended {
    let text = std::str::from_utf8(&answer.body).ok();
    let http = Described {
        status: answer.status.as_u16(),
        headers: headers(&answer.headers),
        body: text,
        body_base64: if text.is_none() { Some(STANDARD.encode(&answer.body)) } else { None },
    };
    json(&Envelope { http })
}

fn headers(headers: &HeaderMap) -> BTreeMap<&str, Vec<String>> {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        all.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    all
}

/// The body by its type: JSON is JSON, text a string, anything else bytes; none is null.
fn content(answer: Answer) -> Ended {
    let Answer { status, headers, body } = answer;
    if body.is_empty() || status == StatusCode::NO_CONTENT {
        return Ended::Ok(Output::Json(JsonText::null()));
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match text(&body) {
        Some(text) if media_type.is_empty() || media_type == "application/json" || media_type.ends_with("+json") => {
            match JsonText::parse(text) {
                Ok(json) => Ended::Ok(Output::Json(json)),
                Err(_) => json(text),
            }
        }
        Some(text) if media_type.starts_with("text/") => json(text),
        _ => {
            let content_type = if content_type.is_empty() { BINARY } else { content_type }.to_owned();
            Ended::Ok(Output::Bytes { content_type, data: body })
        }
    }
}

fn text(body: &Bytes) -> Option<&str> {
    std::str::from_utf8(body).ok()
}

fn json(value: &(impl Serialize + ?Sized)) -> Ended {
    match JsonText::of(value) {
        Ok(json) => Ended::Ok(Output::Json(json)),
        Err(error) => Ended::Error(RunError::new("InvalidResult", format!("the response has no JSON form: {error}"))),
    }
}

#[derive(Serialize)]
struct Details<'a> {
    status: u16,
    body: Option<&'a RawValue>,
}

fn refused(answer: &Answer) -> RunError {
    let shown = text(&answer.body).map(|text| &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)]).unwrap_or_default();
    let colon = if shown.is_empty() { "" } else { ": " };
    let mut error = RunError::new("HttpStatus", format!("the handler answered {}{colon}{shown}", answer.status));
    let body = text(&answer.body).filter(|text| sandmill_model::json::check(text).is_ok());
    let body = body.and_then(|text| serde_json::from_str(text).ok());
    error.details = JsonText::of(&Details { status: answer.status.as_u16(), body }).ok();
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, content_type: &str, body: &'static [u8]) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: Bytes::from_static(body) }
    }

    fn check(asked: Asked, answer: Answer, expected: &str) {
        let found = match ended(answer, asked, 1_000) {
            Ended::Ok(Output::Json(json)) => json.as_str().to_owned(),
            Ended::Ok(Output::Bytes { content_type, data }) => format!("{content_type} {data:?}"),
            Ended::Error(error) => format!("{}: {} {:?}", error.name, error.message, error.details),
            Ended::ResultTooLarge { bytes } => format!("{bytes} bytes"),
            _ => panic!("another end"),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn whoever_speaks_http_gets_it_as_it_is() {
        let text = r#"{"$http":{"status":404,"headers":{"content-type":["text/plain"]},"body":"no \"x\""}}"#;
        check(Asked::Http, answer(404, "text/plain", b"no \"x\""), text);
        let binary = r#"{"$http":{"status":200,"headers":{"content-type":["image/png"]},"body_base64":"/wA="}}"#;
        check(Asked::Http, answer(200, "image/png", b"\xff\0"), binary);
    }

    #[test]
    fn for_others_the_body_is_the_result() {
        check(Asked::Event, answer(200, "application/json; charset=utf-8", b"{\"a\":1}"), "{\"a\":1}");
        check(Asked::Event, answer(200, "application/problem+json", b"[1]"), "[1]");
        check(Asked::Event, answer(200, "application/json", b"{"), "\"{\"");
        check(Asked::Event, answer(201, "text/html", b"<p>"), "\"<p>\"");
        check(Asked::Event, answer(200, "image/png", b"\xff"), "image/png b\"\\xff\"");
        check(Asked::Event, answer(204, "text/plain", b""), "null");
        let refused = "HttpStatus: the handler answered 503 Service Unavailable: {\"why\":\"busy\"} Some({\"status\":503,\"body\":{\"why\":\"busy\"}})";
        check(Asked::Event, answer(503, "application/json", b"{\"why\":\"busy\"}"), refused);
        check(
            Asked::Event,
            answer(500, "text/plain", b"oops"),
            "HttpStatus: the handler answered 500 Internal Server Error: oops Some({\"status\":500,\"body\":null})",
        );
    }

    #[test]
    fn what_is_longer_as_json_may_be_too_long() {
        check(Asked::Http, answer(200, "text/plain", &[b'"'; 600]), "1276 bytes");
    }
}
