//! `POST /api/w/{workspace}/runs`

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use sandmill_dispatch::{Accepted, Due, StartRequest, StartTerms, Waited};
use sandmill_model::{
    Code, Input, JsonText, RunAs, RunStatus, Timestamp,
    auth::{Action, Domain},
    idempotency,
    limits::START_DELAY_MAX,
    version::Selector,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    answers::{self, RunReceipt},
    app::App,
    auth::Caller,
    observe,
    problem::{Fault, Problem},
    request::body::JsonBody,
};

/// Which script, with what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunSubmission {
    /// With `@number` or `@digest` for a version.
    path: String,
    /// The arguments of `main`: an object.
    #[schema(value_type = Option<Object>)]
    args: Option<JsonText>,
    /// Whether to wait for the result, up to the wait limit.
    #[serde(default)]
    wait: bool,
    /// Start it this many milliseconds from now, at most 366 days; not with `wait`.
    delay_ms: Option<u64>,
    /// Start it at this time (RFC 3339, at most 366 days from now; at once if it is over) instead of after `delay_ms`; not with `wait`.
    scheduled_for: Option<String>,
    /// From -1000 to 1000, instead of the manifest's.
    priority: Option<i32>,
    /// Instead of the manifest's.
    tag: Option<String>,
    /// As whom it acts, instead of as the manifest says or as whoever asks: a service account, `s/NAME`, or a group, `g/NAME`, that they may
    /// use; or themselves, `u/NAME`.
    run_as: Option<String>,
}

impl RunSubmission {
    fn due(&self, now: Timestamp) -> Result<Option<Due>, String> {
        let (name, due) = match (self.delay_ms, &self.scheduled_for) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err("`delay_ms` and `scheduled_for` do not go together".to_owned()),
            (Some(ms), None) => ("delay_ms", Due::In(Duration::from_millis(ms))),
            (None, Some(at)) => ("scheduled_for", Due::At(at.parse().map_err(|error| format!("`scheduled_for`: {error}"))?)),
        };
        if self.wait {
            return Err(format!("`{name}` and `wait` do not go together"));
        }
        match due {
            Due::In(delay) if delay > START_DELAY_MAX => Err(format!("`delay_ms` is at most {}", START_DELAY_MAX.as_millis())),
            Due::At(at) if at > now.plus(START_DELAY_MAX) => {
                Err(format!("`scheduled_for` is at most {} days from now", START_DELAY_MAX.as_secs() / 86_400))
            }
            due => Ok(Some(due)),
        }
    }

    fn terms(&self, idempotency_key: Option<String>, now: Timestamp) -> Result<StartTerms, Problem> {
        Ok(StartTerms {
            due: self.due(now).map_err(|fault| Problem::new(Code::BadRequest, fault))?,
            priority: self.priority,
            tag: self.tag.as_deref().map(Into::into),
            run_as: self.run_as.as_deref().map(run_as).transpose()?,
            idempotency_key,
            cause: None,
            replay_of: None,
            child_of: None,
            asked_by: None,
            trigger: None,
            stages_state: false,
        })
    }
}

fn run_as(text: &str) -> Result<RunAs, Problem> {
    text.parse().map_err(|error| Problem::new(Code::BadRequest, format!("`run_as`: {error}")))
}

/// Starts a run. Its arguments are those of `main`: a preprocessor is passed over.
///
/// Without `wait` the answer is 202 as soon as the run is durable; with it, 200 and the result as the script returned it.
#[utoipa::path(post, path = "/api/w/{workspace}/runs", tag = "runs", request_body = RunSubmission,
    params(("workspace" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters: the same request again starts nothing twice")),
    responses((status = 202, description = "Accepted, or still running at the wait limit", body = RunReceipt),
        (status = 200, description = "With `wait`: the result: JSON, or bytes with their own content type",
            content((serde_json::Value = "application/json"), (Vec<u8> = "*/*")))))]
pub(crate) async fn start(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(submission): JsonBody<RunSubmission>,
) -> Result<Response, Problem> {
    let (path, selector) = Selector::split(&submission.path).map_err(|error| Problem::new(Code::InvalidPath, error.to_string()))?;
    caller.must(Domain::Runs, Action::Start, path.as_str())?;
    let mut terms = submission.terms(idempotency::key(&headers)?, app.clock.now())?;
    if let Some(run) = caller.run() {
        // As its children: below it, so that there is an end, and as whom it acts, whatever the script's manifest names.
        terms.asked_by = Some(run);
        if terms.run_as.is_none() {
            terms.run_as = Some(run_as(&caller.principal.identity)?);
        }
    }
    let arguments = submission.args.unwrap_or_else(JsonText::empty_object);
    must_be_an_object(&arguments)?;
    let request = StartRequest {
        principal: Arc::clone(&caller.principal),
        workspace: caller.workspace.clone(),
        path: path.clone(),
        selector,
        input: Input::Arguments(arguments),
        terms,
    };
    if !submission.wait {
        let accepted = app.dispatch.accept(request).await?;
        observe::note_run(accepted.run);
        return Ok(answers::accepted(&caller.workspace.name, accepted));
    }
    match app.dispatch.run(request, app.options.wait_limit).await? {
        Waited::StillRunning(accepted) => {
            observe::note_run(accepted.run);
            Ok(answers::of(accepted, answers::not_ended(&caller.workspace.name, accepted.run, RunStatus::Running)))
        }
        Waited::Ended { run, is_repetition, outcome } => {
            observe::note_run(run);
            let response = match Code::of_outcome(outcome.kind) {
                Some(_) => answers::failure(&caller, &path, run, outcome.kind, outcome.error.as_ref()).into_response(),
                None => answers::result(outcome.output.as_ref(), run),
            };
            Ok(answers::of(Accepted { run, is_repetition }, response))
        }
    }
}

pub(super) fn must_be_an_object(arguments: &JsonText) -> Result<(), Problem> {
    if arguments.is_object() {
        return Ok(());
    }
    let fault = Fault { pointer: String::new(), message: "must be an object".to_owned() };
    Err(Problem::new(Code::InvalidArguments, "`args` must be an object").faults(vec![fault]))
}
