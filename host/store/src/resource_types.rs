//! Types of resources: those that every workspace has, and a workspace's own.

use std::sync::Arc;

use sandmill_model::{BoxFuture, JsonText, ScriptPath, Timestamp, TypeName, WorkspaceId};

use crate::StoreError;

/// Types of one workspace, beside those that all have.
pub const TYPES_MAX: u32 = 500;

#[derive(Clone, Debug)]
pub struct NewType {
    pub workspace: WorkspaceId,
    pub name: TypeName,
    /// JSON Schema of an object.
    pub schema: JsonText,
    pub description: String,
    pub by: Arc<str>,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeRecord {
    pub name: TypeName,
    pub schema: JsonText,
    pub description: String,
    /// None for one that every workspace has.
    pub updated: Option<(Timestamp, Arc<str>)>,
}

/// Why a type is not put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeRefusal {
    /// Every workspace has a type of this name.
    BuiltIn,
    /// What is wrong with it, for its author.
    Invalid(String),
    /// There are resources that it would not fit any more: which, and why.
    InUse(String),
    TooMany(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeDeleted {
    Yes,
    /// There is none of this name.
    No,
    BuiltIn,
    /// By this resource, and perhaps by others.
    InUse(ScriptPath),
}

pub trait ResourceTypes: Send + Sync + 'static {
    fn put(&self, new: NewType) -> BoxFuture<'_, Result<Result<TypeRecord, TypeRefusal>, StoreError>>;

    fn find<'a>(&'a self, workspace: WorkspaceId, name: &'a TypeName) -> BoxFuture<'a, Result<Option<TypeRecord>, StoreError>>;

    /// All that resources of the workspace can have, in the order of their names, after `after`, at most `limit`.
    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        after: Option<&'a TypeName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<TypeRecord>, StoreError>>;

    fn delete<'a>(&'a self, workspace: WorkspaceId, name: &'a TypeName) -> BoxFuture<'a, Result<TypeDeleted, StoreError>>;
}
