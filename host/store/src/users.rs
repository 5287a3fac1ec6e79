//! Users of the installation, and who of them is logged in.

use std::{sync::Arc, time::Duration};

use sandmill_model::{BoxFuture, Timestamp, TokenId, auth::TokenHash, people::Name};

use crate::StoreError;

/// Users of one installation, but for those that invitations have brought.
pub const USERS_MAX: u32 = 100_000;
/// Users that invitations of one workspace have brought: none takes the places of others.
pub const BROUGHT_MAX: u32 = 1_000;
/// Sessions of one user; the oldest ends when another begins.
pub const SESSIONS_MAX: u32 = 50;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: Name,
    pub email: Option<String>,
    pub display_name: String,
    /// Whether there is a password to log in with.
    pub has_password: bool,
    pub is_instance_admin: bool,
    pub is_disabled: bool,
    pub created_at: Timestamp,
    pub created_by: Arc<str>,
}

/// Not `Debug`: nobody needs to see hashes of passwords in a log.
#[derive(Clone)]
pub struct NewUser {
    pub name: Name,
    /// In lower case.
    pub email: Option<String>,
    pub display_name: String,
    /// A PHC string.
    pub password: Option<String>,
    pub is_instance_admin: bool,
    pub by: Arc<str>,
    pub now: Timestamp,
}

/// What is to change; none: as it is. Not `Debug`, as [`NewUser`].
#[derive(Clone, Default)]
pub struct UserChange {
    /// None within: no address.
    pub email: Option<Option<String>>,
    pub display_name: Option<String>,
    /// A PHC string. All sessions of the user end.
    pub password: Option<String>,
    /// The PHC string that was there when the change was asked for: another has taken its place meanwhile, and stays.
    pub password_was: Option<String>,
    pub is_instance_admin: Option<bool>,
    /// Once disabled, all sessions of the user end.
    pub is_disabled: Option<bool>,
    /// Who the user is to an issuer of single sign-on. Sessions go on.
    pub link: Option<Link>,
}

/// The subject of an issuer that a user is to be linked with, in the place of another; none: with no one.
#[derive(Clone, Debug)]
pub struct Link {
    pub issuer: Arc<str>,
    /// As in [`crate::subjects::Subject`].
    pub subject: Option<Arc<str>>,
    pub now: Timestamp,
}

/// A user, and the PHC string of the password.
pub type Login = (User, Option<String>);

/// Why a user is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserRefused {
    /// There is such a user; or, unless an instance admin makes it, a token acts so or a workspace has something in such a home.
    NameTaken,
    EmailTaken,
    /// Another user is linked with the subject.
    SubjectTaken,
    /// The password is not what it was.
    PasswordChanged,
    /// Nobody else administers the installation.
    LastAdmin,
    TooMany,
}

pub trait Users: Send + Sync + 'static {
    /// For instance admins: a new user takes over what is in their home already, and tokens that act so are theirs.
    fn create(&self, new: NewUser) -> BoxFuture<'_, Result<Result<User, UserRefused>, StoreError>>;

    /// Whether somebody who is no instance admin may make a user of this name.
    fn is_free<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<bool, StoreError>>;

    fn find<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Option<User>, StoreError>>;

    /// By name or e-mail.
    fn by_login<'a>(&'a self, login: &'a str) -> BoxFuture<'a, Result<Option<Login>, StoreError>>;

    /// In the order of names, after `after`, at most `limit`.
    fn list<'a>(&'a self, after: Option<&'a Name>, limit: u32) -> BoxFuture<'a, Result<Vec<User>, StoreError>>;

    /// The user as it is then; none if there is none of this name. All of it is done, or nothing.
    fn change(&self, name: Name, change: UserChange) -> BoxFuture<'_, Result<Result<Option<User>, UserRefused>, StoreError>>;
}

/// What shows a session's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Cookie,
    /// `Authorization: Bearer`
    Header,
}

/// Not `Debug`, as [`NewUser`].
#[derive(Clone)]
pub struct NewSession {
    pub hash: TokenHash,
    pub id: TokenId,
    pub user: Name,
    /// The PHC string of the password that was shown, if one was: it must still be the user's.
    pub password: Option<String>,
    pub carrier: Carrier,
    pub now: Timestamp,
    /// Until when it lives without being used, and in any case.
    pub idle_until: Timestamp,
    pub expires_at: Timestamp,
}

/// A session that lives, of a user who is not disabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: TokenId,
    pub user: User,
    pub carrier: Carrier,
    pub idle_until: Timestamp,
    pub expires_at: Timestamp,
}

/// A session as it is listed, without its secret and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSession {
    pub id: TokenId,
    pub carrier: Carrier,
    pub created_at: Timestamp,
    pub idle_until: Timestamp,
    pub expires_at: Timestamp,
}

/// Which sessions of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    One(TokenId),
    AllBut(TokenId),
}

pub trait Sessions: Send + Sync + 'static {
    /// False if meanwhile the user was disabled or has another password. What has expired is forgotten.
    fn open(&self, new: NewSession) -> BoxFuture<'_, Result<bool, StoreError>>;

    fn find(&self, hash: TokenHash, now: Timestamp) -> BoxFuture<'_, Result<Option<Session>, StoreError>>;

    /// It was used: it lives for `idle` more, never longer than it may in any case.
    fn prolong(&self, hash: TokenHash, now: Timestamp, idle: Duration) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Returns whether it was there.
    fn end(&self, hash: TokenHash) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Keeps a session that nobody has yet, as [`Self::open`] does: its hash is that of a code, and it is not found, listed or used before
    /// [`Self::take`] has taken it away.
    fn offer(&self, new: NewSession) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Takes away what was offered, if it has not expired, and tells whose session is to be opened in its place. Of several that take it at
    /// once one gets it.
    fn take(&self, code: TokenHash, now: Timestamp) -> BoxFuture<'_, Result<Option<Name>, StoreError>>;

    /// Those of a user that live, the newest first and older than `before`, at most `limit`.
    fn of_user<'a>(
        &'a self,
        user: &'a Name,
        before: Option<TokenId>,
        limit: u32,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<OpenSession>, StoreError>>;

    /// Ends sessions of a user and returns their hashes.
    fn end_of(&self, user: Name, which: Which) -> BoxFuture<'_, Result<Vec<TokenHash>, StoreError>>;
}
