//! The one way a run begins, waits, is tried and ends.
//!
//! [`Dispatch::accept`] makes a run durable; [`Dispatch::run`] answers a caller who waits, by the fast lane where that is safe.
//! A [`Service`] beside it claims what is due, executes it and keeps its lease.

mod accept;
mod ahead;
mod asleep;
mod at_once;
mod backlog;
mod cancel;
mod children;
mod denied;
mod due;
mod fair;
mod families;
mod fast_lane;
mod flights;
mod follow;
mod followers;
mod handler;
mod handler_rights;
mod hearing;
mod lanes;
mod lease;
mod letters;
mod limits;
mod live;
mod log_parts;
mod metering;
mod meters;
mod policy;
mod read;
mod reading;
mod role;
mod run_as;
mod service;
mod signals;
mod targets;
mod telling;
pub mod trace;
mod triggers;
mod waiters;
mod worker;
mod write_behind;

use std::{
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use sandmill_model::{
    Cause, Clock, Executor, JsonText, Labels, ListenerId, Outcome, Policy, RunAs, RunId, ScriptPath, Timestamp, TokenId, WorkspaceId,
    attempt::Input,
    auth::Principal,
    code::{Code, Refusal},
    people::Name,
    telling::Telling,
    version::Selector,
};
use sandmill_store::{Store, StoreError, nodes::Node, signals::Signal, triggers::Trigger, workspaces::Workspace};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use accept::Refused;
pub use children::ChildOf;
pub use flights::Flights;
pub use follow::{Followed, Follower, Place};
pub use live::{Progress, RunCaller};
pub use reading::Log;
pub use role::Role;
pub use service::Service;
pub use telling::Heard;
pub use triggers::{
    Admitted, Armed, Asker, Draft, Files, PAUSE_FIRST, PAUSE_LONGEST, PROBE_MAX, Routed, Supervisor, TRIGGERS_KEPT_MAX, TRIGGERS_TTL,
    TriggerStatus, VOUCH_MAX, Vouched,
};

/// How long a claimed run stays ours without a sign of life.
pub const LEASE: Duration = Duration::from_secs(3);
/// How often a node shows a sign of life.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// Runs that one claim takes at most.
pub const CLAIM_RUNS_MAX: u32 = 256;
/// How long the write-behind lane gathers before it writes.
pub const WRITE_BEHIND_DELAY: Duration = Duration::from_millis(20);
/// Records in the write-behind buffer. A workspace takes at most half of what others leave free, so half of all where it is alone; past that
/// its runs go by the queue.
pub const WRITE_BEHIND_RECORDS_MAX: usize = 20_000;
/// Bytes in the write-behind buffer; the same holds.
pub const WRITE_BEHIND_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Records that are written in one commit.
pub const WRITE_BEHIND_BATCH_MAX: usize = 1_000;
/// How long a target that was looked up is believed; a deploy on this node is seen at once, one on another within this time.
pub const TARGET_TTL: Duration = Duration::from_secs(1);
/// Targets kept in memory.
pub const TARGETS_MAX: usize = 20_000;
/// Outcomes of queued runs that wait for a commit.
pub const COMPLETIONS_MAX: usize = 1_000;
/// How long a shutdown waits for runs that execute.
pub const DRAIN: Duration = Duration::from_secs(10);
/// Nodes that a run may kill before it is given up as poisoned.
pub const LOST_ATTEMPTS_MAX: u32 = 3;
/// Workspaces that one claim chooses from.
pub const HEADS_MAX: u32 = 64;
/// Followers of runs on one node, of one workspace and of one run. Some workspaces that take all they may leave seats to others.
pub const FOLLOWERS_MAX: usize = 1_000;
pub const FOLLOWERS_OF_WORKSPACE_MAX: usize = FOLLOWERS_MAX / 4;
pub const FOLLOWERS_OF_RUN_MAX: usize = 100;
/// How long a repetition of a request is known by its `Idempotency-Key`, and of an event by its dedup key.
pub const DEDUP_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// Runs on this node that wait for others without a slot. Each keeps its instance, of which the sandbox has room for twice as many.
pub const ASLEEP_MAX: usize = 512;

#[derive(Clone, Debug)]
pub struct Options {
    /// Stable over restarts: a node that comes back takes its own runs again at once.
    pub node: Arc<str>,
    pub role: Role,
    /// Tags that this node serves beside runs without one.
    pub tags: Vec<Arc<str>>,
    /// Runs from the queue that execute here at once.
    pub queued_runs_max: usize,
    /// Runs of one workspace that have not ended; past it new ones are refused.
    pub backlog_max: u64,
}

/// A handle on dispatch. Cheap to clone.
#[derive(Clone)]
pub struct Dispatch {
    inner: Arc<Inner>,
}

type OnOutdated = Box<dyn Fn(&Signal) + Send + Sync>;

struct Inner {
    options: Options,
    store: Store,
    executor: Arc<dyn Executor>,
    clock: Arc<dyn Clock>,
    targets: targets::Targets,
    live: Arc<live::Live>,
    waiters: waiters::Waiters,
    followers: followers::Followers,
    write_behind: write_behind::WriteBehind,
    /// Poked when something became ready.
    ready: tokio::sync::Notify,
    /// Poked when something was put off.
    delayed: tokio::sync::Notify,
    membership: lease::Membership,
    outbox: signals::Outbox,
    hearing: hearing::Hearing,
    /// Who wants to know of what is not to be believed any more.
    on_outdated: OnceLock<OnOutdated>,
    /// Who counts what runs are denied.
    on_denied: OnceLock<denied::Admits>,
    backlogs: backlog::Backlogs,
    ahead: ahead::Ahead,
    running_limits: limits::RunningLimits,
    meters: Arc<meters::Meters>,
    lanes: lanes::Lanes,
    /// Tags of the runs that this node executes; the empty one stands for those without.
    served_tags: Vec<Arc<str>>,
    /// For runs from the queue.
    slots: Arc<tokio::sync::Semaphore>,
    dormitory: asleep::Dormitory,
    waking: asleep::Waking,
    families: families::Families,
    users_acting: run_as::UsersActing,
    /// That of every run of whose dispatch nothing was said.
    plain_policy: Arc<Policy>,
    /// Those of every run whose script declares none.
    no_labels: Arc<Labels>,
    tasks: TaskTracker,
    /// From now on nothing new begins.
    draining: CancellationToken,
    /// From now on nobody follows runs here.
    farewell: CancellationToken,
    metrics: metering::Metrics,
    finished: worker::Finished,
    armoury: triggers::Armoury,
}

/// A request to start a run.
#[derive(Clone, Debug)]
pub struct StartRequest {
    pub principal: Arc<Principal>,
    pub workspace: Workspace,
    pub path: ScriptPath,
    pub selector: Selector,
    pub input: Input,
    pub terms: StartTerms,
}

/// When a run may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// So long after its acceptance.
    In(Duration),
    /// At once, if that is over: nobody gets before others by it.
    At(Timestamp),
}

