//! Triggers that are configured.

use sandmill_model::{BoxFuture, RunId, ScriptPath, Timestamp, TriggerEventId, WorkspaceId, trigger::Cursor};

use super::Sql;
use crate::{
    StoreError,
    seats::SeatKey,
    triggers::{DeliveryAnswer, KeptEvent, KeptSummary, NewTrigger, Trigger, TriggerDelivery, TriggerFilter, Triggers, Unput},
};

impl Triggers for Sql {
    fn put(&self, _new: NewTrigger) -> BoxFuture<'_, Result<Result<Trigger, Unput>, StoreError>> {
        todo!("package S")
    }

    fn find<'a>(&'a self, _workspace: WorkspaceId, _path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<Trigger>, StoreError>> {
        todo!("package S")
    }

    fn list<'a>(
        &'a self,
        _workspace: WorkspaceId,
        _filter: &'a TriggerFilter,
        _after: Option<&'a ScriptPath>,
        _limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Trigger>, StoreError>> {
        todo!("package S")
    }

    fn endpoints(&self, _workspace: WorkspaceId) -> BoxFuture<'_, Result<Vec<(Trigger, Vec<String>)>, StoreError>> {
        todo!("package S")
    }

    fn delete<'a>(&'a self, _workspace: WorkspaceId, _path: &'a ScriptPath) -> BoxFuture<'a, Result<bool, StoreError>> {
        todo!("package S")
    }

    fn count(&self, _workspace: WorkspaceId) -> BoxFuture<'_, Result<u64, StoreError>> {
        todo!("package S")
    }

    fn deliver(&self, _delivery: TriggerDelivery) -> BoxFuture<'_, Result<DeliveryAnswer, StoreError>> {
        todo!("package S")
    }

    fn release(&self, _workspace: WorkspaceId, _run: RunId, _now: Timestamp) -> BoxFuture<'_, Result<bool, StoreError>> {
        todo!("package S")
    }

    fn held<'a>(
        &'a self,
        _workspace: WorkspaceId,
        _path: &'a ScriptPath,
        _after: Option<RunId>,
        _limit: u32,
    ) -> BoxFuture<'a, Result<Vec<RunId>, StoreError>> {
        todo!("package S")
    }

    fn events<'a>(
        &'a self,
        _workspace: WorkspaceId,
        _path: &'a ScriptPath,
        _before: Option<TriggerEventId>,
        _limit: u32,
    ) -> BoxFuture<'a, Result<Vec<KeptSummary>, StoreError>> {
        todo!("package S")
    }

    fn event<'a>(
        &'a self,
        _workspace: WorkspaceId,
        _path: &'a ScriptPath,
        _id: TriggerEventId,
    ) -> BoxFuture<'a, Result<Option<KeptEvent>, StoreError>> {
        todo!("package S")
    }

    fn discard_event<'a>(
        &'a self,
        _workspace: WorkspaceId,
        _path: &'a ScriptPath,
        _id: TriggerEventId,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        todo!("package S")
    }

    fn forget(&self, _before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        todo!("package S")
    }

    fn cursor(&self, _seat: SeatKey) -> BoxFuture<'_, Result<Option<Cursor>, StoreError>> {
        todo!("package S")
    }
}
