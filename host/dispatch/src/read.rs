//! Reading runs: history, queue, and what executes here without a row.

use sandmill_model::{Outcome, OutcomeKind, Output, RunId, RunRecord, WorkspaceId, code::Refusal};
use sandmill_store::history::{RunFilter, RunPage};

use crate::{Dispatch, Inner, refuse};

impl Dispatch {
    /// A run of this workspace, whatever its status.
    ///
    /// # Errors
    /// `unavailable`, `internal`.
    pub async fn record(&self, workspace: WorkspaceId, run: RunId) -> Result<Option<RunRecord>, Refusal> {
        // Taken before the store is read: a run that ends in between is then found in the store.
        let live = self.inner.live.record(run, workspace);
        self.inner.write_behind.flush().await;
        let stored = self.inner.store.history.run(workspace, run).await.map_err(|error| refuse(&error))?;
        Ok(stored.or(live))
    }

    /// What a run returned, as its record has it, fetched if it is kept apart.
    ///
    /// # Errors
    /// `result_gone`, `unavailable`, `internal`.
    pub async fn output(&self, workspace: WorkspaceId, run: RunId, output: Output) -> Result<Output, Refusal> {
        self.inner.store.objects.output(workspace, run, output).await.map_err(|error| refuse(&error))
    }

    /// Runs of this workspace, newest first. A page may hold fewer than `limit` although there are more.
    ///
    /// # Errors
    /// `unavailable`, `internal`.
    pub async fn runs(&self, workspace: WorkspaceId, filter: RunFilter, before: Option<RunId>, limit: u32) -> Result<RunPage, Refusal> {
        let mut live = self.inner.live.summaries(workspace);
        self.inner.write_behind.flush().await;
        let mut page = self.inner.store.history.list(workspace, &filter, before, limit).await.map_err(|error| refuse(&error))?;
        live.retain(|run| {
            before.is_none_or(|before| run.id < before)
                && page.next.is_none_or(|next| run.id >= next)
                && filter.fits(run)
                && !page.runs.iter().any(|stored| stored.id == run.id)
        });
        page.runs.append(&mut live);
        page.runs.sort_by_key(|run| std::cmp::Reverse(run.id));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if page.runs.len() > limit {
            page.runs.truncate(limit);
            page.next = page.runs.last().map(|run| run.id);
        }
        Ok(page)
    }
}

impl Inner {
    /// The outcome of an ended run, without its log.
    ///
    /// # Errors
    /// As [`Dispatch::output`].
    pub(crate) async fn outcome_of(&self, workspace: WorkspaceId, record: RunRecord) -> Result<Outcome, Refusal> {
        let output = match record.output {
            Some(output) => Some(self.store.objects.output(workspace, record.summary.id, output).await.map_err(|error| refuse(&error))?),
            None => None,
        };
        Ok(Outcome {
            kind: record.summary.outcome.unwrap_or(OutcomeKind::HostFault),
            output,
            error: record.error,
            arguments: None,
            usage: record.usage,
            log: Vec::new(),
        })
    }
}
