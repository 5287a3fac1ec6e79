//! A database of SQLite before a run opens it.

use crate::{ids::WorkspaceId, path::ScriptPath};

/// A database of a resource of the type `sqlite` that a run is about to open.
#[derive(Clone, Debug)]
pub struct Opening {
    pub workspace: WorkspaceId,
    /// Of the resource, as it was revealed.
    pub path: ScriptPath,
    pub revision: i64,
    pub name: String,
}
