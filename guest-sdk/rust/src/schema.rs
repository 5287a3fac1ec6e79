//! The JSON Schema of a script's arguments.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::json::{push_decimal, push_i64, push_str, push_u64};

/// JSON Schema 2020-12 of a type, as text. All that it refers to is inside.
///
/// The parts are put together here, as text: the way of `schemars` follows JSON pointers for that, which makes a component 5 KB larger.
#[must_use]
pub fn of<T: JsonSchema>() -> String {
    let mut generator = SchemaGenerator::default();
    let schema = T::json_schema(&mut generator);
    text(schema.as_value(), generator.definitions())
}

fn text(schema: &Value, definitions: &Map<String, Value>) -> String {
    let mut text = String::from("{");
    if let Value::Object(fields) = schema {
        // The host asks for a type at the root, which unions of objects do not say themselves.
        if !fields.contains_key("type") && is_union_of_objects(fields) {
            text.push_str(OBJECT);
        }
        push_fields(&mut text, fields);
    } else if schema == &Value::Bool(true) {
        text.push_str(OBJECT);
    }
    if !definitions.is_empty() {
        push_separator(&mut text);
        text.push_str("\"$defs\":{");
        push_fields(&mut text, definitions);
        text.push('}');
    }
    text.push('}');
    text
}

const OBJECT: &str = r#""type":"object""#;

fn push_separator(out: &mut String) {
    if !out.ends_with(['{', '[']) {
        out.push(',');
    }
}

fn push_fields(out: &mut String, fields: &Map<String, Value>) {
    for (name, value) in fields {
        push_separator(out);
        push_str(out, name);
        out.push(':');
        push(out, value);
    }
}

fn is_union_of_objects(fields: &Map<String, Value>) -> bool {
    let parts = fields.get("oneOf").or_else(|| fields.get("anyOf")).and_then(Value::as_array);
    parts.is_some_and(|parts| parts.iter().all(|part| part.get("type").and_then(Value::as_str) == Some("object")))
}

/// Not by `serde`, which would bring what prints floating point into every component.
fn push(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::String(text) => push_str(out, text),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(value), ..) => push_u64(out, value),
            (_, Some(value), _) => push_i64(out, value),
            (.., value) => push_decimal(out, value.unwrap_or_default()),
        },
        Value::Array(values) => {
            out.push('[');
            for value in values {
                push_separator(out);
                push(out, value);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            push_fields(out, fields);
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn is_the_same_json() {
        let values =
            json!({"type": "object", "a": {}, "b": [], "c": [1, -2, 0.5, -0.001, true, null, "x\"\n{", [[]]], "d": {"e": {}, "f": "["}});
        let found = text(&values, &Map::new());
        assert_eq!(serde_json::from_str::<Value>(&found).unwrap(), values);
        let numbers = json!({"type": [u64::MAX, i64::MIN, 0.1, 3.25e-9, 12.5e20]});
        let found = text(&numbers, &Map::new());
        assert_eq!(serde_json::from_str::<Value>(&found).unwrap(), numbers);
        assert_eq!(of::<Value>(), r#"{"type":"object"}"#);
    }

    #[test]
    fn the_root_says_that_it_is_an_object() {
        #[derive(JsonSchema)]
        #[serde(tag = "kind")]
        #[expect(dead_code, reason = "for its schema")]
        enum Order {
            New { id: u32 },
            Void,
        }
        let schema: Value = serde_json::from_str(&of::<Order>()).unwrap();
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["oneOf"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_it_refers_to_is_inside() {
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "for its schema")]
        struct Tree {
            children: Vec<Tree>,
            leaf: Option<Leaf>,
        }
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "for its schema")]
        struct Leaf {
            #[schemars(range(min = 0.5))]
            weight: f64,
        }
        let text = of::<Tree>();
        for target in text.split("\"$ref\":\"").skip(1) {
            assert!(target.starts_with('#'), "{text}");
        }
        let schema: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema["$defs"]["Leaf"]["properties"]["weight"]["minimum"], 0.5);
    }
}
