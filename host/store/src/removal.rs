//! Deleting workspaces with all that is theirs: in small steps, beside the work of the others. Every node has a [`Service`]; one of them works
//! at a time on what all share, each on what it alone has.
//!
//! What runs that were under way still write comes too late; it is looked for again for a while.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sandmill_model::{BoxFuture, Clock, Timestamp, WorkspaceId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Store, StoreError};

/// How often a node looks whether there is something to do.
pub const INTERVAL: Duration = Duration::from_secs(2);
/// How long other nodes have to hear of a deletion and to end what they execute, before its rows are removed.
const HEARD: Duration = Duration::from_secs(5);
/// How long one look waits for the ends of what this node executes, and how often it asks.
const ENDED_WAIT: Duration = Duration::from_secs(1);
const ENDED_PAUSE: Duration = Duration::from_millis(20);
/// How long the work stays a node's without a sign; a node that dies is followed by another after this.
const HOLD: Duration = Duration::from_secs(60);
/// How often a node that works gives a sign.
const SIGN: Duration = Duration::from_secs(10);
/// Pauses between two steps: as long as the step took, within these. So what is accepted meanwhile waits for one step at most.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long one look removes what of one workspace is elsewhere.
const CLEAR: Duration = Duration::from_secs(10);
/// What comes too late is looked for so long after the end, and so often.
const LATE: Duration = Duration::from_secs(24 * 3600);
const LATE_INTERVAL: Duration = Duration::from_secs(300);
/// How long it is known that a workspace was deleted: a node that was away for longer keeps what it alone has.
const KNOWN: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long it is known what a deleted workspace has used: for bills.
pub const USAGE_KEPT: Duration = Duration::from_secs(400 * 24 * 3600);
/// The name of the work.
const DUTY: &str = "removal";

/// What came of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something was deleted, and there may be more.
    More,
    /// Runs that execute were told to end, and have not yet.
    Waits,
    /// There is nothing more of it.
    Gone,
}

/// A workspace that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    pub id: WorkspaceId,
    pub at: Timestamp,
}

pub trait Removals: Send + Sync + 'static {
    /// Workspaces that are being deleted, the one that was first to be so first.
    fn under_way(&self) -> BoxFuture<'_, Result<Vec<WorkspaceId>, StoreError>>;

    /// Deletes some hundreds of rows at most of what a workspace has, large results included; once there is nothing more, the workspace itself.
    /// What it has used stays, see [`USAGE_KEPT`].
    fn step(&self, workspace: WorkspaceId, now: Timestamp) -> BoxFuture<'_, Result<Step, StoreError>>;

    /// What was deleted after `since`.
    fn deleted(&self, since: Timestamp) -> BoxFuture<'_, Result<Vec<Deleted>, StoreError>>;

    /// Forgets what was deleted before, and what that has used: some hundreds of rows at most. Returns whether there may be more.
    fn forget(&self, before: Timestamp) -> BoxFuture<'_, Result<bool, StoreError>>;
}

/// What workspaces have that is neither in the database nor a large result.
pub trait Elsewhere: Send + Sync + 'static {
    /// Removes some of what this node can reach of it, in seconds at most; returns whether there may be more. What is not there is no error.
    ///
    /// # Errors
    /// In words for the operator. It is asked again later.
    fn remove(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<bool, String>>;

    /// Tells all runs of these workspaces to end that this node executes, by whichever way they came; returns the workspaces that still
    /// have some here.
    fn end(&self, workspaces: &[WorkspaceId]) -> Vec<WorkspaceId>;
}

/// Where there is nothing elsewhere.
pub struct Nowhere;

impl Elsewhere for Nowhere {
    fn remove(&self, _: WorkspaceId) -> BoxFuture<'_, Result<bool, String>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn end(&self, _: &[WorkspaceId]) -> Vec<WorkspaceId> {
        Vec::new()
    }
}

pub struct Service {
    store: Store,
    clock: Arc<dyn Clock>,
    /// This node, so that one that comes back goes on with its own work.
    node: Arc<str>,
    elsewhere: Arc<dyn Elsewhere>,
    /// When this node last looked for what of a deleted workspace is elsewhere.
    cleared: Mutex<HashMap<WorkspaceId, Timestamp>>,
    /// When rows were last looked for that came too late.
    swept: Mutex<HashMap<WorkspaceId, Timestamp>>,
    /// When this node first saw that a workspace is being deleted.
    seen: Mutex<HashMap<WorkspaceId, Instant>>,
}