impl Due {
    fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::In(delay) => now.plus(delay),
            Self::At(at) => at.max(now),
        }
    }
}

/// What whoever starts a run says of it beside its input; the script's manifest says the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartTerms {
    /// None: at once.
    pub due: Option<Due>,
    pub priority: Option<i32>,
    pub tag: Option<Arc<str>>,
    /// As whom it acts. None: as the script's manifest says, else as whoever starts it. A child acts as its parent in any case.
    pub run_as: Option<RunAs>,
    /// A repetition by the same caller, for the same script and with the same key within [`DEDUP_WINDOW`] is this run.
    pub idempotency_key: Option<String>,
    /// The run on whose account this one is started.
    pub cause: Option<Cause>,
    /// The dead letter that this replays: another replay of it within [`DEDUP_WINDOW`] is this run.
    pub replay_of: Option<RunId>,
    /// Another run starts it; then the key is one among that run's children.
    pub child_of: Option<ChildOf>,
    /// A run that executes here asked for it as anybody else asks: it stands below that one as its children do, and is none of them.
    pub asked_by: Option<RunId>,
    /// The stored trigger whose event starts it: its options hold before the manifest's.
    pub trigger: Option<Arc<Trigger>>,
    /// See [`NewEvent::is_callers_key`](sandmill_model::trigger::NewEvent::is_callers_key).
    pub is_callers_key: bool,
    /// What it writes to its state is kept apart, until a delivery of its trigger adopts it.
    pub stages_state: bool,
}

/// How a run is done again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RerunTerms {
    /// None: those that it had.
    pub arguments: Option<JsonText>,
    /// The version that ran, instead of the newest.
    pub same_version: bool,
    pub idempotency_key: Option<String>,
}

/// A run that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub run: RunId,
    /// It was accepted before; this was a repetition.
    pub is_repetition: bool,
}

/// What a caller who waited gets.
#[derive(Clone, Debug)]
pub enum Waited {
    /// The outcome is without its log, which is read apart.
    Ended { run: RunId, is_repetition: bool, outcome: Arc<Outcome> },
    /// The wait limit came first. The run is durable and goes on.
    StillRunning(Accepted),
}

