//! Programs of others, started where the project is. What they say goes to the terminal as it is.

use std::{
    io,
    process::{Command, ExitStatus, Output, Stdio},
};

use crate::error::CliError;

/// A program without which a project cannot be built.
pub(super) struct Need {
    /// What it is for, e.g. `compile Go`.
    pub(super) purpose: &'static str,
    /// How it is had.
    pub(super) remedy: &'static str,
}

impl Need {
    pub(super) fn absent(&self, program: &str) -> CliError {
        CliError::input(format!("`{program}` is needed to {}, and is not here: {}", self.purpose, self.remedy))
    }
}

/// Runs it to its end; whatever it writes goes to stderr, for stdout is for the result of the command.
pub(super) fn run(command: &mut Command, need: &Need) -> Result<(), CliError> {
    let status = command.stdin(Stdio::null()).stdout(io::stderr()).status();
    let status = status.map_err(|error| not_started(command, need, &error))?;
    if status.success() { Ok(()) } else { Err(failed(command, status)) }
}

/// Runs it to its end, with its stdout kept.
pub(super) fn read(command: &mut Command, need: &Need) -> Result<Output, CliError> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    output.map_err(|error| not_started(command, need, &error))
}

/// Whether the program is there and does this.
pub(super) fn works(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

pub(super) fn failed(command: &Command, status: ExitStatus) -> CliError {
    CliError::input(format!("the build failed: `{}` ended with {status}; what it says of that stands above", name(command)))
}

fn not_started(command: &Command, need: &Need, error: &io::Error) -> CliError {
    if error.kind() == io::ErrorKind::NotFound {
        return need.absent(&name(command));
    }
    CliError::input(format!("`{}` cannot be started: {error}", name(command)))
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
