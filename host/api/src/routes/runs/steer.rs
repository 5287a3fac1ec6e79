//! `POST /api/w/{workspace}/runs/{id}/cancel` and `…/rerun`

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use sandmill_dispatch::RerunTerms;
use sandmill_model::{Code, JsonText, RunId, RunStatus, auth::Action, idempotency};
use sandmill_store::queue::Cancelled;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{find, start::must_be_an_object};
use crate::{
    answers::{self, RunReceipt},
    app::App,
    auth::Caller,
    observe,
    problem::Problem,
    request::{body::OptionalJson, url::RunRef},
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

/// What is different this time; an empty body changes nothing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RerunSubmission {
    /// Other arguments than the run had: an object.
    #[schema(value_type = Option<Object>)]
    args: Option<JsonText>,
    /// Which version of the script: the `newest`, or the `same` that ran.
    version: RerunVersion,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RerunVersion {
    #[default]
    Newest,
    Same,
}

/// Does a run again, with its arguments or others, by the newest version of its script or the same.
#[utoipa::path(post, path = "/api/w/{workspace}/runs/{id}/rerun", tag = "runs",
    params(("workspace" = String, Path), ("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters: the same request again starts nothing twice")),
    request_body = Option<RerunSubmission>,
    responses((status = 202, description = "The new run is durable", body = RunReceipt)))]
pub(crate) async fn rerun(
    State(app): State<Arc<App>>,
    caller: Caller,
    RunRef(run): RunRef,
    headers: HeaderMap,
    OptionalJson(submission): OptionalJson<RerunSubmission>,
) -> Result<Response, Problem> {
    find(&app, &caller, run, Action::Start).await?;
    let RerunSubmission { args, version } = submission;
    if let Some(arguments) = &args {
        must_be_an_object(arguments)?;
    }
    let terms = RerunTerms { arguments: args, same_version: version == RerunVersion::Same, idempotency_key: idempotency::key(&headers)? };
    let again = app.dispatch.rerun(Arc::clone(&caller.principal), caller.workspace.clone(), run, terms).await?;
    observe::note_run(again.run);
    Ok(answers::accepted(&caller.workspace.name, again))
}
