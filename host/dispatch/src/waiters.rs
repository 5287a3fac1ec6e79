//! Callers that wait for the end of a durable run.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sandmill_model::{Outcome, RunId, WorkspaceId};
use tokio::sync::oneshot;

type Senders = HashMap<RunId, (WorkspaceId, Vec<oneshot::Sender<Arc<Outcome>>>)>;

#[derive(Clone, Default)]
pub(crate) struct Waiters {
    senders: Arc<Mutex<Senders>>,
}

/// One caller's wait; leaving it early unregisters it.
pub(crate) struct Wait {
    run: RunId,
    outcome: oneshot::Receiver<Arc<Outcome>>,
    waiters: Waiters,
}

impl Waiters {
    fn senders(&self) -> MutexGuard<'_, Senders> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn register(&self, workspace: WorkspaceId, run: RunId) -> Wait {
        let (sender, outcome) = oneshot::channel();
        self.senders().entry(run).or_insert_with(|| (workspace, Vec::new())).1.push(sender);
        Wait { run, outcome, waiters: self.clone() }
    }

    /// Tells all who wait here for `run` how it ended, after that is durable; whether anybody did.
    pub(crate) fn wake(&self, run: RunId, outcome: Arc<Outcome>) -> bool {
        let Some((_, senders)) = self.senders().remove(&run) else { return false };
        for sender in senders {
            // A receiver that is gone has stopped waiting.
            let _ = sender.send(Arc::clone(&outcome));
        }
        true
    }

    /// Runs that somebody waits for.
    pub(crate) fn waiting(&self) -> Vec<RunId> {
        self.senders().keys().copied().collect()
    }

    /// Those of `runs` that somebody waits for, and whose they are.
    pub(crate) fn of(&self, runs: Vec<RunId>) -> Vec<(RunId, WorkspaceId)> {
        let senders = self.senders();
        runs.into_iter().filter_map(|run| senders.get(&run).map(|(workspace, _)| (run, *workspace))).collect()
    }
}

impl Wait {
    /// None if the run was taken from this node.
    pub(crate) async fn outcome(mut self) -> Option<Arc<Outcome>> {
        (&mut self.outcome).await.ok()
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.outcome.close();
        let mut senders = self.waiters.senders();
        if let Some((_, list)) = senders.get_mut(&self.run) {
            list.retain(|sender| !sender.is_closed());
            if list.is_empty() {
                senders.remove(&self.run);
            }
        }
    }
}
