//! What workspaces may keep in objects, held against `stored_bytes`. What is there is summed up by listing it, now and then; what is written
//! since is added. So nothing has to be kept in step with the store, and whatever is counted wrongly is right again after the next look.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sandmill_model::{BoxFuture, WorkspaceId};

use super::Error;

/// How long a sum is believed; shorter where something was deleted since.
const BELIEVED: Duration = Duration::from_secs(600);
const BELIEVED_FREED: Duration = Duration::from_secs(10);
/// Listing takes so much of the time at most: one part of this many.
const SHARE: u32 = 20;
/// Workspaces that are remembered.
const WORKSPACES_MAX: usize = 10_000;

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
    bytes: AtomicU64,
    was_freed: AtomicBool,
    /// Held while somebody lists.
    listed: tokio::sync::Mutex<Option<Listed>>,
}

struct Listed {
    at: Instant,
    took: Duration,
}

/// For one object that is being written.
pub(super) struct Room {
    kept: Arc<Kept>,
    bytes_max: u64,
}

impl Rooms {
    pub(super) fn new(port: Arc<dyn RoomPort>) -> Self {
        Self { port, known: Mutex::default() }
    }

    /// The room for one more object, if there is a limit; `sum` adds up what is there.
    pub(super) async fn of(
        &self,
        workspace: WorkspaceId,
        sum: impl Future<Output = Result<u64, Error>> + Send,
    ) -> Result<Option<Room>, Error> {
        let Some(bytes_max) = self.port.room(workspace).await.map_err(Error::Unavailable)? else { return Ok(None) };
        let kept = self.kept(workspace);
        let mut listed = kept.listed.lock().await;
        if listed.as_ref().is_none_or(|listed| listed.is_old(kept.was_freed.load(Ordering::Relaxed))) {
            kept.was_freed.store(false, Ordering::Relaxed);
            let began = Instant::now();
            kept.bytes.store(sum.await?, Ordering::Relaxed);
            *listed = Some(Listed { at: Instant::now(), took: began.elapsed() });
        }
        drop(listed);
        if kept.bytes.load(Ordering::Relaxed) >= bytes_max { Err(full()) } else { Ok(Some(Room { kept, bytes_max })) }
    }

    /// Something was deleted.
    pub(super) fn freed(&self, workspace: WorkspaceId) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = known.get(&workspace) {
            kept.was_freed.store(true, Ordering::Relaxed);
        }
    }

    fn kept(&self, workspace: WorkspaceId) -> Arc<Kept> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= WORKSPACES_MAX && !known.contains_key(&workspace) {
            known.clear();
        }
        Arc::clone(known.entry(workspace).or_default())
    }
}

impl Listed {
    fn is_old(&self, was_freed: bool) -> bool {
        let believed = if was_freed { BELIEVED_FREED } else { BELIEVED };
        self.at.elapsed() >= believed.max(self.took.saturating_mul(SHARE))
    }
}

impl Room {
    /// Takes room for so many bytes more.
    pub(super) fn take(&self, bytes: u64) -> Result<(), Error> {
        let fits = |kept: u64| kept.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        self.kept.bytes.try_update(Ordering::Relaxed, Ordering::Relaxed, fits).map(drop).map_err(|_| full())
    }
}

fn full() -> Error {
    Error::TooLarge("the workspace keeps as many bytes as it may (stored_bytes)".to_owned())
}
