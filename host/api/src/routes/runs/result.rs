//! `GET /api/w/{workspace}/runs/{id}/result`

use std::sync::Arc;

use axum::{extract::State, response::Response};
use sandmill_model::{Code, auth::Action};

use super::find;
use crate::{
    answers::{self, RunReceipt},
    app::App,
    auth::Caller,
    problem::Problem,
    request::url::RunRef,
};

/// Gives a run's result as the script returned it, or the problem that it ended with; 202 while it has not ended.
#[utoipa::path(get, path = "/api/w/{workspace}/runs/{id}/result", tag = "runs",
    params(("workspace" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "The result: JSON, or bytes with their own content type",
            content((serde_json::Value = "application/json"), (Vec<u8> = "*/*"))),
        (status = 202, description = "It has not ended", body = RunReceipt)))]
pub(crate) async fn result(State(app): State<Arc<App>>, caller: Caller, RunRef(run): RunRef) -> Result<Response, Problem> {
    let record = find(&app, &caller, run, Action::Read).await?;
    match record.summary.outcome {
        None => Ok(answers::not_ended(&caller.workspace.name, run, record.summary.status)),
        Some(kind) if Code::of_outcome(kind).is_some() => {
            Err(answers::failure(&caller, &record.summary.path, run, kind, record.error.as_ref()).of_its_code())
        }
        Some(_) => {
            let output = match record.output {
                Some(output) => Some(app.dispatch.output(caller.workspace.id, run, output).await?),
                None => None,
            };
            Ok(answers::result(output.as_ref(), run))
        }
    }
}
