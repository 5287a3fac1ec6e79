//! `/api/w/{workspace}/tokens`

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use http::StatusCode;
use sandmill_model::auth::{Action, Domain};

use super::{PageQuery, RotateRequest, TokenBody, TokenList, TokenRequest, TokenSecret, Tokens, no_scope};
use crate::{
    app::App,
    auth::Caller,
    problem::Problem,
    request::{
        body::{JsonBody, OptionalJson},
        url::{Query, TokenRef},
    },
};

fn tokens<'a>(app: &'a App, caller: &'a Caller, action: Action) -> Result<Tokens<'a>, Problem> {
    if !caller.may(Domain::Tokens, action, None) {
        return Err(no_scope(action));
    }
    Ok(Tokens { app, of: Some(caller.workspace.id), principal: &caller.principal, shown: &caller.shown })
}

/// Lists the workspace's tokens without their secrets, oldest first. Needs `tokens:read`.
#[utoipa::path(get, path = "/api/w/{workspace}/tokens", tag = "tokens",
    params(("workspace" = String, Path), PageQuery), responses((status = 200, body = TokenList)))]
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller, Query(query): Query<PageQuery>) -> Result<Json<TokenList>, Problem> {
    tokens(&app, &caller, Action::Read)?.list(&query).await
}

/// Makes a token for the workspace, with scopes that the caller has, too. Needs `tokens:write`. The secret is in no other answer.
#[utoipa::path(post, path = "/api/w/{workspace}/tokens", tag = "tokens",
    params(("workspace" = String, Path)), request_body = TokenRequest, responses((status = 201, body = TokenSecret)))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(request): JsonBody<TokenRequest>,
) -> Result<Response, Problem> {
    tokens(&app, &caller, Action::Write)?.create(request).await
}

/// Shows a token of the workspace without its secret. Needs `tokens:read`.
#[utoipa::path(get, path = "/api/w/{workspace}/tokens/{id}", tag = "tokens",
    params(("workspace" = String, Path), ("id" = String, Path)), responses((status = 200, body = TokenBody)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller, TokenRef(id): TokenRef) -> Result<Json<TokenBody>, Problem> {
    tokens(&app, &caller, Action::Read)?.show(id).await
}

/// Revokes a token of the workspace: here at once, on every node within a second. Needs `tokens:write`.
#[utoipa::path(delete, path = "/api/w/{workspace}/tokens/{id}", tag = "tokens",
    params(("workspace" = String, Path), ("id" = String, Path)), responses((status = 204, description = "It is revoked")))]
pub(crate) async fn revoke(State(app): State<Arc<App>>, caller: Caller, TokenRef(id): TokenRef) -> Result<StatusCode, Problem> {
    tokens(&app, &caller, Action::Write)?.revoke(id).await
}

/// Gives a token of the workspace a new secret, which is in no other answer. Needs `tokens:write`, and all that the token may.
#[utoipa::path(post, path = "/api/w/{workspace}/tokens/{id}/rotate", tag = "tokens",
    params(("workspace" = String, Path), ("id" = String, Path)), request_body = Option<RotateRequest>,
    responses((status = 200, body = TokenSecret)))]
pub(crate) async fn rotate(
    State(app): State<Arc<App>>,
    caller: Caller,
    TokenRef(id): TokenRef,
    OptionalJson(request): OptionalJson<RotateRequest>,
) -> Result<Response, Problem> {
    tokens(&app, &caller, Action::Write)?.rotate(id, request).await
}
