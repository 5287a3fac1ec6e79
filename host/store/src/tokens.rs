//! API tokens; only their hashes are kept.

use std::sync::Arc;

use sandmill_model::{
    BoxFuture, Timestamp, TokenId, WorkspaceId,
    auth::{Access, Principal, Scope, TokenHash, TokenKind},
};

use crate::StoreError;

/// Tokens of one workspace, and of the installation itself.
pub const TOKENS_MAX: u32 = 10_000;
/// Characters of a label.
pub const LABEL_CHARS_MAX: usize = 200;
/// Scopes of one token.
pub const SCOPES_MAX: usize = 64;
/// Bytes of one scope as it is written.
pub const SCOPE_BYTES_MAX: usize = 600;

/// What a secret stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// With the scopes that the token has in fact: see [`sandmill_model::auth::effective`].
    pub principal: Principal,
    /// From then on the secret is good for nothing; none: never. It may be that of a secret that was rotated away.
    pub expires_at: Option<Timestamp>,
    /// To a minute.
    pub last_used_at: Option<Timestamp>,
}

/// Who makes or changes a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maker {
    /// By what token: it must be there still when the change is made, and nothing that it makes outlives it. None: by another right.
    pub token: Option<TokenId>,
    pub identity: Arc<str>,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub id: TokenId,
    pub hash: TokenHash,
    /// The characters by which it is recognised.
    pub prefix: String,
    /// None: every workspace.
    pub workspace: Option<WorkspaceId>,
    /// Who runs act as that it starts.
    pub identity: Arc<str>,
    pub kind: TokenKind,
    pub access: Access,
    /// As they were asked for.
    pub scopes: Vec<Scope>,
    pub label: String,
    pub expires_at: Option<Timestamp>,
    pub by: Maker,
    pub now: Timestamp,
}

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: TokenId,
    /// Empty: nothing of it is kept.
    pub prefix: String,
    pub identity: Arc<str>,
    pub kind: TokenKind,
    pub access: Access,
    /// As they were asked for.
    pub scopes: Vec<Scope>,
    pub label: String,
    pub created_at: Timestamp,
    /// None: the server itself.
    pub created_by: Option<Arc<str>>,
    pub expires_at: Option<Timestamp>,
    /// To a minute; none: never.
    pub last_used_at: Option<Timestamp>,
    /// Until when the secret before the last rotation is good.
    pub old_until: Option<Timestamp>,
}

/// A new secret for a token.
#[derive(Clone, Debug)]
pub struct Rotation {
    pub id: TokenId,
    /// The one that the token belongs to; none: the installation.
    pub workspace: Option<WorkspaceId>,
    pub hash: TokenHash,
    pub prefix: String,
    /// Until then the secret of now is good, too. One that is older is not.
    pub old_until: Timestamp,
    pub by: Maker,
    pub now: Timestamp,
}

/// Why a token is not made, or gets no new secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// The token by which it is asked for was revoked or expired meanwhile.
    NoMaker,
    /// The token by which it is asked for expires before.
    OutlivesMaker(Timestamp),
    /// There are [`TOKENS_MAX`].
    TooMany,
    /// There is no such token in that workspace.
    NotThere,
    /// It has expired.
    Expired,
}

pub trait Tokens: Send + Sync + 'static {
    /// Keeps a token that the operator gave. A hash that is there already keeps its row and gets this principal's identity, workspace and
    /// scopes. Returns the id that the token has: that of the principal, or of the row that was there.
    fn put<'a>(
        &'a self,
        hash: TokenHash,
        principal: &'a Principal,
        label: &'a str,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<TokenId, StoreError>>;

    fn create(&self, new: NewToken) -> BoxFuture<'_, Result<Result<Token, TokenRefusal>, StoreError>>;

    /// What a secret stands for, whether it has expired or not. None, too, if it acts as a user who is disabled, or who is no member of its
    /// workspace and does not administer the installation.
    fn by_hash(&self, hash: TokenHash) -> BoxFuture<'_, Result<Option<Known>, StoreError>>;

    /// Whether any token exists: none means a first start.
    fn any(&self) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Oldest first, after `after`, at most `limit`; with no workspace those of the installation.
    fn list(&self, of: Option<WorkspaceId>, after: Option<TokenId>, limit: u32) -> BoxFuture<'_, Result<Vec<Token>, StoreError>>;

    fn find(&self, of: Option<WorkspaceId>, id: TokenId) -> BoxFuture<'_, Result<Option<Token>, StoreError>>;

    fn rotate(&self, rotation: Rotation) -> BoxFuture<'_, Result<Result<Token, TokenRefusal>, StoreError>>;

    /// Forgets a token with all its secrets. Returns whether it was there.
    fn revoke(&self, of: Option<WorkspaceId>, id: TokenId) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Remembers that a token was used, for [`Tokens::write_uses`]. Costs nothing that is worth a thought.
    fn note_use(&self, id: TokenId, at: Timestamp);

    /// Writes down what was noted, each token's at most once a minute whatever node saw it. Returns how many were written. What fails is
    /// forgotten: the next use is noted again.
    fn write_uses(&self) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Forgets some of the tokens that expired before `before`, and returns how many: none are left if none were.
    fn forget_expired(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;
}
