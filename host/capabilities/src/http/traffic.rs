//! What workspaces send and receive by HTTP, told to whoever counts it.

use sandmill_model::{BoxFuture, WorkspaceId};

pub trait TrafficPort: Send + Sync + 'static {
    /// Whether a workspace may send one more request.
    ///
    /// # Errors
    /// Why not, in words for the script's author.
    fn admit(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<(), String>>;

    /// Bytes of bodies that went up and came down.
    fn count(&self, workspace: WorkspaceId, bytes_up: u64, bytes_down: u64);
}

/// Nobody counts.
pub struct Uncounted;

impl TrafficPort for Uncounted {
    fn admit(&self, _: WorkspaceId) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn count(&self, _: WorkspaceId, _: u64, _: u64) {}
}
