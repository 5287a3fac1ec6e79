//! `cargo xtask bench <name>`: of the profile that is shipped, for a debug figure is no figure.

use anyhow::Result;

use crate::{
    exec::{cargo, command, run as execute},
    tools, tree,
};

/// Linking it takes minutes.
const PROFILE: &str = "dist";

#[derive(clap::Args)]
pub struct Options {
    /// Name of the benchmark and its options; without any, the list
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// # Errors
/// If it does not build, or the benchmark fails.
pub fn run(options: &Options) -> Result<()> {
    // In one go, so that both are built with the same features; the peer in axum is one of the second's programs.
    execute(cargo().args(["build", "--profile", PROFILE, "--package", "sandmill", "--package", "sandmill-benches"]))?;
    let arguments = if options.arguments.is_empty() { vec!["--help".to_owned()] } else { options.arguments.clone() };
    let mut bench = command(tree::target_folder()?.join(PROFILE).join("sandmill-bench"));
    if arguments.first().is_some_and(|name| name == "hello") {
        bench.env(tools::WASMTIME_VARIABLE, tools::wasmtime()?);
    }
    execute(bench.args(arguments))
}
