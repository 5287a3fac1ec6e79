//! Who belongs to a workspace, and invitations to it.

use std::sync::Arc;

use sandmill_model::{
    BoxFuture, Timestamp, TokenId, WorkspaceId,
    auth::TokenHash,
    people::Name,
    role::{Role, Standing},
};

use crate::{
    StoreError,
    users::{NewUser, User, UserRefused},
};

/// Members of one workspace.
pub const MEMBERS_MAX: u32 = 10_000;
/// Invitations to one workspace that are kept, those that were used among them; the oldest are forgotten.
pub const INVITATIONS_MAX: u32 = 1_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user: Name,
    pub display_name: String,
    pub role: Role,
    pub is_disabled: bool,
    pub created_at: Timestamp,
    pub created_by: Arc<str>,
}

#[derive(Clone, Debug)]
pub struct NewMember {
    pub workspace: WorkspaceId,
    pub user: Name,
    pub role: Role,
    pub by: Arc<str>,
    pub now: Timestamp,
}

/// What became of a member that was to be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberPut {
    Done,
    NoSuchUser,
    TooMany,
}

/// What somebody was in a workspace, and is now; none: no member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleChange {
    pub workspace: WorkspaceId,
    pub before: Option<Role>,
    pub after: Option<Role>,
}

pub trait Members: Send + Sync + 'static {
    /// Makes a user a member, or gives a member another role.
    fn put(&self, new: NewMember) -> BoxFuture<'_, Result<MemberPut, StoreError>>;

    /// Takes a member out of the workspace, of its groups and of its lists, and takes the lists of their home away; returns whether there
    /// was one.
    fn remove<'a>(&'a self, workspace: WorkspaceId, user: &'a Name) -> BoxFuture<'a, Result<bool, StoreError>>;

    fn find<'a>(&'a self, workspace: WorkspaceId, user: &'a Name) -> BoxFuture<'a, Result<Option<Member>, StoreError>>;

    /// In the order of names, after `after`, at most `limit`.
    fn list<'a>(&'a self, workspace: WorkspaceId, after: Option<&'a Name>, limit: u32) -> BoxFuture<'a, Result<Vec<Member>, StoreError>>;

    /// Names of the workspaces that a user is a member of, with the roles there, at most `limit`.
    fn workspaces_of<'a>(&'a self, user: &'a Name, limit: u32) -> BoxFuture<'a, Result<Vec<(String, Role)>, StoreError>>;

    /// All that the workspace says of one member; none for who is not one.
    fn standing<'a>(&'a self, workspace: WorkspaceId, user: &'a Name) -> BoxFuture<'a, Result<Option<Standing>, StoreError>>;
}

#[derive(Clone, Debug)]
pub struct NewInvitation {
    pub workspace: WorkspaceId,
    pub id: TokenId,
    pub hash: TokenHash,
    pub role: Role,
    pub by: Arc<str>,
    /// By a token that administers the installation: it may act as somebody who is no user.
    pub is_by_operator: bool,
    pub now: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    pub id: TokenId,
    pub role: Role,
    pub created_at: Timestamp,
    pub created_by: Arc<str>,
    pub expires_at: Timestamp,
    pub used_by: Option<Name>,
}

/// Who accepts an invitation. Not `Debug`: as [`NewUser`].
#[derive(Clone)]
pub enum Invited {
    /// Is made for it; nothing is left of it where the invitation is no good.
    New(NewUser),
    Known(Name),
}

/// Who has accepted an invitation, and what that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub user: User,
    /// The user was made for it.
    pub is_new: bool,
    pub invitation: TokenId,
    pub became: RoleChange,
}

/// Why an invitation is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitationRefused {
    /// There is none of this hash, or it was used, withdrawn, or has expired, or whoever invited may do so no more, or the workspace is
    /// archived or being deleted.
    NotGood,
    /// Whoever is known is a member already; the invitation stays.
    IsMember,
    TooMany,
    User(UserRefused),
}

pub trait Invitations: Send + Sync + 'static {
    /// Returns whether somebody was invited. Who invites is a user who administers the workspace or the installation, or is no user and
    /// administers the installation by a token; and they must still be so when the invitation is accepted.
    fn invite(&self, new: NewInvitation) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Newest first, older than `before`, at most `limit`.
    fn invitations(
        &self,
        workspace: WorkspaceId,
        before: Option<TokenId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Invitation>, StoreError>>;

    fn find(&self, workspace: WorkspaceId, id: TokenId) -> BoxFuture<'_, Result<Option<Invitation>, StoreError>>;

    /// Returns whether it was there.
    fn withdraw(&self, workspace: WorkspaceId, id: TokenId) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Whether one of this hash is good at present.
    fn is_good(&self, hash: TokenHash, now: Timestamp) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Makes whoever was invited a member, once.
    fn accept(
        &self,
        hash: TokenHash,
        invited: Invited,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Result<Joined, InvitationRefused>, StoreError>>;
}
