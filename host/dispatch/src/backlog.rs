//! How many runs a workspace may have waiting: past it new ones are refused, so that one caller in a loop does not fill the disk.
//!
//! Counting is not part of accepting: what was counted last and what was accepted here since are enough until they reach the limit. So the
//! limit is exceeded by at most what the other nodes accept between two counts.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sandmill_model::{
    WorkspaceId,
    code::{Code, Refusal},
};
use sandmill_store::queue::Queue;
use tokio::time::Instant;

use crate::refuse;

/// A count is believed this long: other nodes accept runs too.
const BELIEVED: Duration = Duration::from_secs(5);
/// A workspace at its limit is counted again this often at most.
const RECOUNT: Duration = Duration::from_millis(250);
/// Counting takes at most one part in so many of the time, however long it takes; of a workspace at its limit, whose callers wait for it, more.
const COUNTING_PARTS: u32 = 100;
const RECOUNTING_PARTS: u32 = 10;
/// Workspaces whose counts are remembered.
const WORKSPACES_MAX: usize = 10_000;

#[derive(Default)]
pub(crate) struct Backlogs(Mutex<HashMap<WorkspaceId, Backlog>>);

#[derive(Clone, Copy, Default)]
struct Backlog {
    counted: u64,
    /// When, and how long it took; none while it has never been counted.
    count: Option<(Instant, Duration)>,
    /// Somebody counts at this moment.
    is_counting: bool,
    accepted_since: u64,
}

impl Backlog {
    fn estimate(&self) -> u64 {
        self.counted.saturating_add(self.accepted_since)
    }

    fn is_believed(&self, limit: u64) -> bool {
        let Some((at, took)) = self.count else { return false };
        let believed = if self.estimate() < limit { BELIEVED.max(took * COUNTING_PARTS) } else { RECOUNT.max(took * RECOUNTING_PARTS) };
        at.elapsed() < believed
    }
}

impl Backlogs {
    fn known(&self) -> MutexGuard<'_, HashMap<WorkspaceId, Backlog>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more run of `workspace`.
    ///
    /// # Errors
    /// `too_many_requests` at the limit.
    pub(crate) async fn admit(&self, queue: &dyn Queue, workspace: WorkspaceId, limit: u64) -> Result<(), Refusal> {
        if self.begin_to_count(workspace, limit) {
            let began = Instant::now();
            let counted = queue.length(workspace, limit).await;
            if let Some(backlog) = self.known().get_mut(&workspace) {
                backlog.is_counting = false;
                if let Ok(counted) = counted {
                    (backlog.counted, backlog.accepted_since, backlog.count) = (counted, 0, Some((Instant::now(), began.elapsed())));
                }
            }
            counted.map_err(|error| refuse(&error))?;
        }
        let mut all = self.known();
        // Rarely it was forgotten in between; then nothing speaks against one more.
        let Some(backlog) = all.get_mut(&workspace) else { return Ok(()) };
        if backlog.estimate() >= limit {
            return Err(Refusal::new(
                Code::TooManyRequests,
                format!("{limit} runs of this workspace wait or execute already, which is the most; send it again once some have ended"),
            ));
        }
        backlog.accepted_since += 1;
        Ok(())
    }

    /// What was admitted came to nothing: it was a repetition, or could not be written.
    pub(crate) fn was_none(&self, workspace: WorkspaceId) {
        if let Some(backlog) = self.known().get_mut(&workspace) {
            backlog.accepted_since = backlog.accepted_since.saturating_sub(1);
        }
    }

    /// Whether the caller is the one who counts: the others go by what is known.
    fn begin_to_count(&self, workspace: WorkspaceId, limit: u64) -> bool {
        let mut all = self.known();
        if all.len() >= WORKSPACES_MAX && !all.contains_key(&workspace) {
            all.clear();
        }
        let backlog = all.entry(workspace).or_default();
        let begins = !backlog.is_counting && !backlog.is_believed(limit);
        backlog.is_counting |= begins;
        begins
    }
}
