//! Runs that begin where they are accepted: with a free slot here and nothing ready before them, they need not be claimed.

use std::{sync::Arc, time::Duration};

use sandmill_model::run::NewRun;
use sandmill_store::{
    StoreError,
    nodes::Incarnation,
    queue::{Claimed, Enqueued},
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::Inner;

/// Between two tries to give back a run of which it is not known whether it is this node's.
const HAND_BACK_PAUSE: Duration = Duration::from_millis(200);

/// A slot that a run has if it waits for nothing; whoever claims is told if it is given back for another reason than the end of a run.
pub(crate) struct Vacancy {
    lease: Incarnation,
    slot: Option<OwnedSemaphorePermit>,
    inner: Arc<Inner>,
}

impl Drop for Vacancy {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            drop(slot);
            self.inner.ahead.freed();
        }
    }
}

impl Inner {
    /// A slot for `run`, unless others come before it or it is counted by all nodes together.
    pub(crate) fn vacancy(self: &Arc<Self>, run: &NewRun, is_counted: bool) -> Option<Vacancy> {
        let serves = self.options.role.executes() && self.served_tags.contains(&run.policy.tag) && !self.draining.is_cancelled();
        if !serves || is_counted || run.scheduled_for > run.created_at || !self.ahead.is_idle() {
            return None;
        }
        let lease = self.membership.current()?;
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        Some(Vacancy { lease, slot: Some(slot), inner: Arc::clone(self) })
    }

    /// Makes a run durable, and begins it if there is a vacancy and nothing that it waits for.
    pub(crate) async fn enqueue_or_begin(self: &Arc<Self>, run: NewRun, vacancy: Option<Vacancy>) -> Result<Option<Enqueued>, StoreError> {
        let Some(mut vacancy) = vacancy else {
            return Ok(self.store.queue.enqueue(vec![run]).await?.first().copied());
        };
        // In a task of its own: once it is durable it must begin, whether its caller stays or not.
        let (inner, lease) = (Arc::clone(self), vacancy.lease);
        let (tell, told) = oneshot::channel();
        self.tasks.spawn(async move {
            let answer = inner.store.queue.begin(lease, run.clone()).await;
            let slot = vacancy.slot.take_if(|_| matches!(answer, Ok(Enqueued::Begun)));
            let is_unheard = matches!(answer, Err(StoreError::Unavailable(_)));
            drop(vacancy);
            // Whoever has gone away needs no answer.
            let _ = tell.send(answer);
            if let Some(slot) = slot {
                let claimed = Claimed { run, attempt: 1, begun: 1, lost: 0, is_cancelled: false };
                inner.begin(lease, std::slice::from_ref(&claimed));
                // The caller first.
                tokio::task::yield_now().await;
                inner.start(lease, claimed, slot).await;
            } else if is_unheard {
                inner.give_back_unheard(lease, run).await;
            }
        });
        told.await.map_err(|_| StoreError::Unavailable("this node is shutting down".to_owned()))?.map(Some)
    }

    /// It may be this node's, which executes nothing of which it does not know that it is durable: another claim finds it, if it is there.
    async fn give_back_unheard(&self, lease: Incarnation, run: NewRun) {
        while self.membership.current() == Some(lease) && !self.draining.is_cancelled() {
            match self.store.queue.hand_back(lease, vec![(run.workspace, run.id)]).await {
                // It is durable, and nobody else ends it.
                Ok(back) if !back.cancelled.is_empty() => {
                    let claimed = vec![Claimed { run, attempt: 1, begun: 1, lost: 0, is_cancelled: true }];
                    self.begin(lease, &claimed);
                    return self.ahead.end(lease, claimed);
                }
                Ok(back) if back.runs.is_empty() => return,
                Ok(_) => return self.look_for_ready(),
                Err(error) => {
                    tracing::error!(%error, run = %run.id, "a run could not be given back whose acceptance was not heard; trying again")
                }
            }
            tokio::time::sleep(HAND_BACK_PAUSE).await;
        }
    }
}
