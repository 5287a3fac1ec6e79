use super::*;

const MAIN: &str = r#"(func (export "sandmill:script/main@0.1.0#run") (param i32 i32) (result i32) unreachable)"#;
const SCHEMA: &str = r#"(func (export "sandmill:script/schema@0.1.0#describe") (result i32) unreachable)"#;

/// A module with what every script has, and these parts before it.
fn module(parts: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            {parts}
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        )"#
    );
    wat::parse_str(text).unwrap()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn scripts_export_the_interfaces_that_they_have() {
    let state = r#"(import "sandmill:state/state@0.1.1" "get" (func (param i32 i32 i32)))"#;
    for (parts, inside, outside) in [
        (MAIN.to_owned(), &["sandmill:script/main@0.1.0"][..], &["schema@0.1.0", "sandmill:state", "wasi:"][..]),
        (format!("{MAIN}{SCHEMA}"), &["sandmill:script/main@0.1.0", "sandmill:script/schema@0.1.0"], &["preprocessor", "wasi:"]),
        (format!("{state}{MAIN}"), &["sandmill:script/main@0.1.0", "sandmill:state/state@0.1.1"], &["sandmill:log", "wasi:"]),
    ] {
        let component = componentize(&module(&parts)).unwrap();
        assert!(Parser::is_component(&component), "{parts}");
        for text in inside {
            assert!(contains(&component, text), "{text} is not in the component of {parts}");
        }
        for text in outside {
            assert!(!contains(&component, text), "{text} is in the component of {parts}");
        }
    }
}

#[test]
fn wasi_of_the_first_preview_is_adapted() {
    let import = r#"(import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))"#;
    let component = componentize(&module(&format!("{import}{MAIN}"))).unwrap();
    assert!(contains(&component, "wasi:random/random@0.2"));
    let command = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (func (export "_start") (call $exit (i32.const 0)))"#;
    let component = componentize(&module(command)).unwrap();
    assert!(contains(&component, "wasi:cli/run@0.2"));
    assert!(!contains(&component, "sandmill:"));
}

#[test]
fn a_world_of_ones_own_is_kept() {
    let mut resolve = Resolve::default();
    let text = "package acme:things@1.0.0; world things { export area: func(side: u32) -> u32; }";
    let package = resolve.push_str("own.wit", text).unwrap();
    let world = resolve.select_world(&[package], Some("things")).unwrap();
    let mut own = module(r#"(func (export "area") (param i32) (result i32) (local.get 0))"#);
    embed_component_metadata(&mut own, &resolve, world, StringEncoding::UTF8).unwrap();
    let component = componentize(&own).unwrap();
    assert!(Parser::is_component(&component) && contains(&component, "area"));
}

#[test]
fn what_cannot_become_a_component_is_explained() {
    let other = r#"(func (export "sandmill:script/other@0.1.0#run"))"#;
    let wrong = r#"(func (export "sandmill:script/main@0.1.0#run") (param i64) (result i32) unreachable)"#;
    let foreign = r#"(import "env" "gettimeofday" (func))"#;
    for (bytes, part) in [
        (Vec::new(), "not a WebAssembly module"),
        (b"\0asm\x01\0\0\0\x07\xff".to_vec(), "damaged"),
        (wat::parse_str("(component)").unwrap(), "a component already"),
        (module(""), "`sandmill:script/main@0.1.0#run`"),
        (module(r#"(func (export "main"))"#), "`_start`"),
        (module(other), "script/other"),
        (module(wrong), "run"),
        (module(&format!("{foreign}{MAIN}")), "env"),
    ] {
        let fault = componentize(&bytes).unwrap_err();
        assert!(fault.contains(part), "`{part}` is not in: {fault}");
    }
}
