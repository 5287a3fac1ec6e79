//! The hot queue: runs that are accepted and have not ended. Small, whatever history holds.
//!
//! What can be claimed (*ready*) is kept apart from what waits for a time (*delayed*) or for a key (*parked*), so that a claim touches
//! only what it takes.

use std::sync::Arc;

use sandmill_model::{
    BoxFuture, RunId, Timestamp, WorkspaceId,
    run::{FinishedRun, NewRun},
};

use crate::{StoreError, nodes::Incarnation};

/// A run that a worker has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub run: NewRun,
    /// Number of the attempt that begins now; 1 for the first.
    pub attempt: u32,
    /// How often the run was begun, this time included: more than `attempt` if a node that stopped handed it back.
    pub begun: u32,
    /// Nodes that died while they executed it.
    pub lost: u32,
    /// Somebody asked to cancel it while it was running, and its node died since.
    pub is_cancelled: bool,
}

/// What came of a request to enqueue one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    New,
    /// It is new, and who accepted it executes it.
    Begun,
    /// Its dedup key is this run's, which asked for the same.
    Duplicate(RunId),
    /// Its dedup key is this run's, which asked for something else.
    Mismatch(RunId),
}

/// What came of a request to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It was waiting and is now history with status cancelled.
    AtOnce,
    /// It is running; the node that runs it must end it.
    Requested,
    /// It had ended, or there is no such run.
    TooLate,
}

/// A workspace and a tag that have runs ready.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head {
    pub workspace: WorkspaceId,
    pub tag: Arc<str>,
}

/// A head, and on which terms its workspace shares the slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub head: Head,
    /// At least 1.
    pub weight: u32,
    /// Runs of the workspace that may execute at once, on all nodes together.
    pub running_max: Option<u32>,
}

/// What one look found ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    pub ready: Vec<Ready>,
    /// Where the next look goes on; none if this was the last.
    pub after: Option<WorkspaceId>,
}

/// How many runs of one head a claim takes at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub head: Head,
    pub runs_max: u32,
    /// As [`Ready::running_max`].
    pub running_max: Option<u32>,
}

/// What a claim gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    pub runs: Vec<Claimed>,
    /// Workspaces of which no more may execute at present.
    pub at_limit: Vec<WorkspaceId>,
}

/// The end of an attempt.
#[derive(Clone, Debug)]
pub struct Completion {
    pub done: FinishedRun,
    /// When the run is tried again; none if it has ended.
    pub again_at: Option<Timestamp>,
    /// A run that is enqueued together with the end of this one: its error handler.
    pub handler: Option<Box<NewRun>>,
    pub logged: Logged,
}

/// How much of an attempt's log was written before its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Logged {
    /// See [`Claimed::begun`]; none: the attempt's number.
    pub begun: Option<u32>,
    /// Entries that are written.
    pub entries: usize,
    /// Entries that may be: a part whose writing has not ended, or has ended badly.
    pub perhaps: usize,
}

/// What became of runs that were to be handed back. Those that are in neither list were not held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandedBack {
    /// They are ready for others, in no particular order.
    pub runs: Vec<RunId>,
    /// They are to end as cancelled, by whoever holds them: in the queue they might wait until their workspace has fuel again.
    pub cancelled: Vec<RunId>,
}

/// What became of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Woken {
    /// Runs whose time had come.
    pub runs: u64,
    /// When the next one's comes.
    pub next: Option<Timestamp>,
}

pub trait Queue: Send + Sync + 'static {
    /// Makes runs durable, all or none. Returns once they are on disk, with an answer for each in their order.
    fn enqueue(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Enqueued>, StoreError>>;

    /// As [`Queue::enqueue`] of one run, but if it is new and waits for nothing, `lease` has it from the moment at which it is durable, in its
    /// first attempt: [`Enqueued::Begun`]. A node that is thought dead does not get it.
    fn begin(&self, lease: Incarnation, run: NewRun) -> BoxFuture<'_, Result<Enqueued, StoreError>>;

    /// Makes a run durable that `lease` executes already, in its first attempt; `Unavailable` if the node is thought dead.
    fn adopt(&self, lease: Incarnation, run: NewRun, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Where runs with one of `tags` are ready, or without a tag if the empty one is among them: at most `limit` workspaces after `after`,
    /// in their order. A workspace whose ready runs have other tags counts among them.
    fn heads(&self, tags: Vec<Arc<str>>, after: Option<WorkspaceId>, limit: u32) -> BoxFuture<'_, Result<Heads, StoreError>>;

    /// Takes ready runs for `lease`: of each share the highest priority first, then the longest due. A node that is thought dead gets none.
    fn claim(&self, lease: Incarnation, now: Timestamp, shares: Vec<Share>) -> BoxFuture<'_, Result<Claims, StoreError>>;

    /// Takes for `lease` runs whose time is over, whatever they wait for, so that they end; some at most.
    fn claim_overdue(&self, lease: Incarnation, now: Timestamp) -> BoxFuture<'_, Result<Vec<Claimed>, StoreError>>;

    /// Gives back, as if they had not been tried, the runs that a claim of `lease` at `from` took whose answer was lost: nobody would ever
    /// execute them. Returns how many.
    fn unclaim(&self, lease: Incarnation, from: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Gives back runs that `lease` holds and has not begun to execute, as if they had not been tried; but for those that somebody asked to
    /// cancel, which it goes on holding.
    fn hand_back(&self, lease: Incarnation, runs: Vec<(WorkspaceId, RunId)>) -> BoxFuture<'_, Result<HandedBack, StoreError>>;

    /// A run that `lease` executes waits for others without a slot. Who sleeps does not count towards [`Ready::running_max`].
    fn sleeps(&self, lease: Incarnation, workspace: WorkspaceId, run: RunId) -> BoxFuture<'_, Result<(), StoreError>>;

    /// A run that sleeps wants to go on. False: as many of its workspace execute as may, and it sleeps on; the next place is kept for it until
    /// it asks again. True also for a run that `lease` does not hold any more.
    fn wakes(&self, lease: Incarnation, workspace: WorkspaceId, run: RunId) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Moves runs that `lease` holds to history, those that failed also among the dead letters, or back into the queue for another try,
    /// all in one transaction. A run that it no longer holds, or holds in another attempt, is left alone: returns the ids of the others.
    /// What somebody asked to cancel meanwhile does not wait for its next try: it is due at once, and claimed as cancelled.
    fn complete(&self, lease: Incarnation, runs: Vec<Completion>) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>>;

    /// Makes ready what is due at `now`, some hundreds at most in one call.
    fn wake_due(&self, now: Timestamp) -> BoxFuture<'_, Result<Woken, StoreError>>;

    fn cancel(&self, workspace: WorkspaceId, run: RunId, now: Timestamp) -> BoxFuture<'_, Result<Cancelled, StoreError>>;

    /// Runs that `parent` started and that have not ended, in order of their ids, after `after`, at most `limit`.
    fn children(
        &self,
        workspace: WorkspaceId,
        parent: RunId,
        after: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>>;

    /// Runs of a workspace that have not ended; counting stops at `at_most`.
    fn length(&self, workspace: WorkspaceId, at_most: u64) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Forgets dedup keys whose window is over and rates that hold nobody back, some hundreds at most; returns how many.
    fn forget_dedup_keys(&self, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;
}
