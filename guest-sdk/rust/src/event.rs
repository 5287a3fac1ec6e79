//! What a preprocessor gets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What started a run, before it is the arguments of `main`.
///
/// In unit tests it is written with `..Event::default()`, or read from JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Kind of the trigger, e.g. `webhook`.
    pub kind: String,
    /// Path of the trigger; none for triggers that every script has.
    pub trigger: Option<String>,
    /// The payload: parsed where it is JSON, a string where it is other text, else base64; `null` if there is none.
    pub body: Value,
    /// The payload byte for byte, where it is UTF-8. That of any kind is what [`crate::context::payload`] returns.
    pub raw: Option<String>,
    /// `base64` if `body` is.
    pub encoding: Option<String>,
    /// Of HTTP requests, as all that follows: `GET`, `POST`, ….
    pub method: String,
    /// Path of the URL, as it was sent.
    pub path: String,
    /// What the URL has behind `?`; a name that is there more than once has an array.
    pub query: BTreeMap<String, Value>,
    /// Names are lower-case, several values of one name joined by `, `. Credentials of the caller are missing.
    pub headers: BTreeMap<String, String>,
    /// What the route's pattern names.
    pub params: BTreeMap<String, String>,
    /// The route's pattern.
    pub route: Option<String>,
    /// What other kinds of triggers tell.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_from_what_the_host_sends() {
        let text = r#"{"kind":"webhook","trigger":null,"body":[1],"raw":"[1]","method":"POST","path":"/hooks/w/run/f/a/b",
            "query":{"a":"1","b":["1","2"]},"headers":{"x-a":"b"},"topic":"t"}"#;
        let event: Event = crate::json::from_str(text).unwrap();
        assert_eq!((event.kind.as_str(), event.raw.as_deref(), &event.body), ("webhook", Some("[1]"), &serde_json::json!([1])));
        assert_eq!(event.query["b"][1], "2");
        assert_eq!(event.headers["x-a"], "b");
        assert_eq!(event.other["topic"], "t");
        assert_eq!(event.encoding, None);
    }
}
