use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn compile(schema: &Value) -> Result<ResourceType, String> {
    ResourceType::compile(&JsonText::of(schema).unwrap())
}

fn secret() -> Value {
    json!({"type": "string", "writeOnly": true})
}

#[test]
fn secrets_are_known_by_their_pointers() {
    let schema = json!({"type": "object", "properties": {
        "user": {"type": "string"}, "a/b~c": secret(), "writeOnly": {"type": "string"}, "open": {"writeOnly": false},
        "deep": {"type": "object", "properties": {"er": {"properties": {"key": secret()}}, "all": {"type": "object", "writeOnly": true}}},
    }});
    assert_eq!(compile(&schema).unwrap().secrets(), ["/a~1b~0c", "/deep/all", "/deep/er/key"]);
}

#[test]
fn a_secret_anywhere_else_is_refused() {
    for schema in [
        json!({"type": "object", "writeOnly": true}),
        json!({"type": "object", "writeOnly": "yes"}),
        json!({"type": "object", "properties": {"a": {"writeOnly": 1}}}),
        json!({"type": "object", "properties": {"a": {"items": secret()}}}),
        json!({"type": "object", "properties": {"a": {"prefixItems": [secret()]}}}),
        json!({"type": "object", "anyOf": [{"properties": {"a": secret()}}]}),
        json!({"type": "object", "if": {"properties": {"a": secret()}}}),
        json!({"type": "object", "additionalProperties": secret()}),
        json!({"type": "object", "patternProperties": {"x": secret()}}),
        json!({"type": "object", "dependentSchemas": {"x": {"properties": {"a": secret()}}}}),
        json!({"type": "object", "$defs": {"x": secret()}, "properties": {"a": {"$ref": "#/$defs/x"}}}),
        json!({"type": "object", "properties": {"a": {"writeOnly": true, "properties": {"b": secret()}}}}),
    ] {
        let refused = compile(&schema).err().unwrap_or_else(|| panic!("{schema}"));
        assert!(refused.contains("writeOnly"), "{schema}: {refused}");
    }
}

