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
/// How long the work stays a node's without a sign; a node that dies is followed by another after this.
const HOLD: Duration = Duration::from_secs(60);
/// How often a node that works gives a sign.
const SIGN: Duration = Duration::from_secs(10);
/// Pauses between two steps: as long as the step took, within these. So what is accepted meanwhile waits for one step at most.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);
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

    /// Forgets what was deleted before, and what that has used.
    fn forget(&self, before: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// What workspaces have that is neither in the database nor a large result.
pub trait Elsewhere: Send + Sync + 'static {
    /// Removes what this node can reach of it; what is not there is no error.
    ///
    /// # Errors
    /// In words for the operator. It is asked again later.
    fn remove(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<(), String>>;
}

/// Where there is nothing elsewhere.
pub struct Nowhere;

impl Elsewhere for Nowhere {
    fn remove(&self, _: WorkspaceId) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
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
}

impl Service {
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, node: Arc<str>, elsewhere: Arc<dyn Elsewhere>) -> Self {
        Self { store, clock, node, elsewhere, cleared: Mutex::default(), swept: Mutex::default() }
    }

    /// Looks again and again until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.look(&shutdown).await {
                tracing::error!(%error, "a workspace could not be deleted; the next try is in {} s", INTERVAL.as_secs());
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Does what there is to do now. Returns how many workspaces are gone that were there before.
    ///
    /// # Errors
    /// What the database said. What was done until then stays so; the next look goes on.
    pub async fn look(&self, shutdown: &CancellationToken) -> Result<u64, StoreError> {
        let mut gone = 0;
        for workspace in self.store.removals.under_way().await? {
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
                removed = self.elsewhere.remove(id) => removed,
                () = shutdown.cancelled() => return Ok(()),
            };
            match removed {
                Ok(()) => {
                    known(&self.cleared).insert(id, now);
                }
                Err(error) => tracing::error!(error, workspace = %id, "what a deleted workspace kept could not be removed; trying again"),
            }
        }
        if is_due(&self.swept, deleted, now) {
            self.empty(id, shutdown).await?;
            known(&self.swept).insert(id, now);
        }
        Ok(())
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
