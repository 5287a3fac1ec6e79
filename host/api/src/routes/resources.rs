//! `/api/w/{workspace}/resources`: typed JSON objects at paths. What is secret goes in, and never comes out here.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::StatusCode;
use sandmill_model::{
    BoxFuture, Code, JsonText, ScriptPath,
    auth::{Action, Domain},
    resource_type::InvalidName,
};
use sandmill_store::resources::{NewResource, Resource, ResourceSummary, Sharing, Unfit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    auth::Caller,
    kept,
    problem::{Fault, Problem},
    request::{
        paging::PathQuery,
        secret::SecretBody,
        url::{Query, WholePath},
    },
};

/// A page of resources, in order of their paths.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResourceList {
    items: Vec<ResourceItem>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ResourceItem {
    path: String,
    r#type: String,
    description: String,
    updated_at: String,
    updated_by: String,
}

/// A resource without its secrets.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResourceBody {
    path: String,
    r#type: String,
    /// What is not secret.
    #[schema(value_type = Object)]
    fields: JsonText,
    /// JSON pointers of the secrets that are set.
    secrets: Vec<String>,
    description: String,
    /// Grows with each change.
    revision: i64,
    updated_at: String,
    updated_by: String,
}

/// Not `Debug`: it has secrets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResourceRequest {
    /// Name of a resource type.
    r#type: String,
    /// A JSON object that fits the type. A secret that is left out stays as it was, if the object around it is there; null takes it away.
    #[schema(value_type = Object)]
    value: JsonText,
    #[serde(default)]
    description: String,
    /// For the type `sqlite`: path that the name of the database belongs to, where that is another. The token must be allowed to write there. A
    /// name that the resource has already needs none.
    #[serde(default)]
    shares: Option<String>,
}

impl From<Resource> for ResourceBody {
    fn from(resource: Resource) -> Self {
        let Resource { path, kind, fields, secrets, description, revision, updated_at, updated_by } = resource;
        Self {
            path: path.to_string(),
            r#type: kind.to_string(),
            fields,
            secrets,
            description,
            revision,
            updated_at: updated_at.to_string(),
            updated_by: updated_by.to_string(),
        }
    }
}

/// Lists the resources that the token may read.
#[utoipa::path(get, path = "/api/w/{workspace}/resources", tag = "resources",
    params(("workspace" = String, Path), PathQuery), responses((status = 200, body = ResourceList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<PathQuery>,
) -> Result<Json<ResourceList>, Problem> {
    caller.must_somewhere(Domain::Resources, Action::Read)?;
    let (workspace, prefix) = (caller.workspace.id, query.prefix.as_deref().unwrap_or_default());
    let read = |after: Option<ScriptPath>, limit| -> BoxFuture<'_, _> {
        let resources = &app.store.resources;
        Box::pin(async move { resources.list(workspace, prefix, after.as_ref(), limit).await })
    };
    let (found, next) = query.page(&caller, Domain::Resources, |resource: &ResourceSummary| &resource.path, read).await?;
    let item = |resource: ResourceSummary| ResourceItem {
        path: resource.path.to_string(),
        r#type: resource.kind.to_string(),
        description: resource.description,
        updated_at: resource.updated_at.to_string(),
        updated_by: resource.updated_by.to_string(),
    };
    Ok(Json(ResourceList { items: found.into_iter().map(item).collect(), next }))
}

/// Shows a resource: what is not secret, and which secrets are set.
#[utoipa::path(get, path = "/api/w/{workspace}/resources/{path}", tag = "resources",
    params(("workspace" = String, Path), ("path" = String, Path)), responses((status = 200, body = ResourceBody)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller, WholePath(path): WholePath) -> Result<Json<ResourceBody>, Problem> {
    caller.must(Domain::Resources, Action::Read, path.as_str())?;
    let found = app.store.resources.find(caller.workspace.id, &path).await?;
    found.map(|found| Json(found.into())).ok_or_else(|| not_there("resource", &path))
}

