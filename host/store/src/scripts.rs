//! Scripts, their versions and deployments, and stored components.

use bytes::Bytes;
use sandmill_model::{
    BoxFuture, Digest, ScriptPath, Timestamp, WorkspaceId,
    version::{Deployment, Selector, Version},
};

use crate::StoreError;

/// One script in a list: its newest deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptSummary {
    pub deployment: Deployment,
    pub language: sandmill_model::Language,
    pub description: Option<String>,
}

/// What a deployment brings.
#[derive(Clone, Debug)]
pub struct NewDeployment {
    pub workspace: WorkspaceId,
    pub path: ScriptPath,
    pub version: Version,
    /// Bytes of an uploaded component, stored once by digest.
    pub component: Option<(Digest, Bytes)>,
    pub created_by: std::sync::Arc<str>,
    pub now: Timestamp,
}

pub trait Scripts: Send + Sync + 'static {
    /// Stores version and component where they are new and points the path at the version, in one transaction. Deploying the version that the path
    /// points at already returns that deployment and writes nothing. Two at once get consecutive numbers.
    fn deploy(&self, new: NewDeployment) -> BoxFuture<'_, Result<Deployment, StoreError>>;

    /// The deployment that `selector` means, with its version. A digest means the newest deployment of this path with that version.
    fn find<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        selector: Selector,
    ) -> BoxFuture<'a, Result<Option<(Deployment, Version)>, StoreError>>;

    fn version(&self, workspace: WorkspaceId, digest: Digest) -> BoxFuture<'_, Result<Option<Version>, StoreError>>;

    fn component(&self, workspace: WorkspaceId, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>>;
    /// Whether the workspace has it.
    fn has_component(&self, workspace: WorkspaceId, digest: Digest) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Scripts in order of path, after `after`, at most `limit`; only those whose path starts with `prefix`.
    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        prefix: &'a str,
        after: Option<&'a ScriptPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<ScriptSummary>, StoreError>>;

    /// Deployments of a path, newest first, below number `before`, at most `limit`.
    fn deployments<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        before: Option<i64>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Deployment>, StoreError>>;
}
