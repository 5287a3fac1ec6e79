//! `cargo xtask setup`: what building and testing need beyond Rust, PostgreSQL and the wasm32-wasip2 target.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    exec::{self, Strictness, answers, command, missing},
    tree::root,
};

mod standard_library;

pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

/// # Errors
/// If something cannot be had and that is a failure here.
pub fn run(strictness: Strictness) -> Result<()> {
    wasm_target(strictness)?;
    postgres(strictness)?;
    broker(strictness)?;
    systemd(strictness)
}

/// # Errors
/// If the target cannot be had and that is a failure here.
pub fn wasm_target(strictness: Strictness) -> Result<()> {
    if has_wasm_target()? {
        return Ok(());
    }
    let by_rustup = exec::run(command("rustup").args(["target", "add", WASM_TARGET]));
    if by_rustup.is_ok() && has_wasm_target()? {
        return Ok(());
    }
    eprintln!("rustup cannot provide {WASM_TARGET}; building its standard library from the distribution's sources");
    match standard_library::build() {
        Ok(()) if has_wasm_target()? => Ok(()),
        Ok(()) => bail!("the standard library for {WASM_TARGET} was built, but rustc does not find it"),
        Err(error) => missing(strictness, &format!("guests written in Rust: no {WASM_TARGET} target ({error:#})")),
    }
}

pub(crate) fn target_libraries() -> Result<PathBuf> {
    let folder = exec::read(command("rustc").args(["--print", "target-libdir", "--target", WASM_TARGET]))?;
    Ok(PathBuf::from(folder.trim()))
}

fn has_wasm_target() -> Result<bool> {
    let Ok(entries) = fs::read_dir(target_libraries()?) else { return Ok(false) };
    // With a hash from Rust's servers, without one when built here.
    let is_std = |name: &str| name.starts_with("libstd-") || name == "libstd.rlib";
    Ok(entries.flatten().any(|entry| is_std(&entry.file_name().to_string_lossy())))
}

/// # Errors
/// If there is no server, none can be installed, and that is a failure here.
pub fn postgres(strictness: Strictness) -> Result<()> {
    if has_postgres() {
        return Ok(());
    }
    eprintln!("installing a PostgreSQL server: the store's tests run on both databases");
    let installed = install("postgresql");
    if has_postgres() {
        return Ok(());
    }
    let why = installed.err().map_or_else(|| "the package brought no server".to_owned(), |error| format!("{error:#}"));
    missing(strictness, &format!("the store on PostgreSQL: no server here ({why}); install the package postgresql"))
}

/// On PATH, or where Debian keeps the servers of all its versions.
fn has_postgres() -> bool {
    answers("postgres", "--version") || fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut versions| versions.next().is_some())
}

/// # Errors
/// If there is no server of NATS, none can be installed, and that is a failure here.
pub fn broker(strictness: Strictness) -> Result<()> {
    let is_there = || answers("nats-server", "--version") || answers("/usr/sbin/nats-server", "--version");
    if is_there() {
        return Ok(());
    }
    eprintln!("installing nats-server: triggers are tested against the real one");
    let installed = install("nats-server");
    if is_there() {
        return Ok(());
    }
    let why = installed.err().map_or_else(|| "the package brought no server".to_owned(), |error| format!("{error:#}"));
    missing(strictness, &format!("triggers of NATS: no server here ({why}); install the package nats-server"))
}

/// # Errors
/// If systemd's own tool is not here, cannot be installed, and that is a failure here.
pub fn systemd(strictness: Strictness) -> Result<()> {
    let is_there = || answers("systemd-analyze", "--version");
    if is_there() {
        return Ok(());
    }
    eprintln!("installing systemd: its own tool reads the unit that the server is deployed with");
    let installed = install("systemd");
    if is_there() {
        return Ok(());
    }
    let why = installed.err().map_or_else(|| "the package brought none".to_owned(), |error| format!("{error:#}"));
    missing(strictness, &format!("the unit of the server: no systemd-analyze here ({why}); install the package systemd"))
}

/// A package of Debian.
fn install(package: &str) -> Result<()> {
    if exec::read(command("id").arg("-u"))?.trim() != "0" {
        bail!("only root can install packages");
    }
    // A list of packages that is out of date is no reason to give up: the install will tell.
    let _updated = exec::run(command("apt-get").arg("update"));
    exec::run(command("apt-get").args(["install", "--yes", "--no-install-recommends", package]).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Rust programs that the tests upload: the guests, and every example that is one.
///
/// # Errors
/// If one does not build.
pub fn guests(strictness: Strictness) -> Result<()> {
    if !has_wasm_target()? {
        return missing(strictness, "guests written in Rust");
    }
    build_guest(&root().join("tests/guests"), &crate::tree::target_folder()?.join("guests"))?;
    let examples = fs::read_dir(root().join("examples")).context("cannot list the examples")?;
    for folder in examples.flatten().map(|entry| entry.path()).filter(|folder| folder.join("Cargo.toml").is_file()) {
        build_guest(&folder, &folder.join("target"))?;
    }
    Ok(())
}

/// Builds a package to the place where its users look, whatever the environment says of target folders.
pub(crate) fn build_guest(folder: &Path, target: &Path) -> Result<()> {
    let mut build = exec::cargo();
    build.args(["build", "--quiet", "--release", "--locked", "--target", WASM_TARGET, "--manifest-path"]).arg(folder.join("Cargo.toml"));
    exec::run(build.arg("--target-dir").arg(target))
}
