//! The hot queue: runs that are accepted and have not ended. Small, whatever history holds.

use std::time::Duration;

use sandmill_model::{
    BoxFuture, RunId, Timestamp, WorkspaceId,
    run::{FinishedRun, NewRun},
};

use crate::StoreError;

/// A run that a worker has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub run: NewRun,
    /// Number of the attempt that begins now; 1 for the first.
    pub attempt: u32,
}

/// What came of a request to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It was waiting and is now history with status cancelled.
    AtOnce,
    /// It is running; the node that runs it must end it.
    Requested,
    /// It had ended, or there is no such run.
    TooLate,
}

pub trait Queue: Send + Sync + 'static {
    /// Makes runs durable, all or none. Returns once they are on disk.
    fn enqueue(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Makes a run durable that `node` executes already: it is in the queue as claimed by `node` until `now + lease`, in its first attempt.
    fn adopt<'a>(&'a self, node: &'a str, run: NewRun, now: Timestamp, lease: Duration) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Takes up to `limit` due runs, oldest first, for `node`: until `now + lease` no other claim gets them.
    fn claim<'a>(&'a self, node: &'a str, now: Timestamp, lease: Duration, limit: u32) -> BoxFuture<'a, Result<Vec<Claimed>, StoreError>>;

    /// Moves runs that `node` holds to history, all in one transaction. A run that it no longer holds is left alone: returns the ids that were moved.
    fn complete<'a>(&'a self, node: &'a str, runs: Vec<FinishedRun>) -> BoxFuture<'a, Result<Vec<RunId>, StoreError>>;

    /// Extends the leases of all runs that `node` holds; returns those among them that somebody asked to cancel.
    fn heartbeat<'a>(&'a self, node: &'a str, now: Timestamp, lease: Duration) -> BoxFuture<'a, Result<Vec<RunId>, StoreError>>;

    /// Puts runs whose lease lapsed before `now`, and all that `returning` holds (a node that has just started again), back in the queue; their next attempt counts one more.
    /// Returns how many.
    fn recover<'a>(&'a self, returning: Option<&'a str>, now: Timestamp) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Puts all that `node` still holds back in the queue, because it stops in good order: the attempt under way does not count, since nothing
    /// was wrong with the run. Returns how many.
    fn hand_back<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<u64, StoreError>>;

    fn cancel(&self, workspace: WorkspaceId, run: RunId, now: Timestamp) -> BoxFuture<'_, Result<Cancelled, StoreError>>;
}
