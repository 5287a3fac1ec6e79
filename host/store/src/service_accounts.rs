//! Service accounts: as whom runs act that are nobody's own, what they may do, and who may have runs act so.

use std::{collections::BTreeSet, sync::Arc};

use sandmill_model::{
    BoxFuture, RunAs, Timestamp, WorkspaceId,
    auth::Scope,
    people::{Name, Who},
};

use crate::{StoreError, access::AccessRefused};

/// Service accounts of one workspace.
pub const SERVICE_ACCOUNTS_MAX: u32 = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    pub name: Name,
    pub description: String,
    /// What runs that act so may do at most, as far as their scripts' grants allow it.
    pub scopes: Vec<Scope>,
    pub updated_at: Timestamp,
    pub updated_by: Arc<str>,
}

/// An account and who may use it, in the order of their names.
pub type AccountAndUsers = (ServiceAccount, Vec<Who>);

/// What is put in the place of what is there.
#[derive(Clone, Debug)]
pub struct NewServiceAccount {
    pub workspace: WorkspaceId,
    pub name: Name,
    pub description: String,
    pub scopes: Vec<Scope>,
    /// Who may use it, beside admins of the workspace and of the installation.
    pub users: BTreeSet<Who>,
    pub by: Arc<str>,
    pub now: Timestamp,
}

pub trait ServiceAccounts: Send + Sync + 'static {
    fn put(&self, new: NewServiceAccount) -> BoxFuture<'_, Result<Result<ServiceAccount, AccessRefused>, StoreError>>;

    /// With who may use it, in the order of their names.
    fn find<'a>(&'a self, workspace: WorkspaceId, name: &'a Name) -> BoxFuture<'a, Result<Option<AccountAndUsers>, StoreError>>;

    /// In the order of names, after `after`, at most `limit`.
    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        after: Option<&'a Name>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<ServiceAccount>, StoreError>>;

    /// Nothing can act so from then on; returns whether it was there.
    fn delete<'a>(&'a self, workspace: WorkspaceId, name: &'a Name) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Whether the identity `who`, e.g. `u/ann`, may have runs act as `wanted` at present: a service account that is there if they are on
    /// its list or administer the workspace, a group if they are in it or administer the workspace, and as a user themselves alone. Whoever
    /// is disabled or has left the workspace may do nothing of it, and who is a viewer there acts as themselves at most. The operator's
    /// `u/admin` counts as an admin of every workspace.
    fn may_use<'a>(&'a self, workspace: WorkspaceId, wanted: &'a RunAs, who: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;
}
