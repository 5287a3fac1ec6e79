//! Uploaded components: what is accepted, and what is said of the rest.

use sandmill_model::{
    Digest,
    Language::{Component, TypeScript},
    build::BuildError,
    version::{Entry, ProgramSpec},
};

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

/// A script of the contract's types: `run` returns what the core function points at; `more` is put into the component.
fn script(more: &str) -> String {
    format!(
        r#"(component
            {more}
            (core module $m
                (memory (export "memory") 1)
                (global $free (mut i32) (i32.const 4096))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                    (global.get $free) (global.set $free (i32.add (global.get $free) (local.get 3))))
                (func (export "run") (param i32 i32) (result i32)
                    (i32.store (i32.const 0) (i32.const 0))
                    (i32.store (i32.const 4) (i32.const 0))
                    (i32.store (i32.const 8) (i32.const 512))
                    (i32.store (i32.const 12) (i32.const 2))
                    (i32.const 0))
                (func (export "describe") (result i32)
                    (i32.store (i32.const 64) (i32.const 1024))
                    (i32.store (i32.const 68) (i32.const 62))
                    (i32.const 64))
                (func (export "forever") (result i32) (loop (br 0)) (unreachable))
                (data (i32.const 512) "42")
                (data (i32.const 1024) "{{\"type\":\"object\",\"properties\":{{\"n\":{{\"type\":\"integer\"}}}}}}     "))
            (core instance $i (instantiate $m))
            (type $error' (record (field "name" string) (field "message" string) (field "stack" (option string)) (field "details" (option string))))
            (type $binary' (record (field "content-type" string) (field "data" (list u8))))
            (type $output' (variant (case "json" string) (case "bytes" $binary')))
            (func $run (param "args" string) (result (result $output' (error $error')))
                (canon lift (core func $i "run") (memory $i "memory") (realloc (func $i "realloc"))))
            (component $main
                (import "error" (type $error (eq $error')))
                (import "output" (type $output (eq $output')))
                (import "run" (func $run (param "args" string) (result (result $output (error $error)))))
                (export $e "error" (type $error))
                (export $o "output" (type $output))
                (export "run" (func $run) (func (param "args" string) (result (result $o (error $e))))))
        )"#
    )
}

#[test]
fn what_is_no_component() {
    check_refused(b"", &["not a WebAssembly component"]);
    check_refused(b"export function main() {}", &["not a WebAssembly component"]);
    check_refused(&wat("(module (func (export \"main\")))"), &["core module", "wasm32-wasip2", "wasm-tools component new"]);
    check_refused(&wat("(component)"), &["not a script", "sandmill:script/main@0.1.0", "exports nothing"]);
    let other = r#"(component (component $c) (instance $i (instantiate $c)) (export "acme:things/api@1.0.0" (instance $i)))"#;
    check_refused(&wat(other), &["not a script", "`acme:things/api@1.0.0`"]);
}

fn snapshot() -> Vec<u8> {
    let module = module_of(build(TypeScript, "export const main = (a: string) => a;").unwrap());
    wait(COMPILER.snapshot_component(module)).unwrap().to_vec()
}

#[test]
fn a_component_of_the_contract_is_accepted() {
    let bytes = snapshot();
    let built = build(Component, bytes.clone()).unwrap();
    let entry = Entry::Script { has_preprocessor: true };
    assert_eq!(built.program, ProgramSpec::Component { component: Digest::of(&bytes), entry });
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
