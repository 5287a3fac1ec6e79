//! Resources: typed JSON objects at paths. Their secret leaves are sealed, and only [`Resources::reveal`] opens them.

use std::sync::Arc;

use sandmill_model::{BoxFuture, JsonText, Opening, ScriptPath, Timestamp, TypeName, WorkspaceId, schema::Fault};

use crate::StoreError;

/// Resources of one workspace.
pub const RESOURCES_MAX: u32 = 10_000;
/// Names of databases of one workspace. A name whose database was opened stays when its resource goes, so there are more of them.
pub const DATABASE_NAMES_MAX: u32 = 50_000;
/// Characters of a description, of a resource as of a type or a variable.
pub const DESCRIPTION_CHARS_MAX: usize = 2_000;

/// What is put at a path. Not `Debug`: the value has secrets.
#[derive(Clone)]
pub struct NewResource {
    pub workspace: WorkspaceId,
    pub path: ScriptPath,
    pub kind: TypeName,
    /// A JSON object. A secret that is left out stays as it is, as long as the type and the object around it do; null takes it away.
    pub value: JsonText,
    pub description: String,
    /// Of the type `sqlite`; nothing to the others.
    pub sharing: Sharing,
    pub by: Arc<str>,
    pub now: Timestamp,
}

/// Which databases of other paths a resource of the type `sqlite` may come to name. It keeps the one that it has, and has any that nobody had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    None,
    /// That of the path which its name belongs to: whoever puts the resource may write there.
    With(ScriptPath),
    /// All of the workspace.
    All,
}

/// A resource without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub path: ScriptPath,
    /// Name of its type.
    pub kind: Arc<str>,
    /// A JSON object: what is not secret.
    pub fields: JsonText,
    /// Pointers of the secrets that are set.
    pub secrets: Vec<String>,
    pub description: String,
    /// Grows with each change, also over deletion.
    pub revision: i64,
    pub updated_at: Timestamp,
    pub updated_by: Arc<str>,
}

/// A resource in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceSummary {
    pub path: ScriptPath,
    pub kind: Arc<str>,
    pub description: String,
    pub revision: i64,
    pub updated_at: Timestamp,
    pub updated_by: Arc<str>,
}

/// A resource as the host uses it. Not `Debug`: the value has secrets.
#[derive(Clone)]
pub struct Revealed {
    pub kind: Arc<str>,
    /// A JSON object, with its secrets.
    pub value: JsonText,
    /// Pointers of its secrets.
    pub secrets: Vec<String>,
    pub revision: i64,
}

/// Why something is not put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// There is no type of this name.
    NoSuchType,
    /// The value does not fit its type.
    Value(Vec<Fault>),
    /// What is wrong beside the value, for whoever sent it.
    Invalid(String),
    /// There are as many as there can be.
    TooMany(String),
    /// The database of this name belongs to another path.
    NameTaken,
}

pub trait Resources: Send + Sync + 'static {
    fn put(&self, new: NewResource) -> BoxFuture<'_, Result<Result<Resource, Unfit>, StoreError>>;

    fn find<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<Resource>, StoreError>>;

    /// For the host alone: with secrets.
    fn reveal<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<Revealed>, StoreError>>;

    /// In the order of paths, after `after`, at most `limit`; only those whose path starts with `prefix`.
    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        prefix: &'a str,
        after: Option<&'a ScriptPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<ResourceSummary>, StoreError>>;

    /// Notes, before there is a file, that the name of a database stays with its path whatever becomes of the resource. False: the resource was
    /// changed meanwhile, and nothing may be opened for it.
    fn open_database(&self, opening: Opening) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Returns whether it was there. The name of its database still belongs to the path, if that was ever opened.
    fn delete<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<bool, StoreError>>;
}
