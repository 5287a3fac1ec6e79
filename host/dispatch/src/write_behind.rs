//! Records of fast-lane runs, written behind their answers in batches.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sandmill_model::{Output, WorkspaceId, run::FinishedRun};
use sandmill_store::history::History;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{WRITE_BEHIND_BATCH_MAX, WRITE_BEHIND_BYTES_MAX, WRITE_BEHIND_DELAY, WRITE_BEHIND_RECORDS_MAX};

/// How long to wait after a failed write before the next try.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// Bytes that are written in one commit, unless one record alone is longer: whoever waits for the database's writer, or for the thread that
/// makes rows of a log, does not wait for all that somebody else has logged.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;
/// What a record counts besides its texts.
const RECORD_OVERHEAD_BYTES: usize = 512;

pub(crate) struct WriteBehind {
    history: Arc<dyn History>,
    buffer: Mutex<Buffer>,
    /// Records came, or somebody wants them written now.
    filled: Notify,
    /// Enough is there for a batch, or somebody wants it written now.
    hurry: Notify,
    /// Records were written: there is room again, and flushes may be over.
    written: Notify,
}

#[derive(Default)]
struct Buffer {
    records: Vec<FinishedRun>,
    /// What each of them counts.
    sizes: VecDeque<usize>,
    /// What there is of whom, with those that are being written.
    shares: Shares,
    /// Records in a batch that is being written.
    writing: usize,
    /// Counts records ever added and ever written, so that a flush knows when its records are on disk.
    added: u64,
    done: u64,
}

impl Buffer {
    /// Takes the oldest records, as many as are one batch, and what each of them counts.
    fn take_batch(&mut self) -> (Vec<FinishedRun>, Vec<usize>) {
        let (count, _) = first_batch(&self.sizes);
        self.writing = count;
        let sizes = self.sizes.drain(..count).collect();
        let rest = self.records.split_off(count);
        (std::mem::replace(&mut self.records, rest), sizes)
    }
}

/// So many records, and what they count together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Charge {
    records: usize,
    bytes: usize,
}

impl Charge {
    fn add(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes;
    }

    fn give_back(&mut self, other: Self) {
        self.records = self.records.saturating_sub(other.records);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// How much of the buffer each workspace has. Nobody takes more than they leave free, so at most half: runs of one whose records come faster
/// than they are written go by the queue, and others keep the fast lane.
#[derive(Default)]
struct Shares {
    all: Charge,
    of: HashMap<WorkspaceId, Charge>,
}

impl Shares {
    fn has_room(&self, workspace: WorkspaceId) -> bool {
        let own = self.of.get(&workspace).copied().unwrap_or_default();
        own.records < WRITE_BEHIND_RECORDS_MAX.saturating_sub(self.all.records)
            && own.bytes < WRITE_BEHIND_BYTES_MAX.saturating_sub(self.all.bytes)
    }

    fn add(&mut self, workspace: WorkspaceId, bytes: usize) {
        self.all.add(bytes);
        self.of.entry(workspace).or_default().add(bytes);
    }

    fn give_back(&mut self, workspace: WorkspaceId, charge: Charge) {
        self.all.give_back(charge);
        if let Some(own) = self.of.get_mut(&workspace) {
            own.give_back(charge);
            if own.records == 0 {
                self.of.remove(&workspace);
            }
        }
    }
}

impl WriteBehind {
    pub(crate) fn new(history: Arc<dyn History>) -> Self {
        Self { history, buffer: Mutex::default(), filled: Notify::new(), hurry: Notify::new(), written: Notify::new() }
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a record of the workspace could be added now without waiting.
    pub(crate) fn has_room(&self, workspace: WorkspaceId) -> bool {
        self.buffer().shares.has_room(workspace)
    }

    /// Records that are not written yet.
    pub(crate) fn len(&self) -> usize {
        let buffer = self.buffer();
        buffer.records.len() + buffer.writing
    }

    /// Adds a record. The run has happened, so it is never refused: what keeps the buffer bounded is that no new run enters
    /// the fast lane while it is full.
    pub(crate) fn push(&self, record: FinishedRun) {
        let (workspace, bytes) = (record.run.workspace, charge_bytes(&record));
        let count = {
            let mut buffer = self.buffer();
            buffer.records.push(record);
            buffer.sizes.push_back(bytes);
            buffer.shares.add(workspace, bytes);
            buffer.added += 1;
            buffer.records.len()
        };
        if count == 1 {
            self.filled.notify_one();
        } else if count == WRITE_BEHIND_BATCH_MAX {
            self.hurry.notify_one();
        }
    }

    /// Waits until everything added before the call is on disk, so that readers see their own runs. Bounded: a store that fails must not
    /// stop reads of what is there.
    pub(crate) async fn flush(&self) {
        /// How long a reader waits for records that are on their way.
        const FLUSH_WAIT: Duration = Duration::from_secs(2);
        let goal = {
            let buffer = self.buffer();
            if buffer.done == buffer.added {
                return;
            }
            buffer.added
        };
        let _ = tokio::time::timeout(FLUSH_WAIT, async {
            loop {
                let written = self.written.notified();
                if self.buffer().done >= goal {
                    return;
                }
                self.hurry.notify_one();
                written.await;
            }
        })
        .await;
    }

    /// Writes batches until `stop`, then what is left.
    pub(crate) async fn serve(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = self.filled.notified() => {}
                () = stop.cancelled() => break,
            }
            tokio::select! {
                () = tokio::time::sleep(WRITE_BEHIND_DELAY) => {}
                () = self.hurry.notified() => {}
                () = stop.cancelled() => {}
            }
            while self.write_batch().await {}
        }
        while self.write_batch().await {}
    }

    /// Writes one batch; returns whether there is more to write.
    async fn write_batch(&self) -> bool {
        let (batch, sizes) = self.buffer().take_batch();
        if batch.is_empty() {
            return false;
        }
        let mut charges: HashMap<WorkspaceId, Charge> = HashMap::new();
        for (record, bytes) in batch.iter().zip(sizes) {
            charges.entry(record.run.workspace).or_default().add(bytes);
        }
        let count = batch.len();
        let mut delay = RETRY_DELAY;
        // The answers are out, so the records must not be dropped: try until the store takes them.
        let mut written = self.history.append(batch.clone()).await;
        while let Err(error) = written {
            tracing::error!(%error, records = count, "run records could not be written; trying again");
            metrics::counter!("sandmill_write_behind_failures_total").increment(1);
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(Duration::from_secs(5));
            written = self.history.append_again(batch.clone()).await;
        }
        let more = {
            let mut buffer = self.buffer();
            buffer.writing = 0;
            for (workspace, charge) in charges {
                buffer.shares.give_back(workspace, charge);
            }
            buffer.done += count as u64;
            !buffer.records.is_empty()
        };
        self.written.notify_waiters();
        more
    }
}

/// How many of records that count so much are one batch, and what they count together: one record at least, if there is any.
fn first_batch(sizes: &VecDeque<usize>) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0);
    for size in sizes.iter().take(WRITE_BEHIND_BATCH_MAX) {
        if count > 0 && bytes + size > BATCH_BYTES_MAX {
            break;
        }
        count += 1;
        bytes += size;
    }
    (count, bytes)
}

