//! `GET /api/w/{workspace}/versions/{path}`

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{
    auth::{Action, Domain},
    version::Deployment,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::not_deployed;
use crate::{
    app::App,
    auth::Caller,
    problem::Problem,
    request::{
        paging,
        url::{Query, WholePath},
    },
};

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct VersionsQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 if left out.
    limit: Option<u32>,
}

/// A page of a path's deployments, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeploymentList {
    items: Vec<DeploymentItem>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DeploymentItem {
    number: i64,
    version: String,
    created_at: String,
    created_by: String,
}

/// Lists what was deployed at a path, newest first.
#[utoipa::path(get, path = "/api/w/{workspace}/versions/{path}", tag = "scripts",
    params(("workspace" = String, Path), ("path" = String, Path), VersionsQuery), responses((status = 200, body = DeploymentList)))]
pub(crate) async fn versions(
    State(app): State<Arc<App>>,
    caller: Caller,
    WholePath(path): WholePath,
    Query(query): Query<VersionsQuery>,
) -> Result<Json<DeploymentList>, Problem> {
    caller.must(Domain::Scripts, Action::Read, path.as_str())?;
    let limit = paging::limit(query.limit)?;
    let before: Option<i64> = paging::decode(query.cursor.as_deref())?;
    let mut found = app.store.scripts.deployments(caller.workspace.id, &path, before, limit + 1).await?;
    if found.is_empty() && before.is_none() {
        return Err(not_deployed(&path));
    }
    let next = paging::cut(&mut found, limit, |deployment| deployment.number.to_string());
    Ok(Json(DeploymentList { items: found.into_iter().map(DeploymentItem::from).collect(), next }))
}

impl From<Deployment> for DeploymentItem {
    fn from(deployment: Deployment) -> Self {
        Self {
            number: deployment.number,
            version: deployment.version.to_string(),
            created_at: deployment.created_at.to_string(),
            created_by: deployment.created_by.to_string(),
        }
    }
}
