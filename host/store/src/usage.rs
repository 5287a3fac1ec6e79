//! What workspaces use: counters by day, from which bills can be made, and what quotas are held against.

use std::{sync::Arc, time::Duration};

use sandmill_model::{BoxFuture, OutcomeKind, Quotas, Timestamp, WorkspaceId};

use crate::StoreError;

/// What a workspace keeps is measured so often.
pub const SAMPLED_EVERY: Duration = Duration::from_secs(3600);
const MINUTE_MICROS: i64 = 60 * 1_000_000;
const DAY_MICROS: i64 = 24 * 60 * MINUTE_MICROS;

/// Minutes since 1970, UTC.
#[must_use]
pub fn minute_of(at: Timestamp) -> i64 {
    at.micros().div_euclid(MINUTE_MICROS)
}

/// Days since 1970, UTC.
#[must_use]
pub fn day_of(at: Timestamp) -> i64 {
    at.micros().div_euclid(DAY_MICROS)
}

/// Seconds until the next minute, and until the next day; at least 1.
#[must_use]
pub fn seconds_left(at: Timestamp) -> (u64, u64) {
    let left = |span: i64| u64::try_from((span - at.micros().rem_euclid(span)).div_euclid(1_000_000)).unwrap_or(0) + 1;
    (left(MINUTE_MICROS), left(DAY_MICROS))
}

/// What attempts have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// That ended so; an attempt that was followed by another ended none.
    pub runs: u64,
    pub attempts: u64,
    pub fuel: u64,
    pub cpu_ns: u64,
    pub wall_ns: u64,
    /// Peak of memory times wall time, of each attempt.
    pub memory_kib_ms: u64,
    pub log_bytes: u64,
    /// Arguments and events of runs that ended.
    pub input_bytes: u64,
    /// Results and errors of runs that ended.
    pub result_bytes: u64,
}

impl Sums {
    pub fn add(&mut self, other: &Self) {
        let Self { runs, attempts, fuel, cpu_ns, wall_ns, memory_kib_ms, log_bytes, input_bytes, result_bytes } = other;
        for (sum, more) in [
            (&mut self.runs, runs),
            (&mut self.attempts, attempts),
            (&mut self.fuel, fuel),
            (&mut self.cpu_ns, cpu_ns),
            (&mut self.wall_ns, wall_ns),
            (&mut self.memory_kib_ms, memory_kib_ms),
            (&mut self.log_bytes, log_bytes),
            (&mut self.input_bytes, input_bytes),
            (&mut self.result_bytes, result_bytes),
        ] {
            *sum = sum.saturating_add(*more);
        }
    }
}

/// Attempts of one day that ended in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeUsage {
    pub day: i64,
    pub outcome: OutcomeKind,
    pub sums: Sums,
}

/// What scripts sent and received in one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub day: i64,
    pub bytes_up: u64,
    pub bytes_down: u64,
}

/// What a workspace kept on one day, and by which plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub day: i64,
    /// That of the last sample; none: it had none.
    pub plan: Option<Arc<str>>,
    /// The average of the samples.
    pub stored_bytes: u64,
    /// The same of objects; none: they were not measured.
    pub object_bytes: Option<u64>,
}

/// A workspace that is gone, and whose usage is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedWorkspace {
    pub id: WorkspaceId,
    /// The last that it had; another may have it now.
    pub name: Arc<str>,
    pub deleted_at: Timestamp,
}

/// What a node has counted of one workspace and not added yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub minute: i64,
    pub day: i64,
    /// Accepted.
    pub runs: u64,
    /// Of their arguments and events.
    pub input_bytes: u64,
    pub bytes_up: u64,
    pub bytes_down: u64,
}

/// Counts on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// One life of one node.
    pub sender: Arc<str>,
    /// Counts up: what was added already under a number is not added again.
    pub number: i64,
    pub counts: Vec<(WorkspaceId, Count)>,
    pub now: Timestamp,
}

/// What a workspace may use, and what all nodes together have counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    pub workspace: WorkspaceId,
    pub quotas: Quotas,
    pub runs_of_minute: u64,
    pub runs_of_day: u64,
    pub fuel_of_day: u64,
    pub log_bytes_of_day: u64,
    /// Arguments and events that were accepted, as far as there was a limit; results and errors of runs that ended.
    pub run_bytes_of_day: u64,
    /// Both ways.
    pub outbound_bytes_of_day: u64,
}

pub trait UsageCounters: Send + Sync + 'static {
    /// Of the days from `from` to `to`, both included, by day and outcome.
    fn attempts(&self, workspace: WorkspaceId, from: i64, to: i64) -> BoxFuture<'_, Result<Vec<OutcomeUsage>, StoreError>>;

    /// The same days, those without any left out.
    fn traffic(&self, workspace: WorkspaceId, from: i64, to: i64) -> BoxFuture<'_, Result<Vec<Traffic>, StoreError>>;

    /// Bytes of code, state, resources and variables that a workspace has now.
    fn stored_bytes(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Measures what a workspace keeps, and notes its plan, if the last sample of this day is [`SAMPLED_EVERY`] old. Returns whether it was.
    fn sample(&self, workspace: WorkspaceId, now: Timestamp) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Adds what objects of a workspace were just measured to count, to a day of which there is a sample.
    fn sample_objects(&self, workspace: WorkspaceId, day: i64, bytes: u64) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The days from `from` to `to`, those without any sample left out.
    fn kept(&self, workspace: WorkspaceId, from: i64, to: i64) -> BoxFuture<'_, Result<Vec<Kept>, StoreError>>;

    /// Workspaces that were deleted at `since` or later, in the order of their ids, after `after`, at most `limit`.
    fn deleted(&self, since: Timestamp, after: Option<WorkspaceId>, limit: u32)
    -> BoxFuture<'_, Result<Vec<DeletedWorkspace>, StoreError>>;

    /// Paths at which something is deployed.
    fn scripts(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Adds what a node has counted; an addition whose answer was lost may be sent again.
    fn add(&self, addition: Addition) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What was used in the minute and the day of `at`; without workspaces that are not there.
    fn used(&self, workspaces: Vec<WorkspaceId>, at: Timestamp) -> BoxFuture<'_, Result<Vec<Used>, StoreError>>;

    /// Forgets minutes that are over, and nodes that send nothing any more.
    fn forget(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_and_days_are_the_clocks() {
        let at = Timestamp::from_micros(1_709_251_199_999_999);
        assert_eq!(at.to_string(), "2024-02-29T23:59:59.999999Z");
        assert_eq!((minute_of(at) * 60, day_of(at) * 86_400), (1_709_251_140, 1_709_164_800));
        assert_eq!(seconds_left(at), (1, 1));
        assert_eq!(seconds_left(Timestamp::from_micros(1_709_164_800_000_000)), (61, 86_401));
    }
}
