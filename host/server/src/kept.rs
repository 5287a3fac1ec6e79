//! What workspaces have outside of the database: runs that this node executes, its compiled code, databases of SQLite in
//! its data folder, and objects. It goes with the workspace.

use std::{io, path::PathBuf};

use sandmill_capabilities::blob::Blobs;
use sandmill_dispatch::Dispatch;
use sandmill_model::{BoxFuture, WorkspaceId};
use sandmill_runner::Runner;
use sandmill_store::{removal::Elsewhere, upkeep::Objects};

pub(crate) struct Kept {
    /// Databases of SQLite, in a folder for each workspace.
    pub(crate) sqlite: PathBuf,
    pub(crate) blobs: Blobs,
    pub(crate) dispatch: Dispatch,
    /// It has compiled code.
    pub(crate) runner: Runner,
}

impl Objects for Kept {
    fn bytes(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(self.blobs.measure(workspace))
    }
}

impl Elsewhere for Kept {
    fn remove(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<bool, String>> {
        Box::pin(async move {
            self.runner.forget(workspace).await?;
            let folder = self.sqlite.join(workspace.to_string());
            match tokio::fs::remove_dir_all(&folder).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("the folder {}: {error}", folder.display())),
            }
            self.blobs.remove_some(workspace).await
        })
    }

    fn end(&self, workspaces: &[WorkspaceId]) -> Vec<WorkspaceId> {
        self.dispatch.end_all(workspaces)
    }
}
