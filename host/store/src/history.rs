//! Runs that have ended, and reading any run.

use sandmill_model::{BoxFuture, LogEntry, RunId, RunRecord, RunStatus, RunSummary, ScriptPath, WorkspaceId, run::FinishedRun};

use crate::StoreError;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    pub path: Option<ScriptPath>,
    pub status: Option<RunStatus>,
}

pub trait History: Send + Sync + 'static {
    /// Writes runs that never were in the queue, with their logs, in one transaction.
    fn append(&self, runs: Vec<FinishedRun>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// A run, queued or ended.
    fn run(&self, workspace: WorkspaceId, id: RunId) -> BoxFuture<'_, Result<Option<RunRecord>, StoreError>>;

    /// The log of an ended run, in order; empty for one that has not ended. None if there is no such run.
    fn log(&self, workspace: WorkspaceId, id: RunId) -> BoxFuture<'_, Result<Option<Vec<LogEntry>>, StoreError>>;

    /// Runs, queued and ended, newest id first, below `before`, at most `limit`.
    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        filter: &'a RunFilter,
        before: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<RunSummary>, StoreError>>;
}
