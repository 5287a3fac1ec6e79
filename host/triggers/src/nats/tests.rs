use sandmill_model::{JsonText, ResourceType, trigger::Listening};
use serde_json::{Value, json};

use super::*;

fn configured(value: &Value) -> Result<(), ConfigError> {
    Listening::<Nats>::shared().configure(&JsonText::of(value).unwrap()).map(drop)
}

fn with(parts: &Value) -> Value {
    let mut value = json!({"connection": {"servers": ["nats://broker"]}});
    value.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
    value
}

#[test]
fn what_may_be_configured() {
    for good in [
        json!({"subject": "orders.>"}),
        json!({"subject": "orders.*.new", "queue": "workers", "ordered": true}),
        json!({"jetstream": {"stream": "ORDERS"}}),
        json!({"subject": "orders.>", "jetstream": {"stream": "ORDERS", "deliver": "new", "ack_wait_ms": 1_000, "max_deliver": 5, "max_ack_pending": 10}}),
        json!({"jetstream": {"stream": "ORDERS", "inactive_threshold_ms": 300_000}}),
        json!({"jetstream": {"stream": "ORDERS", "consumer": "mine", "domain": "hub"}}),
    ] {
        assert_eq!(configured(&with(&good)), Ok(()), "{good}");
    }
}

#[test]
fn what_is_wrong_is_told_where_it_is() {
    let connection = |parts: &Value| {
        let mut value = json!({"servers": ["nats://broker"]});
        value.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        json!({"subject": "a", "connection": value})
    };
    for (wrong, pointer) in [
        (json!({}), "/subject"),
        (json!({"subject": "a b"}), "/subject"),
        (json!({"subject": "a\r\nSUB > 9"}), "/subject"),
        (json!({"subject": "a", "queue": "b\r\nSUB > 9"}), "/queue"),
        (json!({"subject": "a", "queue": "b", "jetstream": {"stream": "S"}}), "/queue"),
        (json!({"jetstream": {"stream": "S.>"}}), "/jetstream/stream"),
        (json!({"jetstream": {"stream": "S", "domain": "a.b"}}), "/jetstream/domain"),
        (json!({"jetstream": {"stream": "S", "consumer": "c", "deliver": "new"}}), "/jetstream/consumer"),
        (json!({"subject": "a", "jetstream": {"stream": "S", "consumer": "c"}}), "/subject"),
        (json!({"jetstream": {"stream": "S", "ack_wait_ms": 999}}), "/jetstream/ack_wait_ms"),
        (json!({"jetstream": {"stream": "S", "max_ack_pending": 0}}), "/jetstream/max_ack_pending"),
        (json!({"jetstream": {"stream": "S", "max_deliver": 0}}), "/jetstream/max_deliver"),
        (json!({"jetstream": {"stream": "S", "inactive_threshold_ms": 299_999}}), "/jetstream/inactive_threshold_ms"),
        (json!({"jetstream": {"stream": "S", "consumer": "c", "inactive_threshold_ms": 300_000}}), "/jetstream/consumer"),
        (connection(&json!({"servers": []})), "/connection/servers"),
        (connection(&json!({"servers": ["nats://a", "http://b"]})), "/connection/servers/1"),
        (connection(&json!({"servers": ["nats://user:hunter2@broker:4222"]})), "/connection/servers/0"),
        (connection(&json!({"servers": ["nats://broker:0"]})), "/connection/servers/0"),
        (connection(&json!({"servers": ["nats://[::1"]})), "/connection/servers/0"),
        (connection(&json!({"user": "u"})), "/connection"),
        (connection(&json!({"token": "hunter2", "user": "u", "password": "p"})), "/connection"),
        (connection(&json!({"client_key": "hunter2"})), "/connection"),
    ] {
        let error = configured(&with(&wrong)).expect_err(&wrong.to_string());
        assert_eq!(error.pointer, pointer, "{wrong}: {error}");
        assert!(!error.message.contains("hunter2"), "{error}");
    }
    assert!(configured(&with(&json!({"subject": "a", "subjects": []}))).is_err());
}

#[test]
fn servers() {
    let of = |url: &str| {
        let connection: config::Connection = serde_json::from_value(json!({"servers": [url]})).unwrap();
        connection.addresses().map(|mut all| all.remove(0)).map(|one| (one.host, one.port, one.needs_tls)).ok()
    };
    for (url, expected) in [
        ("broker", Some(("broker", 4222, false))),
        ("nats://broker:1/", Some(("broker", 1, false))),
        ("tls://b.example.com", Some(("b.example.com", 4222, true))),
        ("nats://[::1]:7", Some(("::1", 7, false))),
        ("nats://[fd00::1]", Some(("fd00::1", 4222, false))),
        ("nats://127.0.0.1:4222", Some(("127.0.0.1", 4222, false))),
        ("ws://broker", None),
        ("nats://", None),
        ("nats://a:b", None),
        ("nats://a:70000", None),
        ("nats://a/b", None),
        ("nats://a b", None),
        ("nats://a@b", None),
        ("nats://[::1]x", None),
        ("nats://[a]", None),
    ] {
        assert_eq!(of(url), expected.map(|(host, port, tls)| (host.to_owned(), port, tls)), "{url}");
    }
}

#[test]
fn the_resource_type_is_what_a_connection_is() {
    let kind = ResourceType::compile(&JsonText::trusted(RESOURCE.schema)).unwrap();
    assert_eq!(kind.secrets(), ["/client_key", "/credentials", "/nkey_seed", "/password", "/token"]);
    let schema: Value = serde_json::from_str(RESOURCE.schema).unwrap();
    let config = Listening::<Nats>::shared().info().config;
    let fields = |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(fields(&schema), fields(&config["$defs"]["Connection"]));
}

#[tokio::test]
async fn nothing_is_connected_to_that_the_host_does_not_give() {
    let config: Config = serde_json::from_value(with(&json!({"subject": "a"}))).unwrap();
    assert!(matches!(Nats::probe(config).await, Err(ListenError::Config(_))));
}
