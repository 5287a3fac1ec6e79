//! Variables: text at paths. That of a secret one is sealed, and only [`Variables::reveal`] opens it.

use std::sync::Arc;

use sandmill_model::{BoxFuture, ScriptPath, Timestamp, WorkspaceId};

use crate::{StoreError, resources::Unfit};

/// Variables of one workspace.
pub const VARIABLES_MAX: u32 = 10_000;
/// Bytes of a variable's text.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What is put at a path. Not `Debug`: the text may be secret.
#[derive(Clone)]
pub struct NewVariable {
    pub workspace: WorkspaceId,
    pub path: ScriptPath,
    pub secret: bool,
    /// None: as it is. What was secret cannot be made plain so.
    pub text: Option<String>,
    pub description: String,
    pub by: Arc<str>,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    pub path: ScriptPath,
    pub secret: bool,
    /// None if it is secret.
    pub text: Option<String>,
    pub description: String,
    /// Grows with each change, also over deletion.
    pub revision: i64,
    pub updated_at: Timestamp,
    pub updated_by: Arc<str>,
}

/// A variable as the host uses it. Not `Debug`: the text may be secret.
#[derive(Clone)]
pub struct RevealedText {
    pub secret: bool,
    pub text: String,
    pub revision: i64,
}

pub trait Variables: Send + Sync + 'static {
    fn put(&self, new: NewVariable) -> BoxFuture<'_, Result<Result<Variable, Unfit>, StoreError>>;

    fn find<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<Variable>, StoreError>>;

    /// For the host alone: also the text of a secret one.
    fn reveal<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<RevealedText>, StoreError>>;

    /// In the order of paths, after `after`, at most `limit`, without their texts; only those whose path starts with `prefix`.
    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        prefix: &'a str,
        after: Option<&'a ScriptPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Variable>, StoreError>>;

    /// Returns whether it was there.
    fn delete<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<bool, StoreError>>;
}
