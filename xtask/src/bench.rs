//! `cargo xtask bench <name>`: release builds only, for a debug figure is no figure.

use anyhow::Result;

use crate::exec::{cargo, run as execute};

#[derive(clap::Args)]
pub struct Options {
    /// Name of the benchmark and its options; without any, the list
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// # Errors
/// If it does not build, or the benchmark fails.
pub fn run(options: &Options) -> Result<()> {
    execute(cargo().args(["build", "--release", "--package", "sandmill"]))?;
    let arguments = if options.arguments.is_empty() { vec!["--help".to_owned()] } else { options.arguments.clone() };
    execute(cargo().args(["run", "--release", "--quiet", "--package", "sandmill-benches", "--"]).args(arguments))
}
