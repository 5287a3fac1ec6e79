//! What can go wrong before a run starts. What goes wrong in one is its outcome.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The code cache cannot be read or written: a full disk, wrong rights.
    #[error("the code cache at {} cannot be used: {source}", path.display())]
    Cache { path: PathBuf, source: io::Error },
    /// The compiled code was made by another version or configuration of the engine, or is no compiled component at all.
    #[error("the compiled code does not fit this engine: {0}")]
    Incompatible(String),
    /// Imports that nothing here provides, each with what is missing.
    #[error("the component imports what this host does not provide: {}", .0.join("; "))]
    Unlinkable(Vec<String>),
    /// It can be linked but not called as a script.
    #[error("{0}")]
    NotAScript(String),
    /// It was compiled for WASI 0.3, which is off.
    #[error("the component is made of WASI 0.3, which this node does not run: it is off unless its operator turns it on (`--wasi 0.3`)")]
    NoAsync,
    /// The engine could not be set up.
    #[error("the sandbox cannot be set up: {0}")]
    Engine(String),
}

impl Error {
    pub(crate) fn cache(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Cache { path: path.into(), source }
    }
}
