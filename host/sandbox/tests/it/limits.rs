//! Limits of one run: each ends it with its own outcome, and what was used and logged until then is kept.

use std::time::Duration;

use sandmill_model::{Limits, OutcomeKind, Output};

use crate::testing::{assert_kind, json, log_of, message, testbed};

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn fuel() {
    let bed = testbed(|_| {});
    for fuel in [1, 1_000, 50_000_000] {
        let outcome = bed.run_within(r#"{"mode":"loop"}"#, Limits { fuel, ..Limits::default() }).await;
        assert_kind(&outcome, OutcomeKind::OutOfFuel);
        assert_eq!(outcome.usage.fuel, fuel);
    }
}

#[tokio::test]
async fn fuel_of_instructions_that_move_much_memory() {
    let bed = testbed(|_| {});
    // Each turn of the loop fills 100 MiB: it must neither cost next to nothing nor keep its thread for long.
    let outcome = bed.run_within(r#"{"mode":"fill","n":104857600}"#, Limits { fuel: 2_000_000_000, ..Limits::default() }).await;
    assert_kind(&outcome, OutcomeKind::OutOfFuel);
}

#[tokio::test]
async fn wall_clock_in_a_loop_and_asleep() {
    let bed = testbed(|_| {});
    let limits = Limits { wall_ms: 300, ..Limits::default() };
    for mode in ["flood_then_loop", "sleep", "doze", "spam", "randomness", "fill"] {
        let outcome = bed.run_within(&format!(r#"{{"mode":"{mode}","n":100000}}"#), limits).await;
        assert_kind(&outcome, OutcomeKind::Timeout);
        assert!(message(&outcome).contains("300 ms"), "{outcome:?}");
        assert!(outcome.usage.wall_ns >= 300_000_000 && outcome.usage.fuel > 0, "{mode}: {:?}", outcome.usage);
        match mode {
            "flood_then_loop" => assert_eq!(log_of(&outcome), ["Stdout: before the loop"]),
            "sleep" => {
                assert_eq!(log_of(&outcome), ["Stdout: going to sleep"]);
                assert!(outcome.usage.cpu_ns < 200_000_000, "asleep it uses no processor: {:?}", outcome.usage);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_sleep_within_the_limit() {
    let bed = testbed(|_| {});
    let outcome = bed.run(r#"{"mode":"sleep","n":30}"#).await;
    assert_eq!(json(&outcome), "slept");
    assert!(outcome.usage.wall_ns >= 30_000_000, "{:?}", outcome.usage);
}

#[tokio::test]
async fn memory() {
    let bed = testbed(|_| {});
    for limit in [MIB / 2, 16 * MIB, 100 * MIB] {
        let outcome = bed.run_within(r#"{"mode":"bomb"}"#, Limits { memory_bytes: limit, ..Limits::default() }).await;
        assert_kind(&outcome, OutcomeKind::OutOfMemory);
        assert!(message(&outcome).contains(&limit.to_string()), "{outcome:?}");
        assert!(outcome.usage.memory_peak_bytes <= limit, "{:?}", outcome.usage);
    }
    assert_eq!(bed.sandbox.guest_memory_bytes(), 0);
    let outcome = bed.run_within(r#"{"mode":"allocate","n":8000000}"#, Limits { memory_bytes: 16 * MIB, ..Limits::default() }).await;
    assert_eq!(json(&outcome), 8_000_000);
    assert!(outcome.usage.memory_peak_bytes > 8_000_000, "{:?}", outcome.usage);
}

#[tokio::test]
async fn results_at_their_limit() {
    let bed = testbed(|_| {});
    for (mode, kind_of_small) in [("huge", true), ("huge_bytes", false)] {
        for (n, kind) in [
            (MIB, OutcomeKind::Ok),
            (MIB + 1, OutcomeKind::ResultTooLarge),
            // So much that the engine refuses to copy it.
            (50 * MIB, OutcomeKind::ResultTooLarge),
        ] {
            let limits = Limits { result_bytes: MIB, ..Limits::default() };
            let outcome = bed.run_within(&format!(r#"{{"mode":"{mode}","n":{n}}}"#), limits).await;
            assert_kind(&outcome, kind);
            assert_eq!(outcome.output.is_some(), kind == OutcomeKind::Ok);
            if let Some(output) = &outcome.output {
                assert_eq!((output.len_bytes() as u64, matches!(output, Output::Json(_))), (n, kind_of_small));
            } else {
                assert!(message(&outcome).contains("1048576"), "{outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_first_poll_is_not_the_last_word_on_time() {
    let bed = testbed(|_| {});
    // Ends in its first poll, past its limit: nobody is better off if it is called late.
    let outcome = bed.run_within(r#"{"mode":"count"}"#, Limits { wall_ms: 0, ..Limits::default() }).await;
    assert_kind(&outcome, OutcomeKind::Ok);
    let before = std::time::Instant::now();
    let outcome = bed.run_within(r#"{"mode":"loop"}"#, Limits { wall_ms: 0, ..Limits::default() }).await;
    assert_kind(&outcome, OutcomeKind::Timeout);
    assert!(before.elapsed() < Duration::from_secs(20));
}
