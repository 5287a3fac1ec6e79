//! Quotas of what is kept: paths with something deployed, bytes of code, state, resources and variables. They are counted when somebody writes, and only
//! where there is a limit. Who writes at the same moment may go past one together.

use sandmill_model::{Code, code::Refusal, quota::Quotas};

use crate::{app::App, auth::Caller, problem::Problem};

/// Nothing becomes less by itself.
const RETRY_AFTER_S: u64 = 60;

/// # Errors
/// `quota_exceeded` if the workspace has as many paths with something deployed as it may.
pub(crate) async fn must_have_room_for_a_script(app: &App, caller: &Caller) -> Result<(), Problem> {
    let Quotas { scripts: Some(limit), .. } = caller.workspace.allotted.quotas else { return Ok(()) };
    if app.store.usage.scripts(caller.workspace.id).await? < limit {
        return Ok(());
    }
    Err(exceeded(format!("the workspace may have scripts = {limit}, and has; nothing was deployed")))
}

/// # Errors
/// `quota_exceeded` if `bytes` more are more than the workspace may keep.
pub(crate) async fn must_have_room_for(app: &App, caller: &Caller, bytes: usize) -> Result<(), Problem> {
    let Quotas { stored_bytes: Some(limit), .. } = caller.workspace.allotted.quotas else { return Ok(()) };
    let stored = app.store.usage.stored_bytes(caller.workspace.id).await?;
    if stored.saturating_add(bytes as u64) <= limit {
        return Ok(());
    }
    Err(exceeded(format!("the workspace may keep stored_bytes = {limit} and has {stored}; these would be {bytes} more")))
}

fn exceeded(detail: String) -> Problem {
    Refusal::new(Code::QuotaExceeded, detail).after_s(RETRY_AFTER_S).into()
}
