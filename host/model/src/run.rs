//! Runs: accepted requests to execute a version.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    attempt::{Attempt, Input},
    clock::Timestamp,
    digest::Digest,
    ids::{RunId, WorkspaceId},
    json::JsonText,
    label::Labels,
    limits::Limits,
    outcome::{Outcome, OutcomeKind, Output, RunError, Usage},
    path::ScriptPath,
    policy::Policy,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    Held,
    Queued,
    Parked,
    Running,
    Suspended,
    Succeeded,
    Failed,
    Cancelled,
    Skipped,
}

impl RunStatus {
    pub const ALL: [Self; 9] = [
        Self::Held,
        Self::Queued,
        Self::Parked,
        Self::Running,
        Self::Suspended,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Skipped,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Parked => "parked",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Skipped)
    }

    /// The status in which an outcome leaves a run that is not tried again.
    #[must_use]
    pub const fn after(outcome: OutcomeKind) -> Self {
        match outcome {
            OutcomeKind::Ok => Self::Succeeded,
            OutcomeKind::Skipped => Self::Skipped,
            OutcomeKind::Cancelled => Self::Cancelled,
            _ => Self::Failed,
        }
    }
}

/// A run as it is accepted: everything that its attempts need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRun {
    pub id: RunId,
    pub workspace: WorkspaceId,
    pub workspace_name: Arc<str>,
    pub path: ScriptPath,
    /// The deployment's number, `@3`.
    pub number: i64,
    pub version: Digest,
    pub input: Input,
    pub limits: Limits,
    pub run_as: Arc<str>,
    /// Who had the right to have it act so when it was accepted, e.g. `u/ann`, and must have it still when it begins. None: it acts as
    /// whoever started it, or nobody is known who answers for it.
    #[serde(default)]
    pub answered_by: Option<Arc<str>>,
    /// What it writes to its state is kept apart until a delivery of its trigger adopts it.
    #[serde(default)]
    pub stages_state: bool,
    pub created_at: Timestamp,
    pub scheduled_for: Timestamp,
    pub policy: Arc<Policy>,
    /// By what a repetition of this run is known.
    pub dedup: Option<Dedup>,
    pub cause: Option<Cause>,
    /// With a parent, or if a run asked for it.
    pub lineage: Option<Lineage>,
    /// Below which span its attempts are: a `traceparent` of W3C Trace Context. None: nobody traces.
    pub trace: Option<Arc<str>>,
    pub labels: Arc<Labels>,
}

/// Where a run stands that another one started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Runs above it.
    pub depth: u32,
    /// When the first of them was due: among what waits it counts as old as that, so that what was begun first is finished first.
    pub since: Timestamp,
}

/// Another run on whose account a run was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cause {
    pub kind: CauseKind,
    pub run: RunId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// The other run started it and is its parent.
    Parent,
    /// The other run was to be done again.
    Rerun,
    /// The other run failed, and this one is its error handler.
    Handler,
}

impl CauseKind {
    pub const ALL: [Self; 3] = [Self::Parent, Self::Rerun, Self::Handler];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Rerun => "rerun",
            Self::Handler => "handler",
        }
    }
}

/// A key that only one run has within a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dedup {
    /// Whose keys these are: a trigger's, or a caller's for one path.
    pub scope: Arc<str>,
    pub key: String,
    /// Of what was asked for: with the same key and another fingerprint it is a mistake, not a repetition. None: nobody asks.
    pub fingerprint: Option<Digest>,
    pub window: Duration,
}

impl NewRun {
    #[must_use]
    pub fn attempt(&self, number: u32, started_at: Timestamp) -> Attempt {
        Attempt {
            run: self.id,
            number,
            workspace: self.workspace,
            workspace_name: Arc::clone(&self.workspace_name),
            path: self.path.clone(),
            version: self.version,
            input: self.input.clone(),
            limits: self.limits,
            started_at,
            run_as: Arc::clone(&self.run_as),
            stages_state: self.stages_state,
        }
    }
}

/// A run with the outcome of its last attempt: what history keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedRun {
    pub run: NewRun,
    /// Number of the last attempt; 0 if none was started.
    pub attempt: u32,
    /// None if no attempt was started.
    pub started_at: Option<Timestamp>,
    pub ended_at: Timestamp,
    pub outcome: Outcome,
}

impl FinishedRun {
    #[must_use]
    pub fn status(&self) -> RunStatus {
        RunStatus::after(self.outcome.kind)
    }
}

/// One run as read back, whatever its status. The log is read apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    pub summary: RunSummary,
    /// As accepted, or what the preprocessor made of the event.
    pub arguments: JsonText,
    /// Metadata of the event that started it: a JSON object. Where a preprocessor made the arguments, with the payload: see
    /// [`Event::kept`](crate::Event::kept).
    pub event: Option<JsonText>,
    pub output: Option<Output>,
    pub error: Option<RunError>,
    pub usage: Usage,
}

/// One run in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    pub id: RunId,
    pub path: ScriptPath,
    pub number: i64,
    pub version: Digest,
    pub status: RunStatus,
    pub outcome: Option<OutcomeKind>,
    pub trigger_kind: Option<String>,
    /// Of a trigger that is configured.
    pub trigger_path: Option<Arc<str>>,
    pub attempt: u32,
    pub run_as: String,
    pub created_at: Timestamp,
    pub scheduled_for: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Empty: none.
    pub tag: Arc<str>,
    pub cause: Option<Cause>,
    pub labels: Arc<Labels>,
}
