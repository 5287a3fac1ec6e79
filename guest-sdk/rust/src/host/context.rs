//! `sandmill:context`

use super::bindings::sandmill::context::context as wit;
use crate::context::{Context, Trigger};

pub(crate) use wit::payload;

pub(crate) fn get() -> Context {
    let wit::Info { run_id, script, version, workspace, trigger, attempt, deadline_ms, run_as } = wit::get();
    let trigger = trigger.map(|wit::Trigger { kind, path }| Trigger { kind, path });
    Context { run_id, script, version, workspace, trigger, attempt, deadline_ms, run_as }
}
