//! What of a component's exports is called, and what its author is told about it.

use std::fs;

use sandmill_model::{
    Language::Component,
    Manifest,
    build::{BuildError, BuildRequest, Builder as _, Built},
    version::{Entry, ProgramSpec},
};
use sandmill_testkit::guests::guest;
use serde_json::{Value, json};

use crate::{COMPILER, build, request, wait};

fn build_with(name: &str, manifest: &str) -> Result<Built, BuildError> {
    let manifest: Manifest = serde_json::from_str(manifest).unwrap();
    wait(COMPILER.build(BuildRequest { manifest, ..request(Component, fs::read(guest(name)).unwrap()) }))
}

fn entry_of(built: &Built) -> &Entry {
    match &built.program {
        ProgramSpec::Component { entry, .. } => entry,
        other => panic!("{other:?}"),
    }
}

fn refusal(result: Result<Built, BuildError>) -> String {
    match result {
        Err(BuildError::InvalidComponent(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_kind_of_export_is_found() {
    for (name, entry) in [
        ("hello", Entry::Script { has_preprocessor: false }),
        ("preprocess", Entry::Script { has_preprocessor: true }),
        ("http_hello", Entry::Http),
        ("command", Entry::Command),
    ] {
        let built = build_with(name, "{}").unwrap();
        assert_eq!(*entry_of(&built), entry, "{name}");
        assert_eq!(built.program.takes_events(), matches!(entry, Entry::Http | Entry::Script { has_preprocessor: true }));
    }
}

#[test]
fn of_several_functions_one_is_chosen() {
    let message = refusal(build_with("functions", "{}"));
    for part in ["several functions", "--export", "`greet`", "`acme:shapes/ops@1.2.0#area`", "`acme:shapes/canvases@1.2.0#colours`"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains("paint"), "what cannot be called is not offered: {message}");
    let built = build_with("functions", r#"{"export":"area"}"#).unwrap();
    assert_eq!(*entry_of(&built), Entry::Function { export: "acme:shapes/ops@1.2.0#area".into() });
    assert!(refusal(build_with("functions", r#"{"export":"volume"}"#)).contains("there is no function `volume`"));
    assert!(refusal(build_with("functions", r#"{"export":"paint"}"#)).contains("`on` holds a resource"));
    assert!(refusal(build_with("hello", r#"{"export":"volume"}"#)).contains("the component exports none"));
}

#[test]
fn the_only_function_needs_no_name() {
    let only = r#"(component (core module $m (func (export "f") (param i32) (result i32) (local.get 0))) (core instance $i (instantiate $m))
        (func $f (param "n" u32) (result u32) (canon lift (core func $i "f"))) (export "double" (func $f)))"#;
    let built = build(Component, wat::parse_str(only).unwrap()).unwrap();
    assert_eq!(*entry_of(&built), Entry::Function { export: "double".into() });
    let schema: Value = built.schema.read().unwrap();
    let n = json!({"type": "integer", "minimum": 0, "maximum": u32::MAX});
    assert_eq!(schema, json!({"type": "object", "properties": {"n": n}, "required": ["n"]}));
}

#[test]
fn the_schema_is_made_of_the_types() {
    let schema = |export: &str| build_with("functions", &json!({"export": export}).to_string()).unwrap().schema.read::<Value>().unwrap();
    assert_eq!(
        schema("greet"),
        json!({
            "type": "object",
            "properties": {"name": {"type": "string"}, "times": {"type": ["integer", "null"], "minimum": 0, "maximum": u32::MAX}},
            "required": ["name"],
        })
    );
    let case = |name: &str, value: Value| json!({"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": false});
    let float = json!({"type": ["number", "string"], "pattern": "^(NaN|-?Infinity)$"});
    let point = json!({"type": "object", "properties": {"x": float, "y": float}, "required": ["x", "y"]});
    let tuple = json!({"type": "array", "prefixItems": [float, float], "items": false, "minItems": 2});
    let shape = json!({"anyOf": [{"const": "empty"}, case("circle", float.clone()), case("rectangle", tuple), case("polygon", json!({"type": "array", "items": point}))]});
    assert_eq!(schema("area"), json!({"type": "object", "properties": {"shape": shape}, "required": ["shape"]}));
    assert_eq!(schema("nothing"), json!({"type": "object", "properties": {}}));
}

#[test]
fn grants_that_it_needs_are_said() {
    let warnings = |manifest: &str| build_with("http", manifest).unwrap().warnings;
    let said = warnings("{}");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].message.contains("wasi:http/outgoing-handler") && said[0].message.contains("no grants of `http`"), "{said:?}");
    assert!(said[0].help.as_ref().unwrap().contains("[grants]"));
    assert!(warnings(r#"{"grants":{"http":["GET https://example.com"]}}"#).is_empty());
    assert!(build_with("hello", "{}").unwrap().warnings.is_empty());
}
