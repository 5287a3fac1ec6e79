//! Triggers that are configured: what is looked up for a request, what becomes of an event, who listens.
//!
//! A request costs no query: what takes requests of a workspace is compiled once and kept until something of it changes. Listeners are
//! held by the [`Supervisor`], and what they deliver goes the same way.

mod batch;
mod book;
mod deliver;
mod keep;
mod look;
mod off;
mod references;
mod rights;
mod shared;
mod supervisor;
mod vouch;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use sandmill_model::{
    BoxFuture, Event, RunId, ScriptPath, Timestamp, TriggerEventId, WorkspaceId,
    auth::Principal,
    code::Refusal,
    trigger::{Configured, File, Kinds, Mode, Network, NewEvent, Nowhere, TriggerOptions},
    version::Selector,
};
use sandmill_store::{seats::SeatOfNode, triggers::Trigger, workspaces::Workspace};

use crate::{Accepted, Dispatch, Inner, StartRequest};

pub use supervisor::Supervisor;
pub use vouch::{VOUCH_MAX, Vouched};

/// How long what was looked up of triggers is believed; a change on this node is seen at once, one on another as soon as it is told.
pub const TRIGGERS_TTL: Duration = Duration::from_secs(1);
/// Triggers that are kept compiled, of all workspaces.
pub const TRIGGERS_KEPT_MAX: usize = 100_000;
/// Pauses of a listener that fails: the first, and the longest. Each is twice the last, less up to half of it by chance.
pub const PAUSE_FIRST: Duration = Duration::from_millis(250);
pub const PAUSE_LONGEST: Duration = Duration::from_secs(60);
/// How long a test of a connection may take.
pub const PROBE_MAX: Duration = Duration::from_secs(15);

/// Where files that came with events are kept.
pub trait Files: Send + Sync + 'static {
    /// # Errors
    /// `quota_exceeded`, `storage_full`, `unavailable`.
    fn keep(&self, workspace: WorkspaceId, file: File) -> BoxFuture<'_, Result<(), Refusal>>;

    /// Removes one that was kept, and that nothing has come of.
    ///
    /// # Errors
    /// `unavailable`.
    fn forget(&self, workspace: WorkspaceId, key: String) -> BoxFuture<'_, Result<(), Refusal>>;
}

/// What dispatch has of the kinds. Set once, before anything is accepted.
#[derive(Default)]
pub(crate) struct Armoury {
    kinds: OnceLock<Kinds>,
    files: OnceLock<Arc<dyn Files>>,
    network: OnceLock<Arc<dyn Network>>,
    book: book::Book,
    /// Poked when triggers changed.
    changed: tokio::sync::Notify,
    shared: shared::Shared,
}

/// A trigger that takes requests, with its config as it is used.
pub struct Armed {
    pub trigger: Arc<Trigger>,
    pub configured: Arc<dyn Configured>,
}

/// What takes a request.
pub enum Routed {
    Match {
        armed: Arc<Armed>,
        route: Arc<str>,
        params: Vec<(Arc<str>, String)>,
    },
    /// The path is there, for these methods.
    WrongMethod(Vec<http::Method>),
    Nothing,
}

/// Who sends a request, and for which version of the target.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Who may start the target by their own right; none: the run is the trigger's.
    pub caller: Option<Arc<Principal>>,
    pub selector: Selector,
}

/// What becomes of the event of a request.
#[derive(Debug)]
pub enum Admitted {
    /// A run is to start: hand it to [`Dispatch::accept`] or [`Dispatch::run`].
    Start(Box<StartRequest>),
    /// It is a run, of a batch or held.
    Accepted(Accepted),
    Captured(TriggerEventId),
    /// It does not fit the filter.
    Filtered,
}

/// A trigger as somebody would have it.
#[derive(Clone, Debug)]
pub struct Draft {
    pub path: ScriptPath,
    pub kind: Arc<str>,
    pub target: ScriptPath,
    /// A JSON object.
    pub config: sandmill_model::JsonText,
    pub options: TriggerOptions,
    pub mode: Mode,
    pub description: String,
    /// See [`NewTrigger::over`](sandmill_store::triggers::NewTrigger::over).
    pub over: Option<i64>,
}

/// How a trigger fares, all its seats together.
#[derive(Clone, Debug)]
pub struct TriggerStatus {
    /// With the number of each seat and its node's name.
    pub seats: Vec<SeatOfNode>,
}

impl Dispatch {
    /// From now on there are these kinds.
    pub fn arm(&self, kinds: Kinds, files: Arc<dyn Files>) {
        let _ = self.inner.armoury.kinds.set(kinds);
        let _ = self.inner.armoury.files.set(files);
    }

    /// Listeners and tests of connections reach what `network` gives them; before that is said, nothing.
    pub fn reach_by(&self, network: Arc<dyn Network>) {
        let _ = self.inner.armoury.network.set(network);
    }

    /// The stored trigger of a kind that takes a request. Without a query, unless something changed.
    ///
    /// # Errors
    /// `unavailable`; `internal` if what its config refers to is gone: the log says so, and its status.
    pub async fn of_request(&self, workspace: &Workspace, kind: &str, request: (&http::Method, &str)) -> Result<Routed, Refusal> {
        self.inner.armoury.book.of_request(&self.inner, workspace.id, kind, request).await
    }

    /// The stored trigger of a kind that says on which terms a script is such a trigger; none: it is a plain one. Without a query.
    ///
    /// # Errors
    /// As [`Dispatch::of_request`].
    pub async fn of_script(&self, workspace: &Workspace, kind: &str, script: &ScriptPath) -> Result<Option<Arc<Armed>>, Refusal> {
        self.inner.armoury.book.of_script(&self.inner, workspace.id, kind, script).await
    }