impl Dispatch {
    /// `live` becomes the place where progress of runs is seen, and by which they start others.
    #[must_use]
    pub fn new(options: Options, store: Store, executor: Arc<dyn Executor>, clock: Arc<dyn Clock>, live: &LiveRuns) -> Self {
        let write_behind = write_behind::WriteBehind::new(Arc::clone(&store.history));
        let meters = Arc::new(meters::Meters::new(Arc::clone(&store.usage), Arc::clone(&clock), &options.node, Arc::clone(&live.full)));
        let slots = Arc::new(tokio::sync::Semaphore::new(options.queued_runs_max));
        let hearing = hearing::Hearing::new(ListenerId::new(clock.now()), store.signals.reach_others());
        let dispatch = Self {
            inner: Arc::new(Inner {
                served_tags: std::iter::once(Arc::from("")).chain(options.tags.iter().cloned()).collect(),
                options,
                store,
                executor,
                clock,
                targets: targets::Targets::default(),
                live: Arc::clone(&live.runs),
                waiters: waiters::Waiters::default(),
                followers: followers::Followers::default(),
                write_behind,
                ready: tokio::sync::Notify::new(),
                delayed: tokio::sync::Notify::new(),
                membership: lease::Membership::default(),
                outbox: signals::Outbox::default(),
                hearing,
                on_outdated: OnceLock::new(),
                on_denied: OnceLock::new(),
                backlogs: backlog::Backlogs::default(),
                ahead: ahead::Ahead::default(),
                running_limits: limits::RunningLimits::default(),
                meters,
                lanes: lanes::Lanes::default(),
                slots,
                dormitory: asleep::Dormitory::default(),
                waking: asleep::Waking::default(),
                families: families::Families::default(),
                users_acting: run_as::UsersActing::default(),
                plain_policy: Arc::default(),
                no_labels: Arc::default(),
                tasks: TaskTracker::new(),
                draining: CancellationToken::new(),
                farewell: CancellationToken::new(),
                metrics: metering::Metrics::default(),
                finished: worker::Finished::default(),
                armoury: triggers::Armoury::default(),
            }),
        };
        // Weakly: it is the executor that holds `live`.
        let _ = live.dispatch.set(Arc::downgrade(&dispatch.inner));
        dispatch
    }

    /// The part that claims and executes queued runs; run one for each process that is a worker.
    #[must_use]
    pub fn service(&self) -> Service {
        Service::new(Arc::clone(&self.inner))
    }

    /// Forgets what is believed about a path: called after a deployment.
    pub fn deployed(&self, workspace: WorkspaceId, path: &ScriptPath) {
        self.inner.targets.forget(workspace, path);
    }

    /// Tells the other nodes at once that these tokens were revoked, or have other secrets.
    pub fn tell_revoked(&self, tokens: Vec<TokenId>) {
        self.inner.tell_revoked(tokens);
    }

    /// Tells the other nodes at once that these users changed, or that sessions of theirs ended.
    pub fn tell_people(&self, users: Vec<Name>) {
        self.inner.tell_people(users);
    }

    /// Tells the other nodes at once that a workspace changed, or who may do what in it.
    pub fn tell_members(&self, workspace: WorkspaceId) {
        self.inner.tell_members(workspace);
    }

    /// `hear` is told what other nodes say of tokens, people and members, and this one, too. Only the first who asks is.
    pub fn on_outdated(&self, hear: impl Fn(&Signal) + Send + Sync + 'static) {
        let _ = self.inner.on_outdated.set(Box::new(hear));
    }

    /// All nodes that live or have just died.
    ///
    /// # Errors
    /// `unavailable`, `internal`.
    pub async fn nodes(&self) -> Result<Vec<Node>, Refusal> {
        self.inner.store.nodes.list().await.map_err(|error| refuse(&error))
    }

    /// Progress of a run that executes on this node.
    #[must_use]
    pub fn progress(&self, run: RunId) -> Option<Progress> {
        self.inner.live.progress(run)
    }
}

/// The runs that execute here, shared with whoever hears of their progress, and the way in which they start others. Made before dispatch,
/// because the executor needs it.
#[derive(Clone, Default)]
pub struct LiveRuns {
    runs: Arc<live::Live>,
    dispatch: Arc<OnceLock<Weak<Inner>>>,
    full: Arc<meters::Full>,
}

impl LiveRuns {
    /// A script reported progress. Kept only while the run executes here.
    pub fn report(&self, run: RunId, percent: f64, text: &str) {
        self.runs.report(run, percent, text);
    }

    /// Where a run that answers HTTP itself tells it, if somebody waits for it here. Once.
    #[must_use]
    pub fn telling(&self, run: RunId) -> Option<Telling> {
        self.runs.telling(run)
    }
}

/// The refusal for a store that fails.
fn refuse(error: &StoreError) -> Refusal {
    tracing::error!(%error, "store");
    match error {
        StoreError::Full(_) => {
            Refusal::new(Code::StorageFull, "the database's disk is full; nothing was written. Try again once the operator has made space")
        }
        StoreError::Unavailable(_) | StoreError::Contended(_) => {
            Refusal::new(Code::Unavailable, "the database cannot be reached at present; try again")
        }
        StoreError::ObjectsUnavailable(_) => {
            Refusal::new(Code::Unavailable, "the folder of large results cannot be reached at present; try again")
        }
        StoreError::Gone(_) => {
            Refusal::new(Code::ResultGone, "what the run returned is not where it was kept; its record and log are there")
        }
        StoreError::Conflict(text) => Refusal::new(Code::Conflict, text.clone()),
        // Only secrets need keys, and no run is one.
        StoreError::Keys(_) | StoreError::Corrupt(_) | StoreError::Other(_) => {
            Refusal::new(Code::Internal, "the database failed; the server's log says how")
        }
    }
}
