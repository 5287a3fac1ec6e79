//! Groups of members, and who may use what is in a folder or at a single path.

use std::{collections::BTreeMap, sync::Arc};

use sandmill_model::{
    BoxFuture, ScriptPath, Timestamp, WorkspaceId,
    lent::{ItemKind, ItemList},
    people::{Level, Name, Who},
};

use crate::StoreError;

/// Groups of one workspace.
pub const GROUPS_MAX: u32 = 500;
/// Members of one group.
pub const GROUP_MEMBERS_MAX: usize = 1_000;
/// Folders of one workspace that have a record: each request of a member is held against all of them.
pub const FOLDERS_MAX: u32 = 200;
/// Single paths of one workspace that have a list of their own: so many in folders, and as many in homes.
pub const ITEMS_MAX: u32 = 200;
/// Those of one folder or one home: nobody takes the places of others.
pub const ITEMS_OF_ONE_MAX: u32 = 20;
/// Users and groups that one list names; of the list of a single path, its entries.
pub const LIST_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: Name,
    pub description: String,
    pub updated_at: Timestamp,
    pub updated_by: Arc<str>,
}

/// A group and its members, in the order of their names.
pub type Membership = (Group, Vec<Name>);

/// What is put in the place of what is there.
#[derive(Clone, Debug)]
pub struct NewGroup {
    pub workspace: WorkspaceId,
    pub name: Name,
    pub description: String,
    pub members: Vec<Name>,
    pub by: Arc<str>,
    pub now: Timestamp,
}

/// A list: each user and group once.
pub type AccessList = BTreeMap<Who, Level>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    pub name: Name,
    pub description: String,
    pub updated_at: Timestamp,
    pub updated_by: Arc<str>,
}

/// What is put in the place of what is there.
#[derive(Clone, Debug)]
pub struct NewFolder {
    pub workspace: WorkspaceId,
    pub name: Name,
    pub description: String,
    pub list: AccessList,
    /// The list that must be there still, empty for none: by that it was decided whether this may be put. None: whatever is there.
    pub present: Option<AccessList>,
    pub by: Arc<str>,
    pub now: Timestamp,
}

/// An entry of somebody in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// A path; a folder as `f/NAME`, a service account as `s/NAME`.
    pub path: String,
    /// Of what it speaks at a single path; none: of all.
    pub kind: Option<ItemKind>,
    pub level: Level,
}

/// Why something is not put; for whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessRefused {
    /// No member or group of this workspace.
    Unknown(Who),
    Invalid(String),
    TooMany(String),
    /// No script, resource or variable is at the path.
    NothingThere,
    /// Another list is there than was to be.
    Changed,
}

pub trait Groups: Send + Sync + 'static {
    fn put(&self, new: NewGroup) -> BoxFuture<'_, Result<Result<Group, AccessRefused>, StoreError>>;

    fn find<'a>(&'a self, workspace: WorkspaceId, name: &'a Name) -> BoxFuture<'a, Result<Option<Membership>, StoreError>>;

    /// In the order of names, after `after`, at most `limit`.
    fn list<'a>(&'a self, workspace: WorkspaceId, after: Option<&'a Name>, limit: u32) -> BoxFuture<'a, Result<Vec<Group>, StoreError>>;

    /// Where lists name it, and as what.
    fn lists_with<'a>(&'a self, workspace: WorkspaceId, name: &'a Name) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>>;

    /// Deletes it, and takes it out of all lists; returns whether it was there.
    fn delete<'a>(&'a self, workspace: WorkspaceId, name: &'a Name) -> BoxFuture<'a, Result<bool, StoreError>>;
}

pub trait Folders: Send + Sync + 'static {
    fn put(&self, new: NewFolder) -> BoxFuture<'_, Result<Result<Folder, AccessRefused>, StoreError>>;

    fn find<'a>(&'a self, workspace: WorkspaceId, name: &'a Name) -> BoxFuture<'a, Result<Option<(Folder, AccessList)>, StoreError>>;

    /// In the order of names, after `after`, at most `limit`.
    fn list<'a>(&'a self, workspace: WorkspaceId, after: Option<&'a Name>, limit: u32) -> BoxFuture<'a, Result<Vec<Folder>, StoreError>>;

    /// From then on roles alone govern what is in it; nothing in it is deleted. Returns whether it was there.
    fn delete<'a>(&'a self, workspace: WorkspaceId, name: &'a Name) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Puts the list of a single path in the place of that which is there; an empty one is none. For `present` see [`NewFolder::present`].
    fn put_item<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        list: ItemList,
        present: Option<ItemList>,
    ) -> BoxFuture<'a, Result<Result<(), AccessRefused>, StoreError>>;

    /// Single paths that have lists, in their order, after `after`, at most `limit`.
    fn items<'a>(
        &'a self,
        workspace: WorkspaceId,
        after: Option<&'a ScriptPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(ScriptPath, ItemList)>, StoreError>>;

    /// The list of a single path.
    fn item<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<ItemList, StoreError>>;
}
