//! SQLite's own program, for databases that are to be as an earlier release left them.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use crate::postgres::apt_get;

/// Runs statements on a database, which is made if it is not there. False, with a loud line, where the program is not installed and cannot be.
///
/// # Panics
/// If a statement fails; in CI also if the program is missing.
#[must_use]
pub fn execute(file: &Path, script: &str) -> bool {
    if let Err(error) = find() {
        crate::skipped("sqlite3 is not installed and cannot be", &error);
        return false;
    }
    run(file, script).expect("the script runs");
    true
}

fn find() -> anyhow::Result<()> {
    let is_there = || Command::new("sqlite3").arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok();
    if is_there() {
        return Ok(());
    }
    ensure!(rustix::process::geteuid().is_root(), "only root can install it");
    apt_get(&["update"])?;
    apt_get(&["install", "--yes", "--no-install-recommends", "sqlite3"])?;
    ensure!(is_there(), "it was installed and is not there");
    Ok(())
}

fn run(file: &Path, script: &str) -> anyhow::Result<()> {
    let mut sqlite = Command::new("sqlite3");
    sqlite.args(["-batch", "-bail"]).arg(file).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = sqlite.spawn().context("sqlite3")?;
    child.stdin.take().context("its standard input")?.write_all(script.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
