//! stdout and stderr land in the log; a flood of them is cut, and the run goes on.

use sandmill_model::{Limits, LogLevel, LogStream, OutcomeKind};

use crate::testing::{assert_kind, json, log_of, testbed};

#[tokio::test]
async fn lines_of_stdout_and_stderr() {
    let bed = testbed(|_| {});
    let outcome = bed.run(r#"{"mode":"print","text":"zwölf\nzeilen"}"#).await;
    assert_kind(&outcome, OutcomeKind::Ok);
    let lines = ["Stdout: zwölf", "Stdout: zeilen", "Stderr: zwölf", "Stderr: zeilen", "Stdout: no newline"];
    assert_eq!(log_of(&outcome), lines);
    assert!(outcome.log.iter().all(|entry| (entry.level == LogLevel::Warn) == (entry.stream == LogStream::Stderr)));
    assert!(outcome.log.is_sorted_by_key(|entry| entry.at));
}

#[tokio::test]
async fn a_flood_is_cut_and_the_run_goes_on() {
    let bed = testbed(|_| {});
    let limits = Limits { log_bytes: 100_000, ..Limits::default() };
    let outcome = bed.run_within(r#"{"mode":"flood","n":100000}"#, limits).await;
    assert_eq!(json(&outcome), "done");
    let charged: usize = outcome.log.iter().map(sandmill_model::LogEntry::charge_bytes).sum();
    assert!((90_000..101_000).contains(&charged), "{charged}");
    let last = outcome.log.last().unwrap();
    assert_eq!(last.stream, LogStream::Host);
    assert!(last.message.contains("100000"), "{last:?}");
    assert_eq!(outcome.log.iter().filter(|entry| entry.stream == LogStream::Host).count(), 1);
}