    /// What becomes of an event that came by a request. What is captured is replayed by the newest version, whichever was asked for.
    ///
    /// # Errors
    /// As [`Dispatch::accept`].
    pub async fn admit(&self, workspace: &Workspace, armed: &Arc<Armed>, event: NewEvent, asker: Asker) -> Result<Admitted, Refusal> {
        deliver::admit(&self.inner, workspace, &armed.trigger, (event, asker)).await
    }

    /// Keeps a file that belongs to an event.
    ///
    /// # Errors
    /// As [`Files::keep`].
    pub async fn keep_file(&self, workspace: WorkspaceId, file: File) -> Result<(), Refusal> {
        keep::file(&self.inner, workspace, file).await
    }

    /// Gives up files of an event that nothing has come of, beside whoever goes on.
    pub fn forget_files(&self, workspace: WorkspaceId, keys: Vec<String>) {
        if !keys.is_empty() {
            let inner = Arc::clone(&self.inner);
            self.inner.tasks.spawn(async move { keep::forget(&inner, workspace, keys).await });
        }
    }

    /// Checks and stores a trigger: the kind and its config with what that refers to, which `principal` must be allowed to read; options; run-as; that it may
    /// start the target; quota. Signals the change.
    ///
    /// # Errors
    /// `invalid_trigger` with pointers, `conflict` (key, kind, revision), `forbidden`, `quota_exceeded`, `not_found` for an unknown kind.
    pub async fn put_trigger(&self, principal: &Principal, workspace: &Workspace, draft: Draft) -> Result<Trigger, Refusal> {
        keep::put(&self.inner, principal, workspace, draft).await
    }

    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn delete_trigger(&self, workspace: WorkspaceId, path: &ScriptPath) -> Result<(), Refusal> {
        keep::delete(&self.inner, workspace, path).await
    }

    /// "Test connection" of a trigger that is stored or not yet, within [`PROBE_MAX`].
    ///
    /// # Errors
    /// `invalid_trigger` with what the kind says; `bad_request` for a kind that has nothing to connect to.
    pub async fn probe_trigger(&self, principal: &Principal, workspace: &Workspace, draft: &Draft) -> Result<(), Refusal> {
        keep::probe(&self.inner, principal, workspace, draft).await
    }

    /// The next instants of a kind that knows them.
    ///
    /// # Errors
    /// `invalid_trigger`.
    pub async fn preview_trigger(
        &self,
        workspace: &Workspace,
        draft: &Draft,
        after: Timestamp,
        limit: usize,
    ) -> Result<Vec<Timestamp>, Refusal> {
        keep::preview(&self.inner, workspace, draft, (after, limit))
    }

    /// # Errors
    /// `unavailable`.
    pub async fn trigger_status(&self, workspace: WorkspaceId, path: &ScriptPath) -> Result<TriggerStatus, Refusal> {
        keep::status(&self.inner, workspace, path).await
    }

    /// Lets a held run go. It is discarded by [`Dispatch::cancel`].
    ///
    /// # Errors
    /// `not_found` if it is not held.
    pub async fn release(&self, workspace: WorkspaceId, run: RunId) -> Result<(), Refusal> {
        keep::release(&self.inner, workspace, run).await
    }

    /// Starts a run of an event that was kept, by the right of `principal`, on the terms of its trigger but for its mode. A dead one is forgotten then.
    ///
    /// # Errors
    /// `not_found`; else as [`Dispatch::accept`].
    pub async fn replay_event(
        &self,
        principal: Arc<Principal>,
        workspace: Workspace,
        path: &ScriptPath,
        event: TriggerEventId,
    ) -> Result<Accepted, Refusal> {
        keep::replay(&self.inner, principal, workspace, (path, event)).await
    }

    /// Listens to triggers as long as this node is a worker; one for each process.
    #[must_use]
    pub fn supervisor(&self) -> Supervisor {
        Supervisor::new(Arc::clone(&self.inner))
    }

    /// Switches a trigger off, as it was read. That works although what its config refers to is gone, or `principal` may not read it: whoever
    /// switches it on again needs all that.
    ///
    /// # Errors
    /// `conflict` if it was changed meanwhile; `unavailable`.
    pub async fn switch_trigger_off(&self, principal: &Principal, workspace: &Workspace, trigger: &Trigger) -> Result<Trigger, Refusal> {
        off::switch_off(&self.inner, principal, workspace, trigger).await
    }

    /// Triggers of a workspace changed here, or resources or variables that they may refer to.
    pub fn tell_triggers(&self, workspace: WorkspaceId) {
        self.inner.triggers_changed(&[workspace]);
        self.inner.tell_triggers(workspace);
    }
}

impl Inner {
    /// For [`Host::network`](sandmill_model::trigger::Host::network) and [`Ready::probe_by`](sandmill_model::trigger::Ready::probe_by).
    pub(crate) fn network(&self) -> Arc<dyn Network> {
        self.armoury.network.get().map_or_else(Nowhere::shared, Arc::clone)
    }

    /// Here or on another node.
    pub(crate) fn triggers_changed(&self, workspaces: &[WorkspaceId]) {
        self.armoury.book.outdate(workspaces);
        self.triggers_poked(workspaces);
    }
}

/// As an event of a trigger is kept.
pub(crate) fn event_of(trigger: &Trigger, event: NewEvent) -> Event {
    event.of(sandmill_model::event::TriggerRef { kind: Arc::clone(&trigger.kind), path: Some(trigger.path.as_str().into()) })
}
