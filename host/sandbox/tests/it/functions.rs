//! Plain functions: JSON in, JSON out, for every type that both have.

use std::sync::Arc;

use sandmill_model::{JsonText, Limits, Outcome, OutcomeKind, schema::Schema};
use sandmill_sandbox::{Call, CallInput, PlainFunction, Program};
use serde_json::{Value, json};

use crate::testing::{Testbed, assert_kind, json as result, key, message, run_id, soon, testbed, until, workspace};

fn function(bed: &Testbed, name: &str) -> Arc<PlainFunction> {
    Arc::new(bed.program("functions").function(name).unwrap())
}

async fn call_within(bed: &Testbed, name: &str, arguments: &Value, limits: Limits) -> Outcome {
    let arguments = JsonText::of(arguments).unwrap();
    let input = CallInput::Function { function: function(bed, name), arguments };
    soon(bed.sandbox.run(bed.call("functions", input, limits))).await
}

async fn call(bed: &Testbed, name: &str, arguments: Value) -> Outcome {
    call_within(bed, name, &arguments, Limits::default()).await
}

/// A value of every type, each at an edge.
fn everything() -> Value {
    json!({
        "truth": true,
        "unsigned8": 255, "unsigned16": 65_535, "unsigned32": 4_294_967_295_u32, "unsigned64": "18446744073709551615",
        "signed8": -128, "signed16": -32_768, "signed32": -2_147_483_648, "signed64": "-9223372036854775808",
        "single": 0.1, "double": 0.1,
        "letter": "\u{1f600}", "text": "a \"quoted\"\n\u{0}\u{7f} text",
        "bytes": "AAH/", "numbers": [1, -1, 9_007_199_254_740_991_i64, "9007199254740992"], "words": ["", "ü"], "matrix": [[1.0], [], [2.5, -0.5]],
        "pair": ["x", 7],
        "shape": {"polygon": [{"x": 0.0, "y": 1e300}]}, "colour": "dark-blue", "permissions": ["read", "run-as"],
        "person": {"name": "bob", "age": 0, "nickname": null, "favourite-colour": "red", "may": []},
        "maybe": null, "maybe-maybe": {"some": null}, "outcome": {"err": "no"}, "bare": {"ok": null},
    })
}

#[tokio::test]
async fn every_type_comes_back_as_it_went() {
    let bed = testbed(|_| {});
    let value = everything();
    let schema = Schema::compile(&function(&bed, "identity").schema().unwrap().read().unwrap()).unwrap();
    let check = async |value: Value| {
        assert!(schema.faults(&json!({"value": value})).is_empty(), "{:?}", schema.faults(&json!({"value": value})));
        let outcome = call(&bed, "identity", json!({"value": value})).await;
        assert_kind(&outcome, OutcomeKind::Ok);
        assert_eq!(result(&outcome), value);
    };
    check(value.clone()).await;
    let others = [
        ("unsigned64", json!(9_007_199_254_740_991_u64)),
        ("signed64", json!(-9_007_199_254_740_991_i64)),
        ("double", json!("NaN")),
        ("single", json!("-Infinity")),
        ("double", json!("Infinity")),
        ("double", json!(5e-324)),
        ("bytes", json!("")),
        ("numbers", json!([])),
        ("shape", json!("empty")),
        ("shape", json!({"rectangle": [1.0, 2.0]})),
        ("maybe", json!(0)),
        ("maybe-maybe", json!(null)),
        ("maybe-maybe", json!({"some": "x"})),
        ("outcome", json!({"ok": 7})),
        ("bare", json!({"err": null})),
    ];
    for (field, other) in others {
        let mut value = value.clone();
        value[field] = other;
        check(value).await;
    }
}

#[tokio::test]
async fn what_another_would_write_is_understood() {
    let bed = testbed(|_| {});
    for (arguments, expected) in [
        (json!({"number": "41"}), json!(42)),
        (json!({"number": 41.0}), json!(42)),
        (json!({"number": 9_007_199_254_740_991_u64}), json!("9007199254740992")),
        (json!({"number": "18446744073709551614"}), json!("18446744073709551615")),
        (json!({"number": 1, "unknown": true}), json!(2)),
    ] {
        assert_eq!(result(&call(&bed, "big", arguments).await), expected);
    }
    assert_eq!(result(&call(&bed, "greet", json!({"name": "bob"})).await), "hello, bob");
    assert_eq!(result(&call(&bed, "greet", json!({"name": "bob", "times": 2})).await), "hello, bob; hello, bob");
    assert_eq!(result(&call(&bed, "nothing", json!({})).await), Value::Null);
    for (value, expected) in [(json!(null), "none"), (json!({"some": null}), "some(none)"), (json!({"some": "x"}), "some(some(x))")] {
        assert_eq!(result(&call(&bed, "which", json!({"value": value})).await), expected);
    }
}

