//! `cargo xtask codegen`: files that the binary writes about itself, checked in and kept fresh.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{
    exec::{self, cargo, command},
    test,
    tree::root,
};

/// What `sandmill generate` is asked for, and where it is kept.
const GENERATED: &[(&str, &str)] =
    &[("openapi", "host/api/openapi.json"), ("cli", "docs/cli.md"), ("manifest-schema", "docs/manifest.schema.json")];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Write,
    Check,
}

/// Builds the binary and compares or writes what it generates.
///
/// # Errors
/// If it does not build, or a file is not fresh.
pub fn run(mode: Mode) -> Result<()> {
    exec::run(cargo().args(["build", "--quiet", "--profile", test::PROFILE, "--package", "sandmill"]))?;
    let binary = test::binary()?;
    let mut stale = Vec::new();
    for (what, path) in GENERATED {
        let fresh = exec::read(command(&binary).args(["generate", what]))?;
        let file = root().join(path);
        if fs::read_to_string(&file).is_ok_and(|kept| kept == fresh) {
            continue;
        }
        match mode {
            Mode::Check => stale.push(*path),
            Mode::Write => {
                fs::write(&file, fresh).with_context(|| format!("cannot write {path}"))?;
                eprintln!("wrote {path}");
            }
        }
    }
    if !stale.is_empty() {
        bail!("not fresh: {}; run `cargo xtask codegen` and commit what it writes", stale.join(", "));
    }
    Ok(())
}
