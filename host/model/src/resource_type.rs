//! Types of resources: a JSON Schema of an object, some of whose fields are secret.
//!
//! What is secret is known by its JSON pointer before any value is there: `"writeOnly": true` counts on properties, and on properties of
//! properties, and is refused everywhere else.

mod bounds;
mod builtin;
mod name;
mod parts;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use builtin::{BUILT_IN, BuiltIn, all_built_in, built_in, register};
pub use name::{InvalidName, TypeName};
pub use parts::{Parts, join, keep, split};

use crate::{
    JsonText,
    schema::{Fault, Schema, escape},
};

/// Bytes of a type's schema.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a resource's value.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Secret fields of a type.
const SECRETS_MAX: usize = 64;
/// The mark of a secret field.
const MARK: &str = "writeOnly";

/// A type that was checked, ready to check values.
pub struct ResourceType {
    schema: Schema,
    secrets: Vec<String>,
}

impl ResourceType {
    /// # Errors
    /// What is wrong with the schema, for its author.
    pub fn compile(schema: &JsonText) -> Result<Self, String> {
        if schema.as_str().len() > SCHEMA_BYTES_MAX {
            return Err(format!("the schema has more than {SCHEMA_BYTES_MAX} bytes"));
        }
        let schema: Value = schema.read().map_err(|error| format!("the schema cannot be read as JSON: {error}"))?;
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err("the schema must be of an object: {\"type\": \"object\", \"properties\": …}".to_owned());
        }
        bounds::check(&schema)?;
        let mut secrets = Vec::new();
        find(&schema, "", &mut secrets)?;
        if secrets.len() > SECRETS_MAX {
            return Err(format!("more than {SECRETS_MAX} fields are secret"));
        }
        secrets.sort();
        let schema = Schema::with_patterns(&schema, bounds::PATTERN_BYTES_MAX).map_err(|fault| format!("the schema: {fault}"))?;
        Ok(Self { schema, secrets })
    }

    /// Pointers of the secret fields, in their order.
    #[must_use]
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// What of a whole value does not fit.
    #[must_use]
    pub fn faults(&self, value: &Value) -> Vec<Fault> {
        self.schema.faults(value)
    }
}

/// Collects the secret fields of an object's schema at `pointer`.
fn find(schema: &Value, pointer: &str, secrets: &mut Vec<String>) -> Result<(), String> {
    let Value::Object(keywords) = schema else { return Ok(()) };
    for (keyword, value) in keywords {
        let Value::Object(properties) = value else {
            refuse_marks(value, pointer, keyword)?;
            continue;
        };
        if keyword != "properties" {
            refuse_marks(value, pointer, keyword)?;
            continue;
        }
        for (name, property) in properties {
            let pointer = format!("{pointer}/{}", escape(name));
            match property.get(MARK) {
                None | Some(Value::Bool(false)) => find(property, &pointer, secrets)?,
                Some(Value::Bool(true)) => {
                    let inside = property.as_object().into_iter().flatten().filter(|(keyword, _)| *keyword != MARK);
                    inside.into_iter().try_for_each(|(keyword, value)| refuse_marks(value, &pointer, keyword))?;
                    secrets.push(pointer);
                }
                Some(_) => return Err(format!("`{MARK}` of {pointer} is neither true nor false")),
            }
        }
    }
    if pointer.is_empty() && keywords.get(MARK).is_some_and(|mark| *mark != Value::Bool(false)) {
        return Err(format!("`{MARK}` marks single properties as secret, not the whole object"));
    }
    Ok(())
}

/// Nothing below may be marked: where such a value will be is not known beforehand.
fn refuse_marks(value: &Value, pointer: &str, keyword: &str) -> Result<(), String> {
    if keyword != MARK && has_mark(value) {
        let place = if pointer.is_empty() { "the schema" } else { pointer };
        return Err(format!(
            "`{MARK}` below `{keyword}` of {place}: only properties, and properties of properties, can be secret, so that it is known where secrets are"
        ));
    }
    Ok(())
}

fn has_mark(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, member)| (name == MARK && *member != Value::Bool(false)) || has_mark(member)),
        Value::Array(elements) => elements.iter().any(has_mark),
        _ => false,
    }
}
