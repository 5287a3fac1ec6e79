//! Whether a schema that a component describes itself by may be kept: small, shallow, and referring to nothing outside.

use sandmill_model::JsonText;
use serde_json::Value;

use crate::limits::{SCHEMA_BYTES_MAX, SCHEMA_DEPTH_MAX};

/// # Errors
/// What is wrong with it.
pub(crate) fn check(text: &str) -> Result<JsonText, String> {
    if text.len() > SCHEMA_BYTES_MAX {
        return Err(format!("it has {} bytes; the most is {SCHEMA_BYTES_MAX}", text.len()));
    }
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let Value::Object(root) = &schema else {
        return Err("it is not a JSON object".to_owned());
    };
    match root.get("type") {
        Some(Value::String(name)) if name == "object" => {}
        Some(other) => return Err(format!("arguments are an object, but its `type` is {other}")),
        None => return Err("arguments are an object, but it does not say `\"type\": \"object\"`".to_owned()),
    }
    walk(&schema, 0)?;
    JsonText::parse(text).map_err(|error| format!("it is not JSON: {error}"))
}

fn walk(value: &Value, depth: usize) -> Result<(), String> {
    if depth > SCHEMA_DEPTH_MAX {
        return Err(format!("it is nested deeper than {SCHEMA_DEPTH_MAX} levels"));
    }
    match value {
        Value::Object(map) => map.iter().try_for_each(|(key, value)| {
            if let ("$ref" | "$dynamicRef", Value::String(target)) = (key.as_str(), value)
                && !target.starts_with('#')
            {
                return Err(format!("it refers to `{target}`, but references must stay inside: `#/$defs/…`"));
            }
            walk(value, depth + 1)
        }),
        Value::Array(values) => values.iter().try_for_each(|value| walk(value, depth + 1)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept() {
        let deep = format!(r#"{{"type":"object","not":{}true{}}}"#, r#"{"not":"#.repeat(100), "}".repeat(100));
        let long = format!(r#"{{"type":"object","description":"{}"}}"#, "x".repeat(SCHEMA_BYTES_MAX));
        for (text, fault) in [
            (r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}}}"##, None),
            ("", Some("not JSON")),
            ("[]", Some("not a JSON object")),
            ("{}", Some("does not say")),
            (r#"{"type":"string"}"#, Some("its `type` is")),
            (r#"{"type":"object","$ref":"https://example.com/x"}"#, Some("references must stay inside")),
            (deep.as_str(), Some("nested deeper")),
            (long.as_str(), Some("bytes; the most")),
        ] {
            match (check(text), fault) {
                (Ok(_), None) => {}
                (Err(message), Some(fault)) => assert!(message.contains(fault), "{message}"),
                (found, expected) => panic!("{text:.80}: {found:?}, expected {expected:?}"),
            }
        }
    }
}