#[test]
fn references_stay_inside_and_cost_little() {
    let good = json!({"type": "object", "$defs": {"port": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/port"}}});
    assert!(compile(&good).is_ok());
    let refer = |target: &str| json!({"type": "object", "properties": {"a": secret(), "b": {"$ref": target}}});
    for target in ["#", "#/properties/a", "file:///etc/passwd", "http://127.0.0.1/x", "other", "#/$defs/none"] {
        assert!(compile(&refer(target)).is_err(), "{target}");
    }
    for keyword in ["$id", "$anchor", "$dynamicRef", "$recursiveRef"] {
        assert!(compile(&json!({"type": "object", "properties": {"a": {keyword: "#x"}}})).is_err(), "{keyword}");
    }
    let circle = json!({"type": "object", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"});
    assert!(compile(&circle).err().unwrap().contains("itself"));
    // Each level refers to the next twice: checking it would take two to the power of forty steps.
    let mut definitions = serde_json::Map::new();
    for level in 0..40 {
        let next = json!({"$ref": format!("#/$defs/l{}", level + 1)});
        definitions.insert(format!("l{level}"), json!({"anyOf": [next, next]}));
    }
    definitions.insert("l40".into(), json!({"type": "integer"}));
    assert!(compile(&json!({"type": "object", "$defs": definitions, "additionalProperties": {"$ref": "#/$defs/l0"}})).is_err());
}

#[test]
fn a_schema_is_bounded() {
    let mut deep = json!({"type": "string"});
    for _ in 0..40 {
        deep = json!({"type": "object", "properties": {"x": deep}});
    }
    assert!(compile(&deep).err().unwrap().contains("deep"));
    assert!(compile(&json!({"type": "object", "description": "x".repeat(SCHEMA_BYTES_MAX)})).err().unwrap().contains("bytes"));
    let patterns: serde_json::Map<String, Value> = (0..70).map(|n| (n.to_string(), json!({"pattern": "a"}))).collect();
    assert!(compile(&json!({"type": "object", "properties": patterns})).err().unwrap().contains("patterns"));
    for pattern in ["(?=x)", "(a{1000}){1000}"] {
        assert!(compile(&json!({"type": "object", "properties": {"a": {"pattern": pattern}}})).is_err(), "{pattern}");
    }
    for schema in [json!(true), json!([]), json!({}), json!({"type": "string"}), json!({"type": ["object", "null"]})] {
        assert!(compile(&schema).is_err(), "{schema}");
    }
}

#[test]
fn a_value_is_taken_apart_and_put_together() {
    let pointers = ["/a~1b".to_owned(), "/deep/key".to_owned(), "/none/key".to_owned()];
    let value = json!({"a/b": "s1", "deep": {"key": {"s": 2}, "open": 1}, "list": [1]});
    let parts = split(value.clone(), &pointers);
    assert_eq!(parts.fields, json!({"deep": {"open": 1}, "list": [1]}));
    assert_eq!(parts.secrets, BTreeMap::from([("/a~1b".to_owned(), json!("s1")), ("/deep/key".to_owned(), json!({"s": 2}))]));
    assert!(join(parts) == value);
}

#[test]
fn a_secret_that_is_left_out_stays() {
    let pointers = ["/key".to_owned(), "/deep/key".to_owned()];
    let before = BTreeMap::from([("/key".to_owned(), json!("old")), ("/deep/key".to_owned(), json!("old"))]);
    for (value, fields, kept) in [
        (json!({"deep": {}}), json!({"deep": {}}), vec!["/deep/key", "/key"]),
        (json!({}), json!({}), vec!["/key"]),
        (json!({"key": null, "deep": {"key": null}}), json!({"deep": {}}), vec![]),
        (json!({"key": null, "deep": 7}), json!({"deep": 7}), vec![]),
    ] {
        let parts = keep(value.clone(), &pointers, &before);
        assert_eq!(parts.fields, fields, "{value}");
        assert_eq!(parts.secrets.keys().collect::<Vec<_>>(), kept, "{value}");
        assert!(parts.secrets.values().all(|leaf| leaf == "old"));
    }
    assert_eq!(keep(json!({"key": "new"}), &pointers, &before).secrets["/key"], "new");
}

#[test]
fn what_is_built_in_is_sound() {
    for own in BUILT_IN {
        own.name.parse::<TypeName>().unwrap();
        let kind = ResourceType::compile(&JsonText::parse(own.schema).unwrap()).unwrap();
        let secrets: &[&str] = match own.name {
            "postgresql" => &["/password"],
            "http" => &["/basic/password", "/bearer", "/header/value", "/query/value"],
            "s3" => &["/secret_key"],
            _ => &[],
        };
        assert_eq!(kind.secrets(), secrets, "{}", own.name);
    }
    assert!(built_in("http").is_some() && built_in("https").is_none());
}

#[test]
fn trigger_kinds_bring_types() {
    register(&[crate::trigger::ResourceKind { name: "brought", schema: r#"{"type": "object"}"# }]);
    register(&[crate::trigger::ResourceKind { name: "late", schema: r#"{"type": "object"}"# }]);
    assert!(built_in("brought").is_some() && built_in("http").is_some() && built_in("late").is_none());
    assert_eq!(all_built_in().count(), BUILT_IN.len() + 1);
}

#[test]
fn values_of_what_is_built_in() {
    let check = |name: &str, value: Value, pointers: &[&str]| {
        let kind = ResourceType::compile(&JsonText::trusted(built_in(name).unwrap().schema)).unwrap();
        let mut faults = kind.faults(&value);
        faults.sort_by(|one, other| one.pointer.cmp(&other.pointer));
        assert_eq!(faults.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), pointers, "{value}: {faults:?}");
        assert!(faults.iter().all(|fault| !fault.message.contains("hunter2")), "{faults:?}");
    };
    check("postgresql", json!({"host": "h", "database": "d", "user": "u", "password": "hunter2"}), &[]);
    check("postgresql", json!({"host": "h", "database": "d", "password": ["hunter2"], "tls": "hunter2"}), &["/password", "/tls", "/user"]);
    check("sqlite", json!({"name": "../x"}), &["/name"]);
    check("http", json!({"origin": "https://api.example.com", "basic": {"username": "u", "password": "p"}}), &[]);
    check("http", json!({"origin": "https://api.example.com", "bearer": "t", "query": {"name": "k", "value": "v"}}), &[""]);
    check("http", json!({"origin": "https://u:p@api.example.com"}), &["/origin"]);
    check("s3", json!({"region": "r", "bucket": "b", "access_key": "a", "secret_key": "hunter2"}), &[]);
}

#[test]
fn names() {
    for good in ["a", "my-type_2", &"a".repeat(64)] {
        assert_eq!(good.parse::<TypeName>().unwrap().as_str(), good);
    }
    for bad in ["", "A", "1a", "-a", "a/b", "a.b", "ä", "a\0", &"a".repeat(65)] {
        assert!(bad.parse::<TypeName>().is_err(), "{bad:?}");
    }
}
