//! Seats of listeners.

use sandmill_model::{BoxFuture, ScriptPath, Timestamp, WorkspaceId, trigger::SeatStatus};

use super::Sql;
use crate::{
    StoreError,
    nodes::Incarnation,
    seats::{Seat, SeatCount, Seats},
};

impl Seats for Sql {
    fn take(&self, _node: Incarnation, _limit: u32, _now: Timestamp) -> BoxFuture<'_, Result<Vec<Seat>, StoreError>> {
        todo!("package S")
    }

    fn held(&self, _node: Incarnation) -> BoxFuture<'_, Result<Vec<Seat>, StoreError>> {
        todo!("package S")
    }

    fn count(&self, _node: Incarnation) -> BoxFuture<'_, Result<SeatCount, StoreError>> {
        todo!("package S")
    }

    fn give_back(&self, _node: Incarnation, _seats: Vec<Seat>) -> BoxFuture<'_, Result<(), StoreError>> {
        todo!("package S")
    }

    fn report(&self, _node: Incarnation, _statuses: Vec<(Seat, SeatStatus)>) -> BoxFuture<'_, Result<(), StoreError>> {
        todo!("package S")
    }

    fn statuses<'a>(
        &'a self,
        _workspace: WorkspaceId,
        _path: &'a ScriptPath,
    ) -> BoxFuture<'a, Result<Vec<(u32, Option<String>, SeatStatus)>, StoreError>> {
        todo!("package S")
    }
}
