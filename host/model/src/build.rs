//! The seam between those who deploy source and the compiler.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BoxFuture, WorkspaceId, json::JsonText, language::Language, manifest::Manifest, version::ProgramSpec};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BuildRequest {
    /// For whom it is built: workspaces take turns.
    pub workspace: WorkspaceId,
    /// Shown in diagnostics and stack traces, e.g. `hello.ts`.
    pub file_name: String,
    pub language: Language,
    /// UTF-8 source, or the bytes of a component.
    pub source: Bytes,
    pub manifest: Manifest,
    /// Whether whoever builds has these bytes of a component already. Then code that is kept of them may be taken; from how long it takes, nobody else
    /// may learn that others have them.
    pub is_known: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    pub program: ProgramSpec,
    /// JSON Schema 2020-12 of the arguments.
    pub schema: JsonText,
    pub warnings: Vec<Diagnostic>,
}

/// One fault in a source file. Lines and columns count from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub message: String,
    /// The line of the source that the fault is on.
    pub source_line: String,
    /// What to do, where the compiler knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum BuildError {
    /// The source has faults.
    #[error("{}", first_of(.0))]
    Diagnostics(Vec<Diagnostic>),
    /// The bytes are not a component that can run here; the text says why and what to do.
    #[error("{0}")]
    InvalidComponent(String),
    /// The build met its own limit of time or memory.
    #[error("{0}")]
    LimitReached(String),
    /// No build worker could be had; trying again may help.
    #[error("the compiler is not available: {0}")]
    Unavailable(String),
}

fn first_of(diagnostics: &[Diagnostic]) -> String {
    match diagnostics {
        [] => "the source has faults".to_owned(),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            format!("{}:{}:{}: {}{more}", first.file, first.line, first.column, first.message)
        }
    }
}

/// Turns source into a program and its schema, away from everything it could harm.
pub trait Builder: Send + Sync + 'static {
    fn build(&self, request: BuildRequest) -> BoxFuture<'_, Result<Built, BuildError>>;
}
