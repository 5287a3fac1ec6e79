//! Programs that ask for too much before their first line: each is an outcome of its run, and the next run is well.

use std::sync::Arc;

use sandmill_model::{JsonText, Limits, Outcome, OutcomeKind};
use sandmill_sandbox::{Call, CallInput, engine_config};

use crate::testing::{Testbed, assert_kind, key, run_id, soon, testbed, workspace};

/// Runs a component around a core module with these parts, whose only function does nothing.
async fn run(bed: &Testbed, parts: &str, limits: Limits) -> Outcome {
    let text = format!(
        r#"(component (core module $m {parts} (func (export "f"))) (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f"))) (export "run" (func $f)))"#
    );
    let engine = wasmtime::Engine::new(&engine_config(None)).unwrap();
    let code = engine.precompile_component(&wat::parse_str(text).unwrap()).unwrap();
    let program = bed.sandbox.install(key(parts), &code).unwrap();
    let input = CallInput::Function { function: Arc::new(program.function("run").unwrap()), arguments: JsonText::empty_object() };
    soon(bed.sandbox.run(Call { run: run_id(), workspace: workspace(1), program, module: None, input, limits, host: () })).await
}

#[tokio::test]
async fn what_is_too_much_ends_the_run() {
    let bed = testbed(|_| {});
    let limits = Limits { fuel: 50_000_000, memory_bytes: 64 * 1024 * 1024, ..Limits::default() };
    for (parts, kind) in [
        ("(memory 1)", OutcomeKind::Ok),
        ("(func $s (loop (br 0))) (start $s)", OutcomeKind::OutOfFuel),
        ("(func $s unreachable) (start $s)", OutcomeKind::Trap),
        ("(func $s (call $s)) (start $s)", OutcomeKind::Trap),
        ("(memory 2048)", OutcomeKind::OutOfMemory),
        ("(memory 1) (func $s (loop (drop (memory.grow (i32.const 64))) (br 0))) (start $s)", OutcomeKind::OutOfMemory),
    ] {
        assert_kind(&run(&bed, parts, limits).await, kind);
    }
    assert_kind(&run(&bed, "(memory 1)", limits).await, OutcomeKind::Ok);
    assert_eq!(bed.sandbox.guest_memory_bytes(), 0);
}

#[tokio::test]
async fn what_no_run_can_have_is_refused_before_one() {
    let bed = testbed(|_| {});
    let engine = wasmtime::Engine::new(&engine_config(None)).unwrap();
    for parts in ["(memory 65536)".to_owned(), "(table 4294967295 funcref)".to_owned(), "(memory 1)".repeat(100)] {
        let text = format!("(component (core module $m {parts}) (core instance $i (instantiate $m)))");
        let code = engine.precompile_component(&wat::parse_str(text).unwrap()).unwrap();
        match bed.sandbox.install(key(&parts), &code) {
            Err(error) => println!("{parts:.40}: {error}"),
            Ok(_) => panic!("{parts:.40} was taken"),
        }
    }
}
