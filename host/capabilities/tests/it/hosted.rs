//! Scripts in the shared JavaScript runtime: load, preprocess, run, all in one instance.

use sandmill_model::{JsonText, Limits, Outcome, OutcomeKind};
use sandmill_sandbox::CallInput;

use crate::testing::{Testbed, json, testbed};

async fn run(bed: &Testbed, source: &str, arguments: &str) -> Outcome {
    let input = CallInput::Arguments(JsonText::parse(arguments).unwrap());
    bed.javascript(source, &["name"], input, Limits::default()).await
}

const HELLO: &str = "export function main(name) { return { hello: name, n: [1, 2, 3].map((n) => n * 2) }; }";

#[tokio::test]
async fn greets() {
    let bed = testbed("state");
    for _ in 0..20 {
        let outcome = run(&bed, HELLO, r#"{"name":"bob"}"#).await;
        assert_eq!(json(&outcome), serde_json::json!({ "hello": "bob", "n": [2, 4, 6] }));
    }
}

#[tokio::test]
async fn globals_do_not_survive() {
    let bed = testbed("state");
    let source =
        "globalThis.count = (globalThis.count ?? 0) + 1; let own = 0; export function main() { own++; return [globalThis.count++, own]; }";
    for _ in 0..20 {
        assert_eq!(json(&run(&bed, source, "{}").await), serde_json::json!([1, 1]));
    }
}

#[tokio::test]
async fn state_and_an_event() {
    let bed = testbed("state");
    let source = r#"
        import { state } from "sandmill";
        export function preprocessor(event) { return event.skip ? null : { name: event.body.name }; }
        export async function main(name) { await state.set("name", name); return await state.get("name"); }
    "#;
    let event = |text: &str| CallInput::Event { event: JsonText::parse(text).unwrap(), validate: Box::new(|_| Ok(())) };
    let outcome = bed.javascript(source, &["name"], event(r#"{"body":{"name":"eve"}}"#), Limits::default()).await;
    assert_eq!(json(&outcome), "eve", "{outcome:?}");
    assert_eq!(outcome.arguments.unwrap().read::<serde_json::Value>().unwrap(), serde_json::json!({ "name": "eve" }));
}

#[tokio::test]
async fn what_goes_wrong_at_load_and_at_run() {
    let bed = testbed("state");
    let limits = Limits { fuel: 2_000_000_000, memory_bytes: 64 * 1024 * 1024, ..Limits::default() };
    for (source, kind) in [
        ("export function main( {", OutcomeKind::Error),
        ("throw new TypeError('at load'); export function main() {}", OutcomeKind::Error),
        ("export function main() { throw new TypeError('at run'); }", OutcomeKind::Error),
        ("for (;;) {} export function main() {}", OutcomeKind::OutOfFuel),
        ("export function main() { for (;;) {} }", OutcomeKind::OutOfFuel),
        ("export function main() { const all = []; for (;;) all.push(new Uint8Array(1 << 20)); }", OutcomeKind::OutOfMemory),
    ] {
        let outcome = bed.javascript(source, &[], CallInput::Arguments(JsonText::empty_object()), limits).await;
        assert_eq!(outcome.kind, kind, "{source}: {outcome:?}");
    }
}

#[tokio::test]
async fn deep_recursion_ends_one_way_or_the_other() {
    let bed = testbed("state");
    let source = "export function main() { const f = () => f() + 1; return f(); }";
    let outcome = run(&bed, source, "{}").await;
    // Whichever stack is used up first: the engine's own, which throws, or the sandbox's, which traps.
    assert!(matches!(outcome.kind, OutcomeKind::Error | OutcomeKind::Trap), "{outcome:?}");
    assert!(outcome.error.unwrap().message.contains("stack"));
}
