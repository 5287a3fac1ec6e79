//! Uploaded components: what is accepted, and what is said of the rest.

use sandmill_model::{
    Digest,
    Language::{Component, TypeScript},
    build::BuildError,
    version::{ComponentModel, Entry, ProgramSpec},
};

use wit_parser::Resolve;

use crate::{COMPILER, build, module_of, wait};

fn check_refused(bytes: &[u8], parts: &[&str]) {
    match build(Component, bytes) {
        Err(BuildError::InvalidComponent(message)) => {
            for part in parts {
                assert!(message.contains(part), "`{part}` is not in: {message}");
            }
        }
        other => panic!("{parts:?}: {other:?}"),
    }
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// A component of a script, made of `exports` and `imports` of its world and a core module with the `parts` for them.
fn component(world: &str, parts: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    for package in ["script", "context", "log", "output", "state", "runs", "resources", "variables", "sql", "blob", "publish", "guest"] {
        resolve.push_path(format!("{}/../../wit/{package}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    }
    resolve.push_str("acme.wit", "package acme:things@1.2.3; interface api { call: func(); } interface more { call: func(); }").unwrap();
    let package = resolve.push_str("case.wit", &format!("package test:case; world case {{ {world} }}")).unwrap();
    let world = resolve.select_world(&[package], Some("case")).unwrap();
    let mut module = wat(&format!(
        r#"(module
            {parts}
            (memory (export "memory") 1)
            (global $free (mut i32) (i32.const 8192))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.get $free) (global.set $free (i32.add (global.get $free) (local.get 3))))
            (func (export "sandmill:script/main@0.1.0#run") (param i32 i32) (result i32) unreachable)
        )"#
    ));
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8).unwrap();
    wit_component::ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

const MAIN: &str = "export sandmill:script/main@0.1.0;";

/// A component whose `describe` has this body and this text at 1024.
fn describing(body: &str, text: &str) -> Vec<u8> {
    let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let parts = format!(
        r#"(func (export "sandmill:script/schema@0.1.0#describe") (result i32)
            {body}
            (i32.store (i32.const 0) (i32.const 1024))
            (i32.store (i32.const 4) (i32.const {}))
            (i32.const 0))
        (data (i32.const 1024) "{escaped}")"#,
        text.len()
    );
    component(&format!("{MAIN} export sandmill:script/schema@0.1.0;"), &parts)
}

#[test]
fn a_plain_script() {
    let built = build(Component, component(MAIN, "")).unwrap();
    assert!(!built.program.has_preprocessor());
    assert_eq!(built.schema.as_str(), r#"{"type":"object"}"#);
}

#[test]
fn a_component_describes_its_arguments() {
    let schema = r##"{"type": "object", "properties": {"z": {"type": "integer"}, "a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {}}}"##;
    let built = build(Component, describing("", schema)).unwrap();
    assert_eq!(built.schema.as_str(), schema, "in its own order");
}

#[test]
fn descriptions_that_are_none() {
    for (body, text, part) in [
        ("", "{", "not JSON"),
        ("", r#"{"type":"string"}"#, "arguments are an object"),
        ("", r#"{"type":"object","$ref":"file:///etc/passwd"}"#, "must stay inside"),
        ("(loop (br 0))", "{}", "did not finish within its budget"),
        ("unreachable", "{}", "unreachable"),
        ("(loop (drop (memory.grow (i32.const 64))) (br 0))", "{}", "MiB of memory"),
        ("(i32.store (i32.const 8) (i32.const 0)) (return (i32.const 99999999))", "{}", "failed"),
    ] {
        check_refused(&describing(body, text), &["schema", part]);
    }
}

#[test]
fn every_import_that_cannot_be_linked_is_named() {
    let world = format!("{MAIN} import acme:things/api@1.2.3; import acme:things/more@1.2.3; import sandmill:state/state@0.1.1;");
    let parts = r#"(import "acme:things/api@1.2.3" "call" (func)) (import "acme:things/more@1.2.3" "call" (func))
        (import "sandmill:state/state@0.1.1" "get" (func (param i32 i32 i32)))"#;
    let bytes = component(&world, parts);
    check_refused(&bytes, &["`acme:things/api@1.2.3`", "`acme:things/more@1.2.3`", "nothing here provides"]);
    match build(Component, bytes) {
        Err(BuildError::InvalidComponent(message)) => assert!(!message.contains("sandmill:state"), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_component_made_of_components() {
    // Two parts with memories of their own, one calling the other with a string.
    let nested = r#"(component
        (component $callee
            (core module $m (memory (export "m") 1) (func (export "f") (param i32 i32))
                (func (export "r") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func (export "f") (param "s" string) (canon lift (core func $i "f") (memory (core memory $i "m")) (realloc (core func $i "r")))))
        (component $caller
            (import "f" (func $f (param "s" string)))
            (core module $l (memory (export "m") 1))
            (core instance $l (instantiate $l))
            (core func $lowered (canon lower (func $f) (memory (core memory $l "m"))))
            (core module $m (import "" "f" (func $f (param i32 i32))) (func (export "g") (call $f (i32.const 0) (i32.const 1))))
            (core instance $i (instantiate $m (with "" (instance (export "f" (func $lowered))))))
            (func (export "g") (canon lift (core func $i "g"))))
        (instance $a (instantiate $callee))
        (instance $b (instantiate $caller (with "f" (func $a "f"))))
        (export "g" (func $b "g")))"#;
    let bytes = wat(nested);
    let parts = ["one part of the component calls another", "compile the parts into one component"];
    check_refused(&bytes, &parts);
    // Whoever comes by another way meets the same check.
    match wait(COMPILER.compile(bytes.into())) {
        Err(BuildError::InvalidComponent(message)) => assert!(message.contains(parts[0]), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_component() {
    check_refused(b"", &["not a WebAssembly component"]);
    check_refused(b"export function main() {}", &["not a WebAssembly component"]);
    check_refused(&wat("(module (func (export \"main\")))"), &["core module", "wasm32-wasip2", "wasm-tools component new"]);
    check_refused(&wat("(component)"), &["nothing that can be called", "sandmill:script/main@0.1.0", "this one exports nothing"]);
    let other = r#"(component (component $c) (instance $i (instantiate $c)) (export "acme:things/api@1.0.0" (instance $i)))"#;
    check_refused(&wat(other), &["nothing that can be called", "`acme:things/api@1.0.0`"]);
}

fn snapshot() -> Vec<u8> {
    let module = module_of(build(TypeScript, "export const main = (a: string) => a;").unwrap());
    wait(COMPILER.snapshot_component(module)).unwrap().to_vec()
}

#[test]
fn a_component_of_the_contract_is_accepted() {
    let bytes = snapshot();
    let built = build(Component, bytes.clone()).unwrap();
    let entry = Entry::Script { has_preprocessor: false };
    assert_eq!(built.program, ProgramSpec::Component { component: Digest::of(&bytes), entry, model: ComponentModel::Sync });
    assert_eq!(built.schema.as_str(), r#"{"type":"object"}"#);
    wait(COMPILER.compile(bytes.into())).unwrap();
}

#[test]
fn damaged_ones_are_refused() {
    let bytes = snapshot();
    for length in [9, 100, bytes.len() / 2, bytes.len() - 1] {
        check_refused(&bytes[..length], &["malformed at offset 0x"]);
    }
    let mut altered = bytes;
    let middle = altered.len() / 3;
    altered[middle..middle + 64].fill(0xff);
    match build(Component, altered) {
        Err(BuildError::InvalidComponent(_)) | Ok(_) => {}
        other => panic!("{other:?}"),
    }
}
