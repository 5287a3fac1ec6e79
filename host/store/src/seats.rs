//! Seats: places of listeners. A node takes one, listens, and has it until it gives it back or its life ends; the fence tells a holder of
//! before from the one of now.

use sandmill_model::{BoxFuture, ScriptPath, Timestamp, WorkspaceId, trigger::SeatStatus};

use crate::{StoreError, nodes::Incarnation};

/// Which seat.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeatKey {
    pub workspace: WorkspaceId,
    /// Of the trigger.
    pub path: ScriptPath,
    /// From 0.
    pub number: u32,
}

/// A seat that a node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    pub key: SeatKey,
    pub fence: i64,
    /// Of the trigger as it was saved last.
    pub revision: i64,
}

/// How many seats there are, for taking no more than one's share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeatCount {
    pub all: u64,
    pub free: u64,
    pub own: u64,
}

/// Which of a trigger's seats, the name of the node that has it, and how it fares there.
pub type SeatOfNode = (u32, Option<String>, SeatStatus);

pub trait Seats: Send + Sync + 'static {
    /// Takes free seats for a node, at most `limit`; those of a trigger of which it has none before others. A node that is thought dead gets none.
    /// Those whose holder died are free at the moment at which its life is ended ([`Nodes::bury`](crate::nodes::Nodes::bury)).
    fn take(&self, node: Incarnation, limit: u32, now: Timestamp) -> BoxFuture<'_, Result<Vec<Seat>, StoreError>>;

    /// All that a node has, in the order of their keys: desired state, by which it converges.
    fn held(&self, node: Incarnation) -> BoxFuture<'_, Result<Vec<Seat>, StoreError>>;

    fn count(&self, node: Incarnation) -> BoxFuture<'_, Result<SeatCount, StoreError>>;

    /// Gives seats back, so that others take them. Those that are not its own any more are left alone.
    fn give_back(&self, node: Incarnation, seats: Vec<Seat>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Writes how seats fare; those that are not its own any more are left alone. Need not be on disk before it is answered.
    fn report(&self, node: Incarnation, statuses: Vec<(Seat, SeatStatus)>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// All seats of a trigger, with their nodes' names.
    fn statuses<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Vec<SeatOfNode>, StoreError>>;
}
