//! The compiler through its workers, which are the real ones: this package's own binary.
#![expect(clippy::unwrap_used, reason = "tests")]

mod asynchronous;
mod components;
mod entries;
mod hostile;
mod hostile_components;
mod scripts;
mod snapshots;
mod workers;

use std::{future::Future, sync::LazyLock, time::Duration};

use sandmill_compiler::{Compiler, Options};
use sandmill_model::{
    Language, Manifest, WorkspaceId,
    build::{BuildError, BuildRequest, Builder as _, Built, Diagnostic},
    version::{HostedModule, ProgramSpec},
};
use tokio::runtime::Runtime;

/// One for all tests, because workers that are warm belong to it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static COMPILER: LazyLock<Compiler> = LazyLock::new(|| Compiler::new(options()));

fn options() -> Options {
    Options::new(env!("CARGO_BIN_EXE_sandmill-build-worker").into())
}

/// Far above what anything takes, far below what a stuck test would.
fn wait<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(async { tokio::time::timeout(Duration::from_secs(120), future).await.expect("in time") })
}

fn request(language: Language, source: impl Into<Vec<u8>>) -> BuildRequest {
    let file_name = format!("case.{}", language.extension());
    let source = source.into().into();
    BuildRequest { workspace: workspace(1), file_name, language, source, manifest: Manifest::default(), is_known: false }
}

/// The same for the same number; the rest of an id is chance.
fn workspace(number: u8) -> WorkspaceId {
    format!("00000000-0000-7000-8000-0000000000{number:02x}").parse().unwrap()
}

fn build(language: Language, source: impl Into<Vec<u8>>) -> Result<Built, BuildError> {
    wait(COMPILER.build(request(language, source)))
}

fn module_of(built: Built) -> HostedModule {
    match built.program {
        ProgramSpec::Hosted(module) => module,
        other => panic!("{other:?}"),
    }
}

fn diagnostics_of(result: Result<Built, BuildError>) -> Vec<Diagnostic> {
    match result {
        Err(BuildError::Diagnostics(diagnostics)) => diagnostics,
        other => panic!("{other:?}"),
    }
}
