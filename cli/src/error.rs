//! What can go wrong, and the exit code that it means.

use std::process::ExitCode;

use sandmill_model::{OutcomeKind, RunError, build::Diagnostic};

use crate::client::Problem;

#[derive(Debug)]
pub(crate) enum CliError {
    /// Bad usage or input: what is wrong and what to do.
    Input(String),
    /// Faults in a source file.
    Diagnostics(Vec<Diagnostic>),
    /// A local run ended badly.
    RunFailed(OutcomeKind, RunError),
    /// The server said no, or a run on it failed.
    Problem(Box<Problem>),
    /// The server could not be reached or does not speak our language.
    Unreachable(String),
    /// Several things went wrong, each of which was said; the worst decides.
    Said(Exit),
}

/// In order of precedence where several things went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    RunFailed = 1,
    Input = 2,
    Server = 3,
}

impl CliError {
    pub(crate) fn input(text: impl Into<String>) -> Self {
        Self::Input(text.into())
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Input(_) | Self::Diagnostics(_) => Exit::Input,
            Self::RunFailed(OutcomeKind::InvalidArguments, _) => Exit::Input,
            Self::RunFailed(..) => Exit::RunFailed,
            Self::Problem(problem) => of_problem(problem),
            Self::Unreachable(_) => Exit::Server,
            Self::Said(exit) => *exit,
        }
    }

    /// Whether the same request may be answered better in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Problem(problem) => problem.status == 429 || problem.status >= 500,
            _ => false,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit() as u8)
    }
}

/// A fault in what was sent is the caller's to mend; a run that ended badly is not the server's refusal.
fn of_problem(problem: &Problem) -> Exit {
    const INPUT: &[&str] = &[
        "bad_request",
        "invalid_json",
        "invalid_path",
        "invalid_arguments",
        "invalid_resource",
        "invalid_resource_type",
        "invalid_trigger",
        "invalid_manifest",
        "compile_failed",
        "invalid_component",
        "build_limit",
    ];
    if INPUT.contains(&problem.code.as_str()) {
        Exit::Input
    } else if OutcomeKind::from_name(&problem.code).is_some() {
        Exit::RunFailed
    } else {
        Exit::Server
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        for (code, exit) in [
            ("error", 1),
            ("trap", 1),
            ("timeout", 1),
            ("host_fault", 1),
            ("cancelled", 1),
            ("invalid_arguments", 2),
            ("compile_failed", 2),
            ("invalid_resource", 2),
            ("not_found", 3),
            ("unauthorized", 3),
            ("unavailable", 3),
            ("a_code_of_tomorrow", 3),
        ] {
            let error = CliError::Problem(Box::new(Problem { code: code.to_owned(), ..Problem::default() }));
            assert_eq!(error.exit() as u8, exit, "{code}");
        }
        assert_eq!(CliError::input("x").exit() as u8, 2);
        assert_eq!(CliError::Unreachable("x".into()).exit() as u8, 3);
        assert_eq!(CliError::RunFailed(OutcomeKind::OutOfFuel, RunError::new("out_of_fuel", "x")).exit() as u8, 1);
    }
}