impl Service {
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, node: Arc<str>, elsewhere: Arc<dyn Elsewhere>) -> Self {
        Self { store, clock, node, elsewhere, cleared: Mutex::default(), swept: Mutex::default(), seen: Mutex::default() }
    }

    /// Looks again and again until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::join!(self.remove(&shutdown), self.end(&shutdown));
    }

    async fn remove(&self, shutdown: &CancellationToken) {
        loop {
            if let Err(error) = self.look(shutdown).await {
                tracing::error!(%error, "a workspace could not be deleted; the next try is in {} s", INTERVAL.as_secs());
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Ends what this node executes, beside the removal, which may take hours: also what began while it was not known here yet that the
    /// workspace is no more.
    async fn end(&self, shutdown: &CancellationToken) {
        loop {
            match self.ended_or_ending().await {
                Ok(workspaces) => drop(self.elsewhere.end(&workspaces)),
                Err(error) => tracing::error!(%error, "what executes in workspaces that are deleted could not be ended; trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn ended_or_ending(&self) -> Result<Vec<WorkspaceId>, StoreError> {
        let mut workspaces = self.store.removals.under_way().await?;
        let deleted = self.store.removals.deleted(before(self.clock.now(), LATE)).await?;
        workspaces.extend(deleted.into_iter().map(|each| each.id));
        Ok(workspaces)
    }

    /// Ends what is executed of workspaces that are being deleted. Returns those of which nothing is, as far as this node can know: their
    /// rows may be removed.
    async fn quiet(&self, under_way: Vec<WorkspaceId>) -> Result<Vec<WorkspaceId>, StoreError> {
        let now = Instant::now();
        let seen = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.retain(|workspace, _| under_way.contains(workspace));
            for workspace in &under_way {
                seen.entry(*workspace).or_insert(now);
            }
            seen.clone()
        };
        if under_way.is_empty() {
            return Ok(under_way);
        }
        let time = self.clock.now();
        let nodes = self.store.nodes.list().await?;
        let is_alone = nodes.iter().all(|node| node.about.name == self.node || node.alive_until < time);
        let mut busy = self.elsewhere.end(&under_way);
        while !busy.is_empty() && now.elapsed() < ENDED_WAIT {
            tokio::time::sleep(ENDED_PAUSE).await;
            busy = self.elsewhere.end(&under_way);
        }
        let is_heard = |workspace: &WorkspaceId| is_alone || seen.get(workspace).is_some_and(|seen| seen.elapsed() >= HEARD);
        Ok(under_way.into_iter().filter(|workspace| !busy.contains(workspace) && is_heard(workspace)).collect())
    }

    /// Does what there is to do now. Returns how many workspaces are gone that were there before.
    ///
    /// # Errors
    /// What the database said. What was done until then stays so; the next look goes on.
    pub async fn look(&self, shutdown: &CancellationToken) -> Result<u64, StoreError> {
        let mut gone = 0;
        let under_way = self.store.removals.under_way().await?;
        for workspace in self.quiet(under_way).await? {
            match self.empty(workspace, shutdown).await {
                Ok(Some(Step::Gone)) => {
                    tracing::info!(%workspace, "a workspace is deleted with all that was its own");
                    gone += 1;
                }
                Ok(_) => {}
                // One that does not go on must not stop the others.
                Err(error) => tracing::error!(%error, %workspace, "the deletion of a workspace does not go on; trying again"),
            }
        }
        let now = self.clock.now();
        let deleted = self.store.removals.deleted(before(now, KNOWN)).await?;
        for looked in [&self.cleared, &self.swept] {
            known(looked).retain(|workspace, _| deleted.iter().any(|each| each.id == *workspace));
        }
        for each in &deleted {
            self.look_behind(*each, now, shutdown).await?;
        }
        Ok(gone)
    }

    /// Removes what this node alone reaches of a workspace that is gone, and what was written too late.
    async fn look_behind(&self, deleted: Deleted, now: Timestamp, shutdown: &CancellationToken) -> Result<(), StoreError> {
        let id = deleted.id;
        let is_new = !known(&self.cleared).contains_key(&id);
        if is_new || is_due(&self.cleared, deleted, now) {
            let removed = tokio::select! {
                removed = self.clear(id) => removed,
                () = shutdown.cancelled() => return Ok(()),
            };
            match removed {
                Ok(false) => {
                    known(&self.cleared).insert(id, now);
                }
                // The next look goes on, after the others had their turns.
                Ok(true) => {}
                Err(error) => tracing::error!(error, workspace = %id, "what a deleted workspace kept could not be removed; trying again"),
            }
        }
        if is_due(&self.swept, deleted, now) {
            self.empty(id, shutdown).await?;
            known(&self.swept).insert(id, now);
        }
        Ok(())
    }

    /// Removes for a while what is elsewhere; returns whether there may be more.
    async fn clear(&self, workspace: WorkspaceId) -> Result<bool, String> {
        let began = Instant::now();
        while began.elapsed() < CLEAR {
            if !self.elsewhere.remove(workspace).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the work is this node's for a while from now.
    async fn hold(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        self.store.retention.hold(DUTY, Arc::clone(&self.node), now, now.plus(HOLD)).await
    }

    /// Goes as far as it comes with one workspace; none if it is another node's work, or there is no going on.
    async fn empty(&self, workspace: WorkspaceId, shutdown: &CancellationToken) -> Result<Option<Step>, StoreError> {
        let mut signed: Option<Instant> = None;
        loop {
            let began = Instant::now();
            if signed.is_none_or(|signed| began.duration_since(signed) >= SIGN) {
                if !self.hold().await? {
                    return Ok(None);
                }
                signed = Some(began);
            }
            match self.store.removals.step(workspace, self.clock.now()).await? {
                Step::More => {}
                done => return Ok(Some(done)),
            }
            tokio::select! {
                () = tokio::time::sleep(began.elapsed().clamp(PAUSE_MIN, PAUSE_MAX)) => {}
                () = shutdown.cancelled() => return Ok(None),
            }
        }
    }
}

/// Whether it is time to look once more for what came too late.
fn is_due(looked: &Mutex<HashMap<WorkspaceId, Timestamp>>, deleted: Deleted, now: Timestamp) -> bool {
    let last = known(looked).get(&deleted.id).copied().unwrap_or(deleted.at);
    last <= deleted.at.plus(LATE) && now >= last.plus(LATE_INTERVAL)
}

fn known(all: &Mutex<HashMap<WorkspaceId, Timestamp>>) -> MutexGuard<'_, HashMap<WorkspaceId, Timestamp>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

fn before(now: Timestamp, time: Duration) -> Timestamp {
    Timestamp::from_micros(now.micros().saturating_sub(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)))
}
