//! Headers and parameters of the URL that become arguments.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use sandmill_model::{Code, code::Refusal, event::Payload};
use serde_json::value::RawValue;

use super::config::{INCLUDED_MAX, Ready};
use crate::web::{metadata, push_json_string, query::Query};

/// What a caller asks for in the query.
const HEADERS: &str = "include_header";
const QUERY: &str = "include_query";
/// What the webhook reads itself.
pub(super) const WAIT: &str = "wait_ms";
/// None of them is an argument.
pub(super) const OWN: [&str; 3] = [HEADERS, QUERY, WAIT];

/// What becomes arguments of one request.
#[derive(Default)]
pub(super) struct Included {
    headers: Vec<HeaderName>,
    query: Vec<String>,
}

fn asked<'a>(query: &'a Query<'_>, name: &str) -> Result<Vec<&'a str>, Refusal> {
    let names: Vec<&str> =
        query.get(name).unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()).take(INCLUDED_MAX + 1).collect();
    if names.len() > INCLUDED_MAX {
        return Err(Refusal::new(Code::BadRequest, format!("`{name}` has more than {INCLUDED_MAX} names")));
    }
    Ok(names)
}

impl Included {
    /// What is configured, and what the caller asks for.
    ///
    /// # Errors
    /// If that is too much, or no header.
    pub(super) fn of(ready: &Ready, query: &Query<'_>) -> Result<Self, Refusal> {
        let mut included = Self { headers: ready.headers.clone(), query: ready.query.clone() };
        for name in asked(query, HEADERS)? {
            let header: Option<HeaderName> = name.parse().ok();
            let header = header.filter(|header| !metadata::is_secret(header));
            let header =
                header.ok_or_else(|| Refusal::new(Code::BadRequest, format!("`{HEADERS}` names what is no header, or a secret one")))?;
            included.headers.push(header);
        }
        included.query.extend(asked(query, QUERY)?.into_iter().filter(|name| !OWN.contains(name)).map(str::to_owned));
        Ok(included)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.query.is_empty()
    }

    /// The arguments of `payload` with these. What is included goes before what was sent: whoever set the trigger up relies on it.
    ///
    /// # Errors
    /// If what was sent cannot be read.
    pub(super) fn into_payload(self, payload: &Bytes, headers: &HeaderMap, query: Query<'_>) -> Result<Bytes, Refusal> {
        let unreadable = |error: serde_json::Error| Refusal::new(Code::InvalidJson, format!("the arguments cannot be read: {error}"));
        let parsed = Payload::of(payload);
        let mut arguments: BTreeMap<String, Box<RawValue>> = BTreeMap::new();
        match &parsed {
            _ if payload.is_empty() => {}
            Payload::Json(json) if json.is_object() => arguments = json.read().map_err(unreadable)?,
            other => {
                arguments.insert("body".to_owned(), raw(other.json().as_str().to_owned()).map_err(unreadable)?);
                if matches!(other, Payload::Binary(_)) {
                    arguments.insert("encoding".to_owned(), raw("\"base64\"".to_owned()).map_err(unreadable)?);
                }
            }
        }
        let mut told = Vec::new();
        query.only(&self.query).push_json(&mut told);
        let told: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&told).map_err(unreadable)?;
        arguments.extend(told);
        for name in self.headers {
            let values: Vec<_> = headers.get_all(&name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            // The argument is the header's, also where that was not sent: else whoever sends the body could play it.
            let argument = name.as_str().replace('-', "_");
            if values.is_empty() {
                arguments.remove(&argument);
                continue;
            }
            let mut json = Vec::new();
            push_json_string(&mut json, &values.join(", "));
            arguments.insert(argument, raw(String::from_utf8(json).unwrap_or_default()).map_err(unreadable)?);
        }
        serde_json::to_vec(&arguments).map(Bytes::from).map_err(unreadable)
    }
}

fn raw(json: String) -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(payload: &'static [u8], expected: &str) {
        let mut headers = HeaderMap::new();
        headers.append("x-user-id", "7".parse().unwrap());
        headers.append("x-user-id", "8".parse().unwrap());
        headers.append("authorization", "secret".parse().unwrap());
        let query = || Query::parse(Some("a=1&a=2&b=3&include_query=a,missing&include_header=X-User-Id,%20x-missing")).unwrap();
        let included = Included::of(&Ready::default(), &query()).unwrap();
        assert!(!included.is_empty());
        let payload = included.into_payload(&Bytes::from_static(payload), &headers, query()).unwrap();
        assert_eq!(payload, expected, "{payload:?}");
    }

    #[test]
    fn what_is_asked_for_is_among_the_arguments() {
        check(b"", r#"{"a":["1","2"],"x_user_id":"7, 8"}"#);
        check(br#"{"n": 1e400, "a": 0, "x_missing": "played"}"#, r#"{"a":["1","2"],"n":1e400,"x_user_id":"7, 8"}"#);
        check(b"[1]", r#"{"a":["1","2"],"body":[1],"x_user_id":"7, 8"}"#);
        check(b"\xff", r#"{"a":["1","2"],"body":"/w==","encoding":"base64","x_user_id":"7, 8"}"#);
    }

    #[test]
    fn secrets_and_too_many_are_refused() {
        let of = |query: &str| Included::of(&Ready::default(), &Query::parse(Some(query)).unwrap()).map(|included| included.is_empty());
        assert_eq!(of("a=1").map_err(|refusal| refusal.code), Ok(true));
        assert_eq!(of("include_query=wait_ms").map_err(|refusal| refusal.code), Ok(true));
        let many = format!("include_query={}", "a,".repeat(INCLUDED_MAX + 1));
        for query in ["include_header=Authorization", "include_header=cookie", "include_header=a b", &many] {
            assert_eq!(of(query).unwrap_err().code, Code::BadRequest, "{query}");
        }
    }
}
