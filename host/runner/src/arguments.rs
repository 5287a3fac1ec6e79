//! Arguments against a version's schema.

mod size;

use sandmill_model::{
    JsonText, RunError,
    schema::{Fault, Schema, refusal},
};
use serde_json::Value;

/// Arguments that are checked in well below a millisecond.
const QUICK_BYTES_MAX: usize = 64 * 1024;

/// A version's schema, compiled once.
pub(crate) enum Arguments {
    /// Every object fits.
    Anything,
    Schema(Schema),
}

impl Arguments {
    /// # Errors
    /// Why the schema is not one.
    pub(crate) fn compile(schema: &JsonText) -> Result<Self, String> {
        let schema: Value = schema.read().map_err(|error| error.to_string())?;
        if let Value::Object(keys) = &schema
            && keys.keys().all(|key| matches!(key.as_str(), "$schema" | "type" | "title" | "description"))
            && keys.get("type").is_none_or(|kind| kind == "object")
        {
            return Ok(Self::Anything);
        }
        Schema::compile(&schema).map(Self::Schema)
    }

    /// Whether a check is quick enough for a thread that answers requests: its time grows with the arguments.
    pub(crate) fn is_quick(&self, arguments: &JsonText) -> bool {
        matches!(self, Self::Anything) || arguments.as_str().len() <= QUICK_BYTES_MAX
    }

    /// # Errors
    /// The faults, each with its pointer.
    pub(crate) fn check(&self, arguments: &JsonText) -> Result<(), RunError> {
        if !arguments.is_object() {
            return Err(refusal(vec![Fault { pointer: String::new(), message: "the arguments must be a JSON object".to_owned() }]));
        }
        let Self::Schema(schema) = self else { return Ok(()) };
        let whole = |message: String| refusal(vec![Fault { pointer: String::new(), message }]);
        size::check(arguments.as_str()).map_err(whole)?;
        let value: Value = arguments.read().map_err(|error| whole(format!("the arguments cannot be read as JSON: {error}")))?;
        let faults = schema.faults(&value);
        if faults.is_empty() { Ok(()) } else { Err(refusal(faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_each_fault_by_its_pointer() {
        let schema = r#"{"type":"object","properties":{"name":{"type":"string"},"a/b":{"type":"integer"},"list":{"items":{"type":"number"}}},"required":["name","a/b"]}"#;
        let arguments = Arguments::compile(&JsonText::trusted(schema)).unwrap();
        let check = |text: &str, pointers: &[&str]| {
            let found = match arguments.check(&JsonText::trusted(text)) {
                Ok(()) => Vec::new(),
                Err(error) => {
                    let details: Value = error.details.unwrap().read().unwrap();
                    let mut found: Vec<String> =
                        details["faults"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap().to_owned()).collect();
                    found.sort();
                    found
                }
            };
            assert_eq!(found, pointers, "{text}");
        };
        check(r#"{"name":"x","a/b":1,"unknown":true}"#, &[]);
        check("{}", &["/a~1b", "/name"]);
        check(r#"{"name":1,"a/b":1.5,"list":[1,"x"]}"#, &["/a~1b", "/list/1", "/name"]);
        check("[1]", &[""]);
        check(r#"{"name":"\ud83d","a/b":1}"#, &[""]);
    }

    #[test]
    fn a_fault_does_not_repeat_the_value() {
        let arguments = Arguments::compile(&JsonText::trusted(r#"{"properties":{"a":{"type":"integer"}}}"#)).unwrap();
        let error = arguments.check(&JsonText::trusted(format!(r#"{{"a":"{}"}}"#, "secret".repeat(1000)))).unwrap_err();
        assert_eq!(error.message, "/a: value is not of type \"integer\"");
    }

    #[test]
    fn formats_count() {
        let schema = r#"{"properties":{"d":{"type":"string","format":"date-time"}}}"#;
        let arguments = Arguments::compile(&JsonText::trusted(schema)).unwrap();
        assert!(arguments.check(&JsonText::trusted(r#"{"d":"2026-11-21T10:00:00Z"}"#)).is_ok());
        assert!(arguments.check(&JsonText::trusted(r#"{"d":"nodate"}"#)).is_err());
    }

    #[test]
    fn a_hostile_schema_is_refused_or_harmless() {
        let compile = |text: &str| Arguments::compile(&JsonText::trusted(text));
        assert!(compile(r#"{"$ref":"file:///etc/passwd"}"#).is_err());
        assert!(compile(r#"{"$ref":"http://127.0.0.1/x"}"#).is_err());
        assert!(compile(r#"{"properties":{"a":{"pattern":"(?=x)"}}}"#).is_err(), "look-around needs a backtracking engine");
        let slow = compile(r#"{"properties":{"a":{"pattern":"^(a+)+$"}}}"#).unwrap();
        let text = format!(r#"{{"a":"{}b"}}"#, "a".repeat(50_000));
        assert!(slow.check(&JsonText::trusted(text)).is_err());
    }
}
