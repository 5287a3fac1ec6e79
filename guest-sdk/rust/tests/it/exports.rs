//! What the attributes make of functions of all the shapes that they take.

use std::num::ParseIntError;

use sandmill::{Bytes, Error, Event, Output};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

fn json(text: &str) -> Output {
    Output::Json(text.to_owned())
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Order {
    New { id: u32 },
    Void,
}

#[test]
fn all_arguments_at_once() {
    #[sandmill::main]
    fn main(args: Order) -> u32 {
        match args {
            Order::New { id } => id,
            Order::Void => 0,
        }
    }
    assert_eq!(main::call(r#"{"kind":"new","id":7}"#).unwrap(), json("7"));
    assert!(main::schema().starts_with(r#"{"type":"object","oneOf":["#), "{}", main::schema());
}

#[test]
fn a_pattern_takes_them_apart() {
    #[derive(Deserialize, JsonSchema)]
    struct Pair {
        a: u8,
        b: u8,
    }
    #[sandmill::main]
    fn main(Pair { a, b }: Pair) -> Result<u8, Error> {
        a.checked_add(b).ok_or_else(|| Error::msg("too much"))
    }
    assert_eq!(main::call(r#"{"a":1,"b":2}"#).unwrap(), json("3"));
    assert_eq!(main::call(r#"{"a":255,"b":2}"#).unwrap_err().message, "too much");
}

#[test]
fn each_by_its_name() {
    #[sandmill::main]
    fn main(
        mut name: String,
        #[serde(rename = "type")] kind: Option<u8>,
        /// How loud
        #[serde(default)]
        #[schemars(range(max = 3))]
        loud: u8,
    ) -> String {
        name.push_str(&"!".repeat(loud.into()));
        format!("{name} {kind:?}")
    }
    assert_eq!(main::call(r#"{"name":"bob","type":7,"other":[]}"#).unwrap(), json(r#""bob Some(7)""#));
    assert_eq!(main("a".to_owned(), None, 2), "a!! None");
    let schema: serde_json::Value = serde_json::from_str(&main::schema()).unwrap();
    assert_eq!(schema["type"], "object");
    assert_eq!(schema["required"], serde_json::json!(["name"]));
    assert_eq!(schema["properties"]["loud"]["description"], "How loud");
    assert_eq!(schema["properties"]["loud"]["maximum"], 3);
    assert_eq!(main::call("{}").unwrap_err().message, "missing field `name`");
}

#[test]
fn none_and_nothing() {
    #[sandmill::main]
    fn main() {}
    main();
    assert_eq!(main::call(r#"{"a":1}"#).unwrap(), json("null"));
    assert_eq!(main::schema(), r#"{"type":"object"}"#);
}

#[test]
fn other_errors_and_other_names() {
    #[sandmill::main]
    fn parse(text: String) -> Result<Bytes, ParseIntError> {
        Ok(Bytes { content_type: "a/b".to_owned(), data: vec![text.parse()?] })
    }
    assert_eq!(parse::call(r#"{"text":"7"}"#).unwrap(), Output::Bytes(Bytes { content_type: "a/b".to_owned(), data: vec![7] }));
    assert_eq!(parse::call(r#"{"text":"x"}"#).unwrap_err().name, "ParseIntError");
}

#[test]
fn preprocessors_may_fail_and_may_not() {
    #[sandmill::preprocessor]
    fn preprocessor(event: Event) -> Option<Order> {
        event.raw.map(|raw| Order::New { id: u32::try_from(raw.len()).unwrap_or_default() })
    }
    #[sandmill::preprocessor]
    fn strict(event: Event) -> sandmill::Result<Option<Order>> {
        if event.kind == "webhook" { Ok(None) } else { Err(Error::new("EventError", "no webhook")) }
    }
    assert_eq!(preprocessor::call(r#"{"kind":"webhook","raw":"abc"}"#).unwrap().unwrap(), r#"{"kind":"new","id":3}"#);
    assert_eq!(strict::call(r#"{"kind":"webhook"}"#).unwrap(), None);
    assert_eq!(strict::call("{}").unwrap_err().name, "EventError");
    assert_eq!(strict::call("[]").unwrap_err().name, "TypeError");
}
