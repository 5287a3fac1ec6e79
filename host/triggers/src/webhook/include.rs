//! Headers and parameters of the URL that become arguments.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use sandmill_model::{Code, code::Refusal, event::Payload};
use serde::{
    Deserializer as _,
    de::{MapAccess, Visitor},
};
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
            // What is configured may be what a proxy says: a caller must not play it by a field that becomes the same argument.
            let own = argument(&header);
            if !ready.headers.iter().any(|known| argument(known) == own) && !ready.query.contains(&own) {
                included.headers.push(header);
            }
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
        let included = self.among(headers, query)?;
        let mut object = Object(vec![b'{']);
        let parsed = Payload::of(payload);
        match &parsed {
            _ if payload.is_empty() => {}
            Payload::Json(json) if json.is_object() => {
                let others = Others { included: &included, object: &mut object };
                serde_json::Deserializer::from_str(json.as_str()).deserialize_map(others).map_err(unreadable)?;
            }
            other => {
                let encoding = matches!(other, Payload::Binary(_)).then_some(("encoding", "\"base64\""));
                for (name, json) in [("body", other.json().as_str())].into_iter().chain(encoding) {
                    if !included.contains_key(name) {
                        object.put(name, json);
                    }
                }
            }
        }
        for (name, value) in &included {
            if let Some(value) = value {
                object.put(name, value.get());
            }
        }
        Ok(object.end())
    }

    /// By argument. None: it is not there, and nothing that was sent takes its place.
    fn among(self, headers: &HeaderMap, query: Query<'_>) -> Result<BTreeMap<String, Option<Box<RawValue>>>, Refusal> {
        let mut told = Vec::new();
        query.only(&self.query).push_json(&mut told);
        let mut included: BTreeMap<String, Option<Box<RawValue>>> = serde_json::from_slice(&told).map_err(unreadable)?;
        for name in self.headers {
            let values: Vec<_> = headers.get_all(&name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            let mut json = Vec::new();
            push_json_string(&mut json, &values.join(", "));
            let value = RawValue::from_string(String::from_utf8(json).unwrap_or_default()).map_err(unreadable)?;
            // The argument is the header's, also where that was not sent: else whoever sends the body could play it.
            included.insert(argument(&name), (!values.is_empty()).then_some(value));
        }
        Ok(included)
    }
}

fn argument(header: &HeaderName) -> String {
    header.as_str().replace('-', "_")
}

fn unreadable(error: serde_json::Error) -> Refusal {
    Refusal::new(Code::InvalidJson, format!("the arguments cannot be read: {error}"))
}

/// A JSON object in the making. What was sent is copied into it piece by piece: a body of many small members takes many times its size in a map.
struct Object(Vec<u8>);

impl Object {
    fn put(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        push_json_string(&mut self.0, name);
        self.0.push(b':');
        self.0.extend_from_slice(json.as_bytes());
    }

    fn end(mut self) -> Bytes {
        self.0.push(b'}');
        self.0.into()
    }
}

/// Puts the members of an object that are not included otherwise.
struct Others<'o> {
    included: &'o BTreeMap<String, Option<Box<RawValue>>>,
    object: &'o mut Object,
}

impl<'de> Visitor<'de> for Others<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some((name, value)) = members.next_entry::<String, &'de RawValue>()? {
            if !self.included.contains_key(&name) {
                self.object.put(&name, value.get());
            }
        }
        Ok(())
    }
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
        check(br#"{"n": 1e400, "a": 0, "x_missing": "played"}"#, r#"{"n":1e400,"a":["1","2"],"x_user_id":"7, 8"}"#);
        check(b"[1]", r#"{"body":[1],"a":["1","2"],"x_user_id":"7, 8"}"#);
        check(b"\xff", r#"{"body":"/w==","encoding":"base64","a":["1","2"],"x_user_id":"7, 8"}"#);
        // However often, and however it is written.
        check(br#"{"x_user_id": 1, "x_\u0075ser_id": 2, "a": 0, "\u0061": 1}"#, r#"{"a":["1","2"],"x_user_id":"7, 8"}"#);
    }

    /// `X-User-Id` and `X_User_Id` are two fields, and one argument.
    #[test]
    fn what_is_configured_is_not_played_by_what_is_asked_for() {
        let ready = Ready { headers: vec![HeaderName::from_static("x-user-id")], query: vec!["team".to_owned()], ..Ready::default() };
        let query =
            || Query::parse(Some("team=a&include_header=x_user_id,x-user-id,team,x-own&include_query=x_user_id&x_user_id=eve")).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-user-id", "ann"), ("x_user_id", "eve"), ("team", "eve"), ("x-own", "1")] {
            headers.insert(name, value.parse().unwrap());
        }
        let included = |headers: &HeaderMap| {
            let payload = Included::of(&ready, &query()).unwrap().into_payload(&Bytes::from_static(b"{}"), headers, query()).unwrap();
            String::from_utf8(payload.to_vec()).unwrap()
        };
        assert_eq!(included(&headers), r#"{"team":"a","x_own":"1","x_user_id":"ann"}"#);
        headers.remove("x-user-id");
        assert_eq!(included(&headers), r#"{"team":"a","x_own":"1"}"#);
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
