//! One try of a run, as it is handed to an executor. Serialisable, so an executor can live in another process.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    BoxFuture,
    clock::Timestamp,
    digest::Digest,
    event::{Event, TriggerRef},
    ids::{RunId, WorkspaceId},
    json::JsonText,
    limits::Limits,
    log::LogEntry,
    outcome::{Outcome, RunError},
    path::ScriptPath,
};

/// What the attempt starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Arguments of `main`: a JSON object.
    Arguments(JsonText),
    /// An event; a preprocessor makes arguments of it, else its payload is the arguments.
    Event(Event),
}

impl Input {
    /// Bytes of what it holds in memory.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        match self {
            Self::Arguments(json) => json.as_str().len(),
            Self::Event(event) => event.payload.len() + event.metadata.as_str().len(),
        }
    }

    /// The arguments of `main`, as far as they are known before a preprocessor has made others.
    #[must_use]
    pub fn arguments(&self) -> JsonText {
        match self {
            Self::Arguments(arguments) => arguments.clone(),
            Self::Event(event) => event.arguments(),
        }
    }

    /// What history keeps of an event beside the arguments: without its payload, where they are that.
    #[must_use]
    pub fn kept_beside(&self, made: Option<&JsonText>) -> Option<JsonText> {
        match (self, made) {
            (Self::Event(event), Some(_)) => Some(event.kept()),
            _ => self.metadata(),
        }
    }

    /// What is known of an event beside its payload.
    #[must_use]
    pub fn metadata(&self) -> Option<JsonText> {
        match self {
            Self::Arguments(_) => None,
            Self::Event(event) => Some(Event::shown(&event.metadata)),
        }
    }

    #[must_use]
    pub fn trigger(&self) -> Option<&TriggerRef> {
        match self {
            Self::Arguments(_) => None,
            Self::Event(event) => Some(&event.trigger),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub run: RunId,
    /// 1 for the first try.
    pub number: u32,
    pub workspace: WorkspaceId,
    pub workspace_name: Arc<str>,
    pub path: ScriptPath,
    pub version: Digest,
    pub input: Input,
    pub limits: Limits,
    pub started_at: Timestamp,
    /// Who it acts as, e.g. `u/admin`.
    pub run_as: Arc<str>,
    /// What it writes to its state is seen by this run alone, until a delivery of its trigger adopts it.
    #[serde(default)]
    pub stages_state: bool,
}

/// Executes attempts. It never fails: what goes wrong on our side is an outcome too.
pub trait Executor: Send + Sync + 'static {
    fn execute(&self, attempt: Attempt) -> BoxFuture<'_, Outcome>;

    /// Whether `input` fits the version's schema, without executing anything: what a caller who does not wait is told at once.
    /// An event for a version with a preprocessor always fits.
    fn check<'a>(&'a self, workspace: WorkspaceId, version: Digest, input: &'a Input) -> BoxFuture<'a, Result<(), RunError>>;

    /// Ends the attempt of `run` soon with the outcome `cancelled`, if it executes here. Returns whether it does.
    fn cancel(&self, run: RunId) -> bool;

    /// What the attempt of `run` has logged so far, if it executes here: entries from number `from` on, one at least if there is any, and no
    /// more once they count `bytes_max`.
    fn log(&self, run: RunId, from: usize, bytes_max: usize) -> Vec<LogEntry>;

    /// Whether a run could start now without waiting for a slot or for memory.
    fn has_free_slot(&self) -> bool;
}
