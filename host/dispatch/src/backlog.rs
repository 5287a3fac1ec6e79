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
use tokio::{sync::Notify, time::Instant};

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
pub(crate) struct Backlogs {
    known: Mutex<HashMap<WorkspaceId, Backlog>>,
    /// Somebody has counted, or given up.
    counted: Notify,
}

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
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more run of `workspace`.
    ///
    /// # Errors
    /// `too_many_requests` at the limit.
    pub(crate) async fn admit(&self, queue: &dyn Queue, workspace: WorkspaceId, limit: u64) -> Result<(), Refusal> {
        loop {
            let counted = self.counted.notified();
            match self.look(workspace, limit) {
                Look::Known => break,
                Look::Unknown => counted.await,
                Look::Count(count) => {
                    let (before, began) = (count.accepted_before, Instant::now());
                    let counted = queue.length(workspace, limit).await.map_err(|error| refuse(&error))?;
                    if let Some(backlog) = self.known().get_mut(&workspace) {
                        // What was accepted meanwhile was perhaps not there yet.
                        backlog.accepted_since = backlog.accepted_since.saturating_sub(before);
                        (backlog.counted, backlog.count) = (counted, Some((Instant::now(), began.elapsed())));
                    }
                    break;
                }
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

    /// What was admitted came to nothing: it was a repetition, or could not be written.
    pub(crate) fn was_none(&self, workspace: WorkspaceId) {
        if let Some(backlog) = self.known().get_mut(&workspace) {
            backlog.accepted_since = backlog.accepted_since.saturating_sub(1);
        }
    }

    /// One caller counts; the others go by what is known, if anything is.
    fn look(&self, workspace: WorkspaceId, limit: u64) -> Look<'_> {
        let mut all = self.known();
        if all.len() >= WORKSPACES_MAX && !all.contains_key(&workspace) {
            all.clear();
        }
        let backlog = all.entry(workspace).or_default();
        if !backlog.is_counting && !backlog.is_believed(limit) {
            backlog.is_counting = true;
            return Look::Count(Count { backlogs: self, workspace, accepted_before: backlog.accepted_since });
        }
        if backlog.count.is_some() { Look::Known } else { Look::Unknown }
    }
}

enum Look<'a> {
    Known,
    /// Somebody counts for the first time.
    Unknown,
    Count(Count<'a>),
}

/// Who counts; also one who leaves in the midst of it lets the next one count.
struct Count<'a> {
    backlogs: &'a Backlogs,
    workspace: WorkspaceId,
    accepted_before: u64,
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        if let Some(backlog) = self.backlogs.known().get_mut(&self.workspace) {
            backlog.is_counting = false;
        }
        self.backlogs.counted.notify_waiters();
    }
}
