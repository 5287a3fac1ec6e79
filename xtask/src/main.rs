//! `cargo xtask <command>`.

use std::process::ExitCode;

use clap::{Parser, Subcommand, builder::BoolishValueParser};
use xtask::{bench, codegen, exec::Strictness, fuzz, lint, runtimes, serve, setup, test, tidy};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Everything that is done to this repository")]
struct Options {
    /// What cannot be had (a database, a tool) is a failure instead of a loud warning
    #[arg(long, env = "CI", global = true, num_args = 0..=1, default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    strict: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need: the wasm32-wasip2 target and a PostgreSQL server
    Setup,
    /// Build for release, serve with a data folder of its own and deploy the examples
    Serve(serve::Options),
    /// Deploy the examples to the server that `serve` is about to become
    #[command(hide = true)]
    ServeExamples(serve::ExamplesOptions),
    /// Build what the tests need and run them all
    Test(test::Options),
    /// Build what is shipped (20 minutes from cold) and run one benchmark, or list them
    Bench(bench::Options),
    /// Look for inputs for which a property of tests/properties does not hold
    Fuzz(fuzz::Options),
    /// Check the invariants of ARCHITECTURE.md that can be read off the files
    Tidy,
    /// Write the generated files again: OpenAPI, the command-line reference, the manifest's JSON Schema
    Codegen {
        /// Only compare
        #[arg(long)]
        check: bool,
    },
    /// Build the language runtimes that are checked in
    Runtimes {
        /// Only compare the digest of their inputs
        #[arg(long)]
        check: bool,
    },
    /// Format, clippy, tidy, generated files, licences, spelling, unused dependencies
    Lint,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let strictness = if options.strict { Strictness::Strict } else { Strictness::Lenient };
    let done = match options.command {
        Command::Setup => setup::run(strictness),
        Command::Serve(options) => serve::run(&options),
        Command::ServeExamples(options) => serve::examples(&options),
        Command::Test(options) => test::run(&options, strictness),
        Command::Bench(options) => bench::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Tidy => tidy::run(),
        Command::Codegen { check } => codegen::run(if check { codegen::Mode::Check } else { codegen::Mode::Write }),
        Command::Runtimes { check } => runtimes::run(check),
        Command::Lint => lint::run(strictness),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
