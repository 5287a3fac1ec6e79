//! `GET /api/w/{workspace}/scripts`

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{
    ScriptPath,
    auth::{Action, Domain},
};
use sandmill_store::scripts::ScriptSummary;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    auth::Caller,
    problem::Problem,
    request::{paging, url::Query},
};

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only scripts whose path starts so.
    prefix: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 if left out.
    limit: Option<u32>,
}

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

/// Lists the scripts that the token may read. A page may be short although there are more: `next` tells.
#[utoipa::path(get, path = "/api/w/{workspace}/scripts", tag = "scripts",
    params(("workspace" = String, Path), ListQuery), responses((status = 200, body = ScriptList)))]
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller, Query(query): Query<ListQuery>) -> Result<Json<ScriptList>, Problem> {
    caller.must_somewhere(Domain::Scripts, Action::Read)?;
    let limit = paging::limit(query.limit)?;
    let after: Option<ScriptPath> = paging::decode(query.cursor.as_deref())?;
    let prefix = query.prefix.as_deref().unwrap_or_default();
    let mut found = app.store.scripts.list(caller.workspace.id, prefix, after.as_ref(), limit + 1).await?;
    let next = paging::cut(&mut found, limit, |script| script.deployment.path.to_string());
    let readable = |script: &ScriptSummary| caller.may(Domain::Scripts, Action::Read, Some(script.deployment.path.as_str()));
    let items = found.into_iter().filter(readable).map(ScriptItem::from).collect();
    Ok(Json(ScriptList { items, next }))
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
