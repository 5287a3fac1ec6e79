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
        self.push_metadata(&mut text);
        JsonText::trusted(text)
    }

    /// Ends an object that has members already.
    fn push_metadata(&self, text: &mut String) {
        let inner = self.metadata.as_str().trim().trim_start_matches('{').trim_end();
        if inner.trim_start() != "}" {
            text.push(',');
        }
        text.push_str(inner);
    }

    /// What `preprocessor(event)` gets: the metadata with `kind`, `body`, `raw` (text of the payload, null if it is not UTF-8) and,
    /// for bytes that are not text, `encoding`.
    #[must_use]
    pub fn preprocessor_event(&self) -> JsonText {
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
        self.push_metadata(&mut text);
        JsonText::trusted(text)
    }
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
}
