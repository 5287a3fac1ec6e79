//! The client commands of the `sandmill` binary. They talk HTTP to a server; only `run FILE` and `test` work without one, through a
//! [`LocalRunner`] that the binary hands in, so that nothing here links the sandbox.

mod arguments;
mod bundle;
mod client;
mod commands;
mod componentize;
mod console;
mod error;
mod event;
mod files;
mod local;
mod oci;
mod options;
mod profile;
mod project;
mod reference;
mod render;
mod trigger_file;

use std::process::ExitCode;

use crate::console::Console;
pub use crate::{
    local::{
        FakeAnswer, FakeResource, LocalCase, LocalCaseEnd, LocalDeployment, LocalFakes, LocalRunError, LocalRunRequest, LocalRunner,
        LocalScript, LocalScriptId, LocalSession, LocalSetting, Outbound,
    },
    options::{ClientCommand, Globals},
    reference::reference,
};

/// What every command works with.
pub(crate) struct Session<'a> {
    pub(crate) globals: Globals,
    pub(crate) console: Console,
    pub(crate) local: &'a dyn LocalRunner,
}

/// Executes one command. What went wrong is on stderr when this returns.
///
/// Exit codes: 0 done, 1 the run failed, 2 bad usage or input, 3 the server could not be reached or refused.
pub async fn execute(command: ClientCommand, local: &dyn LocalRunner) -> ExitCode {
    let globals = command.globals().clone();
    let mut session = Session { console: Console::of_process(globals.json), globals, local };
    match commands::execute(command, &mut session).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            session.console.error(&error);
            error.exit_code()
        }
    }
}
