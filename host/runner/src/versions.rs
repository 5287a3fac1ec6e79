//! Where the runner reads versions and components from.

use bytes::Bytes;
use sandmill_model::{BoxFuture, Digest, WorkspaceId, version::Version};

/// The runner's view of what is deployed. Errors are texts: the runner can only report them.
pub trait Versions: Send + Sync + 'static {
    fn version(&self, workspace: WorkspaceId, digest: Digest) -> BoxFuture<'_, Result<Option<Version>, String>>;

    fn component(&self, workspace: WorkspaceId, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>, String>>;
}
