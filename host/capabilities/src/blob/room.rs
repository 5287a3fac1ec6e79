//! What workspaces may keep in objects, held against `stored_bytes`. What is there is summed up by listing it, now and then; what is written
//! since is added, also by those who are still writing. So nothing has to be kept in step with the store, and whatever is counted wrongly is
//! right again after the next look.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sandmill_model::{BoxFuture, WorkspaceId};
use tokio::sync::OwnedMutexGuard;

use super::Error;

/// How long a sum is believed; shorter where something was deleted or replaced since.
const BELIEVED: Duration = Duration::from_secs(600);
const BELIEVED_FREED: Duration = Duration::from_secs(10);
/// How long nobody who can do without a sum lists again after that failed.
const FAILED: Duration = Duration::from_secs(10);
/// How long whoever can do without a sum waits for the one who lists, from when that began.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// Listing takes so much of the time at most: one part of this many.
const SHARE: u32 = 20;
/// Workspaces that are remembered, beside those that write at present.
const WORKSPACES_MAX: usize = 10_000;
/// Objects that a workspace writes at once on this node: each holds a part in memory.
const WRITERS_MAX: usize = 64;

pub trait RoomPort: Send + Sync + 'static {
    /// Bytes of objects that a workspace may keep; none: any number.
    ///
    /// # Errors
    /// Why that is not known, in words for the script's author.
    fn room(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<Option<u64>, String>>;
}

pub(super) struct Rooms {
    port: Arc<dyn RoomPort>,
    known: Mutex<HashMap<WorkspaceId, Arc<Kept>>>,
}

/// What a workspace keeps.
#[derive(Default)]
struct Kept {
    sums: Mutex<Sums>,
    /// Held while somebody lists.
    listed: Arc<tokio::sync::Mutex<Option<Listed>>>,
}

#[derive(Default)]
struct Sums {
    /// Bytes that the last listing saw.
    listed: u64,
    /// Bytes of objects that were finished here, ever; and when the last listing began. What is finished while somebody lists is counted
    /// twice if the listing saw it, rather than not at all.
    finished: u64,
    finished_before: u64,
    /// Bytes that open writers took. No listing shows their parts.
    open: u64,
    writers: usize,
    /// How often something was deleted, or may have been replaced.
    freed: u64,
    /// When somebody last began to list; and when that last failed, if it did not succeed since.
    began: Option<Instant>,
    failed: Option<Instant>,
}

struct Listed {
    at: Instant,
    took: Duration,
    /// [`Sums::freed`] when it began.
    freed: u64,
}

/// For the one who lists next.
pub(super) struct Look {
    kept: Arc<Kept>,
    listed: OwnedMutexGuard<Option<Listed>>,
}

/// For one object that is being written.
pub(super) struct Room {
    kept: Arc<Kept>,
    /// None: there is no limit.
    bytes_max: Option<u64>,
    /// Bytes of it in [`Sums::open`].
    taken: u64,
    is_finished: bool,
}

impl Rooms {
    pub(super) fn new(port: Arc<dyn RoomPort>) -> Self {
        Self { port, known: Mutex::default() }
    }

    /// The room for one more object, of which it takes `least` at once; `sum` adds up what is there, if there is a limit.
    pub(super) async fn of(
        &self,
        workspace: WorkspaceId,
        least: u64,
        sum: impl Future<Output = Result<u64, Error>> + Send,
    ) -> Result<Room, Error> {
        let bytes_max = self.port.room(workspace).await.map_err(Error::Unavailable)?;
        let kept = self.kept(workspace);
        if let Some(bytes_max) = bytes_max {
            kept.look(sum).await?;
            if kept.sums().bytes() >= bytes_max {
                return Err(full());
            }
        }
        let mut room = Room::enter(kept, bytes_max)?;
        room.take(least)?;
        Ok(room)
    }

    /// Bytes of all that is there and all that is being written, as far as is known.
    pub(super) fn bytes(&self, workspace: WorkspaceId) -> u64 {
        self.kept(workspace).sums().bytes()
    }

    /// Some if the last sum is too old, nobody lists, and that did not fail just now: then the caller has to.
    pub(super) fn begin_look(&self, workspace: WorkspaceId) -> Option<Look> {
        let kept = self.kept(workspace);
        let listed = Arc::clone(&kept.listed).try_lock_owned().ok()?;
        let failed = kept.sums().failed;
        if failed.is_some_and(|at| at.elapsed() < FAILED) || !kept.is_due(listed.as_ref()) {
            return None;
        }
        kept.sums().began = Some(Instant::now());
        Some(Look { kept, listed })
    }

