//! Dead letters: runs of the queue that failed for good.

use std::sync::Arc;

use sandmill_model::{
    Cause, CauseKind, Input, RunId, ScriptPath, WorkspaceId,
    auth::{Action, Domain, Principal},
    code::{Code, Refusal},
    version::Selector,
};
use sandmill_store::{triggers::Trigger, workspaces::Workspace};

use crate::{Accepted, Dispatch, Refused, StartRequest, StartTerms, refuse};

impl Dispatch {
    /// Starts a dead letter again, by the newest version of its script and with its event as it came. Then it is none any more; the
    /// same letter is replayed once, whoever asks and however often. One of a stored trigger starts on that one's terms, if `principal` may
    /// replay its events.
    ///
    /// # Errors
    /// `not_found` if it is no dead letter; else as [`Dispatch::accept`].
    pub async fn replay(&self, principal: Arc<Principal>, workspace: Workspace, run: RunId) -> Result<Accepted, Refused> {
        let letters = &self.inner.store.dead_letters;
        let no_letter = || Refusal::new(Code::NotFound, format!("run {run} is no dead letter, or none any more"));
        let input = letters.input(workspace.id, run).await.map_err(|error| refuse(&error))?.ok_or_else(no_letter)?;
        let record = self.record(workspace.id, run).await?.ok_or_else(no_letter)?;
        let id = workspace.id;
        let trigger = self.terms_of(&principal, id, &record.summary.path, &input).await?;
        let request = StartRequest {
            principal,
            workspace,
            path: record.summary.path,
            selector: Selector::Newest,
            input,
            terms: StartTerms {
                cause: Some(Cause { kind: CauseKind::Rerun, run }),
                replay_of: Some(run),
                trigger,
                ..StartTerms::default()
            },
        };
        let accepted = self.accept(request).await?;
        // After that, so that it cannot be lost; who replays it in between gets the same run.
        letters.discard(id, run).await.map_err(|error| refuse(&error))?;
        Ok(accepted)
    }

    /// The trigger that an event came by, as it is now, if it still starts this script.
    async fn terms_of(
        &self,
        by: &Principal,
        workspace: WorkspaceId,
        target: &ScriptPath,
        input: &Input,
    ) -> Result<Option<Arc<Trigger>>, Refusal> {
        let Some(of) = input.trigger() else { return Ok(None) };
        let path = of.path.as_deref().and_then(|path| path.parse::<ScriptPath>().ok());
        // Its runs may act as somebody else: whoever may only start the script is no reason for that.
        let path = path.filter(|path| by.may(workspace, Domain::Triggers, Action::Start, Some(path.as_str())));
        let Some(path) = path else { return Ok(None) };
        let found = self.inner.store.triggers.find(workspace, &path).await.map_err(|error| refuse(&error))?;
        Ok(found.filter(|trigger| trigger.kind == of.kind && trigger.target == *target).map(Arc::new))
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