#[tokio::test]
async fn what_does_not_fit_is_named_by_its_pointer() {
    let bed = testbed(|_| {});
    let schema = Schema::compile(&function(&bed, "identity").schema().unwrap().read().unwrap()).unwrap();
    for (pointer, wrong) in [
        ("/truth", json!(1)),
        ("/unsigned8", json!(256)),
        ("/unsigned8", json!(-1)),
        ("/signed8", json!(128)),
        ("/unsigned32", json!(1.5)),
        ("/unsigned64", json!("-1")),
        ("/unsigned64", json!(-1)),
        ("/unsigned64", json!(1e300)),
        ("/unsigned64", json!("+1")),
        ("/unsigned64", json!("-0")),
        ("/signed64", json!("00000000000000000001")),
        ("/double", json!("x")),
        ("/letter", json!("")),
        ("/letter", json!("ab")),
        ("/numbers/1", json!([1, null])),
        ("/matrix/0/0", json!([["x"]])),
        ("/pair", json!(["x"])),
        ("/colour", json!("blue")),
        ("/permissions", json!(["read", "read"])),
        ("/person/age", json!({"name": "x", "age": 256, "nickname": null, "favourite-colour": "red", "may": []})),
        ("/person/name", json!({"age": 1, "nickname": null, "favourite-colour": "red", "may": []})),
        ("/text", json!(null)),
    ] {
        let mut value = everything();
        value[pointer.split('/').nth(1).unwrap()] = wrong;
        let arguments = json!({"value": value});
        assert!(!schema.faults(&arguments).is_empty(), "the schema takes {pointer}");
        let outcome = call(&bed, "identity", arguments).await;
        assert_kind(&outcome, OutcomeKind::InvalidArguments);
        let details: Value = outcome.error.as_ref().unwrap().details.as_ref().unwrap().read().unwrap();
        assert_eq!(details["faults"][0]["pointer"], format!("/value{pointer}"), "{outcome:?}");
    }
    // What a schema cannot say, or says of all cases together.
    for (pointer, wrong) in [
        ("/unsigned64", json!("18446744073709551616")),
        ("/signed64", json!("9223372036854775808")),
        ("/bytes", json!("AAH")),
        ("/bytes", json!("%%%%")),
        ("/shape", json!({"circle": 1, "empty": null})),
        ("/shape", json!("circle")),
        ("/shape", json!({"empty": 1})),
        ("/shape/circle", json!({"circle": "x"})),
        ("/permissions", json!(["fly"])),
        ("/outcome", json!({"neither": 1})),
        ("/outcome/ok", json!("ok")),
        ("/bare/ok", json!("ok")),
        ("/bare/ok", json!({"ok": 5})),
        ("/maybe-maybe", json!("x")),
        ("/maybe-maybe", json!({"none": null})),
    ] {
        let mut value = everything();
        value[pointer.split('/').nth(1).unwrap()] = wrong.clone();
        let outcome = call(&bed, "identity", json!({"value": value})).await;
        assert_eq!(outcome.kind, OutcomeKind::InvalidArguments, "{wrong}: {outcome:?}");
        assert!(message(&outcome).contains(&format!("/value{pointer}: ")), "{wrong}: {outcome:?}");
    }
    let outcome = call(&bed, "area", json!({})).await;
    assert_eq!(message(&outcome), "/shape: it is missing");
}

#[tokio::test]
async fn an_error_that_is_returned_is_the_runs() {
    let bed = testbed(|_| {});
    assert_eq!(result(&call(&bed, "divide", json!({"dividend": 7, "divisor": 2})).await), 3);
    let outcome = call(&bed, "divide", json!({"dividend": 1, "divisor": 0})).await;
    assert_kind(&outcome, OutcomeKind::Error);
    assert_eq!(message(&outcome), "1 cannot be divided by 0");
    let outcome = call(&bed, "fails", json!({"code": 7})).await;
    assert_kind(&outcome, OutcomeKind::Error);
    let details: Value = outcome.error.as_ref().unwrap().details.as_ref().unwrap().read().unwrap();
    assert_eq!(details, json!({"code": 7, "reason": "asked to fail with 7", "at": {"x": 1.5, "y": -2.0}}));
    assert_eq!(result(&call(&bed, "fails", json!({"code": 0})).await), Value::Null);
    assert_kind(&call(&bed, "abort", json!({"reason": "x"})).await, OutcomeKind::Trap);
}

