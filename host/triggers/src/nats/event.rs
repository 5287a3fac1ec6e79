//! Messages as events.

use std::collections::BTreeMap;

use sandmill_model::{JsonText, Timestamp, trigger::NewEvent};
use schemars::JsonSchema;
use serde::Serialize;

use super::client::Message;

const NANOS_PER_MICRO: i64 = 1_000;

/// What an event has beside its payload.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Metadata<'a> {
    /// The payload as base64. For preprocessors alone; `body` and `raw` have it as JSON and text.
    #[schemars(with = "String")]
    payload: (),
    subject: &'a str,
    /// Where whoever sent it waits for an answer. Messages of a stream have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<&'a str>,
    /// By name, all values of each.
    headers: BTreeMap<&'a str, Vec<&'a str>>,
    /// Why its headers cannot be read, if they cannot: there are none then.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers_fault: Option<&'a str>,
    /// Bytes of the payload.
    length: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    /// Of the message in its stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    /// How often it was delivered, this time included.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<u64>,
    /// When the stream got it: RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
}

/// Where a message of a stream comes from; the subject of its acknowledgement says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    pub(super) stream: &'a str,
    pub(super) delivered: u64,
    pub(super) sequence: u64,
    pub(super) published: Timestamp,
    /// Messages that the consumer has after it.
    pub(super) pending: u64,
}

impl<'a> Origin<'a> {
    /// `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<of the consumer>.<nanoseconds>.<pending>`, and with a domain and an account before the
    /// stream from newer servers.
    pub(super) fn parse(reply: &'a str) -> Option<Self> {
        let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let tokens = match tokens.len() {
            7 => &tokens[..],
            9.. => &tokens[2..9],
            _ => return None,
        };
        let &[stream, _consumer, delivered, sequence, _own, nanos, pending] = tokens else { return None };
        Some(Self {
            stream,
            delivered: delivered.parse().ok()?,
            sequence: sequence.parse().ok()?,
            published: Timestamp::from_micros(nanos.parse::<i64>().ok()? / NANOS_PER_MICRO),
            pending: pending.parse().ok()?,
        })
    }
}

/// None only if it cannot be written as JSON, which no message is.
pub(super) fn of(message: &Message, origin: Option<Origin<'_>>) -> Option<NewEvent> {
    let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &message.headers.fields {
        headers.entry(name).or_default().push(value);
    }
    let metadata = Metadata {
        payload: (),
        subject: &message.subject,
        reply: message.reply.as_deref().filter(|_| origin.is_none()),
        headers,
        headers_fault: message.headers.fault,
        length: message.payload_bytes,
        stream: origin.map(|origin| origin.stream),
        sequence: origin.map(|origin| origin.sequence),
        delivered: origin.map(|origin| origin.delivered),
        timestamp: origin.map(|origin| origin.published.to_string()),
    };
    let mut event = NewEvent::new(JsonText::of(&metadata).ok()?, message.payload.clone());
    event.occurred_at = origin.map(|origin| origin.published);
    Some(event)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::nats::client::Headers;

    #[test]
    fn where_a_message_comes_from() {
        let expected =
            Origin { stream: "ORDERS", delivered: 2, sequence: 100, published: Timestamp::from_micros(1_790_230_470_084_404), pending: 42 };
        for reply in [
            "$JS.ACK.ORDERS.c.2.100.7.1790230470084404000.42",
            "$JS.ACK._.szMpdrwD.ORDERS.c.2.100.7.1790230470084404000.42",
            "$JS.ACK.hub.szMpdrwD.ORDERS.c.2.100.7.1790230470084404000.42.token.more",
        ] {
            assert_eq!(Origin::parse(reply), Some(expected), "{reply}");
        }
        for reply in ["", "$JS.ACK.", "_INBOX.x.1", "$JS.ACK.a.b.1.2.3.4", "$JS.ACK.a.b.1.x.3.4.5", "$JS.ACK.h.a.b.1.2.3.4.5"] {
            assert_eq!(Origin::parse(reply), None, "{reply}");
        }
    }

    #[test]
    fn a_message_is_told_as_it_is() {
        let fields = vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "\u{0}é".to_owned()), ("A".to_owned(), "2".to_owned())];
        let message = Message {
            sid: 1,
            subject: "a.b".to_owned(),
            reply: Some("_INBOX.x".to_owned()),
            headers: Headers { fields, ..Headers::default() },
            payload: Bytes::from_static(b"\xff\x00"),
            payload_bytes: 2,
        };
        let event = of(&message, None).unwrap();
        let metadata: Value = event.metadata.read().unwrap();
        assert!(event.metadata.as_str().starts_with(sandmill_model::Event::WITH_PAYLOAD), "{:?}", event.metadata);
        let expected =
            json!({"payload": null, "subject": "a.b", "reply": "_INBOX.x", "headers": {"A": ["1", "2"], "B": ["\u{0}é"]}, "length": 2});
        assert_eq!((metadata, event.payload.as_ref(), event.occurred_at), (expected, &b"\xff\x00"[..], None));
        let origin = Origin::parse("$JS.ACK.S.c.1.9.7.1000000.0").unwrap();
        let event = of(&message, Some(origin)).unwrap();
        let metadata: Value = event.metadata.read().unwrap();
        assert_eq!((&metadata["stream"], &metadata["sequence"], metadata.get("reply")), (&json!("S"), &json!(9), None));
        assert_eq!(event.occurred_at, Some(Timestamp::from_micros(1_000)));
    }
}
