//! Switching a trigger off: the one change for which nothing need be right.

use std::sync::Arc;

use sandmill_model::{
    auth::Principal,
    code::{Code, Refusal},
    trigger::Mode,
};
use sandmill_store::{
    triggers::{NewTrigger, Trigger},
    workspaces::Workspace,
};

use crate::{Inner, refuse};

pub(super) async fn switch_off(inner: &Inner, by: &Principal, workspace: &Workspace, trigger: &Trigger) -> Result<Trigger, Refusal> {
    let new = NewTrigger {
        workspace: workspace.id,
        path: trigger.path.clone(),
        kind: Arc::clone(&trigger.kind),
        target: trigger.target.clone(),
        config: trigger.config.clone(),
        options: (*trigger.options).clone(),
        mode: Mode::Off,
        description: trigger.description.clone(),
        keys: Vec::new(),
        seats: 0,
        triggers_max: None,
        over: Some(trigger.revision),
        by: Arc::clone(&by.identity),
        now: inner.clock.now(),
    };
    let put = inner.store.triggers.put(new).await.map_err(|error| refuse(&error))?;
    let trigger = put.map_err(|_| Refusal::new(Code::Conflict, "it was changed meanwhile: read it again"))?;
    inner.triggers_changed(&[workspace.id]);
    inner.tell_triggers(workspace.id);
    Ok(trigger)
}
