//! Events: preprocessor, validation and `run` in one instance.

use sandmill_model::{JsonText, Limits, Outcome, OutcomeKind, RunError};
use sandmill_sandbox::{CallInput, Validate};

use crate::testing::{Testbed, assert_kind, json, log_of, message, soon, testbed};

async fn event(bed: &Testbed, event: &str, validate: Validate, limits: Limits) -> Outcome {
    let input = CallInput::Event { event: JsonText::parse(event).unwrap(), validate };
    soon(bed.sandbox.run(bed.call("preprocess", input, limits))).await
}

fn anything() -> Validate {
    Box::new(|_| Ok(()))
}

#[tokio::test]
async fn makes_the_arguments_in_the_same_instance() {
    let bed = testbed(|_| {});
    assert!(bed.program("preprocess").has_preprocessor() && bed.program("preprocess").has_schema());
    assert!(!bed.program("hello").has_preprocessor() && !bed.program("hello").has_schema() && !bed.program("hello").has_loader());
    let outcome = event(&bed, r#"{"body":{"name":"bob"}}"#, anything(), Limits::default()).await;
    assert_eq!(json(&outcome), serde_json::json!({ "args": { "name": "bob" }, "preprocessed": 1 }));
    assert_eq!(outcome.arguments.as_ref().unwrap().as_str(), r#"{"name":"bob"}"#);
    assert_eq!(log_of(&outcome), ["Stdout: preprocessing", "Stdout: running"]);
}

#[tokio::test]
async fn validation_comes_between() {
    let bed = testbed(|_| {});
    let refuse: Validate = Box::new(|arguments| {
        assert_eq!(arguments.as_str(), r#"{"name":null}"#);
        Err(RunError::new("invalid_arguments", "name is missing"))
    });
    let outcome = event(&bed, "{}", refuse, Limits::default()).await;
    assert_kind(&outcome, OutcomeKind::InvalidArguments);
    assert_eq!(message(&outcome), "name is missing");
    assert_eq!(outcome.arguments.as_ref().unwrap().as_str(), r#"{"name":null}"#);
    assert_eq!(log_of(&outcome), ["Stdout: preprocessing"], "`run` was not called");
    assert!(outcome.usage.fuel > 0);
}

#[tokio::test]
async fn skips_fails_and_misbehaves() {
    let bed = testbed(|_| {});
    let limits = Limits { fuel: 100_000_000, arguments_bytes: 100_000, ..Limits::default() };
    for (what, kind, text) in [
        ("skip", OutcomeKind::Skipped, ""),
        ("fail", OutcomeKind::Error, "no"),
        ("nonsense", OutcomeKind::Error, "not JSON"),
        ("large", OutcomeKind::InvalidArguments, "100000"),
        ("loop", OutcomeKind::OutOfFuel, "fuel"),
    ] {
        let outcome = event(&bed, &format!(r#"{{"do":"{what}"}}"#), anything(), limits).await;
        assert_kind(&outcome, kind);
        if kind == OutcomeKind::Skipped {
            assert!(outcome.error.is_none() && outcome.output.is_none());
        } else {
            assert!(message(&outcome).contains(text), "{outcome:?}");
        }
        assert_eq!(log_of(&outcome), ["Stdout: preprocessing"]);
    }
}

#[tokio::test]
async fn rejects_with_a_status_of_its_choice() {
    let bed = testbed(|_| {});
    for (status, expected) in [("401", Some(401)), ("499", Some(499)), ("500", None), ("302", None), ("\"401\"", None)] {
        let outcome = event(&bed, &format!(r#"{{"do":"reject","status":{status}}}"#), anything(), Limits::default()).await;
        assert_kind(&outcome, OutcomeKind::Error);
        assert_eq!((message(&outcome), outcome.error.as_ref().unwrap().rejects), ("not you", expected), "{status}");
        assert_eq!((&outcome.arguments, log_of(&outcome)), (&None, vec!["Stdout: preprocessing".to_owned()]), "`run` was not called");
    }
}

#[tokio::test]
async fn what_a_program_does_not_export_is_our_fault_to_ask_for() {
    let bed = testbed(|_| {});
    let input = CallInput::Event { event: JsonText::empty_object(), validate: anything() };
    assert_kind(&bed.sandbox.run(bed.call("hello", input, Limits::default())).await, OutcomeKind::HostFault);
    assert_kind(&bed.sandbox.run(bed.call("hello", CallInput::Describe, Limits::default())).await, OutcomeKind::HostFault);
}

#[tokio::test]
async fn describes_its_arguments() {
    let bed = testbed(|_| {});
    let outcome = bed.sandbox.run(bed.call("preprocess", CallInput::Describe, Limits::default())).await;
    assert_eq!(json(&outcome)["required"], serde_json::json!(["name"]));
}
