//! `/api/w/{workspace}/triggers` and what belongs to them: what is configured, how it fares, and what it keeps of its events.
//!
//! No kind is named here: what there is comes from the registry, and what a config means is the kind's.

pub(crate) mod body;
pub(crate) mod description;
pub(crate) mod events;
pub(crate) mod held;
pub(crate) mod kinds;
pub(crate) mod list;
pub(crate) mod many;
pub(crate) mod put;
pub(crate) mod status;
pub(crate) mod trying;

use sandmill_model::{
    ScriptPath,
    auth::{Action, Domain},
};
use sandmill_store::triggers::Trigger;

use super::resources::not_there;
use crate::{app::App, auth::Caller, problem::Problem};

/// The trigger at a path, with which the caller may do this. Whether it is there is told to those alone who may.
///
/// # Errors
/// `forbidden`, `not_found`.
async fn find(app: &App, caller: &Caller, path: &ScriptPath, action: Action) -> Result<Trigger, Problem> {
    caller.must(Domain::Triggers, action, path.as_str())?;
    app.store.triggers.find(caller.workspace.id, path).await?.ok_or_else(|| not_there("trigger", path))
}