fn charge_bytes(record: &FinishedRun) -> usize {
    let outcome = &record.outcome;
    RECORD_OVERHEAD_BYTES
        + record.run.input.len_bytes()
        + outcome.output.as_ref().map_or(0, Output::len_bytes)
        + outcome.log.iter().map(sandmill_model::LogEntry::charge_bytes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use sandmill_model::Timestamp;

    use super::*;

    #[test]
    fn few_workspaces_do_not_fill_the_buffer() {
        let one = || WorkspaceId::new(Timestamp::from_micros(0));
        let check = |bytes: usize, most: usize| {
            let mut shares = Shares::default();
            let workspaces: Vec<WorkspaceId> = (0..8).map(|_| one()).collect();
            for (number, workspace) in workspaces.iter().enumerate() {
                let mut count = 0;
                while shares.has_room(*workspace) {
                    shares.add(*workspace, bytes);
                    count += 1;
                }
                assert!(count > 0 && (number > 0 || count == most), "{number}: {count}");
            }
            assert!(shares.has_room(one()), "others have room");
            for workspace in &workspaces {
                let own = shares.of[workspace];
                shares.give_back(*workspace, own);
            }
            assert!(shares.of.is_empty() && shares.all == Charge::default());
        };
        check(RECORD_OVERHEAD_BYTES, WRITE_BEHIND_RECORDS_MAX / 2);
        check(WRITE_BEHIND_BYTES_MAX / 1_000, 501);
    }

    #[test]
    fn a_batch_is_so_many_records_or_so_many_bytes_and_never_nothing() {
        let check = |sizes: &[usize], expected: (usize, usize)| {
            assert_eq!(first_batch(&sizes.iter().copied().collect()), expected, "{} records", sizes.len());
        };
        check(&[], (0, 0));
        check(&[600; 3], (3, 1800));
        check(&[600; 5_000], (WRITE_BEHIND_BATCH_MAX, 600 * WRITE_BEHIND_BATCH_MAX));
        check(&[BATCH_BYTES_MAX / 2; 3], (2, BATCH_BYTES_MAX));
        check(&[600, BATCH_BYTES_MAX, 600], (1, 600));
        check(&[3 * BATCH_BYTES_MAX, 600], (1, 3 * BATCH_BYTES_MAX));
    }
}
