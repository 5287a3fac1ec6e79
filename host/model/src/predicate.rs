//! Predicates: a JSON pointer, an operator and a value. The form of every condition that a user writes down.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Characters of a pointer.
const POINTER_CHARACTERS_MAX: usize = 256;
/// Bytes of a value as JSON: it is kept with every run that waits.
const VALUE_BYTES_MAX: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Something is there, be it null. Takes no value.
    Exists,
    Equals,
    NotEquals,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    /// A part of a text, or an element of a list.
    Contains,
    StartsWith,
    EndsWith,
    /// One of the elements of `value`.
    In,
}

/// `{"pointer": "/name", "operator": "equals", "value": "RateLimited"}`. What is not there fits no operator but `not_equals`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predicate {
    /// RFC 6901; empty for the whole.
    pub pointer: String,
    pub operator: Operator,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
}

impl Predicate {
    /// # Errors
    /// What is wrong with it, for its author.
    pub fn check(&self) -> Result<(), String> {
        check_pointer(&self.pointer)?;
        if self.value.to_string().len() > VALUE_BYTES_MAX {
            return Err(format!("the value of a predicate has at most {VALUE_BYTES_MAX} bytes as JSON"));
        }
        match self.operator {
            Operator::In if !self.value.is_array() => Err("`in` takes a list as its value".to_owned()),
            Operator::StartsWith | Operator::EndsWith if !self.value.is_string() => {
                Err("`starts_with` and `ends_with` take a text as their value".to_owned())
            }
            Operator::Exists if !self.value.is_null() => Err("`exists` takes no value".to_owned()),
            _ => Ok(()),
        }
    }

    #[must_use]
    pub fn fits(&self, document: &Value) -> bool {
        let Some(found) = document.pointer(&self.pointer) else { return self.operator == Operator::NotEquals };
        let ordering = || compare(found, &self.value);
        match self.operator {
            Operator::Exists => true,
            Operator::Equals => equal(found, &self.value),
            Operator::NotEquals => !equal(found, &self.value),
            Operator::Greater => ordering() == Some(Ordering::Greater),
            Operator::GreaterOrEqual => matches!(ordering(), Some(Ordering::Greater | Ordering::Equal)),
            Operator::Less => ordering() == Some(Ordering::Less),
            Operator::LessOrEqual => matches!(ordering(), Some(Ordering::Less | Ordering::Equal)),
            Operator::Contains => match (found, &self.value) {
                (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
                (Value::Array(list), value) => list.iter().any(|element| equal(element, value)),
                _ => false,
            },
            Operator::StartsWith => texts(found, &self.value).is_some_and(|(text, part)| text.starts_with(part)),
            Operator::EndsWith => texts(found, &self.value).is_some_and(|(text, part)| text.ends_with(part)),
            Operator::In => self.value.as_array().is_some_and(|list| list.iter().any(|element| equal(found, element))),
        }
    }
}

/// # Errors
/// What is wrong with a JSON pointer, for its author.
pub fn check_pointer(pointer: &str) -> Result<(), String> {
    if !(pointer.is_empty() || pointer.starts_with('/')) {
        return Err(format!("`{pointer}` is not a JSON pointer: it starts with `/`, e.g. `/customer/id`"));
    }
    if pointer.chars().count() > POINTER_CHARACTERS_MAX {
        return Err(format!("a JSON pointer has at most {POINTER_CHARACTERS_MAX} characters"));
    }
    Ok(())
}

fn texts<'a>(text: &'a Value, part: &'a Value) -> Option<(&'a str, &'a str)> {
    Some((text.as_str()?, part.as_str()?))
}

/// Numbers by their value, so that 1 and 1.0 are equal.
fn equal(left: &Value, right: &Value) -> bool {
    left == right || compare(left, right) == Some(Ordering::Equal)
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(pointer: &str, operator: Operator, value: Value, expected: bool) {
        let document = json!({"name": "RateLimited", "details": {"status": 429, "ratio": 1.0}, "tags": ["a", 2], "none": null});
        let predicate = Predicate { pointer: pointer.to_owned(), operator, value };
        assert_eq!(predicate.fits(&document), expected, "{predicate:?}");
    }

    #[test]
    fn operators() {
        use Operator::*;
        check("/name", Equals, json!("RateLimited"), true);
        check("/name", NotEquals, json!("RateLimited"), false);
        check("/missing", NotEquals, json!("x"), true);
        check("/missing", Equals, Value::Null, false);
        check("/none", Exists, Value::Null, true);
        check("/missing", Exists, Value::Null, false);
        check("/details/status", GreaterOrEqual, json!(429), true);
        check("/details/status", Less, json!(429.5), true);
        check("/details/status", Greater, json!("4"), false);
        check("/details/ratio", Equals, json!(1), true);
        check("/name", Contains, json!("Limit"), true);
        check("/tags", Contains, json!(2.0), true);
        check("/tags", Contains, json!("b"), false);
        check("/name", StartsWith, json!("Rate"), true);
        check("/name", EndsWith, json!("Rate"), false);
        check("/details/status", In, json!([500, 429]), true);
        check("/details/status", In, json!("429"), false);
        check("", Exists, Value::Null, true);
    }

    #[test]
    fn wrong_predicates_are_told() {
        let wrong = |pointer: &str, operator, value| Predicate { pointer: pointer.to_owned(), operator, value }.check().is_err();
        assert!(wrong("name", Operator::Exists, Value::Null));
        assert!(wrong("/name", Operator::In, json!("x")));
        assert!(wrong("/name", Operator::StartsWith, json!(1)));
        assert!(wrong("/name", Operator::Exists, json!(1)));
        assert!(wrong("/name", Operator::Equals, json!("x".repeat(VALUE_BYTES_MAX))));
        assert!(!wrong("/name", Operator::Equals, json!(1)));
    }
}
