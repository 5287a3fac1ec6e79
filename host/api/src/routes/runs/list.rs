//! `GET /api/w/{workspace}/runs`

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{
    Code, RunId, RunStatus, RunSummary,
    auth::{Action, Domain},
};
use sandmill_store::history::RunFilter;
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
pub(crate) struct RunsQuery {
    /// Only runs of this script.
    path: Option<String>,
    /// Only runs in this status: `queued`, `running`, `succeeded`, `failed`, `cancelled`, `skipped`, …
    status: Option<String>,
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
    /// Number of the last attempt; 0 if none was started.
    attempt: u32,
    run_as: String,
    created_at: String,
    scheduled_for: String,
    started_at: Option<String>,
    ended_at: Option<String>,
}

/// Lists the runs that the token may read, newest first. A page may be short although there are more: `next` tells.
#[utoipa::path(get, path = "/api/w/{workspace}/runs", tag = "runs",
    params(("workspace" = String, Path), RunsQuery), responses((status = 200, body = RunList)))]
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller, Query(query): Query<RunsQuery>) -> Result<Json<RunList>, Problem> {
    caller.must_somewhere(Domain::Runs, Action::Read)?;
    let limit = paging::limit(query.limit)?;
    let before: Option<RunId> = paging::decode(query.cursor.as_deref())?;
    let filter = filter(&query)?;
    let mut found = app.dispatch.runs(caller.workspace.id, filter, before, limit + 1).await?;
    let next = paging::cut(&mut found, limit, |run| run.id.to_string());
    let readable = |run: &RunSummary| caller.may(Domain::Runs, Action::Read, Some(run.path.as_str()));
    Ok(Json(RunList { items: found.into_iter().filter(readable).map(RunItem::from).collect(), next }))
}

fn filter(query: &RunsQuery) -> Result<RunFilter, Problem> {
    let path = query.path.as_deref().map(str::parse).transpose();
    let path = path.map_err(|error: sandmill_model::path::InvalidPath| Problem::new(Code::InvalidPath, error.to_string()))?;
    let status = match &query.status {
        None => None,
        Some(name) => Some(RunStatus::from_name(name).ok_or_else(|| {
            let names: Vec<_> = RunStatus::ALL.iter().map(|status| status.name()).collect();
            Problem::new(Code::BadRequest, format!("`status` is one of {}", names.join(", ")))
        })?),
    };
    Ok(RunFilter { path, status })
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
            attempt: run.attempt,
            run_as: run.run_as,
            created_at: run.created_at.to_string(),
            scheduled_for: run.scheduled_for.to_string(),
            started_at: run.started_at.map(|at| at.to_string()),
            ended_at: run.ended_at.map(|at| at.to_string()),
        }
    }
}
