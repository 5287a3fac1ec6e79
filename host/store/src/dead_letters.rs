//! Dead letters: runs of the queue that failed for good, kept with all that is needed to start them again until somebody does, or
//! discards them. They are listed with [`RunFilter::is_dead`](crate::history::RunFilter).

use sandmill_model::{BoxFuture, RunId, WorkspaceId, attempt::Input};

use crate::StoreError;

pub trait DeadLetters: Send + Sync + 'static {
    /// What a dead letter was started with: its event, payload and all, or its arguments. None if it is none, or none any more.
    fn input(&self, workspace: WorkspaceId, run: RunId) -> BoxFuture<'_, Result<Option<Input>, StoreError>>;

    /// Forgets one; its run stays in history. False if it was none.
    fn discard(&self, workspace: WorkspaceId, run: RunId) -> BoxFuture<'_, Result<bool, StoreError>>;
}
