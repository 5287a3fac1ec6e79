//! `/api/instance/tokens`: tokens that belong to no workspace and are good in all, for holders of such tokens.

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use http::StatusCode;
use sandmill_model::auth::{Action, Domain};

use super::{PageQuery, RotateRequest, TokenBody, TokenList, TokenRequest, TokenSecret, Tokens, no_scope};
use crate::{
    app::App,
    auth::Authenticated,
    problem::Problem,
    request::{
        body::{JsonBody, OptionalJson},
        url::{Query, TokenRef},
    },
};

fn tokens<'a>(app: &'a App, caller: &'a Authenticated, action: Action) -> Result<Tokens<'a>, Problem> {
    let Authenticated(principal, shown) = caller;
    if !principal.may_everywhere(Domain::Tokens, action) {
        return Err(no_scope(action));
    }
    Ok(Tokens { app, of: None, principal, shown })
}

/// Lists the installation's own tokens without their secrets, oldest first. Needs `tokens:read`.
#[utoipa::path(get, path = "/api/instance/tokens", tag = "tokens",
    params(PageQuery), responses((status = 200, body = TokenList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Query(query): Query<PageQuery>,
) -> Result<Json<TokenList>, Problem> {
    tokens(&app, &caller, Action::Read)?.list(&query).await
}

/// Makes a token for all workspaces, with scopes that the caller has, too. Needs `tokens:write`. The secret is in no other answer.
#[utoipa::path(post, path = "/api/instance/tokens", tag = "tokens",
    request_body = TokenRequest, responses((status = 201, body = TokenSecret)))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    JsonBody(request): JsonBody<TokenRequest>,
) -> Result<Response, Problem> {
    tokens(&app, &caller, Action::Write)?.create(request).await
}

/// Shows a token of the installation without its secret. Needs `tokens:read`.
#[utoipa::path(get, path = "/api/instance/tokens/{id}", tag = "tokens",
    params(("id" = String, Path)), responses((status = 200, body = TokenBody)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Authenticated, TokenRef(id): TokenRef) -> Result<Json<TokenBody>, Problem> {
    tokens(&app, &caller, Action::Read)?.show(id).await
}

/// Revokes a token of the installation: here at once, on every node within a second. Needs `tokens:write`.
#[utoipa::path(delete, path = "/api/instance/tokens/{id}", tag = "tokens",
    params(("id" = String, Path)), responses((status = 204, description = "It is revoked")))]
pub(crate) async fn revoke(State(app): State<Arc<App>>, caller: Authenticated, TokenRef(id): TokenRef) -> Result<StatusCode, Problem> {
    tokens(&app, &caller, Action::Write)?.revoke(id).await
}

/// Gives a token of the installation a new secret, which is in no other answer. Needs `tokens:write`, and all that the token may.
#[utoipa::path(post, path = "/api/instance/tokens/{id}/rotate", tag = "tokens",
    params(("id" = String, Path)), request_body = Option<RotateRequest>,
    responses((status = 200, body = TokenSecret)))]
pub(crate) async fn rotate(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    TokenRef(id): TokenRef,
    OptionalJson(request): OptionalJson<RotateRequest>,
) -> Result<Response, Problem> {
    tokens(&app, &caller, Action::Write)?.rotate(id, request).await
}
