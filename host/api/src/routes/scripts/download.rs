//! `GET /api/w/{workspace}/components/{digest}` and `…/programs/{path}`

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, header, request::Parts};
use sandmill_model::{
    Code, Digest,
    auth::{Action, Domain},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::show;
use crate::{
    DownloadForm,
    app::App,
    auth::{Caller, forbidden},
    problem::Problem,
    request::url::{self, Query, ScriptRef},
};

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProgramQuery {
    #[param(inline)]
    form: Option<Form>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// As it runs here; the default.
    Snapshot,
    /// For other hosts.
    Standalone,
}

/// Downloads an uploaded component. Needs `scripts:read` without a path: a component belongs to none.
#[utoipa::path(get, path = "/api/w/{workspace}/components/{digest}", tag = "scripts",
    params(("workspace" = String, Path), ("digest" = String, Path, description = "`sha256:…`")),
    responses((status = 200, description = "The component", body = Vec<u8>, content_type = "application/wasm")))]
pub(crate) async fn component(
    State(app): State<Arc<App>>,
    caller: Caller,
    ComponentRef(digest): ComponentRef,
) -> Result<Response, Problem> {
    if !caller.may(Domain::Scripts, Action::Read, None) {
        return Err(forbidden(Domain::Scripts, Action::Read, None));
    }
    let bytes = app.store.scripts.component(caller.workspace.id, digest).await?;
    Ok(wasm(bytes.ok_or_else(no_component)?, &digest.hex()))
}

/// Downloads a script as a component, whatever it is written in.
#[utoipa::path(get, path = "/api/w/{workspace}/programs/{path}", tag = "scripts",
    params(("workspace" = String, Path), ("path" = String, Path, description = "with `@number` or `@digest` for a version"), ProgramQuery),
    responses((status = 200, description = "The component", body = Vec<u8>, content_type = "application/wasm")))]
pub(crate) async fn program(
    State(app): State<Arc<App>>,
    caller: Caller,
    target: ScriptRef,
    Query(query): Query<ProgramQuery>,
) -> Result<Response, Problem> {
    let (deployment, version) = show::find(&app, &caller, &target.path, target.selector).await?;
    let form = match query.form {
        None | Some(Form::Snapshot) => DownloadForm::Snapshot,
        Some(Form::Standalone) => DownloadForm::Standalone,
    };
    let bytes = app.downloads.component(caller.workspace.id, version, form).await?;
    Ok(wasm(bytes, deployment.path.name()))
}

/// `stem` has only characters that need no quoting in a header.
fn wasm(bytes: Bytes, stem: &str) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/wasm"));
    if let Ok(disposition) = HeaderValue::from_maybe_shared(format!("attachment; filename=\"{stem}.wasm\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

fn no_component() -> Problem {
    Problem::new(Code::NotFound, "there is no such component in this workspace")
}

pub(crate) struct ComponentRef(Digest);

impl<S: Sync> axum::extract::FromRequestParts<S> for ComponentRef {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // A client may have encoded the colon.
        let text = percent_encoding::percent_decode_str(url::last(parts)).decode_utf8_lossy();
        text.parse().map(Self).map_err(|_| no_component())
    }
}
