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
    Timestamp, WorkspaceId,
    code::{Code, Refusal},
};
use sandmill_store::queue::Queue;

use crate::refuse;

/// A count is believed this long: other nodes accept runs too.
const BELIEVED: Duration = Duration::from_secs(5);
/// A workspace at its limit is counted again this often at most.
const RECOUNT: Duration = Duration::from_millis(250);
/// Workspaces whose counts are remembered.
const WORKSPACES_MAX: usize = 10_000;

#[derive(Default)]
pub(crate) struct Backlogs(Mutex<HashMap<WorkspaceId, Backlog>>);

#[derive(Clone, Copy)]
struct Backlog {
    counted: u64,
    counted_at: Timestamp,
    accepted_since: u64,
}

impl Backlog {
    fn estimate(&self) -> u64 {
        self.counted.saturating_add(self.accepted_since)
    }

    fn is_believed(&self, limit: u64, now: Timestamp) -> bool {
        now.since(self.counted_at) < if self.estimate() < limit { BELIEVED } else { RECOUNT }
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
    pub(crate) async fn admit(&self, queue: &dyn Queue, workspace: WorkspaceId, limit: u64, now: Timestamp) -> Result<(), Refusal> {
        let known = self.known().get(&workspace).copied().filter(|known| known.is_believed(limit, now));
        if known.is_none() {
            let counted = queue.length(workspace, limit).await.map_err(|error| refuse(&error))?;
            let mut all = self.known();
            if all.len() >= WORKSPACES_MAX {
                all.clear();
            }
            // Who counted at the same time has perhaps accepted some since, which this count has not seen.
            if !all.get(&workspace).is_some_and(|known| known.is_believed(limit, now)) {
                all.insert(workspace, Backlog { counted, counted_at: now, accepted_since: 0 });
            }
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
}
