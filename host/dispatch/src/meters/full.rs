//! Workspaces that keep as much as they may. Their scripts write no more state; who asks for another workspace looks at one number.

use std::{
    collections::HashSet,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use sandmill_model::WorkspaceId;

#[derive(Default)]
pub(crate) struct Full {
    count: AtomicUsize,
    workspaces: RwLock<HashSet<WorkspaceId>>,
}

impl Full {
    pub(crate) fn has(&self, workspace: WorkspaceId) -> bool {
        self.count.load(Ordering::Relaxed) > 0 && self.workspaces.read().unwrap_or_else(PoisonError::into_inner).contains(&workspace)
    }

    /// These are full, and no others.
    pub(crate) fn set(&self, full: HashSet<WorkspaceId>) {
        let count = full.len();
        *self.workspaces.write().unwrap_or_else(PoisonError::into_inner) = full;
        self.count.store(count, Ordering::Relaxed);
    }
}
