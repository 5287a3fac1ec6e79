//! An event as people write it, for cases of tests and for `run --event`: of a request, or of any other kind of trigger.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use sandmill_model::{Event, JsonText, event::TriggerRef};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

/// The kind of event that a request to a script's own URL is.
const BY_HTTP: &str = "http";
/// What the host says of an event itself.
const OF_THE_HOST: [&str; 5] = ["kind", "trigger", "body", "raw", "encoding"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenEvent {
    kind: Option<String>,
    #[serde(default)]
    metadata: Map<String, Value>,
    #[serde(default, deserialize_with = "given")]
    payload: Option<JsonText>,
    #[serde(default, deserialize_with = "given")]
    body: Option<JsonText>,
    payload_base64: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// Null is a value, too.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<JsonText>, D::Error> {
    JsonText::deserialize(deserializer).map(Some)
}

impl WrittenEvent {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(self) -> Result<Event, String> {
        let Self { kind, mut metadata, payload, body, payload_base64, headers } = self;
        let kind = kind.unwrap_or_else(|| BY_HTTP.to_owned());
        if let Some(name) = OF_THE_HOST.into_iter().find(|name| metadata.contains_key(*name)) {
            return Err(format!("event: `{name}` is no metadata: the host says it"));
        }
        if !headers.is_empty() {
            let headers: BTreeMap<String, String> = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
            metadata.insert("headers".to_owned(), json!(headers));
        }
        if kind == BY_HTTP {
            for (key, value) in [("method", json!("POST")), ("headers", json!({})), ("query", json!({}))] {
                metadata.entry(key).or_insert(value);
            }
        }
        let payload = match (payload, body, payload_base64) {
            (None, None, None) => Vec::new(),
            // What is no text is sent as it is written: no number loses a digit.
            (Some(value), None, None) | (None, Some(value), None) => {
                value.read::<String>().unwrap_or_else(|_| value.as_str().to_owned()).into_bytes()
            }
            (None, None, Some(text)) => STANDARD.decode(text).map_err(|error| format!("event: `payload_base64`: {error}"))?,
            _ => return Err("event: `payload`, `body` and `payload_base64` are the same; write one".to_owned()),
        };
        let metadata = JsonText::of(&metadata).map_err(|error| error.to_string())?;
        let trigger = TriggerRef { kind: kind.into(), path: None };
        Ok(Event { trigger, metadata, payload: payload.into(), dedup_key: None, ordering_key: None })
    }
}

/// An event as the API takes it.
#[derive(Serialize)]
pub(crate) struct SentEvent<'a> {
    kind: &'a str,
    metadata: &'a JsonText,
    payload_base64: String,
}

impl<'a> From<&'a Event> for SentEvent<'a> {
    fn from(event: &'a Event) -> Self {
        Self { kind: &event.trigger.kind, metadata: &event.metadata, payload_base64: STANDARD.encode(&event.payload) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Event, String> {
        serde_json::from_str::<WrittenEvent>(text).map_err(|error| error.to_string())?.read()
    }

    #[test]
    fn payloads_are_exact() {
        for (text, expected) in [
            (r#"{"payload": "text"}"#, &b"text"[..]),
            (r#"{"body": {"a": 1.50}}"#, b"{\"a\": 1.50}"),
            (r#"{"body": null}"#, b"null"),
            (r#"{"payload_base64": "/wA="}"#, b"\xff\0"),
            ("{}", b""),
        ] {
            assert_eq!(&read(text).unwrap().payload[..], expected, "{text}");
        }
        let event = read(r#"{"kind": "other", "metadata": {"topic": "t"}, "payload_base64": "/wA="}"#).unwrap();
        let sent = serde_json::to_value(SentEvent::from(&event)).unwrap();
        assert_eq!(sent, json!({"kind": "other", "metadata": {"topic": "t"}, "payload_base64": "/wA="}));
    }

    #[test]
    fn what_cannot_be_is_told() {
        for (text, part) in [
            (r#"{"payload": 1, "payload_base64": ""}"#, "write one"),
            (r#"{"payload_base64": "?"}"#, "payload_base64"),
            (r#"{"metadata": {"kind": "x"}}"#, "`kind`"),
            (r#"{"metadata": {"raw": "x"}}"#, "`raw`"),
            (r#"{"unknown": 1}"#, "unknown field"),
        ] {
            let fault = read(text).unwrap_err();
            assert!(fault.contains(part), "{text}: {fault}");
        }
    }
}
