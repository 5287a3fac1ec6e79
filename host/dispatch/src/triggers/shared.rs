//! What the parts of triggers on this node have in common: what was looked up a moment ago, what changed, and how much may be under way.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sandmill_model::{
    WorkspaceId,
    code::{Code, Refusal},
    recent::Recent,
};
use sandmill_store::workspaces::Workspace;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{TRIGGERS_TTL, batch::Batches};
use crate::{Inner, refuse};

/// Workspaces that are kept in memory.
const WORKSPACES_MAX: usize = 10_000;
/// Workspaces that changed and wait to be looked at; past it all are.
const POKED_MAX: usize = 10_000;
/// KiB of events that listeners deliver at once.
const DELIVERING_KIB_MAX: u32 = 64 * 1024;
/// KiB of events that wait for their batches. What finds no room does not wait.
const WAITING_KIB_MAX: u32 = 64 * 1024;
/// Connections that are tested at once.
const PROBES_MAX: usize = 16;
/// Of these, those of one workspace.
const PROBES_OF_WORKSPACE_MAX: usize = 4;

pub(crate) struct Shared {
    workspaces: Recent<WorkspaceId, Workspace>,
    poked: Mutex<Poked>,
    pub(super) batches: Batches,
    delivering: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// How many connections each workspace tests.
    probes: Mutex<HashMap<WorkspaceId, usize>>,
    /// The clock was set: whoever sleeps until an instant looks again.
    pub(super) clock_was_set: Notify,
}

/// Of which workspaces something changed.
#[derive(Default)]
pub(super) struct Poked {
    pub(super) some: HashSet<WorkspaceId>,
    pub(super) all: bool,
}

impl Poked {
    pub(super) fn has(&self, workspace: WorkspaceId) -> bool {
        self.all || self.some.contains(&workspace)
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.some.is_empty()
    }
}

impl Default for Shared {
    fn default() -> Self {
        let permits = |kib: u32| Arc::new(Semaphore::new(usize::try_from(kib).unwrap_or(usize::MAX)));
        Self {
            workspaces: Recent::new(WORKSPACES_MAX, TRIGGERS_TTL).of_workspaces(|workspace| *workspace),
            poked: Mutex::default(),
            batches: Batches::default(),
            delivering: permits(DELIVERING_KIB_MAX),
            waiting: permits(WAITING_KIB_MAX),
            probes: Mutex::default(),
            clock_was_set: Notify::new(),
        }
    }
}

/// The place of a connection that is tested.
pub(super) struct Probe<'a> {
    shared: &'a Shared,
    workspace: WorkspaceId,
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        let mut probes = self.shared.probes();
        if let Some(own) = probes.get_mut(&self.workspace) {
            *own -= 1;
            if *own == 0 {
                probes.remove(&self.workspace);
            }
        }
    }
}

fn kib(bytes: usize, most: u32) -> u32 {
    u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(most)
}

impl Shared {
    fn poked(&self) -> MutexGuard<'_, Poked> {
        self.poked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn probes(&self) -> MutexGuard<'_, HashMap<WorkspaceId, usize>> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place to test a connection of a workspace, if there is one: no workspace takes those of all others.
    pub(super) fn probe(&self, workspace: WorkspaceId) -> Option<Probe<'_>> {
        let mut probes = self.probes();
        let own = probes.get(&workspace).copied().unwrap_or_default();
        if own >= PROBES_OF_WORKSPACE_MAX || probes.values().sum::<usize>() >= PROBES_MAX {
            return None;
        }
        probes.insert(workspace, own + 1);
        drop(probes);
        Some(Probe { shared: self, workspace })
    }

    /// Something of these workspaces changed.
    pub(super) fn poke(&self, workspaces: &[WorkspaceId]) {
        self.workspaces.outdate(|workspace, _| workspaces.contains(workspace));
        let mut poked = self.poked();
        if poked.some.len().saturating_add(workspaces.len()) > POKED_MAX {
            *poked = Poked { some: HashSet::new(), all: true };
        } else if !poked.all {
            poked.some.extend(workspaces);
        }
    }

    /// What was taken was not looked at.
    pub(super) fn poke_again(&self, poked: Poked) {
        if poked.all {
            *self.poked() = poked;
        } else {
            self.poke(&poked.some.into_iter().collect::<Vec<_>>());
        }
    }

    pub(super) fn take_poked(&self) -> Poked {
        mem::take(&mut *self.poked())
    }

    /// Room for events that are delivered now; waits for it, in turn. None: this node ends.
    pub(super) async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.delivering).acquire_many_owned(kib(bytes, DELIVERING_KIB_MAX)).await.ok()
    }

    /// Room for an event that waits for its batch, if there is any.
    pub(super) fn waiting_room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.waiting).try_acquire_many_owned(kib(bytes, WAITING_KIB_MAX)).ok()
    }
}

impl Inner {
    /// A workspace as it was a moment ago.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub(super) async fn workspace_of(&self, id: WorkspaceId) -> Result<Workspace, Refusal> {
        let workspaces = &self.armoury.shared.workspaces;
        let now = self.clock.now();
        if let Some(known) = workspaces.get(&id, now) {
            return Ok(known);
        }
        let began = workspaces.moment();
        let found = self.store.workspaces.by_id(id).await.map_err(|error| refuse(&error))?;
        let found = found.ok_or_else(|| Refusal::new(Code::NotFound, "there is no such workspace"))?;
        workspaces.put_of(began, id, found.clone(), now);
        Ok(found)
    }

    /// A workspace changed, or who may do what in it: what its triggers may do may have changed, too.
    pub(crate) fn triggers_poked(&self, workspaces: &[WorkspaceId]) {
        self.armoury.shared.poke(workspaces);
        self.armoury.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::Timestamp;

    use super::*;

    #[test]
    fn no_workspace_takes_the_places_of_all_to_test_connections() {
        let shared = Shared::default();
        let workspaces: Vec<WorkspaceId> = (0..5).map(|micros| WorkspaceId::new(Timestamp::from_micros(micros))).collect();
        let mut taken: Vec<Probe<'_>> = std::iter::from_fn(|| shared.probe(workspaces[0])).take(PROBES_MAX).collect();
        assert_eq!(taken.len(), PROBES_OF_WORKSPACE_MAX);
        for workspace in &workspaces[1..] {
            taken.extend(std::iter::from_fn(|| shared.probe(*workspace)).take(PROBES_MAX));
        }
        assert_eq!(taken.len(), PROBES_MAX);
        taken.remove(0);
        assert!(shared.probe(workspaces[4]).is_some(), "what is given back is there for others");
        drop(taken);
        assert!(shared.probes().is_empty());
    }

    #[test]
    fn what_changed_is_taken_once_and_bounded() {
        let shared = Shared::default();
        let [one, other] = [1, 2].map(|micros| WorkspaceId::new(Timestamp::from_micros(micros)));
        shared.poke(&[one]);
        let poked = shared.take_poked();
        assert!(poked.has(one) && !poked.has(other) && shared.take_poked().is_empty());
        for _ in 0..=POKED_MAX {
            shared.poke(&[WorkspaceId::new(Timestamp::from_micros(3))]);
        }
        let poked = shared.take_poked();
        assert!(poked.some.len() <= POKED_MAX && poked.has(other), "all are looked at");
    }
}
