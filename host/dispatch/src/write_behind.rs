//! Records of fast-lane runs, written behind their answers in batches.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sandmill_model::{Output, run::FinishedRun};
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
    /// What they count together, with those that are being written.
    bytes: usize,
    /// Records in a batch that is being written.
    writing: usize,
    /// Counts records ever added and ever written, so that a flush knows when its records are on disk.
    added: u64,
    done: u64,
}

impl Buffer {
    /// Takes the oldest records, as many as are one batch, and says what they count together.
    fn take_batch(&mut self) -> (Vec<FinishedRun>, usize) {
        let (count, bytes) = first_batch(&self.sizes);
        self.writing = count;
        self.sizes.drain(..count);
        let rest = self.records.split_off(count);
        (std::mem::replace(&mut self.records, rest), bytes)
    }

    fn is_full(&self) -> bool {
        self.records.len() + self.writing >= WRITE_BEHIND_RECORDS_MAX || self.bytes >= WRITE_BEHIND_BYTES_MAX
    }
}

impl WriteBehind {
    pub(crate) fn new(history: Arc<dyn History>) -> Self {
        Self { history, buffer: Mutex::default(), filled: Notify::new(), hurry: Notify::new(), written: Notify::new() }
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a record could be added now without waiting.
    pub(crate) fn has_room(&self) -> bool {
        !self.buffer().is_full()
    }

    /// Records that are not written yet.
    pub(crate) fn len(&self) -> usize {
        let buffer = self.buffer();
        buffer.records.len() + buffer.writing
    }

    /// Adds a record. The run has happened, so it is never refused: what keeps the buffer bounded is that no new run enters
    /// the fast lane while it is full.
    pub(crate) fn push(&self, record: FinishedRun) {
        let bytes = charge_bytes(&record);
        let count = {
            let mut buffer = self.buffer();
            buffer.records.push(record);
            buffer.sizes.push_back(bytes);
            buffer.bytes += bytes;
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
        let (batch, bytes) = self.buffer().take_batch();
        if batch.is_empty() {
            return false;
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
            buffer.bytes -= bytes;
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
    use super::*;

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
