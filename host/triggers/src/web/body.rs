//! The body of a request as an event's payload.

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use sandmill_model::{Code, code::Refusal, json};

/// Checks `body` against its media type. What is announced as JSON, or not announced at all, must be JSON; forms are not read
/// yet; anything else is taken as it is.
///
/// # Errors
/// `invalid_json` with line and column, or `unsupported_media_type`.
pub(crate) fn payload(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Refusal> {
    let announced = match headers.get(CONTENT_TYPE) {
        None => "application/json",
        Some(value) => value.to_str().map_err(|_| unsupported("this `Content-Type`"))?,
    };
    let media_type = announced.split(';').next().unwrap_or_default().trim();
    if is_json(media_type) {
        check_json(&body)?;
    } else if is(media_type, "application/x-www-form-urlencoded") || is(media_type, "multipart/form-data") {
        return Err(unsupported(media_type));
    }
    Ok(body)
}

fn is(media_type: &str, expected: &str) -> bool {
    media_type.eq_ignore_ascii_case(expected)
}

fn is_json(media_type: &str) -> bool {
    const SUFFIX: &[u8] = b"+json";
    let bytes = media_type.as_bytes();
    is(media_type, "application/json") || bytes.len() > SUFFIX.len() && bytes[bytes.len() - SUFFIX.len()..].eq_ignore_ascii_case(SUFFIX)
}

fn check_json(body: &[u8]) -> Result<(), Refusal> {
    if body.is_empty() {
        return Ok(());
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        Refusal::new(Code::InvalidJson, format!("the body is not UTF-8: the first wrong byte is number {}", error.valid_up_to() + 1))
    })?;
    json::check(text).map_err(|error| {
        let hint = if looks_like_text(text) { "; send other text with `Content-Type: text/plain`" } else { "" };
        Refusal::new(Code::InvalidJson, format!("the body is not valid JSON: {error}{hint}"))
    })
}

fn looks_like_text(body: &str) -> bool {
    !body.trim_start().starts_with(['{', '[', '"'])
}

fn unsupported(media_type: &str) -> Refusal {
    Refusal::new(
        Code::UnsupportedMediaType,
        format!(
            "{media_type} is not read yet: send `application/json`, or any other type such as `text/plain` or `application/octet-stream` to pass the body on as it is"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: Option<&str>, body: &'static [u8], expected: Result<(), Code>) {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        let result = payload(&headers, Bytes::from_static(body));
        match &result {
            Ok(payload) => assert_eq!(payload, body),
            Err(refusal) => assert!(!refusal.detail.is_empty()),
        }
        assert_eq!(result.map(|_| ()).map_err(|refusal| refusal.code), expected, "{content_type:?}");
    }

    #[test]
    fn what_is_announced_as_json_must_be_json() {
        for content_type in [None, Some("application/json"), Some("Application/JSON; charset=utf-8"), Some("application/cloudevents+json")]
        {
            check(content_type, b"{\"a\":[1]}", Ok(()));
            check(content_type, b"7", Ok(()));
            check(content_type, b"", Ok(()));
            check(content_type, b"{\"a\":}", Err(Code::InvalidJson));
            check(content_type, b"{} {}", Err(Code::InvalidJson));
            check(content_type, b"{\"a\":\"\xff\"}", Err(Code::InvalidJson));
        }
    }

    #[test]
    fn other_types_pass_unaltered_and_forms_are_refused() {
        for content_type in ["text/plain", "application/octet-stream", "application/xml", "json", "+json"] {
            check(Some(content_type), b"\xff{", Ok(()));
        }
        for content_type in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            check(Some(content_type), b"a=1", Err(Code::UnsupportedMediaType));
        }
    }

    #[test]
    fn faults_say_where() {
        let fault = payload(&HeaderMap::new(), Bytes::from_static(b"{\n  \"a\": tru }")).unwrap_err();
        assert!(fault.detail.contains("line 2 column"), "{}", fault.detail);
        let fault = payload(&HeaderMap::new(), Bytes::from_static(b"ab\xff")).unwrap_err();
        assert!(fault.detail.contains("number 3"), "{}", fault.detail);
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        let deep = Bytes::from("[".repeat(1_000_000));
        assert_eq!(payload(&HeaderMap::new(), deep).unwrap_err().code, Code::InvalidJson);
    }
}
