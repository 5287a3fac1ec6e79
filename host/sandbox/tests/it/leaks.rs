//! Ten thousand runs, and nothing is left of them; a few large ones, and their memory is the kernel's again.

use std::{
    fs,
    time::{Duration, Instant},
};

use sandmill_model::{JsonText, Limits, OutcomeKind};
use sandmill_sandbox::CallInput;

use crate::testing::{assert_kind, testbed};

const MIB: u64 = 1024 * 1024;

fn resident_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn ten_thousand_runs() {
    let bed = testbed(|_| {});
    let hello = || bed.call("hello", CallInput::Arguments(JsonText::trusted(r#"{"name":"bob"}"#)), Limits::default());
    for _ in 0..1_000 {
        assert_kind(&bed.sandbox.run(hello()).await, OutcomeKind::Ok);
    }
    let (memory, files) = (resident_bytes(), open_files());
    for number in 0..10_000 {
        let outcome = bed.sandbox.run(hello()).await;
        assert_kind(&outcome, OutcomeKind::Ok);
        if number % 1_000 == 0 {
            assert_kind(&bed.run(r#"{"mode":"unreachable"}"#).await, OutcomeKind::Trap);
            assert_kind(&bed.run(r#"{"mode":"sleep","n":1}"#).await, OutcomeKind::Ok);
        }
    }
    assert_eq!(bed.sandbox.guest_memory_bytes(), 0);
    assert!(bed.sandbox.has_free_slot());
    // Other tests run beside this one; a leak of a whole instance each time would be a hundred times as much.
    assert!(resident_bytes() < memory + 512 * MIB, "{} -> {}", memory, resident_bytes());
    assert!(open_files() < files + 200, "{} -> {}", files, open_files());
}

#[tokio::test]
async fn what_large_runs_had_is_free_in_truth() {
    const RUNS: u64 = 12;
    let bed = testbed(|_| {});
    let limits = Limits { memory_bytes: 256 * MIB, ..Limits::default() };
    let before = resident_bytes();
    for _ in 0..RUNS {
        assert_kind(&bed.run_within(&format!(r#"{{"mode":"allocate","n":{}}}"#, 100 * MIB), limits).await, OutcomeKind::Ok);
    }
    assert_eq!(bed.sandbox.guest_memory_bytes(), 0);
    // Other tests run beside this one and end.
    let deadline = Instant::now() + Duration::from_secs(20);
    while resident_bytes() > before + RUNS / 2 * 100 * MIB {
        assert!(Instant::now() < deadline, "{before} -> {}", resident_bytes());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
