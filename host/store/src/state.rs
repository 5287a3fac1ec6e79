//! State: JSON that a script keeps from one run to the next, per script and trigger.

use sandmill_model::{BoxFuture, JsonText, RunId, ScriptPath, Timestamp, WorkspaceId};

use crate::StoreError;

/// Whose state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StateScope {
    pub workspace: WorkspaceId,
    pub path: ScriptPath,
    /// Empty for runs that no configured trigger started.
    pub trigger: String,
}

/// Keys in one scope.
pub const KEYS_MAX: u32 = 10_000;

/// Keys that one run stages.
pub const STAGED_KEYS_MAX: u32 = 1_000;

/// A run whose writes are kept apart: they become the state of `scope` with the delivery that
/// [adopts](crate::triggers::TriggerDelivery::adopts_state_of) them, or are forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Staging {
    pub scope: StateScope,
    pub run: RunId,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Yes,
    /// Compare-and-swap found something else.
    No,
    /// The scope has `KEYS_MAX` keys already and this would be one more; of what a run stages, it has `STAGED_KEYS_MAX`.
    TooManyKeys,
}

/// Expected present value in a compare-and-swap: compared as JSON values (order of keys and spaces do not count).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected(pub Option<JsonText>);

pub trait State: Send + Sync + 'static {
    fn get<'a>(&'a self, scope: &'a StateScope, key: &'a str) -> BoxFuture<'a, Result<Option<JsonText>, StoreError>>;

    /// Writes `value` (none deletes) if `expected` is none or matches. Durable when it returns.
    #[expect(clippy::too_many_arguments, reason = "a key, what is expected, what is written and when: none of them belongs to another")]
    fn put<'a>(
        &'a self,
        scope: &'a StateScope,
        key: &'a str,
        expected: Option<Expected>,
        value: Option<JsonText>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Written, StoreError>>;

    /// Keys that begin with `prefix`, in the order of their bytes, after the key `after`; at most `limit`.
    fn keys<'a>(
        &'a self,
        scope: &'a StateScope,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<String>, StoreError>>;

    /// As the run sees it: what it staged, else what is stored.
    fn get_staged<'a>(&'a self, of: &'a Staging, key: &'a str) -> BoxFuture<'a, Result<Option<JsonText>, StoreError>>;

    /// As [`State::put`], but what is expected is what the run sees, and what is written only that run sees until it is adopted.
    fn stage<'a>(
        &'a self,
        of: &'a Staging,
        key: &'a str,
        expected: Option<Expected>,
        value: Option<JsonText>,
    ) -> BoxFuture<'a, Result<Written, StoreError>>;

    /// As [`State::keys`], as the run sees them.
    fn keys_staged<'a>(
        &'a self,
        of: &'a Staging,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<String>, StoreError>>;
}
