//! A run as one of its workspace's: with what the others of that workspace hold it starts, and takes memory.

use std::{sync::Arc, time::Instant};

use sandmill_model::WorkspaceId;

use super::{Admission, Permits, memory::Share};

/// Where a run's memory is counted: among that of all guests, and among that of its workspace's.
#[derive(Clone)]
pub(crate) struct Accounts {
    admission: Arc<Admission>,
    workspace: WorkspaceId,
    share: Arc<Share>,
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum MemoryFull {
    #[error("the memory for guests on this node is used up ({max_bytes} bytes); the run may be tried again")]
    Node { max_bytes: u64 },
    #[error("the memory for guests of one workspace on this node is used up ({max_bytes} bytes); the run may be tried again")]
    Workspace { max_bytes: u64 },
}

impl Accounts {
    pub(super) fn new(admission: Arc<Admission>, workspace: WorkspaceId, share: Arc<Share>) -> Self {
        Self { admission, workspace, share }
    }

    /// What can be had without waiting.
    pub(crate) fn try_start(&self, weight: u32) -> Option<Permits> {
        self.share.budget.has_some().then(|| self.admission.try_start(&self.share, weight)).flatten()
    }

    /// Slot and room, once the workspace has memory left. Those of others do not stand behind one that waits for that.
    pub(crate) async fn start(&self, weight: u32) -> Permits {
        loop {
            self.share.opens().await;
            let permits = self.admission.start(self.workspace, &self.share, weight).await;
            if self.share.budget.has_some() {
                return permits;
            }
            // Used up meanwhile: the slot is for others.
        }
    }

    /// A run starts. Returns whether it belongs among others of its workspace, to be executed in turn with those of the next: it has some
    /// under way, and is not the only one that starts runs.
    pub(crate) fn is_one_of_many(&self) -> bool {
        let is_in_company = self.admission.company.enter(self.workspace, Instant::now());
        is_in_company && self.share.has_many()
    }

    /// Charges memory to both budgets.
    pub(crate) async fn charge(&self, bytes: u64) -> Result<(), MemoryFull> {
        let wait_max = self.admission.memory_wait_max;
        let own = self.share.budget.charge(bytes, wait_max).await;
        own.map_err(|full| MemoryFull::Workspace { max_bytes: full.max_bytes })?;
        let own = Taken { share: &self.share, bytes };
        let all = self.admission.memory.charge(bytes, wait_max).await;
        all.map_err(|full| MemoryFull::Node { max_bytes: full.max_bytes })?;
        own.keep();
        Ok(())
    }

    pub(crate) fn discharge(&self, bytes: u64) {
        if bytes > 0 {
            self.share.discharge(bytes);
            self.admission.discharge(bytes);
        }
    }
}

/// Of a workspace's share, given back if the run ends before the node has as much for it.
struct Taken<'a> {
    share: &'a Share,
    bytes: u64,
}

impl Taken<'_> {
    fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.share.discharge(self.bytes);
        }
    }
}
