//! `GET /api/w/{workspace}/runs/{id}`

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{JsonText, RunRecord, auth::Action};
use serde::Serialize;
use utoipa::ToSchema;

use super::{find, list::RunItem};
use crate::{
    app::App,
    auth::Caller,
    problem::{Problem, ScriptError},
    request::url::RunRef,
};

/// A run with everything but its result and its log.
#[derive(Serialize, ToSchema)]
pub(crate) struct Run {
    #[serde(flatten)]
    summary: RunItem,
    #[schema(value_type = Object)]
    arguments: JsonText,
    /// What started it: what its trigger tells of it, and, where a preprocessor made the arguments, the payload in `raw`, or in `body` with
    /// `encoding` if it is not text.
    #[schema(value_type = Option<Object>)]
    event: Option<JsonText>,
    error: Option<ScriptError>,
    usage: RunUsage,
    /// How far it says it is, while it executes.
    progress: Option<RunProgress>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RunUsage {
    fuel: u64,
    memory_peak_bytes: u64,
    cpu_ns: u64,
    wall_ns: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RunProgress {
    /// 0 to 100.
    percent: f64,
    text: String,
}

/// Shows a run.
#[utoipa::path(get, path = "/api/w/{workspace}/runs/{id}", tag = "runs",
    params(("workspace" = String, Path), ("id" = String, Path)), responses((status = 200, body = Run)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller, RunRef(run): RunRef) -> Result<Json<Run>, Problem> {
    let RunRecord { summary, arguments, event, output: _, error, usage } = find(&app, &caller, run, Action::Read).await?;
    let progress = app.dispatch.progress(run).map(|progress| RunProgress { percent: progress.percent, text: progress.text });
    Ok(Json(Run {
        summary: summary.into(),
        arguments,
        event,
        error: error.map(Into::into),
        usage: RunUsage { fuel: usage.fuel, memory_peak_bytes: usage.memory_peak_bytes, cpu_ns: usage.cpu_ns, wall_ns: usage.wall_ns },
        progress,
    }))
}
