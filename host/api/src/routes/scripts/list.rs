//! `GET /api/w/{workspace}/scripts`

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{
    BoxFuture, ScriptPath,
    auth::{Action, Domain},
};
use sandmill_store::scripts::ScriptSummary;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    auth::Caller,
    problem::Problem,
    request::{paging::PathQuery, url::Query},
};

/// A page of scripts, in order of their paths.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScriptList {
    items: Vec<ScriptItem>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ScriptItem {
    path: String,
    number: i64,
    version: String,
    language: &'static str,
    description: Option<String>,
    created_at: String,
    created_by: String,
}

/// Lists the scripts that the token may read.
#[utoipa::path(get, path = "/api/w/{workspace}/scripts", tag = "scripts",
    params(("workspace" = String, Path), PathQuery), responses((status = 200, body = ScriptList)))]
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller, Query(query): Query<PathQuery>) -> Result<Json<ScriptList>, Problem> {
    caller.must_somewhere(Domain::Scripts, Action::Read)?;
    let (workspace, prefix) = (caller.workspace.id, query.prefix.as_deref().unwrap_or_default());
    let read = |after: Option<ScriptPath>, limit| -> BoxFuture<'_, _> {
        let scripts = &app.store.scripts;
        Box::pin(async move { scripts.list(workspace, prefix, after.as_ref(), limit).await })
    };
    let (found, next) = query.page(&caller, Domain::Scripts, |script: &ScriptSummary| &script.deployment.path, read).await?;
    Ok(Json(ScriptList { items: found.into_iter().map(ScriptItem::from).collect(), next }))
}

impl From<ScriptSummary> for ScriptItem {
    fn from(summary: ScriptSummary) -> Self {
        let ScriptSummary { deployment, language, description } = summary;
        Self {
            path: deployment.path.to_string(),
            number: deployment.number,
            version: deployment.version.to_string(),
            language: language.name(),
            description,
            created_at: deployment.created_at.to_string(),
            created_by: deployment.created_by.to_string(),
        }
    }
}
