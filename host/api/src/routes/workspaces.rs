//! `/api/instance/workspaces`: tenants, as who runs the installation sees them.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use sandmill_model::{
    Code, WorkspaceId,
    auth::Action,
    quota::{NAME_RULE, is_name},
};
use sandmill_store::workspaces::{Change, NewWorkspace, Status, Unmade, Workspace};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::limits::{Changed, Given, Held, Kept};
use crate::{
    app::App,
    audit::Facts,
    auth::Authenticated,
    problem::Problem,
    request::{
        body::JsonBody,
        paging::{CursorQuery, cut},
        url::{InstanceName, Query},
    },
};

/// A page of workspaces, in the order of their names.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkspaceList {
    items: Vec<WorkspaceBody>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Workspace)]
pub(crate) struct WorkspaceBody {
    id: String,
    name: String,
    /// `active`; `archived`: nothing new starts and nothing changes; `deleting`: it is being emptied.
    status: &'static str,
    status_since: String,
    created_at: String,
    /// Null: no limits but those of `overrides`.
    plan: Option<String>,
    /// Limits in the place of the plan's.
    overrides: Kept,
    /// What holds: the plan's limits and the overrides.
    quotas: Held,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkspaceRequest {
    /// 1 to 64 of the letters a-z, digits, `-` and `_`, and a letter or a digit first.
    name: String,
    plan: Option<String>,
    /// Limits in the place of the plan's.
    #[serde(default)]
    quotas: Given,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkspaceChange {
    /// Left out: it stays; null: none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    plan: Option<Option<String>>,
    /// Limits in the place of the plan's: a number, null for no limit, `"plan"` for the plan's own again.
    #[serde(default)]
    quotas: Changed,
}

/// Tells null from what is left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Confirmation {
    /// The name of the workspace once more.
    confirm: Option<String>,
}

impl From<Workspace> for WorkspaceBody {
    fn from(workspace: Workspace) -> Self {
        let Workspace { id, name, created_at, settings: _, status, status_since, allotted } = workspace;
        Self {
            id: id.to_string(),
            name: name.to_string(),
            status: status.name(),
            status_since: status_since.to_string(),
            created_at: created_at.to_string(),
            plan: allotted.plan.as_deref().map(str::to_owned),
            overrides: Kept(allotted.overrides.clone()),
            quotas: Held(allotted.quotas.clone()),
        }
    }
}

/// Lists the workspaces of the installation.
#[utoipa::path(get, path = "/api/instance/workspaces", tag = "workspaces", params(CursorQuery), responses((status = 200, body = WorkspaceList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Query(asked): Query<CursorQuery>,
) -> Result<Json<WorkspaceList>, Problem> {
    caller.must(Action::Read)?;
    let (after, limit) = (asked.after()?, asked.limit()?);
    let mut found = app.store.workspaces.page(after.as_deref(), limit + 1).await?;
    let next = cut(&mut found, limit, |workspace| workspace.name.to_string());
    Ok(Json(WorkspaceList { items: found.into_iter().map(WorkspaceBody::from).collect(), next }))
}

/// Makes a workspace.
#[utoipa::path(post, path = "/api/instance/workspaces", tag = "workspaces", request_body = WorkspaceRequest,
    responses((status = 201, description = "It is made", body = WorkspaceBody)))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    JsonBody(request): JsonBody<WorkspaceRequest>,
) -> Result<Response, Problem> {
    caller.must(Action::Write)?;
    let WorkspaceRequest { name, plan, quotas: Given(quotas) } = request;
    if !is_name(&name) {
        return Err(Problem::new(Code::BadRequest, format!("`name`: {NAME_RULE}")));
    }
    let now = app.clock.now();
    let allotment = Change { plan: Some(plan.map(Into::into)), overrides: quotas };
    let new = NewWorkspace { id: WorkspaceId::new(now), name: name.into(), allotment, now };
    let made = app.store.workspaces.create(new).await?.map_err(|unmade| refused(&unmade))?;
    tracing::info!(workspace = &*made.name, id = %made.id, by = &*caller.0.identity, "a workspace was made");
    // Somebody may have asked for it before it was there.
    app.outdate_members(made.id);
    let body = WorkspaceBody::from(made);
    let facts = Facts { target: Some(body.name.clone()), after: serde_json::to_value(&body).unwrap_or_default(), ..Facts::default() };
    Ok((StatusCode::CREATED, Extension(facts), Json(body)).into_response())
}

