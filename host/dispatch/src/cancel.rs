//! Ending a run that is on this node: while it executes, while it waits here for a slot, and in the moments before and between.

use std::{sync::Arc, time::Duration};

use sandmill_model::{RunId, WorkspaceId};

use crate::{Dispatch, Inner, live::Marked};

/// How often the executor is told again while it does not know of the run yet: its program is being loaded.
const INSIST_INTERVAL: Duration = Duration::from_millis(5);

impl Dispatch {
    /// Tells all runs of these workspaces to end that are on this node: of the fast lane, whose rows are nowhere, and of the queue. Returns
    /// the workspaces that have some here still, which end in a moment.
    #[must_use]
    pub fn end_all(&self, workspaces: &[WorkspaceId]) -> Vec<WorkspaceId> {
        let of = self.inner.live.of_any(workspaces);
        for (run, _) in &of {
            self.inner.end_here(*run);
        }
        let mut busy: Vec<WorkspaceId> = of.into_iter().map(|(_, workspace)| workspace).collect();
        busy.sort_unstable();
        busy.dedup();
        busy
    }
}

impl Inner {
    /// Ends a run that this node has; returns whether it has it.
    pub(crate) fn end_here(self: &Arc<Self>, run: RunId) -> bool {
        // Marked before anything else is looked at: an attempt looks at the mark before it begins.
        self.live.cancel(run).inspect(|marked| self.end_marked(run, *marked)).is_some()
    }

    /// The same, and also if the run comes to this node only now: the claim's answer may be on its way while somebody cancels.
    pub(crate) fn end_here_or_soon(self: &Arc<Self>, run: RunId) {
        if let Some(marked) = self.live.cancel_early(run) {
            self.end_marked(run, marked);
        }
    }

    fn end_marked(self: &Arc<Self>, run: RunId, marked: Marked) {
        if self.executor.cancel(run) || self.ahead.cancel(run) || marked == Marked::Before {
            return;
        }
        let inner = Arc::clone(self);
        self.tasks.spawn(async move {
            while inner.live.has(run) && !inner.executor.cancel(run) {
                tokio::time::sleep(INSIST_INTERVAL).await;
            }
        });
    }
}
