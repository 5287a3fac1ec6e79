//! `/api/w/{workspace}/variables`: text at paths. That of a secret one goes in, and never comes out here.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::StatusCode;
use sandmill_model::{
    BoxFuture, ScriptPath,
    auth::{Action, Domain},
};
use sandmill_store::variables::{NewVariable, Variable};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::resources::{not_there, unfit};
use crate::{
    app::App,
    auth::Caller,
    kept,
    problem::Problem,
    request::{
        paging::PathQuery,
        secret::SecretBody,
        url::{Query, WholePath},
    },
};

/// A page of variables, in order of their paths, without their texts.
#[derive(Serialize, ToSchema)]
pub(crate) struct VariableList {
    items: Vec<VariableItem>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct VariableItem {
    path: String,
    secret: bool,
    description: String,
    updated_at: String,
    updated_by: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct VariableBody {
    path: String,
    secret: bool,
    /// Null if it is secret.
    text: Option<String>,
    description: String,
    /// Grows with each change.
    revision: i64,
    updated_at: String,
    updated_by: String,
}

/// Not `Debug`: the text may be secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VariableRequest {
    /// Left out: as it was. A secret variable becomes a plain one only with a new text.
    text: Option<String>,
    /// Whether the text is sealed, and shown to nobody.
    #[serde(default)]
    secret: bool,
    #[serde(default)]
    description: String,
}

impl From<Variable> for VariableBody {
    fn from(variable: Variable) -> Self {
        let Variable { path, secret, text, description, revision, updated_at, updated_by } = variable;
        let (updated_at, updated_by) = (updated_at.to_string(), updated_by.to_string());
        Self { path: path.to_string(), secret, text, description, revision, updated_at, updated_by }
    }
}

/// Lists the variables that the token may read, without their texts.
#[utoipa::path(get, path = "/api/w/{workspace}/variables", tag = "variables",
    params(("workspace" = String, Path), PathQuery), responses((status = 200, body = VariableList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<PathQuery>,
) -> Result<Json<VariableList>, Problem> {
    caller.must_somewhere(Domain::Variables, Action::Read)?;
    let (workspace, prefix) = (caller.workspace.id, query.prefix.as_deref().unwrap_or_default());
    let read = |after: Option<ScriptPath>, limit| -> BoxFuture<'_, _> {
        let variables = &app.store.variables;
        Box::pin(async move { variables.list(workspace, prefix, after.as_ref(), limit).await })
    };
    let (found, next) = query.page(&caller, Domain::Variables, |variable: &Variable| &variable.path, read).await?;
    let item = |variable: Variable| VariableItem {
        path: variable.path.to_string(),
        secret: variable.secret,
        description: variable.description,
        updated_at: variable.updated_at.to_string(),
        updated_by: variable.updated_by.to_string(),
    };
    Ok(Json(VariableList { items: found.into_iter().map(item).collect(), next }))
}

/// Shows a variable, with its text unless that is secret.
#[utoipa::path(get, path = "/api/w/{workspace}/variables/{path}", tag = "variables",
    params(("workspace" = String, Path), ("path" = String, Path)), responses((status = 200, body = VariableBody)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller, WholePath(path): WholePath) -> Result<Json<VariableBody>, Problem> {
    caller.must(Domain::Variables, Action::Read, path.as_str())?;
    let found = app.store.variables.find(caller.workspace.id, &path).await?;
    found.map(|found| Json(found.into())).ok_or_else(|| not_there("variable", &path))
}

/// Puts a variable at a path, in the place of what is there. A text that is left out stays as it was.
#[utoipa::path(put, path = "/api/w/{workspace}/variables/{path}", tag = "variables",
    params(("workspace" = String, Path), ("path" = String, Path)), request_body = VariableRequest,
    responses((status = 200, body = VariableBody)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    WholePath(path): WholePath,
    SecretBody(request): SecretBody<VariableRequest>,
) -> Result<Json<VariableBody>, Problem> {
    caller.must(Domain::Variables, Action::Write, path.as_str())?;
    let VariableRequest { text, secret, description } = request;
    kept::must_have_room_for(&app, &caller, text.as_ref().map_or(0, String::len)).await?;
    let by = Arc::clone(&caller.principal.identity);
    let new = NewVariable { workspace: caller.workspace.id, path, secret, text, description, by, now: app.clock.now() };
    let mut variable = app.store.variables.put(new).await?.map_err(unfit)?;
    // Triggers may refer to it.
    app.dispatch.tell_triggers(caller.workspace.id);
    // Whoever may write need not be allowed to read what was there.
    if !caller.may(Domain::Variables, Action::Read, Some(variable.path.as_str())) {
        variable.text = None;
    }
    Ok(Json(variable.into()))
}

/// Deletes a variable.
#[utoipa::path(delete, path = "/api/w/{workspace}/variables/{path}", tag = "variables",
    params(("workspace" = String, Path), ("path" = String, Path)), responses((status = 204, description = "It is deleted")))]
pub(crate) async fn delete(State(app): State<Arc<App>>, caller: Caller, WholePath(path): WholePath) -> Result<StatusCode, Problem> {
    caller.must(Domain::Variables, Action::Write, path.as_str())?;
    let deleted = app.store.variables.delete(caller.workspace.id, &path).await?;
    if !deleted {
        return Err(not_there("variable", &path));
    }
    app.dispatch.tell_triggers(caller.workspace.id);
    Ok(StatusCode::NO_CONTENT)
}
