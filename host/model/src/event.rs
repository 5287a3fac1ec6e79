//! One delivery from a trigger.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::json::JsonText;

/// Which trigger an event came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TriggerRef {
    pub kind: Arc<str>,
    /// None for a trigger that every script has.
    pub path: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub trigger: TriggerRef,
    /// A JSON object: what the kind documents, without the payload.
    pub metadata: JsonText,
    pub payload: Bytes,
    pub dedup_key: Option<String>,
    pub ordering_key: Option<String>,
}

/// Payload as JSON: parsed where it is UTF-8 JSON, a string where it is other UTF-8, else base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    Json(JsonText),
    Text(JsonText),
    Binary(JsonText),
}

impl Payload {
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Json(JsonText::null());
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => JsonText::parse(text).map_or_else(|_| Self::Text(quote(text)), Self::Json),
            Err(_) => Self::Binary(quote(&STANDARD.encode(bytes))),
        }
    }

    #[must_use]
    pub fn json(&self) -> &JsonText {
        match self {
            Self::Json(json) | Self::Text(json) | Self::Binary(json) => json,
        }
    }
}

fn quote(text: &str) -> JsonText {
    JsonText::trusted(serde_json::Value::from(text).to_string())
}

impl Event {
    /// A kind whose preprocessors expect the payload as base64 in `payload`, too, begins its metadata so. It is filled in where they get it, and kept nowhere.
    pub const WITH_PAYLOAD: &'static str = "{\"payload\":null";

    /// The arguments of a script without a preprocessor: the payload itself if it is a JSON object, else `{"body": …}`,
    /// with `"encoding": "base64"` where it is not text. An empty payload gives no arguments.
    #[must_use]
    pub fn arguments(&self) -> JsonText {
        if self.payload.is_empty() {
            return JsonText::empty_object();
        }
        match Payload::of(&self.payload) {
            Payload::Json(json) if json.is_object() => json,
            Payload::Json(json) | Payload::Text(json) => JsonText::trusted(format!("{{\"body\":{}}}", json.as_str())),
            Payload::Binary(json) => JsonText::trusted(format!("{{\"body\":{},\"encoding\":\"base64\"}}", json.as_str())),
        }
    }

    /// What a run keeps of its event beside the arguments that a preprocessor made of it: the metadata, and the payload as `raw`, or, where it is not
    /// UTF-8, as `body` with `encoding`.
    #[must_use]
    pub fn kept(&self) -> JsonText {
        let mut text = match std::str::from_utf8(&self.payload) {
            Ok(raw) => format!("{{\"raw\":{}", quote(raw).as_str()),
            Err(_) => format!("{{\"raw\":null,\"body\":\"{}\",\"encoding\":\"base64\"", STANDARD.encode(&self.payload)),
        };
        push_members(&mut text, members(&self.metadata).0);
        JsonText::trusted(text)
    }

    /// What is shown of an event beside its payload.
    #[must_use]
    pub fn shown(metadata: &JsonText) -> JsonText {
        match members(metadata) {
            (members, true) => JsonText::trusted(format!("{{{members}")),
            (_, false) => metadata.clone(),
        }
    }

    /// What `preprocessor(event)` gets: [`Event::told`], and `payload` of a kind that asks for it ([`Event::WITH_PAYLOAD`]).
    #[must_use]
    pub fn preprocessor_event(&self) -> JsonText {
        let (_, has_payload) = members(&self.metadata);
        self.with(has_payload.then(|| STANDARD.encode(&self.payload)))
    }

    /// What filters and keys point into, and what an event is in a batch: the metadata with `kind`, `body`, `raw` (text of the payload, null if it is
    /// not UTF-8) and, for bytes that are not text, `encoding`.
    #[must_use]
    pub fn told(&self) -> JsonText {
        self.with(None)
    }

    fn with(&self, as_base64: Option<String>) -> JsonText {
        let payload = Payload::of(&self.payload);
        let raw = std::str::from_utf8(&self.payload).map_or_else(|_| JsonText::null(), quote);
        let kind = quote(&self.trigger.kind);
        let trigger = self.trigger.path.as_deref().map_or_else(JsonText::null, quote);
        let mut text = format!(
            "{{\"kind\":{},\"trigger\":{},\"body\":{},\"raw\":{}",
            kind.as_str(),
            trigger.as_str(),
            payload.json().as_str(),
            raw.as_str()
        );
        if matches!(payload, Payload::Binary(_)) {
            text.push_str(",\"encoding\":\"base64\"");
        }
        if let Some(base64) = as_base64 {
            text.push_str(",\"payload\":\"");
            text.push_str(&base64);
            text.push('"');
        }
        push_members(&mut text, members(&self.metadata).0);
        JsonText::trusted(text)
    }
}

