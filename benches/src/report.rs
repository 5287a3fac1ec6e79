//! Tables for people and lines for machines.

use std::{fs::OpenOptions, io::Write, process::Command};

use anyhow::Context;
use serde_json::{Value, json};

/// Prints `rows` (the first is the head) as a Markdown table.
pub(crate) fn table(rows: &[Vec<String>]) {
    for (index, row) in rows.iter().enumerate() {
        println!("| {} |", row.join(" | "));
        if index == 0 {
            println!("|{}", " --- |".repeat(row.len()));
        }
    }
}

/// Appends the figures of one bench to the results, with machine and commit.
pub(crate) fn keep(bench: &str, figures: &Value) -> anyhow::Result<()> {
    let line = json!({"bench": bench, "commit": commit(), "machine": machine(), "figures": figures});
    let file = sandmill_testkit::binary::root().join("benches/results.jsonl");
    let mut out = OpenOptions::new().create(true).append(true).open(&file).with_context(|| file.display().to_string())?;
    writeln!(out, "{line}")?;
    Ok(())
}

/// The middle one of several measurements.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value below which a share (0 to 1) of the sorted values lies.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into a list of measurements"
    )]
    let index = ((sorted.len() as f64 - 1.0) * share).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn commit() -> String {
    // Of the checkout that the results are kept in, wherever the bench is called.
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(sandmill_testkit::binary::root()).output();
    output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn machine() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")).map(|rest| rest.trim_start_matches(['\t', ' ', ':']).to_owned());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({"cpu": model, "cores": std::thread::available_parallelism().map_or(1, usize::from), "kernel": kernel.trim()})
}
