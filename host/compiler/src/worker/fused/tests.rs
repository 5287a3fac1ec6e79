//! Components that call themselves in every way that there is, and those that only look as if they did.

use super::*;

/// A core module with memory, a function `f` of a string, and an allocator.
const LIBC: &str = r#"(core module $m (memory (export "m") 1)
        (func (export "f") (param i32 i32))
        (func (export "r") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
    (core instance $i (instantiate $m))"#;
const LIFTED: &str = r#"(func $f (param "s" string)
        (canon lift (core func $i "f") (memory (core memory $i "m")) (realloc (core func $i "r"))))"#;
const LOWERED: &str = r#"(core func $l (canon lower (func $f) (memory (core memory $i "m")) string-encoding=utf16))"#;
/// A component that lowers its import, as `wac plug` puts it inside of another.
const CALLER: &str = r#"(import "f" (func $f (param "s" string)))"#;
const API: &str = r#"(import "a:b/c" (instance $api (export "f" (func (param "s" string)))))"#;

fn check_wat(text: &str) -> Result<(), String> {
    check_as(ComponentModel::Sync, text)
}

fn check_as(model: ComponentModel, text: &str) -> Result<(), String> {
    let component = wat::parse_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all()).validate_all(&component).unwrap();
    check(&component, model)
}

#[test]
fn calls_between_parts_are_refused() {
    for (name, text) in [
        ("one memory, two encodings", format!("(component {LIBC} {LIFTED} {LOWERED})")),
        (
            "a plugged component",
            format!(
                r#"(component
                    (component $callee {LIBC} {LIFTED} (export "f" (func $f)))
                    (component $caller {CALLER} {LIBC} {LOWERED})
                    (instance $a (instantiate $callee))
                    (instance (instantiate $caller (with "f" (func $a "f")))))"#
            ),
        ),
        ("two levels down", format!("(component (component (component {LIBC} {LIFTED} {LOWERED})))")),
        (
            "an import, two levels down",
            format!(
                "(component {CALLER} (component $o {CALLER} (component $p {CALLER} {LIBC} {LOWERED})) (instance (instantiate $o (with \"f\" (func $f)))))"
            ),
        ),
        (
            "an alias of a local instance",
            format!(
                r#"(component
                    (component $callee {LIBC} {LIFTED} (export "f" (func $f)))
                    (instance $a (instantiate $callee))
                    (alias export $a "f" (func $f))
                    {LIBC} {LOWERED})"#
            ),
        ),
        (
            "an instance inside of a local instance",
            format!(
                r#"(component
                    (component $callee {LIBC} {LIFTED} (instance $n (export "f" (func $f))) (export "n" (instance $n)))
                    (instance $a (instantiate $callee))
                    (alias export $a "n" (instance $n))
                    (alias export $n "f" (func $f))
                    {LIBC} {LOWERED})"#
            ),
        ),
        (
            "a bag of exports",
            format!(
                r#"(component {LIBC} {LIFTED} (instance $b (export "f" (func $f))) (alias export $b "f" (func $f2))
            (core func (canon lower (func $f2) (memory (core memory $i "m")))))"#
            ),
        ),
        (
            "an export that is lowered",
            format!(
                r#"(component {LIBC} {LIFTED} (export $g "g" (func $f))
            (core func (canon lower (func $g) (memory (core memory $i "m")))))"#
            ),
        ),
        (
            "an imported component",
            format!(
                r#"(component (import "c" (component $c (export "f" (func (param "s" string)))))
                    (instance $a (instantiate $c)) (alias export $a "f" (func $f)) {LIBC} {LOWERED})"#
            ),
        ),
        ("an asynchronous built-in", "(component (type $s (stream u8)) (core func (canon stream.new $s)))".to_owned()),
        ("one inside", "(component (component (core func (canon waitable-set.new))))".to_owned()),
    ] {
        let message = check_wat(&text).expect_err(name);
        assert!(message.contains("one component"), "{name}: {message}");
    }
}

#[test]
fn calls_of_the_host_are_accepted() {
    for (name, text) in [
        ("an imported function", format!("(component {CALLER} {LIBC} {LOWERED})")),
        ("of an imported instance", format!(r#"(component {API} (alias export $api "f" (func $f)) {LIBC} {LOWERED})"#)),
        (
            "of an instance inside of it",
            format!(
                r#"(component
                    (import "a:b/c" (instance $api (export "n" (instance (export "f" (func (param "s" string)))))))
                    (alias export $api "n" (instance $n)) (alias export $n "f" (func $f)) {LIBC} {LOWERED})"#
            ),
        ),
        (
            "exported again",
            format!(r#"(component {API} (export $e "x" (instance $api)) (alias export $e "f" (func $f)) {LIBC} {LOWERED})"#),
        ),
        ("lifted only, inside too", format!(r#"(component {LIBC} {LIFTED} (component {LIBC} {LIFTED}) (export "f" (func $f)))"#)),
        (
            "resources",
            "(component (type $r (resource (rep i32))) (core func (canon resource.new $r)) (core func (canon resource.drop $r)))"
                .to_owned(),
        ),
        ("nothing", "(component)".to_owned()),
    ] {
        check_wat(&text).unwrap_or_else(|message| panic!("{name}: {message}"));
    }
}

#[test]
fn wasi_0_3_has_built_ins_at_the_outermost_level() {
    let stream = "(component (type $s (stream u8)) (core func (canon stream.new $s)))";
    check_as(ComponentModel::Async, stream).unwrap();
    check_as(ComponentModel::Async, "(component (core func (canon waitable-set.new)) (core func (canon task.return)))").unwrap();
    for refused in [
        format!("(component {stream})"),
        "(component (component (core func (canon waitable-set.new))))".to_owned(),
        "(component (core func (canon thread.index)))".to_owned(),
        format!("(component {LIBC} {LIFTED} {LOWERED})"),
    ] {
        assert!(check_as(ComponentModel::Async, &refused).is_err(), "{refused}");
    }
}

#[test]
fn the_runtime_keeps_to_it() {
    check(crate::runtime::bytes(), ComponentModel::Sync).unwrap();
}

#[test]
fn what_is_cut_off_is_malformed() {
    let component = wat::parse_str(format!("(component {CALLER} {LIBC} {LOWERED})")).unwrap();
    assert!(check(&component[..component.len() - 3], ComponentModel::Sync).unwrap_err().contains("malformed at offset 0x"));
    assert!(check(b"text", ComponentModel::Sync).unwrap_err().contains("malformed"));
}
