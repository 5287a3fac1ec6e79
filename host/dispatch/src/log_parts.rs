//! Logs of runs that take long are written while they execute: what all of them have logged since the last time, in one commit. A run
//! that ends before its first turn costs nothing here: its log is written with its end.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sandmill_model::LogPosition;
use sandmill_store::{StoreError, history::LogPart, nodes::Incarnation};
use tokio_util::sync::CancellationToken;

use crate::{Inner, live::Unwritten};

/// How often what is new is written.
const INTERVAL: Duration = Duration::from_millis(400);
/// Runs that are younger are left alone.
const YOUNG: Duration = Duration::from_millis(300);
/// Bytes of one run that are written at once, unless one entry alone is longer.
const PART_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that are written at once; what is more comes right after.
const PARTS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Parts of one lease on their way to the store, each with what it makes of its run.
#[derive(Default)]
struct Parts {
    parts: Vec<LogPart>,
    runs: Vec<Unwritten>,
}

impl Inner {
    /// Writes what is new until `stop`, and then once more: for what is handed back.
    pub(crate) async fn write_logs(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = stop.cancelled() => break,
            }
            while self.write_parts().await {}
        }
        while self.write_parts().await {}
    }

    /// Writes what is new; returns whether there is more and it goes on.
    async fn write_parts(&self) -> bool {
        let (leases, has_more) = self.gather_parts();
        let mut goes_on = false;
        for (lease, Parts { parts, runs }) in leases {
            match self.store.history.append_logs(lease, parts).await {
                Ok(written) => {
                    goes_on |= !written.is_empty();
                    for run in runs.iter().filter(|unwritten| written.contains(&unwritten.run)) {
                        self.metrics.live_log.increment((run.logged.perhaps - run.logged.entries) as u64);
                        self.live.wrote(run);
                    }
                    self.tell_logged(written);
                }
                Err(StoreError::Full(_)) => tracing::debug!("logs of runs that go on are not written: the disk is full"),
                Err(error) => tracing::warn!(%error, "logs of runs that go on could not be written; trying again"),
            }
        }
        has_more && goes_on
    }

    fn gather_parts(&self) -> (HashMap<Incarnation, Parts>, bool) {
        let mut leases: HashMap<Incarnation, Parts> = HashMap::new();
        let mut bytes = 0;
        for mut unwritten in self.live.unwritten(self.clock.now(), YOUNG) {
            if bytes >= PARTS_BYTES_MAX {
                return (leases, true);
            }
            let (written, perhaps) = (unwritten.logged.entries, unwritten.logged.perhaps);
            let entries = if perhaps > written {
                // As before, so that it is the same if it was written after all.
                let mut entries = self.executor.log(unwritten.run, written, usize::MAX);
                entries.truncate(perhaps - written);
                entries
            } else {
                self.executor.log(unwritten.run, written, PART_BYTES_MAX)
            };
            unwritten.logged.perhaps = written + entries.len();
            if entries.is_empty() || !self.live.writes(&unwritten) {
                continue;
            }
            bytes += entries.iter().map(sandmill_model::LogEntry::charge_bytes).sum::<usize>();
            let from = LogPosition::of(unwritten.begun, 0).plus(written);
            let lease = leases.entry(unwritten.lease).or_default();
            lease.parts.push(LogPart { workspace: unwritten.workspace, run: unwritten.run, from, entries });
            lease.runs.push(unwritten);
        }
        (leases, false)
    }
}
