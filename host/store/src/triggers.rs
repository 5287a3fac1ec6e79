//! Triggers that are configured: what they are, what becomes of their events.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sandmill_model::{
    BoxFuture, Event, JsonText, RunId, ScriptPath, Timestamp, TriggerEventId, TriggerId, WorkspaceId,
    run::{Dedup, FinishedRun, NewRun},
    trigger::{Cursor, Mode, Overlap, TriggerOptions},
};

use crate::{StoreError, nodes::Incarnation, seats::SeatKey};

/// Triggers of one workspace, unless its quota is less.
pub const TRIGGERS_MAX: u32 = 10_000;
/// Bytes of a config as JSON.
pub const CONFIG_BYTES_MAX: usize = 256 * 1024;
/// Captured events that are kept of one trigger, and as many dead ones; the oldest go first.
pub const EVENTS_KEPT_MAX: u32 = 1_000;
/// Bytes of a kept event's payload that lists show.
pub const PAYLOAD_START_BYTES: u32 = 1_024;
/// How long kept events stay.
pub const EVENTS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long what runs staged stays that nobody adopts: longer than anybody waits for their result.
pub const STAGED_KEPT: Duration = Duration::from_secs(24 * 3600);

/// A trigger as it is stored. The config has references in the place of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    pub workspace: WorkspaceId,
    pub path: ScriptPath,
    pub id: TriggerId,
    pub kind: Arc<str>,
    pub target: ScriptPath,
    pub config: JsonText,
    pub options: Arc<TriggerOptions>,
    pub mode: Mode,
    pub description: String,
    /// An identity, e.g. `u/ann`.
    pub answered_by: Arc<str>,
    /// Grows with each change, also over deletion.
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub updated_by: Arc<str>,
}

/// What is put at a path. Its kind, target and keys were checked by whoever puts it.
#[derive(Clone, Debug)]
pub struct NewTrigger {
    pub workspace: WorkspaceId,
    pub path: ScriptPath,
    pub kind: Arc<str>,
    pub target: ScriptPath,
    pub config: JsonText,
    pub options: TriggerOptions,
    pub mode: Mode,
    pub description: String,
    /// Texts of [`EndpointKey`](sandmill_model::trigger::EndpointKey), none twice; none with mode off, so that another may have them.
    pub keys: Vec<String>,
    /// Listeners; 0 for a kind that does not listen, and with mode off. Seats that are there keep their cursor.
    pub seats: u32,
    /// The quota of the workspace; [`TRIGGERS_MAX`] holds in any case.
    pub triggers_max: Option<u64>,
    /// Only over this revision; 0: only if there is none. None: whatever is there.
    pub over: Option<i64>,
    /// Who answers for its runs, and who changes it.
    pub by: Arc<str>,
    pub now: Timestamp,
}

/// Why a trigger is not put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unput {
    /// This key is that of the trigger at this path.
    Taken { key: String, path: ScriptPath },
    /// There is one of another kind: kinds do not change.
    OtherKind(Arc<str>),
    /// It was changed meanwhile; this is its revision.
    Changed(i64),
    /// There are as many as there can be: of the quota, else of all.
    TooMany { of_quota: bool },
}

/// Which triggers are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerFilter {
    /// Of a path; empty: all.
    pub prefix: String,
    pub kind: Option<Arc<str>>,
    pub target: Option<ScriptPath>,
}

/// One run of a delivery, or the record of one that was skipped.
#[derive(Clone, Debug)]
pub enum Delivered {
    /// Of one event, or of several that are a batch.
    Run {
        run: Box<NewRun>,
        /// Keys of its events beside `run.dedup`: with each of them a repetition is this run.
        also: Vec<Dedup>,
        /// It waits for its release.
        is_held: bool,
        overlap: Overlap,
    },
    /// With the outcome `skipped`, and the reason in its log; its `run.dedup` is kept, so it is recorded once.
    Skipped(Box<FinishedRun>),
    /// It starts no run.
    Kept(Box<KeptEvent>),
}

/// Deliveries of one listener or of one request; all or nothing.
#[derive(Clone, Debug)]
pub struct TriggerDelivery {
    pub workspace: WorkspaceId,
    pub path: ScriptPath,
    /// None: a request, which nobody fences.
    pub lease: Option<SeatLease>,
    pub items: Vec<Delivered>,
    /// Not kept while an item is answered with [`ItemReceipt::Repeats`]: give it once more with what is made of that item.
    pub cursor: Option<Cursor>,
    /// As the cursor.
    pub adopts_state_of: Option<RunId>,
    pub now: Timestamp,
}

