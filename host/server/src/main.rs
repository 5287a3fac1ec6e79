//! The `sandmill` binary: `serve`, `run FILE`, and the client commands.

mod backup;
mod blob_options;
mod bootstrap;
mod credentials;
mod downloads;
mod kept;
mod listen;
mod local;
mod network_options;
mod node;
mod oidc;
mod oidc_options;
mod options;
mod outbound;
mod ports;
mod serve;
mod telemetry;
mod tls;
mod trigger_docs;

use std::process::ExitCode;

use clap::CommandFactory;

use crate::options::{Cli, Command, Generated};

/// Guests' memory is mapped by the sandbox itself; this is for everything else, where many small requests come from many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match options::parse().command {
        // Before anything is started: a build worker has no threads but its own, no database and no keys.
        Command::BuildWorker => sandmill_compiler::worker_main(),
        Command::Generate { what } => {
            print!("{}", generated(what));
            ExitCode::SUCCESS
        }
        Command::Serve(options) => finish(serve::serve(*options)),
        Command::Backup(options) => finish(backup::backup(&options)),
        Command::Restore(options) => finish(backup::restore(&options)),
        Command::Client(command) => client(*command),
    }
}

fn client(command: sandmill_cli::ClientCommand) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return finish(Err(error.into())),
    };
    runtime.block_on(sandmill_cli::execute(command, &local::Local))
}

fn generated(what: Generated) -> String {
    match what {
        Generated::Openapi => sandmill_api::openapi(&sandmill_triggers::kinds()),
        Generated::Cli => sandmill_cli::reference(&Cli::command()),
        Generated::TriggerDocs => trigger_docs::pages(&sandmill_triggers::kinds()),
        Generated::ManifestSchema => format!("{:#}\n", schemars::schema_for!(sandmill_model::Manifest).as_value()),
    }
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandmill: {error:#}");
            ExitCode::from(2)
        }
    }
}
