//! Nodes: who lives, and what becomes of the runs of who does not.
//!
//! A node has a new incarnation for each of its starts, and each time that it was thought dead. Leases name the incarnation: it is the
//! fencing token, and one sign of life extends all of a node's leases.

use std::{sync::Arc, time::Duration};

use sandmill_model::{BoxFuture, RunId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// One life of a node. Greater for each later one of any node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub i64);

/// What a node says of itself when it joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Stable over restarts: a node that comes back takes its own runs again at once.
    #[serde(skip)]
    pub name: Arc<str>,
    pub release: String,
    pub roles: Vec<String>,
    /// Tags that it serves; empty: none but runs without one.
    pub tags: Vec<String>,
    pub slots: u64,
}

/// A node in the list of those that live or have just died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub incarnation: Incarnation,
    pub about: About,
    /// Runs that execute there.
    pub running: u64,
    pub started_at: Timestamp,
    pub seen_at: Timestamp,
    pub alive_until: Timestamp,
}

pub trait Nodes: Send + Sync + 'static {
    /// Begins a life that lasts until `now + lease` without a sign of life. What earlier lives of the same name held is queued again at once.
    fn join(&self, about: About, now: Timestamp, lease: Duration) -> BoxFuture<'_, Result<Incarnation, StoreError>>;

    /// A sign of life: extends it until `now + lease`, and with it all leases. Returns the runs among its own that somebody asked to
    /// cancel; none at all if it is thought dead and must join anew.
    fn heartbeat(
        &self,
        node: Incarnation,
        running: u64,
        now: Timestamp,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Option<Vec<RunId>>, StoreError>>;

    /// Ends the lives that lasted until before `now`; what they held is queued again, as lost once more. Returns how many runs.
    fn bury(&self, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Ends a life in good order: what it still holds goes back to the queue, and the attempt under way does not count, since nothing was
    /// wrong with the run. Returns how many runs.
    fn leave(&self, node: Incarnation) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Oldest life first.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Node>, StoreError>>;

    /// The same on a connection of its own, belonging to the tokio runtime that calls: signs of life must not queue behind other work.
    fn apart(&self) -> BoxFuture<'_, Result<Arc<dyn Nodes>, StoreError>>;
}
