//! `GET /api/w/{workspace}/triggers` and `GET …/triggers/{path}`

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{
    BoxFuture, ScriptPath,
    auth::{Action, Domain},
};
use sandmill_store::triggers::{Trigger, TriggerFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    body::{TriggerBody, read_target},
    find,
};
use crate::{
    app::App,
    auth::Caller,
    problem::Problem,
    request::{
        paging::PathQuery,
        url::{Query, WholePath},
    },
    routes::runs::filter::plain,
};

/// Which triggers; everything that is given must fit.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TriggerQuery {
    /// Only those of this kind.
    kind: Option<String>,
    /// Only those that start this script.
    target: Option<String>,
}

/// A page of triggers, in order of their paths.
#[derive(Serialize, ToSchema)]
pub(crate) struct TriggerList {
    items: Vec<TriggerItem>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TriggerItem {
    path: String,
    kind: String,
    /// Path of the script that its events start.
    target: String,
    /// `on`, `off`, `held` or `capture`.
    mode: &'static str,
    description: String,
    revision: i64,
    updated_at: String,
    updated_by: String,
}

impl From<Trigger> for TriggerItem {
    fn from(trigger: Trigger) -> Self {
        Self {
            path: trigger.path.to_string(),
            kind: trigger.kind.to_string(),
            target: trigger.target.to_string(),
            mode: trigger.mode.name(),
            description: trigger.description,
            revision: trigger.revision,
            updated_at: trigger.updated_at.to_string(),
            updated_by: trigger.updated_by.to_string(),
        }
    }
}

/// Lists the triggers that the token may read. The webhooks that every script has by itself are not among them.
#[utoipa::path(get, path = "/api/w/{workspace}/triggers", tag = "triggers",
    params(("workspace" = String, Path), TriggerQuery, PathQuery), responses((status = 200, body = TriggerList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(asked): Query<TriggerQuery>,
    Query(query): Query<PathQuery>,
) -> Result<Json<TriggerList>, Problem> {
    caller.must_somewhere(Domain::Triggers, Action::Read)?;
    let workspace = caller.workspace.id;
    let filter = TriggerFilter {
        prefix: query.prefix.clone().unwrap_or_default(),
        kind: plain("kind", asked.kind.as_ref())?.map(Arc::from),
        target: asked.target.as_deref().map(read_target).transpose()?,
    };
    let (triggers, filter) = (&app.store.triggers, &filter);
    let read = |after: Option<ScriptPath>, limit| -> BoxFuture<'_, _> {
        Box::pin(async move { triggers.list(workspace, filter, after.as_ref(), limit).await })
    };
    let (found, next) = query.page(&caller, Domain::Triggers, |trigger: &Trigger| &trigger.path, read).await?;
    Ok(Json(TriggerList { items: found.into_iter().map(TriggerItem::from).collect(), next }))
}

/// Shows a trigger, with references in its config in the place of what they refer to.
#[utoipa::path(get, path = "/api/w/{workspace}/triggers/{path}", tag = "triggers",
    params(("workspace" = String, Path), ("path" = String, Path)), responses((status = 200, body = TriggerBody)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller, WholePath(path): WholePath) -> Result<Json<TriggerBody>, Problem> {
    find(&app, &caller, &path, Action::Read).await.map(|trigger| Json(trigger.into()))
}
