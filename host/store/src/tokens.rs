//! API tokens; only their hashes are kept.

use sandmill_model::{
    BoxFuture, Timestamp, TokenId,
    auth::{Principal, TokenHash},
};

use crate::StoreError;

pub trait Tokens: Send + Sync + 'static {
    /// Keeps a token. A hash that is there already keeps its row and gets this principal's identity, workspace and scopes.
    fn put<'a>(
        &'a self,
        hash: TokenHash,
        principal: &'a Principal,
        label: &'a str,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// None, too, if it acts as a user who is disabled, or is no member of its workspace and does not administer the installation.
    fn by_hash(&self, hash: TokenHash) -> BoxFuture<'_, Result<Option<Principal>, StoreError>>;

    /// Whether any token exists: none means a first start.
    fn any(&self) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Returns whether it was there.
    fn delete(&self, id: TokenId) -> BoxFuture<'_, Result<bool, StoreError>>;
}
