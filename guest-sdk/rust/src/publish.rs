//! Messages to brokers, over resources that describe them. Granted by the resource's path: `[grants] publish = ["f/demo/broker"]`.
//!
//! Errors are named `denied`, `invalid`, `too-large` and `unavailable`. With `unavailable` the message may have arrived: one with an id is sent again
//! as a repetition that the broker knows.

use serde::de::DeserializeOwned;

use crate::{Result, host::publish as host, json, resources::Resource};

/// What is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Subject, topic, queue: as the broker calls it.
    pub to: String,
    /// As it goes to the broker.
    pub payload: Vec<u8>,
    /// In this order; a name may be there several times.
    pub headers: Vec<(String, String)>,
    /// By it the broker knows a repetition; only a broker that keeps messages does.
    pub id: Option<String>,
    /// Only once the broker says that it keeps the message it counts as sent.
    pub kept: bool,
}

impl Message {
    /// Without headers and id, sent once the broker has it.
    #[must_use]
    pub fn new(to: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self { to: to.into(), payload: payload.into(), ..Self::default() }
    }
}

/// Sends it. What the broker said is a JSON object of its kind.
///
/// # Errors
/// As the module says; or what was said is no `T`.
pub fn send<T: DeserializeOwned>(via: &Resource, message: &Message) -> Result<T> {
    Ok(json::from_str(&host::send(&via.0, message)?)?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Message;
    use crate::{resources, testing::Fakes};

    #[test]
    fn what_was_sent_is_told() {
        let world =
            Fakes::new().resource("f/demo/broker", "nats", json!({}), &[]).broker("f/demo/broker", json!({"sequence": 1})).install();
        let broker = resources::open("f/demo/broker").unwrap();
        let message = Message { id: Some("1".to_owned()), ..Message::new("orders.new", "{}") };
        assert_eq!(super::send::<Value>(&broker, &message).unwrap(), json!({"sequence": 1}));
        assert_eq!(world.messages(), [("f/demo/broker".to_owned(), message)]);
    }

    #[test]
    fn what_was_not_faked_is_denied() {
        let _world = Fakes::new().resource("f/demo/broker", "nats", json!({}), &[]).install();
        let broker = resources::open("f/demo/broker").unwrap();
        assert_eq!(super::send::<Value>(&broker, &Message::new("a", "")).unwrap_err().name, "denied");
    }
}