#[tokio::test]
async fn limits_hold_for_values_too() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let bed = testbed(|_| {});
    let bytes = |count: usize| json!({"bytes": STANDARD.encode(vec![7; count])});
    let outcome = call(&bed, "reverse", bytes(100_000)).await;
    assert_eq!(result(&outcome), bytes(100_000)["bytes"]);
    // Each byte is a value of its own, here and in the result.
    let limits = Limits { memory_bytes: 16 * 1024 * 1024, ..Limits::default() };
    assert_kind(&call_within(&bed, "reverse", &bytes(1_000_000), limits).await, OutcomeKind::OutOfMemory);
    let limits = Limits { result_bytes: 1_000, ..Limits::default() };
    assert_kind(&call_within(&bed, "reverse", &bytes(10_000), limits).await, OutcomeKind::ResultTooLarge);
    assert_kind(&call(&bed, "reverse", bytes(4_000_000)).await, OutcomeKind::ResultTooLarge);
    let limits = Limits { fuel: 10_000, ..Limits::default() };
    assert_kind(&call_within(&bed, "greet", &json!({"name": "x", "times": 1_000}), limits).await, OutcomeKind::OutOfFuel);
    assert_eq!(bed.sandbox.guest_memory_bytes(), 0, "what was charged is given back");
}

#[tokio::test]
async fn functions_are_found_by_their_names() {
    let bed = testbed(|_| {});
    for name in ["area", "acme:shapes/ops#area", "acme:shapes/ops@1.2.0#area"] {
        assert_eq!(function(&bed, name).name(), "acme:shapes/ops@1.2.0#area");
    }
    assert_eq!(function(&bed, "greet").name(), "greet");
    let refused = |name: &str| bed.program("functions").function(name).err().unwrap().to_string();
    assert!(refused("aera").contains("`greet`, `acme:shapes/ops@1.2.0#area`"), "{}", refused("aera"));
    assert!(refused("acme:shapes/ops@9.9.9#area").contains("there is no function"));
    for name in ["paint", "blank"] {
        assert!(refused(name).contains("holds a resource"), "{}", refused(name));
    }
    assert!(refused("[constructor]canvas").contains("there is no function"));
}

/// `run(x: list<record>)` whose record has so many fields that may be left out: `{}` is that many values.
fn expanding(bed: &Testbed) -> Arc<Program<()>> {
    let fields: String = (0..2_000).map(|field| format!("(field \"f{field}\" (option bool))")).collect();
    let text = format!(
        r#"(component (type $r (record {fields})) (export $e "r" (type $r))
            (core module $m (memory (export "m") 200) (func (export "f") (param i32 i32))
                (func (export "r") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $f (param "x" (list $e)) (canon lift (core func $i "f") (memory (core memory $i "m")) (realloc (core func $i "r"))))
            (export "run" (func $f)))"#
    );
    let engine = wasmtime::Engine::new(&sandmill_sandbox::engine_config(None)).unwrap();
    let code = engine.precompile_component(&wat::parse_str(text).unwrap()).unwrap();
    bed.sandbox.install(key("expanding"), &code).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expands_is_charged_before_it_is_made() {
    let bed = testbed(|_| {});
    let program = expanding(&bed);
    let function = Arc::new(program.function("run").unwrap());
    let call = |count: usize, limits: Limits| {
        let arguments = JsonText::parse(format!("{{\"x\":[{}{{}}]}}", "{},".repeat(count - 1))).unwrap();
        let input = CallInput::Function { function: Arc::clone(&function), arguments };
        Call { run: run_id(), workspace: workspace(1), program: Arc::clone(&program), module: None, input, limits, host: () }
    };
    let small = Limits { memory_bytes: 32 * 1024 * 1024, ..Limits::default() };
    assert_kind(&soon(bed.sandbox.run(call(1, small))).await, OutcomeKind::Ok);
    // Short, and long: each of them would be gigabytes.
    for count in [20_000, 100_000] {
        let outcome = soon(bed.sandbox.run(call(count, small))).await;
        assert_kind(&outcome, OutcomeKind::OutOfMemory);
        assert!(outcome.usage.wall_ns < 5_000_000_000, "{outcome:?}");
    }
    // A run that ends meanwhile takes its conversion with it.
    let hurried = Limits { memory_bytes: 1024 * 1024 * 1024, wall_ms: 30, ..Limits::default() };
    for _ in 0..3 {
        let outcome = soon(bed.sandbox.run(call(100_000, hurried))).await;
        assert!(matches!(outcome.kind, OutcomeKind::Timeout | OutcomeKind::OutOfMemory), "{outcome:?}");
    }
    until("all memory is given back", || bed.sandbox.guest_memory_bytes() == 0).await;
}
