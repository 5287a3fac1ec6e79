//! `GET /api/w/{workspace}/runs`

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{Labels, RunId, RunSummary, auth::Action};
use sandmill_store::history::RunFilter;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::filter::{FilterQuery, within_reach};
use crate::{
    app::App,
    auth::Caller,
    problem::Problem,
    request::{paging, url::Query},
};

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 if left out.
    limit: Option<u32>,
}

/// A page of runs, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunList {
    items: Vec<RunItem>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RunItem {
    id: String,
    path: String,
    /// Number of the deployment that ran.
    number: i64,
    /// Digest of the version that ran.
    version: String,
    status: &'static str,
    /// How it ended; null until then.
    outcome: Option<&'static str>,
    /// Kind of the trigger that started it; null if it was started directly.
    trigger: Option<String>,
    /// Path of that trigger; null if none that is configured started it.
    trigger_path: Option<String>,
    /// Number of the last attempt; 0 if none was started.
    attempt: u32,
    run_as: String,
    created_at: String,
    scheduled_for: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    /// What it was started with or its manifest said; null: none.
    tag: Option<String>,
    labels: Labels,
    /// The run on whose account it was started.
    cause: Option<RunCause>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RunCause {
    /// `parent`: that run started this one; `rerun`: it was to be done again; `handler`: it failed, and this is its error handler.
    kind: &'static str,
    run: String,
}

/// Lists the runs that the token may read, newest first. A page may be short although there are more: `next` tells.
#[utoipa::path(get, path = "/api/w/{workspace}/runs", tag = "runs",
    params(("workspace" = String, Path), FilterQuery, PageQuery), responses((status = 200, body = RunList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(filter): Query<FilterQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<RunList>, Problem> {
    self::page(&app, &caller, filter.read()?, &page).await
}

pub(crate) async fn page(app: &App, caller: &Caller, filter: RunFilter, asked: &PageQuery) -> Result<Json<RunList>, Problem> {
    let filter = within_reach(caller, Action::Read, filter)?;
    let limit = paging::limit(asked.limit)?;
    let before: Option<RunId> = paging::decode(asked.cursor.as_deref())?;
    let page = app.dispatch.runs(caller.workspace.id, filter, before, limit).await?;
    let items = page.runs.into_iter().map(RunItem::from).collect();
    Ok(Json(RunList { items, next: page.next.map(paging::encode) }))
}

impl From<RunSummary> for RunItem {
    fn from(run: RunSummary) -> Self {
        Self {
            id: run.id.to_string(),
            path: run.path.to_string(),
            number: run.number,
            version: run.version.to_string(),
            status: run.status.name(),
            outcome: run.outcome.map(sandmill_model::OutcomeKind::name),
            trigger: run.trigger_kind,
            trigger_path: run.trigger_path.map(|path| path.to_string()),
            attempt: run.attempt,
            run_as: run.run_as,
            created_at: run.created_at.to_string(),
            scheduled_for: run.scheduled_for.to_string(),
            started_at: run.started_at.map(|at| at.to_string()),
            ended_at: run.ended_at.map(|at| at.to_string()),
            tag: Some(run.tag.to_string()).filter(|tag| !tag.is_empty()),
            labels: Arc::unwrap_or_clone(run.labels),
            cause: run.cause.map(|cause| RunCause { kind: cause.kind.name(), run: cause.run.to_string() }),
        }
    }
}
