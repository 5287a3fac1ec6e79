//! Workspaces: tenants.

use std::sync::Arc;

use sandmill_model::{
    BoxFuture, Timestamp, WorkspaceId, WorkspaceSettings,
    settings::{InvalidSettings, Patch},
};

use crate::StoreError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    pub id: WorkspaceId,
    /// In URLs; unique.
    pub name: Arc<str>,
    pub created_at: Timestamp,
    pub settings: Arc<WorkspaceSettings>,
}

pub trait Workspaces: Send + Sync + 'static {
    /// The workspace called `name`; made with `id` if there is none. Two at once make one.
    fn ensure<'a>(&'a self, id: WorkspaceId, name: &'a str, now: Timestamp) -> BoxFuture<'a, Result<Workspace, StoreError>>;

    fn by_name<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Workspace>, StoreError>>;

    /// Oldest first.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Workspace>, StoreError>>;

    /// Changes the settings that `patch` names and returns all of them; `Conflict` if there is no such workspace.
    fn set(&self, id: WorkspaceId, patch: Patch) -> BoxFuture<'_, Result<Result<WorkspaceSettings, InvalidSettings>, StoreError>>;
}
