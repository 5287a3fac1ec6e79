//! What callers are told of runs: accepted, still running, ended well, ended badly.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sandmill_dispatch::Accepted;
use sandmill_model::{
    Code, OutcomeKind, Output, RunError, RunId, RunStatus, ScriptPath,
    auth::{Action, Domain},
    code::Refusal,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::Caller,
    problem::{Fault, Problem},
    request::headers::{self, RUN_ID},
};

/// A run was accepted, or goes on.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunReceipt {
    pub(crate) run_id: String,
    pub(crate) status: &'static str,
}

/// 202 for a run that is durable. The answer to a repetition says that it is one.
pub(crate) fn accepted(workspace: &str, accepted: Accepted) -> Response {
    let run = accepted.run;
    of(accepted, receipt(run, RunStatus::Queued, format!("/api/w/{workspace}/runs/{run}")))
}

/// The answer to a repetition of a request says that it is one.
pub(crate) fn of(accepted: Accepted, mut response: Response) -> Response {
    if accepted.is_repetition {
        response.headers_mut().insert(headers::IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// 202 for a run that outlived the wait limit, or that has not ended yet.
pub(crate) fn not_ended(workspace: &str, run: RunId, status: RunStatus) -> Response {
    receipt(run, status, format!("/api/w/{workspace}/runs/{run}/result"))
}

fn receipt(run: RunId, status: RunStatus, location: String) -> Response {
    let body = Json(RunReceipt { run_id: run.to_string(), status: status.name() });
    let mut response = (StatusCode::ACCEPTED, body).into_response();
    if let Ok(location) = HeaderValue::from_maybe_shared(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    name_run(response.headers_mut(), run);
    response
}

pub(crate) fn name_run(headers: &mut HeaderMap, run: RunId) {
    if let Ok(value) = HeaderValue::from_maybe_shared(run.to_string()) {
        headers.insert(RUN_ID, value);
    }
}

/// 200 with the result as it is; a run that was skipped has none, which is null.
pub(crate) fn result(output: Option<&Output>, run: RunId) -> Response {
    let json = HeaderValue::from_static("application/json");
    let (content_type, body) = match output {
        None => (json, Bytes::from_static(b"null")),
        Some(Output::Json(text)) => (json, Bytes::copy_from_slice(text.as_str().as_bytes())),
        Some(Output::Bytes { content_type, data }) => {
            let content_type = HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
            (content_type, data.clone())
        }
        // Whoever answers has fetched it.
        Some(Output::Kept(_)) => return Problem::internal("a result that is kept apart was not fetched").run(run).into_response(),
    };
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    headers::sandbox(response.headers_mut());
    name_run(response.headers_mut(), run);
    response
}

/// The problem that a run ended with. Message and stack are for those who may read runs; what is wrong with the arguments is for whoever sent them.
pub(crate) fn failure(caller: &Caller, path: &ScriptPath, run: RunId, kind: OutcomeKind, error: Option<&RunError>) -> Problem {
    let code = Code::of_outcome(kind).unwrap_or(Code::Internal);
    let may_read = caller.may(Domain::Runs, Action::Read, Some(path.as_str()));
    if code == Code::InvalidArguments {
        return invalid_arguments(error).run(run);
    }
    let problem = match error {
        Some(error) if may_read => {
            let detail = if error.message.is_empty() { code.title().to_owned() } else { error.message.clone() };
            Problem::new(code, detail).error(error.clone().into())
        }
        _ => Problem::new(code, "a token with the scope runs:read sees why"),
    };
    // What a preprocessor refuses is its sender's fault, and the script says which.
    match error.and_then(|error| error.rejects) {
        Some(status) => problem.status(status).run(run),
        None => problem.run(run),
    }
}

/// 422 with the pointers of all faults.
pub(crate) fn invalid_arguments(error: Option<&RunError>) -> Problem {
    #[derive(Default, Deserialize)]
    struct Details {
        #[serde(default)]
        faults: Vec<Fault>,
    }
    let faults = error.and_then(|error| error.details.as_ref()?.read::<Details>().ok()).unwrap_or_default().faults;
    let detail = error.map_or_else(|| Code::InvalidArguments.title().to_owned(), |error| error.message.clone());
    Problem::new(Code::InvalidArguments, detail).faults(faults)
}

impl From<sandmill_dispatch::Refused> for Problem {
    fn from(refused: sandmill_dispatch::Refused) -> Self {
        match refused {
            sandmill_dispatch::Refused::Refusal(refusal) => refusal.into(),
            sandmill_dispatch::Refused::Arguments(error) => invalid_arguments(Some(&error)),
        }
    }
}

/// What a kind says about an output that it cannot turn into a response.
pub(crate) fn unanswerable(refusal: Refusal, run: RunId) -> Problem {
    Problem::from(refusal).run(run)
}
