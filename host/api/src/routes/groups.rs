//! `/api/w/{workspace}/groups`: members that lists name together. For admins of the workspace.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::StatusCode;
use sandmill_model::{
    Code,
    auth::{Action, Domain, Scope},
    people::Name,
    role,
};
use sandmill_store::access::{Group, NewGroup};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{folders::refused, members::must};
use crate::{
    app::App,
    auth::Caller,
    problem::Problem,
    request::{
        body::JsonBody,
        paging::{self, NameQuery},
        url::{NameRef, Query},
    },
};

/// A page of groups, in order of their names, without their members.
#[derive(Serialize, ToSchema)]
pub(crate) struct GroupList {
    items: Vec<GroupItem>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct GroupItem {
    name: String,
    description: String,
    updated_at: String,
    updated_by: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct GroupBody {
    name: String,
    description: String,
    /// Names of users.
    members: Vec<String>,
    updated_at: String,
    updated_by: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupRequest {
    #[serde(default)]
    description: String,
    /// Names of users, all of them members of the workspace.
    members: Vec<String>,
}

impl From<Group> for GroupItem {
    fn from(Group { name, description, updated_at, updated_by }: Group) -> Self {
        Self { name: name.to_string(), description, updated_at: updated_at.to_string(), updated_by: updated_by.to_string() }
    }
}

fn body(group: Group, members: &[Name]) -> Json<GroupBody> {
    let GroupItem { name, description, updated_at, updated_by } = group.into();
    Json(GroupBody { name, description, members: members.iter().map(Name::to_string).collect(), updated_at, updated_by })
}

fn no_group() -> Problem {
    Problem::new(Code::NotFound, "there is no such group in this workspace")
}

/// Nobody gives others what they have not: what lists give the group, and that runs act as it.
async fn must_have(app: &App, caller: &Caller, name: &Name) -> Result<(), Problem> {
    let lists = app.store.groups.lists_with(caller.workspace.id, name).await?;
    let runs = Scope::on(Domain::Identities, Action::Start, &format!("g/{name}"));
    let scopes: Vec<Scope> = lists.iter().flat_map(|listed| role::given(&listed.path, listed.kind, listed.level)).chain([runs]).collect();
    if caller.principal.includes(&scopes) {
        return Ok(());
    }
    let what = "whoever says who is in a group may do all that lists give it, and have runs act as it: the token lacks some of that";
    Err(Problem::new(Code::Forbidden, what))
}

/// Lists the groups of a workspace.
#[utoipa::path(get, path = "/api/w/{workspace}/groups", tag = "people", params(("workspace" = String, Path), NameQuery),
    responses((status = 200, body = GroupList)))]
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller, Query(query): Query<NameQuery>) -> Result<Json<GroupList>, Problem> {
    must(&caller, Action::Read)?;
    let (after, limit) = query.read::<Name>()?;
    let mut found = app.store.groups.list(caller.workspace.id, after.as_ref(), limit + 1).await?;
    let next = paging::cut(&mut found, limit, |group| group.name.to_string());
    Ok(Json(GroupList { items: found.into_iter().map(GroupItem::from).collect(), next }))
}

/// Shows a group with its members.
#[utoipa::path(get, path = "/api/w/{workspace}/groups/{name}", tag = "people",
    params(("workspace" = String, Path), ("name" = String, Path)), responses((status = 200, body = GroupBody)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller, NameRef(name): NameRef) -> Result<Json<GroupBody>, Problem> {
    must(&caller, Action::Read)?;
    let found = app.store.groups.find(caller.workspace.id, &name).await?;
    found.map(|(group, members)| body(group, &members)).ok_or_else(no_group)
}

/// Makes a group, or puts other members in the place of those it has.
#[utoipa::path(put, path = "/api/w/{workspace}/groups/{name}", tag = "people",
    params(("workspace" = String, Path), ("name" = String, Path)), request_body = GroupRequest,
    responses((status = 200, body = GroupBody)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    NameRef(name): NameRef,
    JsonBody(request): JsonBody<GroupRequest>,
) -> Result<Json<GroupBody>, Problem> {
    must(&caller, Action::Write)?;
    let GroupRequest { description, members } = request;
    let read = |member: &String| Name::of_user(member).map_err(|error| Problem::new(Code::BadRequest, error.to_string()));
    let mut members: Vec<Name> = members.iter().map(read).collect::<Result<_, _>>()?;
    members.sort();
    members.dedup();
    must_have(&app, &caller, &name).await?;
    let by = Arc::clone(&caller.principal.identity);
    let new = NewGroup { workspace: caller.workspace.id, name, description, members: members.clone(), by, now: app.clock.now() };
    let group = app.store.groups.put(new).await?.map_err(refused)?;
    app.outdate_members(caller.workspace.id);
    tracing::info!(by = &*caller.principal.identity, group = %group.name, "a group was put");
    Ok(body(group, &members))
}

/// Deletes a group, and takes it out of all lists.
#[utoipa::path(delete, path = "/api/w/{workspace}/groups/{name}", tag = "people",
    params(("workspace" = String, Path), ("name" = String, Path)), responses((status = 204, description = "It is deleted")))]
pub(crate) async fn delete(State(app): State<Arc<App>>, caller: Caller, NameRef(name): NameRef) -> Result<StatusCode, Problem> {
    must(&caller, Action::Write)?;
    let deleted = app.store.groups.delete(caller.workspace.id, &name).await?;
    app.outdate_members(caller.workspace.id);
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(no_group()) }
}
