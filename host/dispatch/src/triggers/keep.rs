//! Storing triggers: checks before, signals after; and what is done to what they kept.

use std::sync::Arc;

use sandmill_model::{RunId, ScriptPath, Timestamp, TriggerEventId, WorkspaceId, auth::Principal, code::Refusal, trigger::File};
use sandmill_store::{triggers::Trigger, workspaces::Workspace};

use super::{Draft, TriggerStatus};
use crate::{Accepted, Inner};

pub(super) async fn file(_inner: &Inner, _workspace: WorkspaceId, _file: File) -> Result<(), Refusal> {
    todo!("package D")
}

pub(super) async fn put(_inner: &Inner, _by: &Principal, _workspace: &Workspace, _draft: Draft) -> Result<Trigger, Refusal> {
    todo!("package D")
}

pub(super) async fn delete(_inner: &Inner, _workspace: WorkspaceId, _path: &ScriptPath) -> Result<(), Refusal> {
    todo!("package D")
}

pub(super) async fn probe(_inner: &Inner, _by: &Principal, _workspace: &Workspace, _draft: &Draft) -> Result<(), Refusal> {
    todo!("package D")
}

pub(super) async fn preview(
    _inner: &Inner,
    _workspace: &Workspace,
    _draft: &Draft,
    (_after, _limit): (Timestamp, usize),
) -> Result<Vec<Timestamp>, Refusal> {
    todo!("package D")
}

pub(super) async fn status(_inner: &Inner, _workspace: WorkspaceId, _path: &ScriptPath) -> Result<TriggerStatus, Refusal> {
    todo!("package D")
}

pub(super) async fn release(_inner: &Inner, _workspace: WorkspaceId, _run: RunId) -> Result<(), Refusal> {
    todo!("package D")
}

pub(super) async fn replay(
    _inner: &Inner,
    _by: Arc<Principal>,
    _workspace: Workspace,
    (_path, _event): (&ScriptPath, TriggerEventId),
) -> Result<Accepted, Refusal> {
    todo!("package D")
}