/// Puts a resource at a path, in the place of what is there. Secrets that are left out stay as they were.
#[utoipa::path(put, path = "/api/w/{workspace}/resources/{path}", tag = "resources",
    params(("workspace" = String, Path), ("path" = String, Path)), request_body = ResourceRequest,
    responses((status = 200, body = ResourceBody)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    WholePath(path): WholePath,
    SecretBody(request): SecretBody<ResourceRequest>,
) -> Result<Json<ResourceBody>, Problem> {
    caller.must(Domain::Resources, Action::Write, path.as_str())?;
    let ResourceRequest { r#type, value, description, shares } = request;
    let kind = r#type.parse().map_err(|fault: InvalidName| Problem::new(Code::InvalidResource, fault.to_string()))?;
    let sharing = match shares {
        Some(other) => sharing(&caller, &other)?,
        None => Sharing::None,
    };
    kept::must_have_room_for(&app, &caller, value.as_str().len()).await?;
    let by = Arc::clone(&caller.principal.identity);
    let new = NewResource { workspace: caller.workspace.id, path, kind, value, description, sharing, by, now: app.clock.now() };
    let resource = app.store.resources.put(new).await?.map_err(unfit)?;
    // Triggers may refer to it.
    app.dispatch.tell_triggers(caller.workspace.id);
    Ok(Json(resource.into()))
}

/// Deletes a resource.
#[utoipa::path(delete, path = "/api/w/{workspace}/resources/{path}", tag = "resources",
    params(("workspace" = String, Path), ("path" = String, Path)), responses((status = 204, description = "It is deleted")))]
pub(crate) async fn delete(State(app): State<Arc<App>>, caller: Caller, WholePath(path): WholePath) -> Result<StatusCode, Problem> {
    caller.must(Domain::Resources, Action::Write, path.as_str())?;
    let deleted = app.store.resources.delete(caller.workspace.id, &path).await?;
    if !deleted {
        return Err(not_there("resource", &path));
    }
    app.dispatch.tell_triggers(caller.workspace.id);
    Ok(StatusCode::NO_CONTENT)
}

/// Where the caller may not write, the path is as good as none: what is said of the name is then the same wherever it belongs.
fn sharing(caller: &Caller, other: &str) -> Result<Sharing, Problem> {
    let other = other.parse::<ScriptPath>().map_err(|fault| Problem::new(Code::InvalidPath, format!("`shares`: {fault}")))?;
    let may = caller.may(Domain::Resources, Action::Write, Some(other.as_str()));
    Ok(if may { Sharing::With(other) } else { Sharing::None })
}

/// Of a resource as of a variable.
pub(super) fn unfit(unfit: Unfit) -> Problem {
    match unfit {
        Unfit::NoSuchType => Problem::new(Code::InvalidResource, "there is no resource type of this name in this workspace"),
        Unfit::Invalid(fault) => Problem::new(Code::InvalidResource, fault),
        Unfit::TooMany(why) => Problem::new(Code::Conflict, why),
        Unfit::NameTaken => Problem::new(
            Code::Conflict,
            "this name of a database cannot be had: choose another, or say in `shares` to which path it belongs, where you must be allowed to write",
        ),
        Unfit::Value(faults) => {
            let faults: Vec<Fault> = faults.into_iter().map(|fault| Fault { pointer: fault.pointer, message: fault.message }).collect();
            let text = |fault: &Fault| match fault.pointer.as_str() {
                "" => fault.message.clone(),
                pointer => format!("{pointer}: {}", fault.message),
            };
            let detail = faults.iter().map(text).collect::<Vec<_>>().join("; ");
            Problem::new(Code::InvalidResource, detail).faults(faults)
        }
    }
}

pub(super) fn not_there(what: &str, path: &ScriptPath) -> Problem {
    Problem::new(Code::NotFound, format!("there is no {what} at {path}"))
}
