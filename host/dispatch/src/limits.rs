//! Workspaces of which only so many runs may execute at once: where one of theirs ends, another may begin.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sandmill_model::WorkspaceId;
use sandmill_store::queue::Ready;

/// Workspaces that are remembered.
const WORKSPACES_MAX: usize = 10_000;

/// Workspaces with a limit, as far as this node has claimed runs of them.
#[derive(Default)]
pub(crate) struct RunningLimits(Mutex<HashSet<WorkspaceId>>);

impl RunningLimits {
    fn known(&self) -> MutexGuard<'_, HashSet<WorkspaceId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers which of `heads` have a limit.
    pub(crate) fn note(&self, heads: &[Ready]) {
        let mut known = self.known();
        for Ready { head, running_max, .. } in heads {
            match running_max {
                Some(_) if known.len() < WORKSPACES_MAX => {
                    known.insert(head.workspace);
                }
                Some(_) => {}
                None => {
                    known.remove(&head.workspace);
                }
            }
        }
    }

    /// Whether the end of a run of `workspace` may let another begin, here or elsewhere.
    pub(crate) fn has_limit(&self, workspace: WorkspaceId) -> bool {
        self.known().contains(&workspace)
    }
}
