//! Commands: arguments on stdin, the result on stdout, an exit code.

use sandmill_model::{JsonText, Limits, Outcome, OutcomeKind, Output};
use sandmill_sandbox::CallInput;
use serde_json::json;

use crate::testing::{Testbed, assert_kind, json as result, log_of, message, soon, testbed};

async fn run_within(bed: &Testbed, arguments: &str, limits: Limits) -> Outcome {
    let input = CallInput::Command(JsonText::parse(arguments).unwrap());
    soon(bed.sandbox.run(bed.call("command", input, limits))).await
}

async fn run(bed: &Testbed, mode: &str) -> Outcome {
    run_within(bed, &json!({"mode": mode, "name": "bob"}).to_string(), Limits::default()).await
}

#[tokio::test]
async fn stdin_is_the_arguments_and_stdout_the_result() {
    let bed = testbed(|_| {});
    let outcome = run(&bed, "json").await;
    assert_eq!(result(&outcome)["args"], json!({"mode": "json", "name": "bob"}));
    assert_eq!(result(&outcome)["argv"], json!(["script"]), "programs take for granted that they have a name");
    assert_eq!(result(&outcome)["environment"], json!([]));
    assert!(outcome.log.is_empty(), "what is the result is no log: {outcome:?}");
    assert_eq!(result(&run(&bed, "text").await), "hello, bob");
    let binary = run(&bed, "binary").await;
    assert!(matches!(&binary.output, Some(Output::Bytes { data, .. }) if data.len() == 256), "{binary:?}");
    let outcome = run(&bed, "stderr").await;
    assert_eq!(log_of(&outcome), ["Stderr: to stderr", "Stderr: without an end of line"]);
}

#[tokio::test]
async fn another_exit_code_than_zero_is_a_failure() {
    let bed = testbed(|_| {});
    for (mode, logged) in [("fail", "Stderr: Error: \"asked to fail\""), ("exit3", "Stdout: written before the exit")] {
        let outcome = run(&bed, mode).await;
        assert_kind(&outcome, OutcomeKind::Error);
        assert_eq!(outcome.error.as_ref().unwrap().name, "Exit");
        assert!(message(&outcome).contains("exit code 1"), "{outcome:?}");
        assert_eq!(log_of(&outcome), [logged]);
    }
    let outcome = run(&bed, "panic").await;
    assert_kind(&outcome, OutcomeKind::Trap);
    assert!(log_of(&outcome).iter().any(|line| line.contains("asked to panic")), "{outcome:?}");
}

#[tokio::test]
async fn limits_hold() {
    let bed = testbed(|_| {});
    let outcome = run(&bed, "big").await;
    assert_kind(&outcome, OutcomeKind::ResultTooLarge);
    assert!(message(&outcome).contains("9437184 bytes"), "{outcome:?}");
    let large = json!({"mode": "json", "text": "x".repeat(1_000_000)}).to_string();
    let outcome = run_within(&bed, &large, Limits::default()).await;
    assert_eq!(result(&outcome)["args"]["text"].as_str().unwrap().len(), 1_000_000);
    let outcome = run_within(&bed, "{}", Limits { fuel: 1_000, ..Limits::default() }).await;
    assert_kind(&outcome, OutcomeKind::OutOfFuel);
}
