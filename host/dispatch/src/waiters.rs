//! Callers that wait for the end of a durable run.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sandmill_model::{Outcome, RunId, WorkspaceId, code::Refusal};
use tokio::sync::oneshot;

/// How the run ended, or why that cannot be told.
type Answer = Result<Arc<Outcome>, Refusal>;

/// Each with the workspace whose run it takes it for: an id says nothing of that.
type Senders = HashMap<RunId, Vec<(WorkspaceId, oneshot::Sender<Answer>)>>;

#[derive(Clone, Default)]
pub(crate) struct Waiters {
    senders: Arc<Mutex<Senders>>,
}

/// One caller's wait; leaving it early unregisters it.
pub(crate) struct Wait {
    run: RunId,
    answer: oneshot::Receiver<Answer>,
    waiters: Waiters,
}

impl Waiters {
    fn senders(&self) -> MutexGuard<'_, Senders> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn register(&self, workspace: WorkspaceId, run: RunId) -> Wait {
        let (sender, answer) = oneshot::channel();
        self.senders().entry(run).or_default().push((workspace, sender));
        Wait { run, answer, waiters: self.clone() }
    }

    /// Tells all who wait here for `run` how it ended, after that is durable; whether anybody did.
    pub(crate) fn wake(&self, workspace: WorkspaceId, run: RunId, outcome: Arc<Outcome>) -> bool {
        self.answer(workspace, run, &Ok(outcome))
    }

    /// The same, if what it returned cannot be told.
    pub(crate) fn refuse(&self, workspace: WorkspaceId, run: RunId, refusal: Refusal) {
        self.answer(workspace, run, &Err(refusal));
    }

    fn answer(&self, workspace: WorkspaceId, run: RunId, answer: &Answer) -> bool {
        let mut all = self.senders();
        let Some(senders) = all.get_mut(&run) else { return false };
        let mut woken = false;
        for (_, sender) in senders.extract_if(.., |(of, _)| *of == workspace) {
            // A receiver that is gone has stopped waiting.
            let _ = sender.send(answer.clone());
            woken = true;
        }
        if senders.is_empty() {
            all.remove(&run);
        }
        woken
    }

    /// Runs that somebody waits for.
    pub(crate) fn waiting(&self) -> Vec<RunId> {
        self.senders().keys().copied().collect()
    }

    /// Those of `runs` that somebody waits for, and whose they are.
    pub(crate) fn of(&self, runs: Vec<RunId>) -> Vec<(RunId, WorkspaceId)> {
        let senders = self.senders();
        let mut found = Vec::new();
        for run in runs {
            let mut workspaces: Vec<WorkspaceId> = senders.get(&run).into_iter().flatten().map(|(workspace, _)| *workspace).collect();
            workspaces.sort_unstable();
            workspaces.dedup();
            found.extend(workspaces.into_iter().map(|workspace| (run, workspace)));
        }
        found
    }
}

impl Wait {
    /// None if the run was taken from this node.
    pub(crate) async fn outcome(mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.answer.close();
        let mut senders = self.waiters.senders();
        if let Some(list) = senders.get_mut(&self.run) {
            list.retain(|(_, sender)| !sender.is_closed());
            if list.is_empty() {
                senders.remove(&self.run);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::{Clock, SystemClock, code::Code};

    use super::*;

    #[tokio::test]
    async fn who_waits_for_the_run_of_another_is_in_nobodys_way() {
        let (waiters, now) = (Waiters::default(), SystemClock.now());
        let (own, other, run) = (WorkspaceId::new(now), WorkspaceId::new(now), RunId::new(now));
        let stranger = waiters.register(other, run);
        let first = waiters.register(own, run);
        let second = waiters.register(own, run);
        let mut all = waiters.of(vec![run, RunId::new(now)]);
        all.sort_unstable();
        assert_eq!(all, if own < other { [(run, own), (run, other)] } else { [(run, other), (run, own)] });
        assert!(waiters.wake(own, run, Arc::new(Outcome::host_fault("x"))));
        assert!(first.outcome().await.unwrap().is_ok() && second.outcome().await.unwrap().is_ok());
        assert_eq!(waiters.of(vec![run]), [(run, other)]);
        waiters.refuse(other, run, Refusal::new(Code::ResultGone, "x"));
        assert_eq!(stranger.outcome().await.unwrap().unwrap_err().code, Code::ResultGone);
        assert!(waiters.waiting().is_empty());
        drop(waiters.register(own, run));
        assert!(waiters.waiting().is_empty());
    }
}
