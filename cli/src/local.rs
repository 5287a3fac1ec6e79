//! The seam through which `run FILE` reaches a sandbox in this process.

use std::path::PathBuf;

use sandmill_model::{BoxFuture, JsonText, Language, Manifest, Outcome, build::BuildError};

/// A file to build and run once.
#[derive(Clone, Debug)]
pub struct LocalRunRequest {
    /// As the user named it; its last part is the file name in diagnostics and stack traces.
    pub file: PathBuf,
    pub language: Language,
    /// UTF-8 source, or the bytes of a component.
    pub source: Vec<u8>,
    pub manifest: Manifest,
    /// A JSON object.
    pub arguments: JsonText,
}

/// Why a local run did not begin.
#[derive(Debug)]
pub enum LocalRunError {
    Build(BuildError),
    /// The sandbox could not be set up; the text says why.
    Setup(String),
}

/// Builds and runs a file without any server. Whatever the script did is an outcome, its log included.
pub trait LocalRunner: Sync {
    fn run(&self, request: LocalRunRequest) -> BoxFuture<'_, Result<Outcome, LocalRunError>>;
}
