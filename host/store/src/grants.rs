//! What was granted to scripts. The texts are opaque here.

use std::sync::Arc;

use sandmill_model::{BoxFuture, Digest, ScriptPath, Timestamp, WorkspaceId};

use crate::StoreError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRow {
    /// E.g. `runs:f/demo/*`.
    pub granted: String,
    pub granted_by: Arc<str>,
    pub granted_at: Timestamp,
}

/// What becomes of the grants of one script. What is in both is given.
#[derive(Clone, Debug)]
pub struct GrantChange {
    pub give: Vec<String>,
    pub take: Vec<String>,
    pub by: Arc<str>,
    pub now: Timestamp,
}

pub trait Grants: Send + Sync + 'static {
    /// In the order of their texts.
    fn list<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Vec<GrantRow>, StoreError>>;

    /// What was granted to the version, in the order of their texts: what was given before it was deployed at the path, or while it was the newest
    /// there. Whoever gives something has judged the newest deployment, and none before it.
    fn given<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath, version: Digest)
    -> BoxFuture<'a, Result<Vec<String>, StoreError>>;

    /// All of it or nothing; returns what is granted then. What was granted already keeps by whom, when, and for which deployments.
    fn change<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        change: GrantChange,
    ) -> BoxFuture<'a, Result<Vec<GrantRow>, StoreError>>;
}
