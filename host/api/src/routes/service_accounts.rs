//! `/api/w/{workspace}/service-accounts`: as whom runs act that are nobody's own, and who may have runs act so.

use std::{collections::BTreeSet, sync::Arc};

use axum::{Json, extract::State};
use http::StatusCode;
use sandmill_model::{
    Code, RunAs,
    auth::{Action, Domain, Scope},
    people::{Name, Who},
};
use sandmill_store::service_accounts::{NewServiceAccount, ServiceAccount};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{folders::refused, tokens::make};
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

/// A page of service accounts, in order of their names, without who may use them; those of which the caller may know.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceAccountList {
    items: Vec<ServiceAccountItem>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceAccountItem {
    name: String,
    /// As it is named in `run_as` and shown in runs: `s/NAME`.
    identity: String,
    description: String,
    /// What runs that act so may do at most, as far as their scripts' grants allow it.
    scopes: Vec<String>,
    updated_at: String,
    updated_by: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceAccountBody {
    name: String,
    /// As it is named in `run_as` and shown in runs: `s/NAME`.
    identity: String,
    description: String,
    /// What runs that act so may do at most, as far as their scripts' grants allow it.
    scopes: Vec<String>,
    /// Who may have runs act so, beside admins: users, `u/NAME`, and groups, `g/NAME`.
    users: Vec<String>,
    updated_at: String,
    updated_by: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceAccountRequest {
    #[serde(default)]
    description: String,
    /// Up to 64, each of which whoever asks must have; none if they are left out.
    #[serde(default)]
    scopes: Vec<String>,
    /// Up to 100 users, `u/NAME`, and groups, `g/NAME`, of the workspace.
    #[serde(default)]
    users: Vec<String>,
}

impl From<ServiceAccount> for ServiceAccountItem {
    fn from(ServiceAccount { name, description, scopes, updated_at, updated_by }: ServiceAccount) -> Self {
        Self {
            identity: identity(&name),
            name: name.to_string(),
            description,
            scopes: scopes.iter().map(Scope::to_string).collect(),
            updated_at: updated_at.to_string(),
            updated_by: updated_by.to_string(),
        }
    }
}

fn identity(name: &Name) -> String {
    RunAs::ServiceAccount(name.clone()).to_string()
}

fn body<'a>(account: ServiceAccount, users: impl IntoIterator<Item = &'a Who>) -> Json<ServiceAccountBody> {
    let ServiceAccountItem { name, identity, description, scopes, updated_at, updated_by } = account.into();
    let users = users.into_iter().map(Who::to_string).collect();
    Json(ServiceAccountBody { name, identity, description, scopes, users, updated_at, updated_by })
}

fn no_account() -> Problem {
    Problem::new(Code::NotFound, "there is no such service account in this workspace")
}

/// Lists the service accounts of a workspace, as far as the caller may see them.
#[utoipa::path(get, path = "/api/w/{workspace}/service-accounts", tag = "people", params(("workspace" = String, Path), NameQuery),
    responses((status = 200, body = ServiceAccountList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<NameQuery>,
) -> Result<Json<ServiceAccountList>, Problem> {
    caller.must_somewhere(Domain::Identities, Action::Read)?;
    let (mut after, limit) = query.read::<Name>()?;
    let mut shown: Vec<ServiceAccount> = Vec::new();
    // There are few, and a page ends with one that is shown.
    loop {
        let found = app.store.service_accounts.list(caller.workspace.id, after.as_ref(), paging::LIMIT_MAX).await?;
        let is_last = found.len() < paging::LIMIT_MAX as usize;
        after = found.last().map(|last| last.name.clone());
        shown.extend(found.into_iter().filter(|each| caller.may(Domain::Identities, Action::Read, Some(&identity(&each.name)))));
        if is_last || shown.len() > limit as usize {
            break;
        }
    }
    let next = paging::cut(&mut shown, limit, |account| account.name.to_string());
    Ok(Json(ServiceAccountList { items: shown.into_iter().map(ServiceAccountItem::from).collect(), next }))
}

/// Shows a service account, and who may use it.
#[utoipa::path(get, path = "/api/w/{workspace}/service-accounts/{name}", tag = "people",
    params(("workspace" = String, Path), ("name" = String, Path)), responses((status = 200, body = ServiceAccountBody)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller, NameRef(name): NameRef) -> Result<Json<ServiceAccountBody>, Problem> {
    caller.must(Domain::Identities, Action::Read, &identity(&name))?;
    let found = app.store.service_accounts.find(caller.workspace.id, &name).await?;
    found.map(|(account, users)| body(account, &users)).ok_or_else(no_account)
}

/// Makes a service account, or puts other scopes and users in the place of those that it has. It gets no scope that the caller lacks.
#[utoipa::path(put, path = "/api/w/{workspace}/service-accounts/{name}", tag = "people",
    params(("workspace" = String, Path), ("name" = String, Path)), request_body = ServiceAccountRequest,
    responses((status = 200, body = ServiceAccountBody)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    NameRef(name): NameRef,
    JsonBody(request): JsonBody<ServiceAccountRequest>,
) -> Result<Json<ServiceAccountBody>, Problem> {
    caller.must(Domain::Identities, Action::Write, &identity(&name))?;
    let ServiceAccountRequest { description, scopes, users } = request;
    let scopes = if scopes.is_empty() { Vec::new() } else { make::parse(&scopes)? };
    if !caller.principal.includes(&scopes) {
        return Err(Problem::new(Code::Forbidden, "a service account may do nothing that whoever puts it may not"));
    }
    let read = |who: &String| who.parse::<Who>().map_err(|error| Problem::new(Code::BadRequest, format!("{who:?}: {error}")));
    let users: BTreeSet<Who> = users.iter().map(read).collect::<Result<_, _>>()?;
    let by = Arc::clone(&caller.principal.identity);
    let new =
        NewServiceAccount { workspace: caller.workspace.id, name, description, scopes, users: users.clone(), by, now: app.clock.now() };
    let account = app.store.service_accounts.put(new).await?.map_err(refused)?;
    app.outdate_members(caller.workspace.id);
    tracing::info!(by = &*caller.principal.identity, account = %account.name, "a service account was put");
    Ok(body(account, &users))
}

/// Deletes a service account: nothing starts as it any more, and runs that act as it start no others.
#[utoipa::path(delete, path = "/api/w/{workspace}/service-accounts/{name}", tag = "people",
    params(("workspace" = String, Path), ("name" = String, Path)), responses((status = 204, description = "It is deleted")))]
pub(crate) async fn delete(State(app): State<Arc<App>>, caller: Caller, NameRef(name): NameRef) -> Result<StatusCode, Problem> {
    caller.must(Domain::Identities, Action::Write, &identity(&name))?;
    let deleted = app.store.service_accounts.delete(caller.workspace.id, &name).await?;
    app.outdate_members(caller.workspace.id);
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(no_account()) }
}
