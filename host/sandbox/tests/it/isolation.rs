//! Nothing of one run is seen by another, and nothing of the machine by any.

use std::collections::HashSet;

use sandmill_model::{OutcomeKind, SystemClock, clock::Clock};

use crate::testing::{assert_kind, json, testbed};

#[tokio::test]
async fn globals_and_memory_are_fresh_in_every_run() {
    let bed = testbed(|_| {});
    for round in 0..200 {
        assert_eq!(json(&bed.run(r#"{"mode":"count"}"#).await), 1, "round {round}");
        assert_eq!(json(&bed.run(r#"{"mode":"layout"}"#).await), 0, "round {round}");
        if round % 20 == 0 {
            // Leaves its memory full, and the stack of its fiber deep.
            assert_eq!(json(&bed.run(r#"{"mode":"allocate","n":9000000}"#).await), 9_000_000);
            assert_kind(&bed.run(r#"{"mode":"recurse"}"#).await, OutcomeKind::Trap);
        }
    }
}

#[tokio::test]
async fn no_environment_no_files_no_sockets() {
    let bed = testbed(|_| {});
    let outcome = bed.run(r#"{"mode":"outside"}"#).await;
    // The one argument is the name that every program is given.
    let expected = serde_json::json!({
        "env": 0, "args": 1, "cwd": false, "root": false, "file": false,
        "tcp": false, "listen": false, "udp": false, "dns": false, "stdin": 0,
    });
    assert_eq!(json(&outcome), expected);
}

#[tokio::test]
async fn random_numbers_differ_between_runs() {
    let bed = testbed(|_| {});
    let mut seen = HashSet::new();
    for _ in 0..50 {
        assert!(seen.insert(json(&bed.run(r#"{"mode":"random"}"#).await).to_string()));
    }
}

#[tokio::test]
async fn clocks_are_read_when_they_are_asked() {
    let bed = testbed(|_| {});
    for _ in 0..3 {
        let before = SystemClock.now().millis();
        let outcome = json(&bed.run(r#"{"mode":"clock"}"#).await);
        let wall = outcome["wall_ms"].as_i64().unwrap();
        assert!(wall >= before && wall <= SystemClock.now().millis(), "{outcome}");
        assert_eq!(outcome["moves"], true);
    }
}
