//! `cargo xtask test`: everything built first, then every test, then one line with the totals.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context, Result, bail};

use crate::{
    exec::{self, Strictness, cargo, missing, shown},
    setup, tools, tree,
};

pub(crate) const PROFILE: &str = "ci";

#[derive(clap::Args)]
pub struct Options {
    /// Run only tests whose name contains this
    filter: Option<String>,
    /// Only these packages
    #[arg(long, short)]
    package: Vec<String>,
    /// Passed on to the test binaries
    #[arg(last = true)]
    extra: Vec<String>,
}

/// What tests need beside the build: the variable that tells them where it is, what it is for, and how it is had.
type Need = (&'static str, &'static str, fn() -> Result<PathBuf>);

/// # Errors
/// If something does not build, a test fails, or something is missing and that is a failure here.
pub fn run(options: &Options, strictness: Strictness) -> Result<()> {
    setup::run(strictness)?;
    exec::run(cargo().args(["build", "--profile", PROFILE, "--package", "sandmill"]))?;
    setup::guests(strictness)?;
    let needs: [Need; 5] = [
        (tools::WASMTIME_VARIABLE, "components taken away to another host", tools::wasmtime),
        (tools::MOTO_VARIABLE, "objects of scripts with a service that speaks S3", tools::moto_server),
        (tools::REGISTRY_VARIABLE, "components out of a registry", tools::docker_registry),
        (tools::SCHEMATHESIS_VARIABLE, "the API against its description", tools::schemathesis),
        (tools::FOREIGN_VARIABLE, "components of other people's toolchains", tools::foreign),
    ];
    let mut found = Vec::new();
    for (variable, what, obtain) in needs {
        match obtain() {
            Ok(path) => found.push((variable, path)),
            Err(error) => missing(strictness, &format!("{what}: {error:#}"))?,
        }
    }
    let totals = tests(options, found.into_iter())?;
    println!("{} passed, {} failed", totals.passed, totals.failed);
    if !totals.complete {
        bail!("tests failed");
    }
    Ok(())
}

/// The binary that end-to-end tests spawn.
///
/// # Errors
/// If cargo cannot read the workspace.
pub fn binary() -> Result<PathBuf> {
    Ok(tree::target_folder()?.join(PROFILE).join("sandmill"))
}

fn tests(options: &Options, programs: impl Iterator<Item = (&'static str, PathBuf)>) -> Result<Totals> {
    let mut command = cargo();
    command.envs(programs);
    command.args(["test", "--profile", PROFILE, "--no-fail-fast"]).env("SANDMILL_BIN", binary()?);
    if options.package.is_empty() {
        command.arg("--workspace");
    }
    for package in &options.package {
        command.args(["--package", package]);
    }
    command.args(&options.filter);
    if !options.extra.is_empty() {
        command.arg("--").args(&options.extra);
    }
    eprintln!("$ {}", shown(&command));
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let mut totals = Totals::default();
    let mut out = std::io::stdout().lock();
    let lines = BufReader::new(child.stdout.take().context("cargo has no stdout")?).split(b'\n');
    for line in lines {
        let line = line?;
        out.write_all(&line)?;
        out.write_all(b"\n")?;
        totals.count(&String::from_utf8_lossy(&line));
    }
    totals.complete = child.wait()?.success();
    Ok(totals)
}

/// Summed over all test binaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    /// Whether cargo says that all went well: a binary that crashed has no line to count.
    complete: bool,
}

impl Totals {
    /// Reads `test result: ok. 3 passed; 0 failed; …`.
    fn count(&mut self, line: &str) {
        let Some((_, figures)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else { return };
        for figure in figures.split("; ") {
            match figure.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse::<u64>().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse::<u64>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_summed() {
        let mut totals = Totals::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "error: test failed",
        ] {
            totals.count(line);
        }
        assert_eq!(totals, Totals { passed: 7, failed: 2, complete: false });
    }
}
