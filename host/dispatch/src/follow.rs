//! Following a run to its end, wherever it executes. Nothing is kept for a follower but where it stands: whoever reads slowly reads later.
//!
//! What executes here is read from memory, ahead of what is written; all else from the store, when another node says that there is more,
//! and now and then because such a word may be lost.

use std::{sync::Arc, time::Duration};

use sandmill_model::{LogEntry, LogPosition, RunId, RunRecord, WorkspaceId, code::Refusal};
use sandmill_store::{StoreError, history::LogCursor};
use tokio::sync::watch;

use crate::{Dispatch, Inner, followers::Seat};

/// How often a follower looks at a run that executes here.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often a follower looks at any other run without having been told to.
const NET: Duration = Duration::from_secs(1);
/// Bytes of entries that are taken from memory at once.
const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Somebody who may follow a run: taken before the run is started, so that nothing is started in vain.
pub struct Place {
    inner: Arc<Inner>,
    workspace: WorkspaceId,
    seat: Seat,
}

/// Reads what happens in one run.
pub struct Follower {
    inner: Arc<Inner>,
    workspace: WorkspaceId,
    run: RunId,
    from: LogCursor,
    // Before the seat: it is counted when the seat is given back.
    news: watch::Receiver<()>,
    _seat: Seat,
}

/// What a follower learns.
#[derive(Debug)]
pub enum Followed {
    /// In order, each with its position; none comes twice.
    Entries(Vec<(LogPosition, LogEntry)>),
    /// Nothing comes any more.
    Ended(Box<RunRecord>),
    /// The run cannot be followed here any longer: this node stops, or the run's history was cleared away.
    Stopped,
}

impl Dispatch {
    /// # Errors
    /// `too_many_requests`.
    pub fn place(&self, workspace: WorkspaceId) -> Result<Place, Refusal> {
        let seat = self.inner.followers.take(workspace)?;
        Ok(Place { inner: Arc::clone(&self.inner), workspace, seat })
    }
}

impl Place {
    /// Follows a run of the place's workspace, with what comes at or after `from`.
    ///
    /// # Errors
    /// `too_many_requests`.
    pub fn follow(mut self, run: RunId, from: LogPosition) -> Result<Follower, Refusal> {
        let news = self.seat.turn_to(run)?;
        let from = if from == LogPosition::START { LogCursor::START } else { LogCursor::at(from) };
        Ok(Follower { inner: self.inner, workspace: self.workspace, run, from, news, _seat: self.seat })
    }
}

impl Follower {
    /// Waits for what comes next. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Followed {
        let inner = Arc::clone(&self.inner);
        loop {
            if inner.farewell.is_cancelled() {
                return Followed::Stopped;
            }
            self.news.mark_unchanged();
            match self.look().await {
                Ok(Some(followed)) => return followed,
                Ok(None) => {}
                // The database will be back.
                Err(error) => tracing::debug!(%error, run = %self.run, "a run that is followed cannot be read"),
            }
            let pause = if self.begun_here().is_some() { LOOK_INTERVAL } else { NET };
            tokio::select! {
                _ = self.news.changed() => {}
                () = tokio::time::sleep(pause) => {}
                () = inner.farewell.cancelled() => {}
            }
        }
    }

    fn begun_here(&self) -> Option<u32> {
        self.inner.live.begun(self.run, self.workspace)
    }

    /// What there is now.
    async fn look(&mut self) -> Result<Option<Followed>, StoreError> {
        loop {
            // Before the store is read: of a run that ends in between all is then found there.
            let here = self.begun_here();
            if let Some(begun) = here
                && self.from.position >= LogPosition::of(begun, 0)
            {
                return Ok(self.in_memory(begun));
            }
            self.inner.write_behind.flush().await;
            let page = self.inner.store.history.log(self.workspace, self.run, self.from).await?;
            let Some(page) = page else {
                // It has no row as long as it is in the fast lane.
                let Some(begun) = here else { return Ok(Some(Followed::Stopped)) };
                self.from = LogCursor::at(LogPosition::of(begun, 0));
                continue;
            };
            self.from = page.next;
            if !page.entries.is_empty() {
                return Ok(Some(Followed::Entries(page.entries)));
            }
            if page.has_more {
                continue;
            }
            if page.has_ended {
                let record = self.inner.store.history.run(self.workspace, self.run).await?;
                let Some(mut record) = record else { return Ok(Some(Followed::Stopped)) };
                let outcome = self.inner.outcome_of(self.workspace, record.clone()).await;
                record.output = outcome.output;
                record.error = outcome.error;
                return Ok(Some(Followed::Ended(Box::new(record))));
            }
            let Some(begun) = here else { return Ok(None) };
            // All of the attempts before.
            self.from = LogCursor::at(self.from.position.max(LogPosition::of(begun, 0)));
        }
    }

    fn in_memory(&mut self, begun: u32) -> Option<Followed> {
        let from = self.from.position;
        if from.begun() != begun {
            return None;
        }
        let entries = self.inner.executor.log(self.run, from.entry() as usize, PAGE_BYTES_MAX);
        if entries.is_empty() {
            return None;
        }
        self.from = LogCursor::at(from.plus(entries.len()));
        Some(Followed::Entries(entries.into_iter().enumerate().map(|(index, entry)| (from.plus(index), entry)).collect()))
    }
}
