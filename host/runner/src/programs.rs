//! Versions in memory, each loaded once however many runs ask for it, the least used ones forgotten.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sandmill_model::{Digest, WorkspaceId};
use tokio::sync::OnceCell;

use crate::program::Loaded;

/// Keyed by workspace too: nobody may learn from timing that another workspace has the same version.
pub(crate) type Key = (WorkspaceId, Digest);

pub(crate) struct Programs {
    entries: Mutex<HashMap<Key, Arc<Entry>>>,
    entries_max: usize,
    /// Counts uses; an entry's stamp is the count at its last use.
    uses: AtomicU64,
}

#[derive(Default)]
struct Entry {
    loaded: OnceCell<Arc<Loaded>>,
    last_use: AtomicU64,
}

impl Programs {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { entries: Mutex::default(), entries_max, uses: AtomicU64::new(0) }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loaded version; `load` runs once for all who ask meanwhile, and again after it failed.
    pub(crate) async fn get<E>(&self, key: Key, load: impl AsyncFnOnce() -> Result<Loaded, E>) -> Result<Arc<Loaded>, E> {
        let entry = {
            let mut entries = self.entries();
            if !entries.contains_key(&key) && entries.len() >= self.entries_max {
                self.evict(&mut entries);
            }
            Arc::clone(entries.entry(key).or_default())
        };
        entry.last_use.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        if let Some(loaded) = entry.loaded.get() {
            return Ok(Arc::clone(loaded));
        }
        entry.loaded.get_or_try_init(async || load().await.map(Arc::new)).await.map(Arc::clone)
    }

    /// Forgets all versions of a workspace.
    pub(crate) fn forget(&self, workspace: WorkspaceId) {
        let removed: Vec<Arc<Entry>> = {
            let mut entries = self.entries();
            entries.extract_if(|(of, _), _| *of == workspace).map(|(_, entry)| entry).collect()
        };
        // Unmapping takes a while; not under the lock.
        drop(removed);
    }

    /// Drops a tenth of the entries, the longest unused: one pass over the table pays for many loads.
    fn evict(&self, entries: &mut HashMap<Key, Arc<Entry>>) {
        let mut stamps: Vec<u64> = entries.values().map(|entry| entry.last_use.load(Ordering::Relaxed)).collect();
        let count = (stamps.len() / 10).max(1);
        let (_, threshold, _) = stamps.select_nth_unstable(count - 1);
        let threshold = *threshold;
        entries.retain(|_, entry| entry.last_use.load(Ordering::Relaxed) > threshold);
    }
}
