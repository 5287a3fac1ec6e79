//! Users as issuers of single sign-on know them. A user is matched by issuer and subject: names and addresses an issuer may give to others.

use std::sync::Arc;

use sandmill_model::{BoxFuture, Timestamp, people::Name, role::Role};

use crate::{StoreError, members::RoleChange, users::User};

/// Bytes of a subject (OpenID Connect Core 1.0, section 2).
pub const SUBJECT_BYTES_MAX: usize = 255;
/// Who makes members of those whose groups say so. No user acts as that, so it tells them from members that people made.
pub const BY_GROUPS: &str = "oidc";

/// Somebody, as an issuer knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub issuer: Arc<str>,
    /// 1 to [`SUBJECT_BYTES_MAX`] bytes, without NUL.
    pub subject: Arc<str>,
}

/// What a user is made of, where none is linked.
#[derive(Clone, Debug)]
pub struct Stranger {
    /// A number is put after it if it is taken, and random characters if all these are.
    pub name: Name,
    /// In lower case, and verified by the issuer.
    pub email: Option<String>,
    pub display_name: String,
}

#[derive(Clone, Debug)]
pub struct SubjectLogin {
    pub subject: Subject,
    /// None: whoever is not linked yet is refused.
    pub stranger: Option<Stranger>,
    /// What groups give, by the names of workspaces, each at most once. None: groups say nothing of roles, and what they once gave stays.
    pub roles: Option<Vec<(Arc<str>, Role)>>,
    pub now: Timestamp,
}

/// How somebody who logs in came to their user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// They were linked before.
    Known,
    /// A user who was there was linked with them.
    Linked,
    /// The user was made.
    Made,
}

/// Who has logged in, and what that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectUser {
    pub user: User,
    pub came: Came,
    /// Roles that groups gave and took.
    pub roles: Vec<RoleChange>,
}

/// Why somebody is not logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectRefused {
    /// No user is linked, and none is made.
    Unknown,
    Disabled,
    /// The address is that of a user who has a password, was ever linked with a subject, or administers the installation: it may be
    /// somebody else.
    EmailTaken,
    /// There are as many users as there can be.
    TooMany,
    /// All names like this are taken.
    NameTaken,
}

/// What became of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    Done,
    NoSuchUser,
    /// The subject is another user's.
    Taken,
}

pub trait Subjects: Send + Sync + 'static {
    /// The user of a subject, who is made if need be, and the member of workspaces that groups say. A user without a password who has the
    /// verified address of a stranger, was never linked with a subject and does not administer the installation, is linked with this one.
    /// Members whom people made stay as they are. A workspace that is archived takes nobody in and gives no other role; it only loses whom
    /// groups do not name any more.
    fn log_in(&self, login: SubjectLogin) -> BoxFuture<'_, Result<Result<SubjectUser, SubjectRefused>, StoreError>>;

    /// Links a user with a subject, instead of another of the same issuer.
    fn link(&self, subject: Subject, user: Name, now: Timestamp) -> BoxFuture<'_, Result<Linked, StoreError>>;

    /// Returns whether there was a link. No address links the user from then on.
    fn unlink<'a>(&'a self, issuer: &'a str, user: &'a Name) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// The subject that a user is linked with.
    fn of_user<'a>(&'a self, issuer: &'a str, user: &'a Name) -> BoxFuture<'a, Result<Option<String>, StoreError>>;
}
