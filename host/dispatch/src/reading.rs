//! Reading what a run has logged, page by page, from wherever a reader stands.
//!
//! What executes here is read from memory, ahead of what is written; all else from the store.

use std::sync::Arc;

use sandmill_model::{
    LogEntry, LogPosition, RunId, WorkspaceId,
    code::{Code, Refusal},
};
use sandmill_store::{StoreError, history::LogCursor};

use crate::{Dispatch, Inner, refuse};

/// Bytes of entries that are taken from memory at once.
const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Where somebody stands who reads the log of a run.
pub(crate) struct Reading {
    pub(crate) inner: Arc<Inner>,
    pub(crate) workspace: WorkspaceId,
    pub(crate) run: RunId,
    from: LogCursor,
}

/// What comes next.
pub(crate) enum Read {
    /// In order, each with its position; none comes twice.
    Entries(Vec<(LogPosition, LogEntry)>),
    /// There is no more so far.
    Nothing,
    /// There will be no more.
    Ended,
    /// There is no such run, or none any more.
    Unknown,
}

impl Reading {
    pub(crate) fn new(inner: Arc<Inner>, workspace: WorkspaceId, run: RunId, from: LogPosition) -> Self {
        let from = if from == LogPosition::START { LogCursor::START } else { LogCursor::at(from) };
        Self { inner, workspace, run, from }
    }

    pub(crate) fn begun_here(&self) -> Option<u32> {
        self.inner.live.begun(self.run, self.workspace)
    }

    /// What there is now.
    pub(crate) async fn next(&mut self) -> Result<Read, StoreError> {
        // Before the store is read: of a run that ends in between all is then found there.
        let here = self.begun_here();
        match here {
            Some(begun) if self.from.position >= LogPosition::of(begun, 0) => Ok(self.in_memory(begun)),
            _ => self.stored(here).await,
        }
    }

    /// What is written; then, if the run's beginning number `here` is here, what is in memory.
    async fn stored(&mut self, here: Option<u32>) -> Result<Read, StoreError> {
        loop {
            self.inner.write_behind.flush().await;
            let page = self.inner.store.history.log(self.workspace, self.run, self.from).await?;
            let Some(page) = page else {
                // It has no row as long as it is in the fast lane.
                let Some(begun) = here else { return Ok(Read::Unknown) };
                self.from = LogCursor::at(self.from.position.max(LogPosition::of(begun, 0)));
                return Ok(self.in_memory(begun));
            };
            self.from = page.next;
            if !page.entries.is_empty() {
                return Ok(Read::Entries(page.entries));
            }
            if page.has_more {
                continue;
            }
            if page.has_ended {
                return Ok(Read::Ended);
            }
            let Some(begun) = here else { return Ok(Read::Nothing) };
            // All of the attempts before.
            self.from = LogCursor::at(self.from.position.max(LogPosition::of(begun, 0)));
            return Ok(self.in_memory(begun));
        }
    }

    fn in_memory(&mut self, begun: u32) -> Read {
        let from = self.from.position;
        if from.begun() != begun {
            return Read::Nothing;
        }
        let entries = self.inner.executor.log(self.run, from.entry() as usize, PAGE_BYTES_MAX);
        if entries.is_empty() {
            return Read::Nothing;
        }
        self.from = LogCursor::at(from.plus(entries.len()));
        Read::Entries(entries.into_iter().enumerate().map(|(index, entry)| (from.plus(index), entry)).collect())
    }
}

/// The log of a run so far, in pages: it may be longer than what fits into memory.
pub struct Log {
    reading: Reading,
    /// Read already, to see that there is such a run.
    first: Option<Read>,
}

impl Dispatch {
    /// The log of a run: so far, while it executes. None if there is no such run.
    ///
    /// # Errors
    /// `unavailable`, `internal`.
    pub async fn log(&self, workspace: WorkspaceId, run: RunId) -> Result<Option<Log>, Refusal> {
        let mut reading = Reading::new(Arc::clone(&self.inner), workspace, run, LogPosition::START);
        let first = reading.next().await.map_err(|error| refuse(&error))?;
        Ok(if matches!(first, Read::Unknown) { None } else { Some(Log { reading, first: Some(first) }) })
    }
}

impl Log {
    /// The next entries; none at the end.
    ///
    /// # Errors
    /// `unavailable`, `internal`; `not_found` if the run's history was cleared away meanwhile.
    pub async fn next(&mut self) -> Result<Option<Vec<LogEntry>>, Refusal> {
        let read = match self.first.take() {
            Some(first) => first,
            None => self.reading.next().await.map_err(|error| refuse(&error))?,
        };
        let read = match read {
            // Of a run that has just ended the rest may be written and in memory no longer.
            Read::Nothing => match self.reading.stored(None).await.map_err(|error| refuse(&error))? {
                // It is in the fast lane.
                Read::Unknown => Read::Nothing,
                read => read,
            },
            read => read,
        };
        match read {
            Read::Entries(entries) => Ok(Some(entries.into_iter().map(|(_, entry)| entry).collect())),
            Read::Nothing | Read::Ended => Ok(None),
            Read::Unknown => Err(Refusal::new(Code::NotFound, "the run's history was cleared away meanwhile")),
        }
    }
}
