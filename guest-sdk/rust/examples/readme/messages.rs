//! README, Messages to brokers.

use sandmill::{
    Result,
    publish::{self, Message},
    resources,
};
use serde_json::{Value, json};

#[sandmill::main]
fn main(id: String, total: u32) -> Result<u64> {
    let order = sandmill::json::to_string(&json!({ "id": id, "total": total }))?;
    let headers = vec![("x-shop".to_owned(), "eu".to_owned())];
    let message = Message { headers, id: Some(id), kept: true, ..Message::new("orders.new", order) };
    let said: Value = publish::send(&resources::open("f/demo/broker")?, &message)?;
    Ok(said["sequence"].as_u64().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use sandmill::testing::Fakes;
    use serde_json::json;

    use super::main;

    #[test]
    fn sends_the_order() {
        let fakes = Fakes::new().resource("f/demo/broker", "nats", json!({}), &[]);
        let world = fakes.broker("f/demo/broker", json!({ "sequence": 5 })).install();
        assert_eq!(main("7".to_owned(), 3).unwrap(), 5);
        let sent = world.messages();
        let [(path, message)] = &sent[..] else { panic!("{} messages", sent.len()) };
        assert_eq!((path.as_str(), message.to.as_str()), ("f/demo/broker", "orders.new"));
        assert_eq!(message.payload, br#"{"id":"7","total":3}"#);
        assert_eq!((message.id.as_deref(), message.kept), (Some("7"), true));
    }

    #[test]
    fn says_which_broker_was_not_faked() {
        let _world = Fakes::new().resource("f/demo/broker", "nats", json!({}), &[]).install();
        assert_eq!(main("7".to_owned(), 3).unwrap_err().name, "denied");
    }
}
