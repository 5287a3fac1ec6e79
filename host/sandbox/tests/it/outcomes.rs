//! Every way in which a run can end by itself.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sandmill_model::{Clock, OutcomeKind, Output, SystemClock, Timestamp};

use crate::testing::{assert_kind, json, message, testbed, until};

#[tokio::test]
async fn a_result_and_what_it_used() {
    let bed = testbed(|_| {});
    let outcome = bed.run(r#"{"mode":"work","n":100000}"#).await;
    assert_kind(&outcome, OutcomeKind::Ok);
    assert!(json(&outcome).is_u64() && outcome.error.is_none() && outcome.arguments.is_none());
    let usage = outcome.usage;
    assert!(usage.fuel > 100_000 && usage.fuel < 10_000_000, "{usage:?}");
    assert!(usage.memory_peak_bytes >= 65_536 && usage.memory_peak_bytes < 4 * 1024 * 1024, "{usage:?}");
    assert!(usage.cpu_ns > 0 && usage.wall_ns > 0, "{usage:?}");
    let again = bed.run(r#"{"mode":"work","n":100000}"#).await;
    assert_eq!(again.usage.fuel, usage.fuel, "fuel is deterministic");
}

#[tokio::test]
async fn bytes() {
    let bed = testbed(|_| {});
    let outcome = bed.run(r#"{"mode":"huge_bytes","n":3}"#).await;
    let Some(Output::Bytes { content_type, data }) = &outcome.output else { panic!("{outcome:?}") };
    assert_eq!((content_type.as_str(), &data[..]), ("application/octet-stream", &[7, 7, 7][..]));
}

#[tokio::test]
async fn the_scripts_own_error() {
    let bed = testbed(|_| {});
    let outcome = bed.run(r#"{"mode":"error","text":"{\"a\":[1]}"}"#).await;
    assert_kind(&outcome, OutcomeKind::Error);
    let error = outcome.error.unwrap();
    assert_eq!((error.name.as_str(), error.message.as_str(), error.stack.as_deref()), ("CustomError", "as asked", Some("at run")));
    assert_eq!(error.details.unwrap().as_str(), r#"{"a":[1]}"#);

    let outcome = bed.run(r#"{"mode":"error","text":"no JSON \" at all"}"#).await;
    assert_eq!(outcome.error.unwrap().details.unwrap().as_str(), r#""no JSON \" at all""#);

    let outcome = bed.run(r#"{"mode":"error_huge"}"#).await;
    assert_kind(&outcome, OutcomeKind::Error);
    assert!(message(&outcome).len() < 100_000);
}

#[tokio::test]
async fn text_that_is_not_json() {
    let bed = testbed(|_| {});
    let deep = format!(r#"{{"mode":"echo","text":"{}"}}"#, "[".repeat(100_000));
    for arguments in [r#"{"mode":"echo","text":"{"}"#, r#"{"mode":"echo","text":""}"#, r#"{"mode":"echo","text":"1 2"}"#, &deep] {
        let outcome = bed.run(arguments).await;
        assert_kind(&outcome, OutcomeKind::Error);
        assert!(message(&outcome).contains("not JSON"), "{outcome:?}");
    }
    let outcome = bed.run(r#"{"mode":"echo","text":" 1e400 "}"#).await;
    assert!(matches!(&outcome.output, Some(Output::Json(text)) if text.as_str() == " 1e400 "), "{outcome:?}");
}

#[tokio::test]
async fn traps_have_codes() {
    let bed = testbed(|_| {});
    for (mode, code) in
        [("recurse", "stack_overflow"), ("unreachable", "unreachable"), ("panic", "unreachable"), ("out_of_bounds", "out_of_bounds")]
    {
        let outcome = bed.run(&format!(r#"{{"mode":"{mode}"}}"#)).await;
        assert_kind(&outcome, OutcomeKind::Trap);
        let error = outcome.error.as_ref().unwrap();
        assert_eq!(error.details.as_ref().unwrap().as_str(), format!(r#"{{"code":"{code}"}}"#), "{mode}: {outcome:?}");
        assert!(outcome.usage.fuel > 0, "{mode}");
        if mode == "panic" {
            assert!(outcome.log.iter().any(|entry| entry.message.contains("as asked")), "the panic's message is logged: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn an_exit_is_an_error() {
    let bed = testbed(|_| {});
    for (code, shown) in [(0, "exit code 0"), (3, "exit code")] {
        let outcome = bed.run(&format!(r#"{{"mode":"exit","n":{code}}}"#)).await;
        assert_kind(&outcome, OutcomeKind::Error);
        assert!(message(&outcome).contains(shown), "{outcome:?}");
    }
}

/// Panics on demand, in whatever host function reads it.
#[derive(Default)]
struct Broken(AtomicBool);

impl Clock for Broken {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "as asked");
        SystemClock.now()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_function_that_panics_is_our_fault_and_harms_nobody_else() {
    let clock = Arc::new(Broken::default());
    let bed = testbed(|options| {
        options.slots = 1;
        options.clock = Arc::<Broken>::clone(&clock);
    });
    assert_kind(&bed.run(r#"{"mode":"print"}"#).await, OutcomeKind::Ok);
    let asleep = bed.start(bed.chaos(r#"{"mode":"sleep","n":300}"#));
    until("it has lost its slot", || bed.sandbox.guest_memory_bytes() > 0 && bed.sandbox.has_free_slot()).await;
    clock.0.store(true, Ordering::SeqCst);
    // In its first poll, and on a thread of the scheduler.
    assert_kind(&bed.run(r#"{"mode":"print"}"#).await, OutcomeKind::HostFault);
    assert_kind(&asleep.outcome().await, OutcomeKind::HostFault);
    clock.0.store(false, Ordering::SeqCst);
    assert_eq!(bed.sandbox.guest_memory_bytes(), 0);
    for mode in ["print", "sleep"] {
        assert_kind(&bed.run(&format!(r#"{{"mode":"{mode}","n":1}}"#)).await, OutcomeKind::Ok);
    }
}
