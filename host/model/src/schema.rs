//! JSON Schemas that come from users, and what does not fit them.

use jsonschema::{PatternOptions, Validator, error::ValidationErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    json::JsonText,
    outcome::{OutcomeKind, RunError},
};

/// Faults that one refusal lists.
const FAULTS_MAX: usize = 20;
/// Characters of one fault's message.
const MESSAGE_CHARS_MAX: usize = 500;
/// Bytes that one pattern of a schema may compile to: patterns come from users.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// JSON pointer into the value; for a missing one, where it should be.
    pub pointer: String,
    pub message: String,
}

/// Arguments that do not fit, as the error of their run: each fault with its pointer in the message, and all in the details.
#[must_use]
pub fn refusal(faults: Vec<Fault>) -> RunError {
    let message = faults
        .iter()
        .map(|fault| if fault.pointer.is_empty() { fault.message.clone() } else { format!("{}: {}", fault.pointer, fault.message) })
        .collect::<Vec<_>>()
        .join("; ");
    let mut error = RunError::new(OutcomeKind::InvalidArguments.name(), message);
    error.details = JsonText::of(&serde_json::json!({"faults": faults})).ok();
    error
}

/// Values of a schema times values that are held against it, up to which it is said where those do not fit: a fault is noted for every branch of
/// every element before the first is told, each of some hundred bytes.
const LOOKED_AT_MAX: usize = 100_000;

/// A schema, compiled once.
pub struct Schema {
    validator: Box<Validator>,
    /// Values that it is made of.
    values: usize,
}

impl Schema {
    /// # Errors
    /// Why it is not one.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        Self::with_patterns(schema, PATTERN_BYTES_MAX)
    }

    /// As [`Schema::compile`]; no pattern may compile to more than `pattern_bytes_max`.
    ///
    /// # Errors
    /// Why it is not one.
    pub fn with_patterns(schema: &Value, pattern_bytes_max: usize) -> Result<Self, String> {
        // Without file and network resolvers, and with an engine whose time is linear in the text.
        jsonschema::options()
            .offline()
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex().size_limit(pattern_bytes_max))
            .build(schema)
            .map(|validator| Self { validator: Box::new(validator), values: count(schema) })
            .map_err(|error| error.to_string())
    }

    /// What does not fit, some twenty at most; none: all fits. No message repeats what is in the value.
    #[must_use]
    pub fn faults(&self, value: &Value) -> Vec<Fault> {
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        if self.values.saturating_mul(count(value)) > LOOKED_AT_MAX {
            let message = "something in it does not fit the schema; it is too large to say where".to_owned();
            return vec![Fault { pointer: String::new(), message }];
        }
        let fault = |error: jsonschema::ValidationError<'_>| {
            let mut pointer = error.instance_path().as_str().to_owned();
            if let ValidationErrorKind::Required { property } = error.kind()
                && let Some(name) = property.as_str()
            {
                pointer.push('/');
                pointer.push_str(&escape(name));
            }
            // The value itself may be megabytes long, and secret.
            Fault { pointer, message: error.masked().to_string().chars().take(MESSAGE_CHARS_MAX).collect() }
        };
        self.validator.iter_errors(value).take(FAULTS_MAX).map(fault).collect()
    }
}

/// Values, with those within.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// A name as it is written in a JSON pointer.
#[must_use]
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_of_large_values_are_not_collected() {
        let branches: Vec<Value> = (0..1_500).map(|n| json!({ "const": n + 1 })).collect();
        let schema = Schema::compile(&json!({"items": {"anyOf": branches}})).unwrap();
        let faults = schema.faults(&json!(vec![0; 32_000]));
        assert_eq!((faults.len(), faults[0].pointer.as_str()), (1, ""), "{faults:?}");
        assert_eq!(schema.faults(&json!([1, 0, 2]))[0].pointer, "/1");
        assert_eq!(schema.faults(&json!(vec![1; 32_000])), []);
    }
}
