//! The body of a request as an event's payload.

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use sandmill_model::{Code, code::Refusal, json, trigger::File};

use super::{
    form,
    multipart::{self, Form, Place},
};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";
/// What is read, and what passes as it is.
pub(crate) const MEDIA_TYPES: &[&str] = &[JSON, FORM, MULTIPART, "*/*"];

/// What a body comes to.
pub(crate) struct Read {
    pub(crate) payload: Bytes,
    pub(crate) files: Vec<File>,
}

impl From<Bytes> for Read {
    fn from(payload: Bytes) -> Self {
        Self { payload, files: Vec::new() }
    }
}

/// Checks `body` against its media type. What is announced as JSON, or not announced at all, must be JSON; a form becomes an object of its fields,
/// and its files are kept below `place`; anything else is taken as it is.
///
/// # Errors
/// `invalid_json` with line and column, `bad_request` for a form that is none, `unsupported_media_type` for one that is no text.
pub(crate) fn read(headers: &HeaderMap, body: Bytes, place: Place) -> Result<Read, Refusal> {
    let announced = content_type(headers)?;
    let media_type = media_type(announced);
    if is(media_type, MULTIPART) {
        let Form { fields, files } = multipart::read(announced, &body, place)?;
        return Ok(Read { payload: fields.into(), files });
    }
    if is(media_type, FORM) {
        return form::read(&body).map(|fields| Bytes::from(fields).into());
    }
    if is_json(media_type) {
        check_json(&body)?;
    }
    Ok(body.into())
}

fn content_type(headers: &HeaderMap) -> Result<&str, Refusal> {
    headers.get(CONTENT_TYPE).map_or(Ok(JSON), |value| value.to_str().map_err(|_| unsupported("this `Content-Type`")))
}

/// Without its parameters.
pub(super) fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

pub(super) fn is(media_type: &str, expected: &str) -> bool {
    media_type.eq_ignore_ascii_case(expected)
}

pub(super) fn is_json(media_type: &str) -> bool {
    const SUFFIX: &[u8] = b"+json";
    let bytes = media_type.as_bytes();
    is(media_type, JSON) || bytes.len() > SUFFIX.len() && bytes[bytes.len() - SUFFIX.len()..].eq_ignore_ascii_case(SUFFIX)
}

pub(super) fn check_json(body: &[u8]) -> Result<(), Refusal> {
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
            "{media_type} is not read here: send `application/json`, or any other type such as `text/plain` or `application/octet-stream` to pass the body on as it is"
        ),
    )
}

#[cfg(test)]
mod tests {
    use sandmill_model::{RequestId, Timestamp};

    use super::*;

    fn payload(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Refusal> {
        let place = Place { kind: "test", id: RequestId::new(Timestamp::from_micros(0)) };
        read(headers, body, place).map(|read| read.payload)
    }

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
    fn other_types_pass_unaltered() {
        for content_type in ["text/plain", "application/octet-stream", "application/xml", "json", "+json"] {
            check(Some(content_type), b"\xff{", Ok(()));
        }
        check(Some("multipart/form-data; boundary=x"), b"a=1", Err(Code::BadRequest));
    }

    #[test]
    fn forms_are_objects_of_their_fields() {
        let read = |content_type: &'static str, body: &'static [u8]| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
            let place = Place { kind: "test", id: RequestId::new(Timestamp::from_micros(0)) };
            read(&headers, Bytes::from_static(body), place).map(|read| (read.payload, read.files.len()))
        };
        assert_eq!(read("Application/X-WWW-Form-urlencoded", b"a=1"), Ok((Bytes::from_static(b"{\"a\":\"1\"}"), 0)));
        let form = b"--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n1\r\n--x--";
        let (payload, files) = read("multipart/form-data; boundary=x", form).unwrap();
        assert!(payload.starts_with(b"{\"a\":{\"key\":\"triggers/test/") && files == 1, "{payload:?}");
        assert_eq!(read("text/plain", b"a=1"), Ok((Bytes::from_static(b"a=1"), 0)));
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
