//! Upkeep of what is stored: old runs are let go, and history has room for those to come. Every node has a [`Service`]; one of them
//! works at a time.

mod audit;
mod usage;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use sandmill_model::{BoxFuture, Clock, RunId, Timestamp, WorkspaceId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Store, StoreError, removal::USAGE_KEPT, retention::Old, workspaces::Workspace};

/// How often a node looks whether there is something to do.
pub const INTERVAL: Duration = Duration::from_secs(600);
/// How long the work stays a node's without a sign; a node that dies is followed by another after this.
const HOLD: Duration = Duration::from_secs(60);
/// How often a node that works gives a sign.
const SIGN: Duration = Duration::from_secs(10);
/// Pauses between two steps: as long as the step took, within these. So what is accepted meanwhile waits for one step at most.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Steps by which one look forgets what was deleted long ago; what is left is for the next.
const FORGET_STEPS_MAX: usize = 10_000;
/// The same for old events of triggers; within the time that the work is a node's without a sign.
const EVENT_STEPS_MAX: usize = 50;
/// How often objects are looked through: each of them is.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);
/// An object this old is there for good: its run's record is written within moments, or the object is written again.
const SWEPT_AFTER: Duration = Duration::from_secs(3600);
/// The name of the work.
const DUTY: &str = "upkeep";
const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

#[derive(Clone, Debug)]
pub struct Options {
    /// This node, so that one that comes back goes on with its own work.
    pub node: Arc<str>,
    /// Days for which ended runs are kept in workspaces that say nothing themselves; 0: for ever.
    pub retention_days: u32,
    /// Days for which entries of the audit log are kept: those of the installation, and of workspaces that say nothing themselves; 0: for
    /// ever.
    pub audit_days: u32,
}

/// What workspaces keep beside the database.
pub trait Objects: Send + Sync + 'static {
    /// Bytes that the objects of a workspace count. That may take long.
    ///
    /// # Errors
    /// Why they could not be listed, for the log.
    fn bytes(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<u64, String>>;
}

/// What one look came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Partitions of history that were dropped.
    pub partitions: u64,
    /// Runs that were forgotten in small steps.
    pub runs: u64,
    /// Objects that no run refers to any more.
    pub objects: u64,
}

pub struct Service {
    store: Store,
    clock: Arc<dyn Clock>,
    options: Options,
    /// When objects were looked through, in microseconds.
    swept_at: AtomicI64,
    /// Heads of the audit log.
    told: Mutex<audit::Told>,
    /// None: they are not measured.
    objects: Option<Arc<dyn Objects>>,
}

/// How long a workspace keeps its runs.
struct Kept {
    workspace: WorkspaceId,
    /// None: for ever.
    days: Option<u32>,
}

