//! Callers that wait for the end of a durable run.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sandmill_model::{Outcome, RunId};
use tokio::sync::oneshot;

type Senders = HashMap<RunId, Vec<oneshot::Sender<Arc<Outcome>>>>;

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

    pub(crate) fn register(&self, run: RunId) -> Wait {
        let (sender, outcome) = oneshot::channel();
        self.senders().entry(run).or_default().push(sender);
        Wait { run, outcome, waiters: self.clone() }
    }

    /// Tells all who wait for `run` how it ended, after that is durable.
    pub(crate) fn wake(&self, run: RunId, outcome: Arc<Outcome>) {
        for sender in self.senders().remove(&run).unwrap_or_default() {
            // A receiver that is gone has stopped waiting.
            let _ = sender.send(Arc::clone(&outcome));
        }
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
        if let Some(list) = senders.get_mut(&self.run) {
            list.retain(|sender| !sender.is_closed());
            if list.is_empty() {
                senders.remove(&self.run);
            }
        }
    }
}
