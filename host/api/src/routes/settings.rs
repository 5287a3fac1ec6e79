//! `GET` and `PATCH /api/w/{workspace}/settings`

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{
    Code, ScriptPath, WorkspaceSettings,
    auth::{Action, Domain},
};
use sandmill_store::workspaces::Workspace;

use super::limits::{Set, SettingsChange};
use crate::{
    app::App,
    auth::{Caller, forbidden},
    problem::Problem,
    request::body::JsonBody,
};

/// Shows what is set for a workspace; null is as the installation says.
#[utoipa::path(get, path = "/api/w/{workspace}/settings", tag = "workspaces",
    params(("workspace" = String, Path)),
    responses((status = 200, body = Set)))]
pub(crate) async fn show(caller: Caller) -> Result<Json<Set>, Problem> {
    if !caller.may(Domain::Instance, Action::Read, None) {
        return Err(forbidden(Domain::Instance, Action::Read, None));
    }
    Ok(Json(Set(WorkspaceSettings::clone(&caller.workspace.settings))))
}

/// Changes the settings that the body names; null takes one back. Only tokens of the installation may: what one workspace gets, others lack.
/// Naming an `error_handler` needs `runs:start` of its path, too.
#[utoipa::path(patch, path = "/api/w/{workspace}/settings", tag = "workspaces",
    params(("workspace" = String, Path)),
    request_body = SettingsChange,
    responses((status = 200, description = "As they are now", body = Set)))]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(SettingsChange(patch)): JsonBody<SettingsChange>,
) -> Result<Json<Set>, Problem> {
    if !caller.principal.may_instance(Action::Write) {
        return Err(forbidden(Domain::Instance, Action::Write, None));
    }
    // It acts as whoever started what failed, so naming it is starting it.
    if let Some(handler) = patch.get("error_handler").and_then(|path| path.as_str()?.parse::<ScriptPath>().ok()) {
        caller.must(Domain::Runs, Action::Start, handler.as_str())?;
    }
    let settings = app.store.workspaces.set(caller.workspace.id, patch).await?;
    let settings = settings.map_err(|invalid| Problem::new(Code::BadRequest, format!("the settings: {invalid}")))?;
    let workspace = Workspace { settings: Arc::new(settings.clone()), ..caller.workspace };
    app.outdate_members(workspace.id);
    app.workspaces.put(Arc::clone(&workspace.name), workspace, app.clock.now());
    Ok(Json(Set(settings)))
}