/// Members of metadata with the end of the object, and whether the payload belongs among them.
fn members(metadata: &JsonText) -> (&str, bool) {
    let text = metadata.as_str().trim();
    match text.strip_prefix(Event::WITH_PAYLOAD) {
        Some(rest) => (rest.strip_prefix(',').unwrap_or(rest), true),
        None => (text.trim_start_matches('{').trim_end(), false),
    }
}

/// Ends an object that has members already.
fn push_members(text: &mut String, members: &str) {
    if members.trim_start() != "}" {
        text.push(',');
    }
    text.push_str(members);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(payload: &'static [u8]) -> Event {
        Event {
            trigger: TriggerRef { kind: "test".into(), path: None },
            metadata: JsonText::trusted(r#"{"method":"POST"}"#),
            payload: Bytes::from_static(payload),
            dedup_key: None,
            ordering_key: None,
        }
    }

    #[test]
    fn payload_becomes_arguments() {
        for (payload, arguments) in [
            (&b""[..], "{}"),
            (b"{\"a\":1}", "{\"a\":1}"),
            (b" {\"a\":1}\n", " {\"a\":1}\n"),
            (b"[1]", "{\"body\":[1]}"),
            (b"null", "{\"body\":null}"),
            (b"hi \"x\"", "{\"body\":\"hi \\\"x\\\"\"}"),
            (b"\xff\x00", "{\"body\":\"/wA=\",\"encoding\":\"base64\"}"),
        ] {
            assert_eq!(event(payload).arguments().as_str(), arguments);
        }
    }

    #[test]
    fn a_run_keeps_the_payload_byte_for_byte() {
        for (payload, metadata, expected) in [
            (&b" {\"a\": 1.0}\n"[..], r#"{"method":"POST"}"#, r#"{"raw":" {\"a\": 1.0}\n","method":"POST"}"#),
            (b"", "{}", r#"{"raw":""}"#),
            (b"\xff\x00", " { } ", r#"{"raw":null,"body":"/wA=","encoding":"base64" }"#),
            (b"\0", "{}", r#"{"raw":"\u0000"}"#),
        ] {
            let kept = Event { metadata: JsonText::trusted(metadata), ..event(payload) }.kept();
            assert_eq!(kept.as_str(), expected);
            assert!(JsonText::parse(kept.as_str()).is_ok(), "{expected}");
        }
    }

    #[test]
    fn preprocessor_sees_metadata_and_payload() {
        let text = event(b"[1]").preprocessor_event();
        assert_eq!(text.as_str(), r#"{"kind":"test","trigger":null,"body":[1],"raw":"[1]","method":"POST"}"#);
        let mut bare = event(b"\xff");
        bare.metadata = JsonText::empty_object();
        let text = bare.preprocessor_event();
        assert!(JsonText::parse(text.as_str()).is_ok());
        assert!(text.as_str().contains("base64"));
    }

    #[test]
    fn a_kind_may_want_its_payload_as_base64_too() {
        for (metadata, shown) in [(r#"{"payload":null,"a":1}"#, r#"{"a":1}"#), (r#"{"payload":null}"#, "{}")] {
            let event = Event { metadata: JsonText::trusted(metadata), ..event(b"[1]") };
            let text = event.preprocessor_event();
            let rest = shown.trim_matches(['{', '}']);
            let end = if rest.is_empty() { String::new() } else { format!(",{rest}") };
            assert_eq!(text.as_str(), format!(r#"{{"kind":"test","trigger":null,"body":[1],"raw":"[1]","payload":"WzFd"{end}}}"#));
            assert_eq!(event.told().as_str(), format!(r#"{{"kind":"test","trigger":null,"body":[1],"raw":"[1]"{end}}}"#));
            assert_eq!(event.kept().as_str(), format!(r#"{{"raw":"[1]"{end}}}"#), "it is kept once");
            assert_eq!(Event::shown(&event.metadata).as_str(), shown);
        }
        assert_eq!(Event::shown(&event(b"").metadata), event(b"").metadata);
    }
}
