//! Runs of the fast lane that have a place and did not end at once.

use std::sync::{Arc, Mutex, PoisonError};

use sandmill_model::{RunId, run::NewRun};

use super::Seat;
use crate::{Inner, fast_lane::Promise};

/// What it takes to make such a run durable.
pub(crate) struct Seated {
    pub(crate) run: NewRun,
    pub(crate) promise: Promise,
    seat: Mutex<Option<Seat>>,
}

/// Gives the place back when the run has ended, however it ends.
pub(crate) struct Sits {
    inner: Arc<Inner>,
    run: RunId,
}

impl Drop for Sits {
    fn drop(&mut self) {
        self.inner.lanes.seated().remove(&self.run);
    }
}

impl Inner {
    /// A run goes on in its place.
    pub(crate) fn sits(self: &Arc<Self>, run: &NewRun, promise: &Promise, seat: Seat) -> Sits {
        let seated = Seated { run: run.clone(), promise: promise.clone(), seat: Mutex::new(Some(seat)) };
        self.lanes.seated().insert(run.id, Arc::new(seated));
        Sits { inner: Arc::clone(self), run: run.id }
    }

    /// A run that has a place of the fast lane.
    pub(crate) fn seated(&self, run: RunId) -> Option<Arc<Seated>> {
        self.lanes.seated().get(&run).cloned()
    }

    /// A run has become durable: it counts among those of the queue.
    pub(crate) async fn stands_up(&self, run: RunId) {
        let seated = self.lanes.seated().remove(&run);
        let seat = seated.and_then(|seated| seated.seat.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(seat) = seat {
            seat.leaves().await;
        }
    }
}
