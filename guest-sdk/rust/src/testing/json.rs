//! When two texts are the same JSON value, as the host sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use crate::json::{self, Fault, RAW_VALUE};

/// A value's own text.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("JSON")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                let entry = map.next_entry::<String, String>()?;
                entry.map(|(_, text)| Text(text)).ok_or_else(|| de::Error::custom("no text"))
            }
        }
        deserializer.deserialize_newtype_struct(RAW_VALUE, Visitor)
    }
}

/// The same text for the same value: without spaces, keys in order, numbers by their exact decimal value.
pub(super) fn canonical(text: &str) -> Result<String, Fault> {
    let text = text.trim();
    Ok(match text.bytes().next() {
        Some(b'{') => {
            let fields: BTreeMap<String, Text> = json::from_str(text)?;
            let fields = fields.iter().map(|(name, value)| Ok(format!("{}:{}", json::to_string(name)?, canonical(&value.0)?)));
            format!("{{{}}}", fields.collect::<Result<Vec<_>, Fault>>()?.join(","))
        }
        Some(b'[') => {
            let values: Vec<Text> = json::from_str(text)?;
            format!("[{}]", values.iter().map(|value| canonical(&value.0)).collect::<Result<Vec<_>, _>>()?.join(","))
        }
        Some(b'"') => json::to_string(&json::from_str::<String>(text)?)?,
        Some(b'-' | b'0'..=b'9') => {
            json::from_str::<Text>(text)?;
            decimal(text)
        }
        _ => json::from_str::<Text>(text)?.0,
    })
}

/// Digits without zeros around them, and an exponent.
fn decimal(text: &str) -> String {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |text| ("-", text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_end_matches('0');
    let exponent = exponent.parse::<i64>().unwrap_or(i64::MAX / 2) - fraction.len() as i64 + (digits.len() - significant.len()) as i64;
    match significant.trim_start_matches('0') {
        "" => "0".to_owned(),
        significant => format!("{sign}{significant}e{exponent}"),
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn values_are_compared_as_the_host_does() {
        for (one, other, is_same) in [
            ("1", "1.0", true),
            ("1", "10e-1", true),
            ("100", "1e2", true),
            ("0", "-0.0", true),
            ("12345678901234567890", "12345678901234567891", false),
            ("0.1", "0.10", true),
            ("1", "-1", false),
            (r#"{"a":1,"b":[1,{"c":null}]}"#, r#" {"b" : [1.0, {"c": null}], "a": 1} "#, true),
            (r#""\u00e9""#, "\"é\"", true),
            ("[1,2]", "[2,1]", false),
            ("null", "false", false),
        ] {
            assert_eq!(canonical(one).unwrap() == canonical(other).unwrap(), is_same, "{one} {other}");
        }
        for text in ["", "{", "[1,]", "01", "nul", "1 2"] {
            assert!(canonical(text).is_err(), "{text}");
        }
    }
}