/// By what a listener proves that its seat is still its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatLease {
    pub number: u32,
    pub node: Incarnation,
    pub fence: i64,
}

/// What became of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemReceipt {
    New(RunId),
    /// Its key, or that of its only event, is this run's.
    Duplicate(RunId),
    /// The same, but this run was started by another request than that which `run.dedup` has the fingerprint of.
    Mismatch(RunId),
    /// Of a batch: these keys (0: `run.dedup`, then `also`) are those of other runs. Nothing was written for this item: make it again without them.
    Repeats(Vec<(usize, RunId)>),
    /// Because of its overlap it was recorded as skipped; this other run has not ended.
    Overlaps(RunId),
    Kept,
}

/// What a delivery gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryAnswer {
    Done {
        items: Vec<ItemReceipt>,
        /// Runs that an item with [`Overlap::CancelPrevious`] came after: whoever delivered cancels them.
        to_cancel: Vec<RunId>,
    },
    /// The seat is another's by now. Nothing was written.
    Fenced,
    /// The trigger is gone, or off. Nothing was written.
    Gone,
}

/// An event that started no run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptEvent {
    pub id: TriggerEventId,
    pub event: Event,
    /// Of the payload as it came.
    pub payload_bytes: u64,
    /// False: it was too large to be kept, and that of `event` is empty.
    pub has_payload: bool,
    pub kept_as: KeptAs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptAs {
    Captured,
    /// Why it can be no run.
    Dead(String),
}

/// A kept event in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSummary {
    pub id: TriggerEventId,
    pub metadata: JsonText,
    /// The first [`PAYLOAD_START_BYTES`].
    pub payload_start: Bytes,
    pub payload_bytes: u64,
    pub kept_as: KeptAs,
}

/// A trigger and the keys by which it is found.
pub type Keyed = (Trigger, Vec<String>);

pub trait Triggers: Send + Sync + 'static {
    /// Writes a trigger with its keys and seats, in one transaction. New keys that are another's, also of a trigger that is put at the same moment, are
    /// refused. Its seats get its revision.
    fn put(&self, new: NewTrigger) -> BoxFuture<'_, Result<Result<Trigger, Unput>, StoreError>>;

    fn find<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<Trigger>, StoreError>>;

    /// In the order of paths, after `after`, at most `limit`.
    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        filter: &'a TriggerFilter,
        after: Option<&'a ScriptPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Trigger>, StoreError>>;

    /// Those that take requests of one workspace and are not off, with their keys: what is compiled and looked up in memory. In the order of paths,
    /// after `after`, at most `limit`.
    fn endpoints<'a>(
        &'a self,
        workspace: WorkspaceId,
        after: Option<&'a ScriptPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Keyed>, StoreError>>;

    /// With its keys, seats and kept events. Runs go on. Returns whether it was there.
    fn delete<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<bool, StoreError>>;

    fn count(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Makes durable what was delivered. It shares its commit with others of the same kind; runs of all of them are written by one statement.
    fn deliver(&self, delivery: TriggerDelivery) -> BoxFuture<'_, Result<DeliveryAnswer, StoreError>>;

    /// Makes a held run ready. False: it is not held (any more).
    fn release(&self, workspace: WorkspaceId, run: RunId, now: Timestamp) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Held runs of a trigger in order of their ids, after `after`, at most `limit`.
    fn held<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        after: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<RunId>, StoreError>>;

    /// Kept events of a trigger, the newest first, before `before`, at most `limit`.
    fn events<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        before: Option<TriggerEventId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<KeptSummary>, StoreError>>;

    fn event<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        id: TriggerEventId,
    ) -> BoxFuture<'a, Result<Option<KeptEvent>, StoreError>>;

    /// Forgets one. False if it was none.
    fn discard_event<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        id: TriggerEventId,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Forgets kept events that are older than [`EVENTS_KEPT`], and staged state of runs that are older than [`STAGED_KEPT`]; some hundreds at most;
    /// returns how many.
    fn forget(&self, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Cursor of a seat.
    fn cursor(&self, seat: SeatKey) -> BoxFuture<'_, Result<Option<Cursor>, StoreError>>;
}
