//! What is read and written, with `serde_json` as the measure.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{from_str, to_string};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Shape {
    Unit,
    New(u8),
    Pair(i8, String),
    Named { a: Option<bool>, b: f64 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Everything<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    letter: char,
    small: i16,
    large: u64,
    least: i64,
    ratio: f32,
    unit: (),
    pair: (u8, bool),
    shapes: Vec<Shape>,
    counts: BTreeMap<i32, u8>,
    by_flag: BTreeMap<bool, Box<str>>,
    #[serde(default)]
    missing: Option<u8>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

fn everything() -> Everything<'static> {
    let shapes = vec![Shape::Unit, Shape::New(7), Shape::Pair(-1, "\u{0}\u{1f}\"\\/é😀\n".to_owned()), Shape::Named { a: None, b: -1.5 }];
    Everything {
        text: Cow::Borrowed("a"),
        letter: 'é',
        small: i16::MIN,
        large: u64::MAX,
        least: i64::MIN,
        ratio: 0.1,
        unit: (),
        pair: (1, true),
        shapes,
        counts: BTreeMap::from([(-1, 1), (2, 2)]),
        by_flag: BTreeMap::from([(true, "x".into())]),
        missing: None,
        rest: BTreeMap::from([("z".to_owned(), json!({"a": [1, -2, 0.5, null, {}]}))]),
    }
}

#[test]
fn writes_what_serde_json_writes() {
    let text = to_string(&everything()).unwrap();
    assert_eq!(text, serde_json::to_string(&everything()).unwrap());
    assert_eq!(from_str::<Everything<'_>>(&text).unwrap(), everything());
    for value in [f64::MAX, f64::MIN_POSITIVE, 1e21, 1e-7, 123_456_789.125, -0.0] {
        assert_eq!(from_str::<f64>(&to_string(&value).unwrap()).unwrap().to_bits(), value.to_bits());
    }
    assert_eq!(to_string(&[f64::NAN, f64::INFINITY]).unwrap(), "[null,null]");
    assert!(to_string(&BTreeMap::from([(vec![1], 1)])).is_err());
}

#[test]
fn reads_and_refuses_what_serde_json_does() {
    for text in [
        "",
        " ",
        "null",
        "true",
        "falsey",
        "nul",
        "0",
        "-0",
        "-",
        "01",
        "1.",
        ".5",
        "1e",
        "1e5",
        "1E+2",
        "-1.25e-3",
        "1e400",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "\"\"",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u00e9\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"\\ud83dx\"",
        "\"\\u12\"",
        "\"a\nb\"",
        "\"\u{7f}é\"",
        "[]",
        "[ ]",
        "[1,]",
        "[,]",
        "[1 2]",
        "[1,2",
        "{}",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":{\"b\":[{}]},\"a\":2}",
        " { \"a\" : [ 1 , \"b\" ] } ",
        "1 1",
        "[1]]",
        "\u{feff}1",
        "+1",
        "NaN",
        "'a'",
    ] {
        assert_eq!(from_str::<Value>(text).ok(), serde_json::from_str::<Value>(text).ok(), "{text}");
        let is_ignored = from_str::<serde::de::IgnoredAny>(text).is_ok();
        // What is left out is not looked into: halves of pairs aside, both take the same.
        assert!(is_ignored || from_str::<Value>(text).is_err(), "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(from_str::<Value>(&nested(127)).is_ok());
    assert!(from_str::<Value>(&nested(129)).is_err());
    assert!(from_str::<serde::de::IgnoredAny>(&nested(100_000)).is_err());
}

#[test]
fn faults_do_not_repeat_values() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its faults matter")]
    struct Args {
        name: String,
        count: u8,
    }
    for (text, expected) in [
        (r#"{"name":"bob"}"#, "missing field `count`"),
        (r#"{"name":12345,"count":1}"#, "expected a string, not an integer"),
        (r#"{"name":1.5,"count":1}"#, "expected a string, not a number"),
        (r#"{"name":"a","count":300}"#, "expected u8, not this integer"),
        (r#"{"name":"a","count":1.5}"#, "expected u8, not a number"),
        (r#"{"name":"a","count":"secret"}"#, "expected u8, not a string"),
        (r#"{"name":"a","count":1"#, "expected `,` at byte 21"),
        ("[]", "expected struct Args, not an array"),
    ] {
        assert_eq!(from_str::<Args>(text).unwrap_err().to_string(), expected, "{text}");
    }
}
