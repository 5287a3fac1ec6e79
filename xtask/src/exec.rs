//! Running other programs, and saying so.

use std::{
    ffi::OsStr,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::tree::root;

/// What is done about something that cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Say it loudly and go on: at home.
    Lenient,
    /// Fail: in CI.
    Strict,
}

/// A command in the repository's root.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

#[must_use]
pub fn cargo() -> Command {
    command("cargo")
}

/// Runs it with our own output streams.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    eprintln!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// Runs it and returns what it wrote to stdout.
///
/// # Errors
/// If it cannot be started or does not succeed; the message holds its stderr.
pub fn read(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!("`{}` failed: {}\n{}", shown(command), output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` did not write UTF-8", shown(command)))
}

/// Whether the program is there and answers `argument` with success.
#[must_use]
pub fn answers(program: &str, argument: &str) -> bool {
    let status = command(program).arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn output(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{}`", shown(command)))
}

#[must_use]
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Says that something could not be had.
///
/// # Errors
/// If that is a failure here.
pub fn missing(strictness: Strictness, what: &str) -> Result<()> {
    match strictness {
        Strictness::Strict => bail!("{what} (a failure because CI is set)"),
        Strictness::Lenient => {
            eprintln!("\n!!! NOT CHECKED: {what}\n");
            Ok(())
        }
    }
}

/// Runs a step and prints how long it took of what it may take.
///
/// # Errors
/// The step's own. A step over its budget is only said to be: machines differ.
pub fn timed(name: &str, budget: Duration, step: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("== {name}");
    let started = Instant::now();
    let done = step();
    let took = started.elapsed();
    let over = if took > budget { "  OVER ITS BUDGET" } else { "" };
    let verdict = if done.is_ok() { "done" } else { "FAILED" };
    eprintln!("== {name}: {verdict} in {:.1} s of {} s{over}", took.as_secs_f64(), budget.as_secs());
    done.with_context(|| name.to_owned())
}

/// Polls `ready` until it holds.
///
/// # Errors
/// When the deadline has passed.
pub fn wait_until(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
    const POLL: Duration = Duration::from_millis(50);
    let deadline = Instant::now() + limit;
    while !ready() {
        if Instant::now() >= deadline {
            bail!("{what}: not within {} s", limit.as_secs());
        }
        #[expect(clippy::disallowed_methods, reason = "another process is the condition; this is the one place that polls for it")]
        std::thread::sleep(POLL);
    }
    Ok(())
}
