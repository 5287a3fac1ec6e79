//! What scripts keep outside of the database: databases of SQLite in this node's data folder, and objects. It goes with their workspace.

use std::{io, path::PathBuf};

use sandmill_capabilities::blob::Blobs;
use sandmill_model::{BoxFuture, WorkspaceId};
use sandmill_store::removal::Elsewhere;

pub(crate) struct Kept {
    /// Databases of SQLite, in a folder for each workspace.
    pub(crate) sqlite: PathBuf,
    pub(crate) blobs: Blobs,
}

impl Elsewhere for Kept {
    fn remove(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let folder = self.sqlite.join(workspace.to_string());
            match tokio::fs::remove_dir_all(&folder).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("the folder {}: {error}", folder.display())),
            }
            self.blobs.remove_all(workspace).await
        })
    }
}