/// Shows a workspace.
#[utoipa::path(get, path = "/api/instance/workspaces/{workspace}", tag = "workspaces", params(("workspace" = String, Path)),
    responses((status = 200, body = WorkspaceBody)))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    InstanceName(name): InstanceName,
) -> Result<Json<WorkspaceBody>, Problem> {
    caller.must(Action::Read)?;
    Ok(Json(find(&app, &name).await?.into()))
}

/// Changes the plan of a workspace, or its own limits.
#[utoipa::path(patch, path = "/api/instance/workspaces/{workspace}", tag = "workspaces", params(("workspace" = String, Path)),
    request_body = WorkspaceChange, responses((status = 200, body = WorkspaceBody)))]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    InstanceName(name): InstanceName,
    JsonBody(request): JsonBody<WorkspaceChange>,
) -> Result<Json<WorkspaceBody>, Problem> {
    caller.must(Action::Write)?;
    let workspace = find(&app, &name).await?;
    let change = Change { plan: request.plan.map(|plan| plan.map(Into::into)), overrides: request.quotas.0 };
    let changed = app.store.workspaces.allot(workspace.id, change).await?.map_err(|unmade| refused(&unmade))?;
    Ok(Json(seen(&app, changed)))
}

/// Archives a workspace: nothing new starts in it, what waits waits on, and nothing is changed. It can be read as before.
#[utoipa::path(post, path = "/api/instance/workspaces/{workspace}/archive", tag = "workspaces", params(("workspace" = String, Path)),
    responses((status = 200, body = WorkspaceBody)))]
pub(crate) async fn archive(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    InstanceName(name): InstanceName,
) -> Result<Json<WorkspaceBody>, Problem> {
    caller.must(Action::Write)?;
    turn(&app, &caller, &name, Status::Archived).await.map(Json)
}

/// Makes an archived workspace active again.
#[utoipa::path(post, path = "/api/instance/workspaces/{workspace}/unarchive", tag = "workspaces", params(("workspace" = String, Path)),
    responses((status = 200, body = WorkspaceBody)))]
pub(crate) async fn unarchive(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    InstanceName(name): InstanceName,
) -> Result<Json<WorkspaceBody>, Problem> {
    caller.must(Action::Write)?;
    turn(&app, &caller, &name, Status::Active).await.map(Json)
}

/// Begins to delete a workspace with all that is its own: tokens, members and lists, scripts, runs and their logs, state, resources,
/// variables, objects, usage and its audit log. There is no way back. To its members it is gone at once; its name is free once it is emptied.
#[utoipa::path(delete, path = "/api/instance/workspaces/{workspace}", tag = "workspaces",
    params(("workspace" = String, Path), Confirmation), responses((status = 202, description = "It is being deleted", body = WorkspaceBody)))]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    InstanceName(name): InstanceName,
    Query(confirmation): Query<Confirmation>,
) -> Result<Response, Problem> {
    caller.must(Action::Write)?;
    let workspace = find(&app, &name).await?;
    if confirmation.confirm.as_deref() != Some(&*workspace.name) {
        return Err(Problem::new(Code::BadRequest, "all that the workspace has is deleted: say its name once more as `?confirm=`"));
    }
    let body = turn(&app, &caller, &name, Status::Deleting).await?;
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

async fn turn(app: &App, caller: &Authenticated, name: &str, status: Status) -> Result<WorkspaceBody, Problem> {
    let workspace = find(app, name).await?;
    let changed = app.store.workspaces.change_status(workspace.id, status, app.clock.now()).await?;
    let changed = changed.ok_or_else(|| Problem::new(Code::Conflict, "the workspace is being deleted; there is no way back"))?;
    tracing::info!(workspace = &*changed.name, id = %changed.id, status = status.name(), by = &*caller.0.identity, "a workspace's status");
    Ok(seen(app, changed))
}

/// What this node goes by from now on; the others see it once they hear of it, within a second in any case.
fn seen(app: &App, workspace: Workspace) -> WorkspaceBody {
    app.outdate_members(workspace.id);
    app.workspaces.put(Arc::clone(&workspace.name), workspace.clone(), app.clock.now());
    workspace.into()
}

async fn find(app: &App, name: &str) -> Result<Workspace, Problem> {
    let found = app.store.workspaces.by_name(name).await?;
    found.ok_or_else(|| Problem::new(Code::NotFound, "there is no such workspace"))
}

fn refused(unmade: &Unmade) -> Problem {
    let code = match unmade {
        Unmade::Taken | Unmade::TooMany => Code::Conflict,
        Unmade::NoSuchPlan | Unmade::Invalid(_) => Code::BadRequest,
    };
    Problem::new(code, unmade.to_string())
}
