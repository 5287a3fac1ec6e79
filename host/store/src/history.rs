//! Runs that have ended, and reading any run.

use sandmill_model::{
    BoxFuture, Cause, LogEntry, LogPosition, OutcomeKind, RunId, RunRecord, RunStatus, RunSummary, ScriptPath, Timestamp, WorkspaceId,
    auth, run::FinishedRun,
};

use crate::{StoreError, nodes::Incarnation};

/// Whether a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Open,
    Ended,
}

/// Which runs are looked for; everything that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    pub path: Option<ScriptPath>,
    /// Only runs at paths that one text of each of these lists means, which are those of `Principal::paths`. No list: at any.
    pub within: Vec<Vec<String>>,
    pub phase: Option<Phase>,
    pub status: Option<RunStatus>,
    pub outcome: Option<OutcomeKind>,
    pub trigger_kind: Option<String>,
    /// Of a trigger that is configured.
    pub trigger_path: Option<ScriptPath>,
    pub tag: Option<String>,
    pub run_as: Option<String>,
    pub cause: Option<Cause>,
    /// Name and value.
    pub label: Option<(String, String)>,
    /// Only dead letters.
    pub is_dead: bool,
    /// Accepted then or later.
    pub created_from: Option<Timestamp>,
    /// Accepted earlier.
    pub created_before: Option<Timestamp>,
}

impl RunFilter {
    /// Whether a run that is in no table yet is looked for.
    #[must_use]
    pub fn fits(&self, run: &RunSummary) -> bool {
        let Self { path, within, phase, status, outcome, trigger_kind, trigger_path, .. } = self;
        let Self { tag, run_as, cause, label, is_dead, created_from, created_before, .. } = self;
        path.as_ref().is_none_or(|path| *path == run.path)
            && within.iter().all(|reaches| reaches.iter().any(|reach| auth::reaches(reach, run.path.as_str())))
            && phase.is_none_or(|phase| run.status.has_ended() == (phase == Phase::Ended))
            && status.is_none_or(|status| status == run.status)
            && outcome.is_none_or(|outcome| run.outcome == Some(outcome))
            && trigger_kind.as_ref().is_none_or(|kind| run.trigger_kind.as_ref() == Some(kind))
            && trigger_path.as_ref().is_none_or(|path| run.trigger_path.as_deref() == Some(path.as_str()))
            && tag.as_ref().is_none_or(|tag| **tag == *run.tag)
            && run_as.as_ref().is_none_or(|identity| *identity == run.run_as)
            && cause.is_none_or(|cause| run.cause == Some(cause))
            && label.as_ref().is_none_or(|(name, value)| run.labels.get(name) == Some(value))
            // Until it has ended it is none.
            && !is_dead
            && created_from.is_none_or(|from| run.created_at >= from)
            && created_before.is_none_or(|before| run.created_at < before)
    }
}

/// Some runs, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunPage {
    pub runs: Vec<RunSummary>,
    /// If there may be more: they are below this one.
    pub next: Option<RunId>,
}

/// What an attempt that goes on has logged since the part before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPart {
    pub workspace: WorkspaceId,
    pub run: RunId,
    /// Where the first of `entries` stands.
    pub from: LogPosition,
    pub entries: Vec<LogEntry>,
}

/// Where reading a log goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogCursor {
    /// Of the first entry that is wanted.
    pub position: LogPosition,
    /// Whether a page ended before it, so that no entry from there on was written together with earlier ones.
    pub is_boundary: bool,
}

impl LogCursor {
    pub const START: Self = Self { position: LogPosition::START, is_boundary: true };

    /// From anywhere.
    #[must_use]
    pub const fn at(position: LogPosition) -> Self {
        Self { position, is_boundary: false }
    }
}

/// Some hundred kilobytes of a log at most, unless one entry alone is longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    pub entries: Vec<(LogPosition, LogEntry)>,
    pub next: LogCursor,
    /// Whether more is there already.
    pub has_more: bool,
    /// Whether the run had ended: without `has_more` nothing will come any more.
    pub has_ended: bool,
}

/// A run and the one that started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kin {
    pub run: RunId,
    pub has_ended: bool,
}

pub trait History: Send + Sync + 'static {
    /// Writes runs that never were in the queue, with their logs, in one transaction.
    fn append(&self, runs: Vec<FinishedRun>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The same once more, because no answer came: what is there already stays, and is not counted again.
    fn append_again(&self, runs: Vec<FinishedRun>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.append(runs)
    }

    /// A run, queued or ended.
    fn run(&self, workspace: WorkspaceId, id: RunId) -> BoxFuture<'_, Result<Option<RunRecord>, StoreError>>;

    /// Those of `runs` that `parent` started, in no order.
    fn kin(&self, workspace: WorkspaceId, parent: RunId, runs: Vec<RunId>) -> BoxFuture<'_, Result<Vec<Kin>, StoreError>>;

    /// Those of `runs` that have ended, in no order.
    fn ended(&self, runs: Vec<(WorkspaceId, RunId)>) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>>;

    /// Writes what runs that `lease` executes have logged so far; returns the runs whose part is written. One is left out if the lease
    /// does not hold it any more, or if it is changing at this moment: its part may be written again, if it is the same.
    fn append_logs(&self, lease: Incarnation, parts: Vec<LogPart>) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>>;

    /// The log of a run in order, as far as it is written. None if there is no such run.
    fn log(&self, workspace: WorkspaceId, id: RunId, from: LogCursor) -> BoxFuture<'_, Result<Option<LogPage>, StoreError>>;

    /// Runs, queued and ended, newest id first, below `before`, at most `limit`. A page may hold fewer although there are more.
    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        filter: &'a RunFilter,
        before: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<RunPage, StoreError>>;
}
