//! `cargo xtask fuzz`: the properties of tests/properties, driven by libFuzzer. What it does `cargo fuzz` does too, but that needs a nightly compiler.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::builder::PossibleValuesParser;

use crate::{
    exec::{self, cargo, command},
    tree::root,
};

/// Targets, and how long their inputs are at most.
static TARGETS: [(&str, usize); 4] =
    [("upload", 16 * 1024), ("upload_generated", 8 * 1024), ("values", 2 * 1024), ("values_bytes", 4 * 1024)];
/// Far above what any input needs; most of it is the engine's own.
const RSS_MIB_MAX: usize = 4096;
/// A component may describe its arguments for as long as a module's top level may take.
const INPUT_SECONDS_MAX: usize = 60;

/// Counters at each edge of the code and traces of what is compared, with which libFuzzer finds its way.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

#[derive(clap::Args)]
pub struct Options {
    /// Only this one; without it each in turn
    #[arg(value_parser = PossibleValuesParser::new(TARGETS.map(|(name, _)| name)))]
    target: Option<String>,
    /// Inputs to run again, once each, in the place of looking for others
    inputs: Vec<PathBuf>,
    /// How long to look, for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// # Errors
/// If it does not build, or a property does not hold.
pub fn run(options: &Options) -> Result<()> {
    let inputs = options.inputs.iter().map(std::path::absolute).collect::<std::io::Result<Vec<_>>>()?;
    let chosen: Vec<_> = TARGETS.iter().filter(|(name, _)| options.target.as_deref().is_none_or(|target| target == *name)).collect();
    let programs = build(&chosen.iter().map(|(name, _)| *name).collect::<Vec<_>>())?;
    let mut failed = Vec::new();
    for (name, bytes_max) in chosen {
        let mut fuzzer = fuzzer(name, &programs)?;
        if inputs.is_empty() {
            fuzzer.args([format!("-max_total_time={}", options.seconds), format!("-max_len={bytes_max}")]).args(corpora(name)?);
        } else {
            fuzzer.args(&inputs);
        }
        if let Err(error) = exec::run(&mut fuzzer) {
            eprintln!("{error:#}");
            failed.push(*name);
        }
    }
    if !failed.is_empty() {
        bail!("{}: the input is in fuzz/artifacts; docs/recipes/fuzz.md says how to go on", failed.join(", "));
    }
    Ok(())
}

/// Returns the folder with the programs.
fn build(targets: &[&str]) -> Result<PathBuf> {
    let about = exec::read(command("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` names no host")?;
    let mut build = cargo();
    // With a target build scripts and macros have no counters; nothing in them could count.
    build.args(["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "fuzz/target", "--target", host]);
    for target in targets {
        build.args(["--bin", target]);
    }
    exec::run(build.env("RUSTFLAGS", COVERAGE).env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("RUSTC_BOOTSTRAP"))?;
    Ok(root().join("fuzz/target").join(host).join("release"))
}

fn fuzzer(name: &str, programs: &Path) -> Result<std::process::Command> {
    let artifacts = made(&format!("fuzz/artifacts/{name}"))?;
    // It never ends in a way that would let it tidy up.
    let temporary = root().join("fuzz/target/tmp");
    let _ = fs::remove_dir_all(&temporary);
    fs::create_dir_all(&temporary).with_context(|| format!("cannot make {}", temporary.display()))?;
    let mut fuzzer = command(programs.join(name));
    fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display())).env("TMPDIR", temporary);
    fuzzer.args([format!("-rss_limit_mb={RSS_MIB_MAX}"), format!("-timeout={INPUT_SECONDS_MAX}")]);
    Ok(fuzzer)
}

/// Where new inputs go, and those that are checked in.
fn corpora(name: &str) -> Result<Vec<PathBuf>> {
    let seeds = root().join("fuzz/seeds").join(name);
    let mut corpora = vec![made(&format!("fuzz/corpus/{name}"))?];
    if seeds.is_dir() {
        corpora.push(seeds);
    }
    Ok(corpora)
}

fn made(folder: &str) -> Result<PathBuf> {
    let folder = root().join(folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
