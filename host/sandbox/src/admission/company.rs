//! Whether one workspace has the machine to itself.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use sandmill_model::WorkspaceId;

/// Milliseconds for which each is in the other's company after runs of two workspaces started in turn.
const LASTS_MS: u64 = 100;

/// Reads and writes no lock: every start of a run asks.
pub(super) struct Company {
    since: Instant,
    /// The random part of the id of the workspace whose run started last.
    last: AtomicU64,
    /// Milliseconds since `since` at which another one's had been the last; none yet: 0.
    changed_ms: AtomicU64,
}

impl Company {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, last: AtomicU64::new(0), changed_ms: AtomicU64::new(0) }
    }

    /// A run of `workspace` starts. Returns whether others start runs as well.
    pub(super) fn enter(&self, workspace: WorkspaceId, now: Instant) -> bool {
        let (_, random) = workspace.0.as_u64_pair();
        // Nothing has happened at 0.
        let now_ms = u64::try_from(now.saturating_duration_since(self.since).as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let previous = self.last.swap(random, Ordering::Relaxed);
        if previous != random && previous != 0 {
            self.changed_ms.store(now_ms, Ordering::Relaxed);
            return true;
        }
        let changed_ms = self.changed_ms.load(Ordering::Relaxed);
        changed_ms > 0 && now_ms.saturating_sub(changed_ms) < LASTS_MS
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sandmill_model::Timestamp;

    use super::*;

    #[test]
    fn who_starts_runs_in_turn_with_another_is_in_company() {
        let (one, two) = (WorkspaceId::new(Timestamp::from_micros(1)), WorkspaceId::new(Timestamp::from_micros(2)));
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let company = Company::new(began);
        assert!(!company.enter(one, at(0)) && !company.enter(one, at(1)), "it is alone");
        assert!(company.enter(two, at(2)) && company.enter(one, at(3)) && company.enter(one, at(102)));
        assert!(!company.enter(one, at(103)), "the other has gone");
        assert!(company.enter(two, at(1_000)));
    }
}
