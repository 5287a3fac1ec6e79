//! `cargo xtask lint`: every check that is not a test, each with its time and a budget.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::{
    codegen,
    exec::{self, Strictness, cargo, command, missing, timed},
    runtimes, test, tidy,
    tools::{cargo_tool, python_tool},
};

const CARGO_DENY: &str = "0.20.2";
const CARGO_MACHETE: &str = "0.9.2";
const TYPOS: &str = "1.52.0";

struct Step {
    name: &'static str,
    budget: Duration,
    run: fn(Strictness) -> Result<()>,
}

/// Cheap ones first. Budgets are for two cores with nothing built.
const STEPS: &[Step] = &[
    Step { name: "format", budget: Duration::from_secs(30), run: |_| exec::run(cargo().args(["fmt", "--all", "--check"])) },
    Step { name: "tidy", budget: Duration::from_secs(30), run: |_| tidy::run() },
    Step { name: "runtimes that are checked in", budget: Duration::from_secs(10), run: |_| runtimes::run(true) },
    Step { name: "spelling", budget: Duration::from_secs(60), run: spelling },
    Step { name: "dependencies that nothing uses", budget: Duration::from_secs(120), run: unused },
    Step { name: "bans, licences and sources of dependencies", budget: Duration::from_secs(420), run: dependencies },
    Step { name: "lock files", budget: Duration::from_secs(120), run: |_| lock_files() },
    Step { name: "clippy", budget: Duration::from_secs(600), run: |_| clippy() },
    Step { name: "generated files", budget: Duration::from_secs(900), run: |_| codegen::run(codegen::Mode::Check) },
];

/// # Errors
/// The names of all steps that failed.
pub fn run(strictness: Strictness) -> Result<()> {
    let mut failed = Vec::new();
    for step in STEPS {
        if let Err(error) = timed(step.name, step.budget, || (step.run)(strictness)) {
            eprintln!("{error:#}");
            failed.push(step.name);
        }
    }
    if !failed.is_empty() {
        bail!("lint: {}", failed.join(", "));
    }
    Ok(())
}

/// Of workspaces of their own that nothing here builds each time: they follow the manifests of crates that they use.
fn lock_files() -> Result<()> {
    for folder in ["fuzz", "guest-sdk/rust", "tests/guests"] {
        let manifest = format!("{folder}/Cargo.toml");
        exec::run(cargo().args(["update", "--workspace", "--locked", "--quiet", "--manifest-path"]).arg(manifest))?;
    }
    Ok(())
}

fn clippy() -> Result<()> {
    exec::run(cargo().args(["clippy", "--profile", test::PROFILE, "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn spelling(strictness: Strictness) -> Result<()> {
    match python_tool("typos", TYPOS) {
        Ok(program) => exec::run(&mut command(program)),
        Err(error) => missing(strictness, &format!("spelling: {error:#}")),
    }
}

fn unused(strictness: Strictness) -> Result<()> {
    match cargo_tool("cargo-machete", CARGO_MACHETE, &["--debug"]) {
        Ok(program) => exec::run(command(program).args(["host", "cli", "xtask", "tests", "benches"])),
        Err(error) => missing(strictness, &format!("unused dependencies: {error:#}")),
    }
}

fn dependencies(strictness: Strictness) -> Result<()> {
    let program = match cargo_tool("cargo-deny", CARGO_DENY, &["--debug"]) {
        Ok(program) => program,
        Err(error) => return missing(strictness, &format!("licences and bans: {error:#}")),
    };
    exec::run(command(&program).args(["--all-features", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    // The database of advisories is a git repository: not every network lets us fetch it, and that is no fault of the code.
    let mut fetch = command(&program);
    fetch.args(["fetch", "db"]).envs([("GIT_HTTP_LOW_SPEED_LIMIT", "1000"), ("GIT_HTTP_LOW_SPEED_TIME", "20")]);
    if exec::read(&mut fetch).is_err() {
        eprintln!("advisories: NOT CHECKED, their database is out of reach here");
        return Ok(());
    }
    exec::run(command(&program).args(["--all-features", "check", "--hide-inclusion-graph", "advisories"]))
}
