//! Dead letters: runs of the queue that failed for good.

use std::sync::Arc;

use sandmill_model::{
    Cause, CauseKind, RunId, WorkspaceId,
    auth::Principal,
    code::{Code, Refusal},
    version::Selector,
};
use sandmill_store::workspaces::Workspace;

use crate::{Accepted, Dispatch, Refused, StartRequest, StartTerms, refuse};

impl Dispatch {
    /// Starts a dead letter again, by the newest version of its script and with its event as it came. Then it is none any more; the
    /// same letter is replayed once, whoever asks and however often.
    ///
    /// # Errors
    /// `not_found` if it is no dead letter; else as [`Dispatch::accept`].
    pub async fn replay(&self, principal: Arc<Principal>, workspace: Workspace, run: RunId) -> Result<Accepted, Refused> {
        let letters = &self.inner.store.dead_letters;
        let no_letter = || Refusal::new(Code::NotFound, format!("run {run} is no dead letter, or none any more"));
        let input = letters.input(workspace.id, run).await.map_err(|error| refuse(&error))?.ok_or_else(no_letter)?;
        let record = self.record(workspace.id, run).await?.ok_or_else(no_letter)?;
        let id = workspace.id;
        let request = StartRequest {
            principal,
            workspace,
            path: record.summary.path,
            selector: Selector::Newest,
            input,
            terms: StartTerms { cause: Some(Cause { kind: CauseKind::Rerun, run }), replay_of: Some(run), ..StartTerms::default() },
        };
        let accepted = self.accept(request).await?;
        // After that, so that it cannot be lost; who replays it in between gets the same run.
        letters.discard(id, run).await.map_err(|error| refuse(&error))?;
        Ok(accepted)
    }

    /// Forgets a dead letter; its run stays in history.
    ///
    /// # Errors
    /// `not_found` if it is none; `storage_full`, `unavailable`.
    pub async fn discard(&self, workspace: WorkspaceId, run: RunId) -> Result<(), Refusal> {
        if self.inner.store.dead_letters.discard(workspace, run).await.map_err(|error| refuse(&error))? {
            return Ok(());
        }
        Err(Refusal::new(Code::NotFound, format!("run {run} is no dead letter, or none any more")))
    }
}
