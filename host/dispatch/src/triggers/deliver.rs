//! From events to runs: mode, filter, keys, batch, terms. One way for requests and for listeners.

use std::sync::Arc;

use sandmill_model::{
    auth::Principal,
    code::Refusal,
    trigger::{Delivery, ListenError, NewEvent, Receipt},
};
use sandmill_store::{
    triggers::{SeatLease, Trigger},
    workspaces::Workspace,
};

use super::Admitted;
use crate::Inner;

/// See [`Dispatch::admit`](crate::Dispatch::admit).
pub(super) async fn admit(
    _inner: &Inner,
    _workspace: &Workspace,
    _trigger: &Arc<Trigger>,
    (_event, _caller): (NewEvent, Option<Arc<Principal>>),
) -> Result<Admitted, Refusal> {
    todo!("package D")
}

/// What a listener delivers: [`Host::deliver`](sandmill_model::trigger::Host::deliver).
#[expect(dead_code, reason = "the supervisor will call it")]
pub(super) async fn deliver(
    _inner: &Inner,
    _workspace: &Workspace,
    (_trigger, _lease): (&Arc<Trigger>, SeatLease),
    _delivery: Delivery,
) -> Result<Vec<Receipt>, ListenError> {
    todo!("package D")
}
