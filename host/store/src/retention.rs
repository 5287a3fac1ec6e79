//! Letting go of old runs: whole partitions where the database has them, small steps elsewhere.

use std::sync::Arc;

use sandmill_model::{BoxFuture, RunId, Timestamp, WorkspaceId};

use crate::StoreError;

/// What is forgotten of one workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Old {
    pub workspace: WorkspaceId,
    /// Runs accepted before.
    pub accepted_before: Timestamp,
    /// Of those only the ones that ended before.
    pub ended_before: Timestamp,
}

/// One small step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Runs that are gone, with their logs.
    pub runs: u64,
    /// Where the next step begins; none if there is nothing more.
    pub next: Option<RunId>,
}

pub trait Retention: Send + Sync + 'static {
    /// Takes a duty that one node at a time does, or keeps it, until `until`; false if it is another's at `now`.
    fn hold(&self, duty: &'static str, holder: Arc<str>, now: Timestamp, until: Timestamp) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Makes what history needs from `now` on for the days to come, ahead of time.
    fn make_room(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Whether history is in partitions, each of one UTC day.
    fn has_partitions(&self) -> bool;

    /// Drops partitions of runs that were accepted and ended before; runs among them that ended later are kept. Returns how many partitions.
    fn drop_before(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Forgets some hundreds of runs at most, the oldest first, with ids above `after`.
    fn forget(&self, old: Old, after: Option<RunId>) -> BoxFuture<'_, Result<Step, StoreError>>;
}
