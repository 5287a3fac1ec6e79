//! Following a run to its end, wherever it executes. Nothing is kept for a follower but where it stands: whoever reads slowly reads later.
//!
//! A follower looks when somebody says that there is more, and now and then because such a word may be lost.

use std::{sync::Arc, time::Duration};

use sandmill_model::{LogEntry, LogPosition, RunId, RunRecord, WorkspaceId, code::Refusal};
use sandmill_store::StoreError;
use tokio::sync::watch;

use crate::{
    Dispatch, Inner,
    followers::Seat,
    reading::{Read, Reading},
};

/// How often a follower looks at a run that executes here.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often a follower looks at any other run without having been told to.
const NET: Duration = Duration::from_secs(1);

/// Somebody who may follow a run: taken before the run is started, so that nothing is started in vain.
pub struct Place {
    inner: Arc<Inner>,
    workspace: WorkspaceId,
    seat: Seat,
}

/// Reads what happens in one run.
pub struct Follower {
    reading: Reading,
    // Before the seat: it is counted when the seat is given back.
    news: watch::Receiver<()>,
    _seat: Seat,
}

/// What a follower learns.
#[derive(Debug)]
pub enum Followed {
    /// In order, each with its position; none comes twice.
    Entries(Vec<(LogPosition, LogEntry)>),
    /// Nothing comes any more. A result that is kept apart is not fetched.
    Ended(Box<RunRecord>),
    /// The run cannot be followed here any longer: this node stops, or the run's history was cleared away or cannot be read.
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
        Ok(Follower { reading: Reading::new(self.inner, self.workspace, run, from), news, _seat: self.seat })
    }
}

impl Follower {
    /// Waits for what comes next. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Followed {
        let inner = Arc::clone(&self.reading.inner);
        loop {
            if inner.farewell.is_cancelled() {
                return Followed::Stopped;
            }
            self.news.mark_unchanged();
            match self.look().await {
                Ok(Some(followed)) => return followed,
                Ok(None) => {}
                Err(error @ (StoreError::Corrupt(_) | StoreError::Other(_))) => {
                    tracing::warn!(%error, run = %self.reading.run, "a run that is followed cannot be read");
                    return Followed::Stopped;
                }
                // The database will be back.
                Err(error) => tracing::debug!(%error, run = %self.reading.run, "a run that is followed cannot be read at present"),
            }
            let pause = if self.reading.begun_here().is_some() { LOOK_INTERVAL } else { NET };
            tokio::select! {
                _ = self.news.changed() => {}
                () = tokio::time::sleep(pause) => {}
                () = inner.farewell.cancelled() => {}
            }
        }
    }

    /// What there is now.
    async fn look(&mut self) -> Result<Option<Followed>, StoreError> {
        Ok(match self.reading.next().await? {
            Read::Entries(entries) => Some(Followed::Entries(entries)),
            Read::Nothing => None,
            Read::Ended => {
                let Reading { inner, workspace, run, .. } = &self.reading;
                let record = inner.store.history.run(*workspace, *run).await?;
                Some(record.map_or(Followed::Stopped, |record| Followed::Ended(Box::new(record))))
            }
            Read::Unknown => Some(Followed::Stopped),
        })
    }
}
