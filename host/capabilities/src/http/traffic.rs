//! What workspaces send and receive by HTTP and of databases elsewhere, told to whoever counts it.

use sandmill_model::{BoxFuture, WorkspaceId};

pub trait TrafficPort: Send + Sync + 'static {
    /// Whether a workspace may send one more request or statement.
    ///
    /// # Errors
    /// Why not, in words for the script's author.
    fn admit(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<(), String>>;

    /// Bytes that went up and came down: heads and bodies, statements and answers. False once they are more than the workspace may send and
    /// receive: what is under way ends.
    fn count(&self, workspace: WorkspaceId, bytes_up: u64, bytes_down: u64) -> bool;
}

/// Why what is under way ends.
pub(super) const USED_UP: &str = "the workspace has sent and received as many bytes today as it may (outbound_bytes_per_day)";

/// Nobody counts.
pub struct Uncounted;

impl TrafficPort for Uncounted {
    fn admit(&self, _: WorkspaceId) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn count(&self, _: WorkspaceId, _: u64, _: u64) -> bool {
        true
    }
}