impl Service {
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, options: Options) -> Self {
        Self { store, clock, options, swept_at: AtomicI64::new(i64::MIN), told: Mutex::default(), objects: None }
    }

    /// The same, which measures objects, too.
    #[must_use]
    pub fn measuring(self, objects: Arc<dyn Objects>) -> Self {
        Self { objects: Some(objects), ..self }
    }

    /// Looks again and again until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            match self.look(&shutdown).await {
                Ok(done) if done == Done::default() => {}
                Ok(Done { partitions, runs, objects }) => tracing::info!(partitions, runs, objects, "old runs were let go"),
                Err(error) => tracing::error!(%error, "upkeep failed; the next try is in {} s", INTERVAL.as_secs()),
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Does what there is to do now, unless another node does it.
    ///
    /// # Errors
    /// What the database said. What was done until then stays so; the next look goes on.
    pub async fn look(&self, shutdown: &CancellationToken) -> Result<Done, StoreError> {
        let now = self.clock.now();
        let mut done = Done::default();
        unless_busy(self.store.retention.make_room(now).await)?;
        if !self.hold().await? {
            return Ok(done);
        }
        self.store.usage.forget(now).await?;
        self.forget_events(now, shutdown).await?;
        if !self.forget_deleted(before(now, USAGE_KEPT), shutdown).await? {
            return Ok(done);
        }
        let workspaces = self.store.workspaces.list().await?;
        if let Err(error) = self.keep_audit(&workspaces, shutdown).await {
            tracing::error!(%error, "upkeep of the audit log failed; the next look goes on");
        }
        let let_go = self.let_go(&workspaces, &mut done, shutdown).await;
        if matches!(let_go, Ok(false)) {
            return Ok(done);
        }
        // It may take long: nothing else waits for it.
        if let Err(error) = self.sample(&workspaces, shutdown).await {
            tracing::error!(%error, "what workspaces keep could not be measured; the next look goes on");
        }
        let_go.map(|_| done)
    }

    /// Lets old runs go, and objects that no run refers to; false if there is no going on.
    async fn let_go(&self, workspaces: &[Workspace], done: &mut Done, shutdown: &CancellationToken) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let kept: Vec<Kept> = workspaces.iter().map(|workspace| self.kept(workspace)).collect();
        let longest = kept.iter().map(|each| each.days.unwrap_or(u32::MAX)).max().filter(|days| *days != u32::MAX);
        if let Some(days) = longest {
            done.partitions = unless_busy(self.store.retention.drop_before(days_before(now, days)).await)?;
        }
        for Kept { workspace, days } in &kept {
            let Some(days) = *days else { continue };
            let ended_before = days_before(now, days);
            // Where whole partitions are dropped, steps only clear what these left.
            let is_dropped = longest == Some(days) && self.store.retention.has_partitions();
            let accepted_before = if is_dropped { day(ended_before) } else { ended_before };
            let old = Old { workspace: *workspace, accepted_before, ended_before };
            match self.forget(old, shutdown).await? {
                Some(runs) => done.runs += runs,
                None => return Ok(false),
            }
        }
        let next_sweep = Timestamp::from_micros(self.swept_at.load(Ordering::Relaxed)).plus(SWEEP_INTERVAL);
        if now >= next_sweep {
            done.objects = self.store.objects.sweep(before(now, SWEPT_AFTER)).await?;
            self.swept_at.store(now.micros(), Ordering::Relaxed);
        }
        Ok(true)
    }

    fn kept(&self, workspace: &Workspace) -> Kept {
        let days = workspace.settings.retention_days.unwrap_or(self.options.retention_days);
        Kept { workspace: workspace.id, days: (days > 0).then_some(days) }
    }

    /// Whether the work is this node's for a while from now.
    async fn hold(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        self.store.retention.hold(DUTY, Arc::clone(&self.options.node), now, now.plus(HOLD)).await
    }

    /// Forgets old events of triggers, in small steps.
    async fn forget_events(&self, now: Timestamp, shutdown: &CancellationToken) -> Result<(), StoreError> {
        for _ in 0..EVENT_STEPS_MAX {
            let began = Instant::now();
            if self.store.triggers.forget(now).await? == 0 || shutdown.is_cancelled() {
                break;
            }
            tokio::time::sleep(began.elapsed().clamp(PAUSE_MIN, PAUSE_MAX)).await;
        }
        Ok(())
    }

    /// Forgets workspaces that were deleted long ago, in small steps, and as many as one look may; false if there is no going on.
    async fn forget_deleted(&self, before: Timestamp, shutdown: &CancellationToken) -> Result<bool, StoreError> {
        let mut signed = Instant::now();
        for _ in 0..FORGET_STEPS_MAX {
            let began = Instant::now();
            if began.duration_since(signed) >= SIGN {
                if !self.hold().await? {
                    return Ok(false);
                }
                signed = began;
            }
            if !self.store.removals.forget(before).await? {
                break;
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(false),
                () = tokio::time::sleep(began.elapsed().clamp(PAUSE_MIN, PAUSE_MAX)) => {}
            }
        }
        Ok(true)
    }

    /// Forgets in small steps; returns how many runs, or none if there is no going on.
    async fn forget(&self, old: Old, shutdown: &CancellationToken) -> Result<Option<u64>, StoreError> {
        let (mut runs, mut after, mut signed): (u64, Option<RunId>, Instant) = (0, None, Instant::now());
        loop {
            let began = Instant::now();
            if began.duration_since(signed) >= SIGN {
                if !self.hold().await? {
                    return Ok(None);
                }
                signed = began;
            }
            let step = self.store.retention.forget(old, after).await?;
            runs += step.runs;
            if step.next.is_none() {
                return Ok(Some(runs));
            }
            after = step.next;
            tokio::select! {
                () = tokio::time::sleep(began.elapsed().clamp(PAUSE_MIN, PAUSE_MAX)) => {}
                () = shutdown.cancelled() => return Ok(None),
            }
        }
    }
}

/// What waits for a lock in vain has another time; the rest goes on.
fn unless_busy<T: Default>(result: Result<T, StoreError>) -> Result<T, StoreError> {
    match result {
        Err(StoreError::Unavailable(why) | StoreError::ObjectsUnavailable(why) | StoreError::Contended(why)) => {
            tracing::warn!(why, "partitions of history are left as they are for now");
            Ok(T::default())
        }
        result => result,
    }
}

fn before(now: Timestamp, time: Duration) -> Timestamp {
    Timestamp::from_micros(now.micros().saturating_sub(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)))
}

fn days_before(now: Timestamp, days: u32) -> Timestamp {
    Timestamp::from_micros(now.micros() - i64::from(days) * DAY_MICROS)
}

/// The start of its day, UTC.
fn day(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.micros() - at.micros().rem_euclid(DAY_MICROS))
}
