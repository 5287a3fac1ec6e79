//! Ending a run from outside: by its id, or by dropping its future.

use std::{future::Future, pin::pin, task::Context};

use sandmill_model::OutcomeKind;

use crate::testing::{assert_kind, log_of, run_id, testbed, until};

#[tokio::test(flavor = "multi_thread")]
async fn in_a_loop_and_in_a_host_call() {
    let bed = testbed(|_| {});
    assert!(!bed.sandbox.cancel(run_id()), "nobody runs");
    for (mode, first_line) in
        [("flood_then_loop", "before the loop"), ("sleep", "going to sleep"), ("allocate_and_loop", "allocated"), ("spam", "")]
    {
        let started = bed.start(bed.chaos(&format!(r#"{{"mode":"{mode}","n":1000000}}"#)));
        until("it runs", || bed.sandbox.guest_memory_bytes() > 0).await;
        let run = started.run;
        until("it can be cancelled", || bed.sandbox.cancel(run)).await;
        let outcome = started.outcome().await;
        assert_kind(&outcome, OutcomeKind::Cancelled);
        if !first_line.is_empty() && !outcome.log.is_empty() {
            assert_eq!(log_of(&outcome), [format!("Stdout: {first_line}")], "{mode}");
        }
        assert!(outcome.usage.wall_ns > 0, "{:?}", outcome.usage);
        assert!(!bed.sandbox.cancel(run), "it is gone");
        assert_eq!(bed.sandbox.guest_memory_bytes(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_logged_and_used_is_kept() {
    let bed = testbed(|_| {});
    let started = bed.start(bed.chaos(r#"{"mode":"sleep","n":1000000}"#));
    // Asleep for long enough to have lost its slot.
    let slots = || bed.sandbox.guest_memory_bytes() > 0;
    until("it runs", slots).await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(bed.sandbox.cancel(started.run));
    let outcome = started.outcome().await;
    assert_kind(&outcome, OutcomeKind::Cancelled);
    assert_eq!(log_of(&outcome), ["Stdout: going to sleep"]);
    assert!(outcome.usage.fuel > 0 && outcome.usage.memory_peak_bytes > 0, "{:?}", outcome.usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_it_starts() {
    let bed = testbed(|options| options.slots = 1);
    let first = bed.start(bed.chaos(r#"{"mode":"loop"}"#));
    until("the slot is taken", || !bed.sandbox.has_free_slot()).await;
    let second = bed.start(bed.chaos(r#"{"mode":"loop"}"#));
    until("the second can be cancelled", || bed.sandbox.cancel(second.run)).await;
    let outcome = second.outcome().await;
    assert_kind(&outcome, OutcomeKind::Cancelled);
    assert_eq!(outcome.usage.fuel, 0);
    assert!(bed.sandbox.cancel(first.run));
    assert_kind(&first.outcome().await, OutcomeKind::Cancelled);
    assert!(bed.sandbox.has_free_slot());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_future_frees_everything() {
    let bed = testbed(|options| options.slots = 1);
    for mode in ["loop", "sleep", "spam", "randomness", "fill"] {
        {
            let mut run = pin!(bed.sandbox.run(bed.chaos(&format!(r#"{{"mode":"{mode}","n":1000000}}"#))));
            let mut cx = Context::from_waker(std::task::Waker::noop());
            assert!(run.as_mut().poll(&mut cx).is_pending());
            assert!(bed.sandbox.guest_memory_bytes() > 0);
            if mode == "sleep" {
                until("its slot is given back", || bed.sandbox.has_free_slot()).await;
            }
        }
        until("memory and slot are back", || bed.sandbox.guest_memory_bytes() == 0 && bed.sandbox.has_free_slot()).await;
    }
}
