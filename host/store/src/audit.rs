//! The audit log: chains of entries, one for each workspace and one for the installation, which has no workspace.
//!
//! What is about to be done is kept first, and becomes an entry once it is known what came of it. So nothing is done of which the log will
//! not tell.

use sandmill_model::{
    AuditId, BoxFuture, JsonText, ScriptPath, Timestamp, WorkspaceId,
    audit::{AuditOutcome, Entry, Link, Record},
};

use crate::StoreError;

/// Whose chain; none: the installation's.
pub type Chain = Option<WorkspaceId>;

/// What a chain has of entries: those after `anchor`, up to `head`. Older ones were let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub anchor: Link,
    pub head: Link,
}

/// A text, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub text: String,
    pub is_prefix: bool,
}

impl Pattern {
    /// `x*` is whatever begins with `x`; without a star it is the text itself.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let prefix = text.strip_suffix('*');
        Self { text: prefix.unwrap_or(text).to_owned(), is_prefix: prefix.is_some() }
    }
}

/// Which entries; all that is left out fits. Texts must not have the character NUL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Recorded then or later.
    pub from: Option<Timestamp>,
    /// Recorded before.
    pub until: Option<Timestamp>,
    /// Identity of who acted.
    pub actor: Option<String>,
    pub action: Option<Pattern>,
    pub target: Option<Pattern>,
    pub outcome: Option<AuditOutcome>,
}

/// Entries, the newest first. It may be short, or empty, although there are more: then many were looked at that do not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// The next page has those with smaller numbers; none on the last.
    pub next: Option<u64>,
}

pub trait Audit: Send + Sync + 'static {
    /// Keeps what is about to be done, until it is appended or given up.
    fn begin(&self, record: Record, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Appends an entry to the chain of its workspace; what was begun under its id is over with that. Returns the head.
    fn append(&self, record: Record, now: Timestamp) -> BoxFuture<'_, Result<Link, StoreError>>;

    /// Forgets what was begun: nothing was done.
    fn give_up(&self, chain: Chain, id: AuditId) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Appends what was begun before, and neither appended nor given up, with an unknown outcome: some hundreds at most. Returns how many.
    fn close(&self, begun_before: Timestamp, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;

    fn ends(&self, chain: Chain) -> BoxFuture<'_, Result<Ends, StoreError>>;

    /// Entries that fit, with numbers below `before`.
    fn list(&self, chain: Chain, filter: Filter, before: Option<u64>, limit: u32) -> BoxFuture<'_, Result<Page, StoreError>>;

    /// All entries with numbers above `after`, in order.
    fn entries(&self, chain: Chain, after: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>>;

    /// Lets go of some hundreds of entries at most, the oldest first, that were recorded before; the last of them stays as the anchor.
    /// Returns how many.
    fn forget(&self, chain: Chain, recorded_before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;
}

/// What the log shows of what has secrets: a keyed digest in the place of each. Equal digests are of equal secrets at the same path;
/// without the instance key nobody finds out by trial what one is of.
pub trait Shown: Send + Sync + 'static {
    fn variable<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<JsonText>, StoreError>>;

    fn resource<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<JsonText>, StoreError>>;
}
