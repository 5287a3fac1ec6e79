//! Workspaces: tenants.

use std::sync::Arc;

use sandmill_model::{
    BoxFuture, Quotas, Timestamp, WorkspaceId, WorkspaceSettings,
    quota::{InvalidQuotas, Overrides},
    settings::{InvalidSettings, Patch},
};

use crate::StoreError;

/// Workspaces of one installation.
pub const WORKSPACES_MAX: u32 = 100_000;

/// What may be done in a workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    #[default]
    Active,
    /// Nothing new starts and nothing changes; all is there to be read.
    Archived,
    /// It is emptied, and then it is gone. To its members it is not there any more.
    Deleting,
}

impl Status {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
            Self::Deleting => "deleting",
        }
    }
}

/// What a workspace may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allotment {
    /// None: no limits but its own.
    pub plan: Option<Arc<str>>,
    /// In the place of the plan's.
    pub overrides: Overrides,
    /// What comes of both.
    pub quotas: Quotas,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    pub id: WorkspaceId,
    /// In URLs; unique.
    pub name: Arc<str>,
    pub created_at: Timestamp,
    pub settings: Arc<WorkspaceSettings>,
    pub status: Status,
    /// When it became so.
    pub status_since: Timestamp,
    pub allotted: Arc<Allotment>,
}

impl Workspace {
    /// How many of its runs may execute at once, on all nodes together: the lesser of its setting and its quota.
    #[must_use]
    pub fn running_runs_max(&self) -> Option<u32> {
        running_runs_max(&self.settings, &self.allotted.quotas)
    }
}

pub(crate) fn running_runs_max(settings: &WorkspaceSettings, quotas: &Quotas) -> Option<u32> {
    let quota = quotas.running_runs.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
    match (settings.running_runs_max, quota) {
        (Some(setting), Some(quota)) => Some(setting.min(quota)),
        (one, other) => one.or(other),
    }
}

/// A workspace to be made.
#[derive(Clone, Debug)]
pub struct NewWorkspace {
    pub id: WorkspaceId,
    /// As [`sandmill_model::quota::is_name`] asks for; it is not checked again.
    pub name: Arc<str>,
    pub allotment: Change,
    pub now: Timestamp,
}

/// What is changed of an [`Allotment`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// None: the plan stays; within, none: no plan.
    pub plan: Option<Option<Arc<str>>>,
    /// By name, as [`sandmill_model::quota::patched`] takes them.
    pub overrides: Overrides,
}

/// Why a workspace was not made or not changed; for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmade {
    #[error("there is a workspace of this name, or one that is being deleted")]
    Taken,
    #[error("there is no such plan")]
    NoSuchPlan,
    #[error("an installation has at most {} workspaces", WORKSPACES_MAX)]
    TooMany,
    #[error(transparent)]
    Invalid(#[from] InvalidQuotas),
}

pub trait Workspaces: Send + Sync + 'static {
    /// The workspace called `name`; made with `id` if there is none. Two at once make one.
    fn ensure<'a>(&'a self, id: WorkspaceId, name: &'a str, now: Timestamp) -> BoxFuture<'a, Result<Workspace, StoreError>>;

    /// Makes a workspace whose name is free.
    fn create(&self, new: NewWorkspace) -> BoxFuture<'_, Result<Result<Workspace, Unmade>, StoreError>>;

    /// Also one that is being deleted.
    fn by_name<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Workspace>, StoreError>>;

    /// All of them, oldest first.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Workspace>, StoreError>>;

    /// In the order of their names, after `after`, at most `limit`.
    fn page<'a>(&'a self, after: Option<&'a str>, limit: u32) -> BoxFuture<'a, Result<Vec<Workspace>, StoreError>>;

    /// Changes the settings that `patch` names and returns all of them; `Conflict` if there is no such workspace.
    fn set(&self, id: WorkspaceId, patch: Patch) -> BoxFuture<'_, Result<Result<WorkspaceSettings, InvalidSettings>, StoreError>>;

    /// Changes what it may use; `Conflict` if there is no such workspace.
    fn allot(&self, id: WorkspaceId, change: Change) -> BoxFuture<'_, Result<Result<Workspace, Unmade>, StoreError>>;

    /// Archives it, makes it active again, or begins to delete it: there is no way back from that. None if it is gone or being deleted.
    fn change_status(&self, id: WorkspaceId, status: Status, now: Timestamp) -> BoxFuture<'_, Result<Option<Workspace>, StoreError>>;

    /// The workspace with this id, also one that is being deleted.
    fn by_id(&self, id: WorkspaceId) -> BoxFuture<'_, Result<Option<Workspace>, StoreError>> {
        Box::pin(async move { Ok(self.list().await?.into_iter().find(|workspace| workspace.id == id)) })
    }
}
