//! `POST /api/w/{workspace}/runs/{id}/cancel` and `…/rerun`

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use sandmill_model::{Code, RunId, RunStatus, auth::Action, idempotency};
use sandmill_store::queue::Cancelled;

use super::find;
use crate::{
    answers::{self, RunReceipt},
    app::App,
    auth::Caller,
    observe,
    problem::Problem,
    request::url::RunRef,
};

/// Cancels a run: 200 if it was waiting, 202 if it executes and is being ended, 409 if it had ended.
#[utoipa::path(post, path = "/api/w/{workspace}/runs/{id}/cancel", tag = "runs",
    params(("workspace" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "It was waiting; it is cancelled", body = RunReceipt),
        (status = 202, description = "It executes; it is being ended", body = RunReceipt)))]
pub(crate) async fn cancel(State(app): State<Arc<App>>, caller: Caller, RunRef(run): RunRef) -> Result<Response, Problem> {
    find(&app, &caller, run, Action::Cancel).await?;
    match app.dispatch.cancel(caller.workspace.id, run).await? {
        Cancelled::AtOnce => Ok((StatusCode::OK, Json(receipt(run, RunStatus::Cancelled))).into_response()),
        Cancelled::Requested => Ok((StatusCode::ACCEPTED, Json(receipt(run, RunStatus::Running))).into_response()),
        Cancelled::TooLate => Err(Problem::new(Code::Conflict, "the run has ended already").run(run)),
    }
}

fn receipt(run: RunId, status: RunStatus) -> RunReceipt {
    RunReceipt { run_id: run.to_string(), status: status.name() }
}

/// Starts the newest version of a run's script with the arguments that the run had.
#[utoipa::path(post, path = "/api/w/{workspace}/runs/{id}/rerun", tag = "runs",
    params(("workspace" = String, Path), ("id" = String, Path)),
    responses((status = 202, description = "The new run is durable", body = RunReceipt)))]
pub(crate) async fn rerun(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    RunRef(run): RunRef,
) -> Result<Response, Problem> {
    find(&app, &caller, run, Action::Start).await?;
    let key = idempotency::key(&headers)?;
    let again = app.dispatch.rerun(Arc::clone(&caller.principal), caller.workspace.clone(), run, key).await?;
    observe::note_run(again.run);
    Ok(answers::accepted(&caller.workspace.name, again))
}