    /// Waits for the one who lists, if there is one, until [`LOOK_LIMIT`] after that began.
    pub(super) async fn looked(&self, workspace: WorkspaceId) {
        let kept = self.kept(workspace);
        let began = kept.sums().began;
        let left = began.map_or(LOOK_LIMIT, |began| LOOK_LIMIT.saturating_sub(began.elapsed()));
        drop(tokio::time::timeout(left, kept.listed.lock()).await);
    }

    /// Something was deleted.
    pub(super) fn freed(&self, workspace: WorkspaceId) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = known.get(&workspace) {
            kept.sums().freed += 1;
        }
    }

    fn kept(&self, workspace: WorkspaceId) -> Arc<Kept> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= WORKSPACES_MAX && !known.contains_key(&workspace) {
            // What open writers took is known nowhere else.
            known.retain(|_, kept| Arc::strong_count(kept) > 1);
        }
        Arc::clone(known.entry(workspace).or_default())
    }
}

impl Kept {
    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists, if the last sum is too old.
    async fn look(&self, sum: impl Future<Output = Result<u64, Error>> + Send) -> Result<(), Error> {
        let mut listed = self.listed.lock().await;
        if self.is_due(listed.as_ref()) { self.list(&mut listed, sum).await } else { Ok(()) }
    }

    fn is_due(&self, listed: Option<&Listed>) -> bool {
        let freed = self.sums().freed;
        listed.is_none_or(|listed| listed.is_old(freed))
    }

    async fn list(&self, listed: &mut Option<Listed>, sum: impl Future<Output = Result<u64, Error>> + Send) -> Result<(), Error> {
        let began = Instant::now();
        let (freed, finished_before) = {
            let mut sums = self.sums();
            sums.began = Some(began);
            (sums.freed, sums.finished)
        };
        let summed = sum.await;
        {
            let mut sums = self.sums();
            sums.failed = summed.is_err().then(Instant::now);
            sums.listed = summed?;
            sums.finished_before = finished_before;
        }
        *listed = Some(Listed { at: Instant::now(), took: began.elapsed(), freed });
        Ok(())
    }
}

impl Look {
    /// Lists. If `sum` fails, what was known before holds.
    pub(super) async fn run(mut self, sum: impl Future<Output = Result<u64, Error>> + Send) {
        // Why it failed is in the log.
        let _ = self.kept.list(&mut self.listed, sum).await;
    }
}

impl Sums {
    /// Of all that is there and all that is being written.
    const fn bytes(&self) -> u64 {
        self.listed.saturating_add(self.finished.saturating_sub(self.finished_before)).saturating_add(self.open)
    }
}

impl Listed {
    fn is_old(&self, freed: u64) -> bool {
        let believed = if freed == self.freed { BELIEVED } else { BELIEVED_FREED };
        self.at.elapsed() >= believed.max(self.took.saturating_mul(SHARE))
    }
}

impl Room {
    fn enter(kept: Arc<Kept>, bytes_max: Option<u64>) -> Result<Self, Error> {
        let has_place = {
            let mut sums = kept.sums();
            let has_place = sums.writers < WRITERS_MAX;
            sums.writers += usize::from(has_place);
            has_place
        };
        if has_place {
            Ok(Self { kept, bytes_max, taken: 0, is_finished: false })
        } else {
            Err(Error::Unavailable(format!("the runs of a workspace write at most {WRITERS_MAX} objects at once on one node")))
        }
    }

    /// Takes room for so many bytes more.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Error> {
        let mut sums = self.kept.sums();
        let after = sums.bytes().checked_add(bytes).ok_or_else(full)?;
        if self.bytes_max.is_some_and(|bytes_max| after > bytes_max) {
            return Err(full());
        }
        sums.open = sums.open.saturating_add(bytes);
        self.taken = self.taken.saturating_add(bytes);
        Ok(())
    }

    /// Whether the object is there when this is dropped, as far as is known. It may have replaced another, whose bytes are free then.
    pub(super) const fn set_finished(&mut self, is_finished: bool) {
        self.is_finished = is_finished;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut sums = self.kept.sums();
        sums.writers = sums.writers.saturating_sub(1);
        sums.open = sums.open.saturating_sub(self.taken);
        if self.is_finished {
            sums.finished = sums.finished.saturating_add(self.taken);
            sums.freed += 1;
        }
    }
}

fn full() -> Error {
    Error::TooLarge("the workspace keeps as many bytes as it may (stored_bytes)".to_owned())
}

#[cfg(test)]
mod tests;
