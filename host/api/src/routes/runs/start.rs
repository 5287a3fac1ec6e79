//! `POST /api/w/{workspace}/runs`

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::HeaderMap;
use sandmill_dispatch::{Accepted, Due, StartRequest, StartTerms, Waited};
use sandmill_model::{
    Code, Event, Input, JsonText, RunAs, RunStatus, Timestamp,
    auth::{Action, Domain},
    event::TriggerRef,
    idempotency,
    limits::START_DELAY_MAX,
    version::Selector,
};
use serde::{Deserialize, de::IgnoredAny};
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
    /// In the place of `args`: what a trigger would deliver. A preprocessor makes the arguments of it; without one they are the payload.
    event: Option<SubmittedEvent>,
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

/// An event to try a script with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubmittedEvent {
    /// What the script is told to be the kind of the trigger: lower-case letters, digits, `_` and `-`, at most 32. It comes from none in any case.
    #[serde(default = "by_http")]
    kind: String,
    /// What the script gets beside the payload: an object without `kind`, `trigger`, `body`, `raw` and `encoding`.
    #[schema(value_type = Option<Object>)]
    metadata: Option<JsonText>,
    /// A text is sent as it is, any other value as JSON.
    #[schema(value_type = Option<serde_json::Value>)]
    payload: Option<JsonText>,
    /// In the place of `payload`: any bytes.
    payload_base64: Option<String>,
}

/// Of a request that nobody sent.
fn by_http() -> String {
    "http".to_owned()
}

impl SubmittedEvent {
    /// What the host says of an event itself: metadata that said it, too, would go before it.
    const OF_THE_HOST: [&str; 5] = ["kind", "trigger", "body", "raw", "encoding"];
    const KIND_BYTES_MAX: usize = 32;

    fn read(self, idempotency_key: Option<String>) -> Result<Event, String> {
        let Self { kind, metadata, payload, payload_base64 } = self;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
        if kind.is_empty() || kind.len() > Self::KIND_BYTES_MAX || !kind.bytes().all(is_name) {
            return Err(format!("`event.kind` has 1 to {} characters: lower-case letters, digits, `_` and `-`", Self::KIND_BYTES_MAX));
        }
        let metadata = metadata.unwrap_or_else(JsonText::empty_object);
        let members: BTreeMap<String, IgnoredAny> = metadata.read().map_err(|_| "`event.metadata` must be an object".to_owned())?;
        if let Some(name) = Self::OF_THE_HOST.into_iter().find(|name| members.contains_key(*name)) {
            return Err(format!("`event.metadata` has `{name}`, which the host says itself"));
        }
        let payload = match (payload, payload_base64) {
            (None, None) => Bytes::new(),
            (Some(payload), None) => match payload.read::<String>() {
                Ok(text) => text.into(),
                Err(_) => Bytes::copy_from_slice(payload.as_str().as_bytes()),
            },
            (None, Some(text)) => STANDARD.decode(text).map_err(|error| format!("`event.payload_base64`: {error}"))?.into(),
            (Some(_), Some(_)) => return Err("`event.payload` and `event.payload_base64` do not go together".to_owned()),
        };
        // Of no trigger that is stored: whatever its kind, its key is the caller's own.
        let trigger = TriggerRef { kind: kind.into(), path: None };
        Ok(Event { trigger, metadata, payload, dedup_key: idempotency_key, ordering_key: None })
    }
}

/// Arguments or an event, whichever was sent.
fn input(args: Option<JsonText>, event: Option<SubmittedEvent>, idempotency_key: Option<String>) -> Result<Input, Problem> {
    let bad = |fault: String| Problem::new(Code::BadRequest, fault);
    match (args, event) {
        (Some(_), Some(_)) => Err(bad("`args` and `event` do not go together".to_owned())),
        (None, Some(event)) => Ok(Input::Event(event.read(idempotency_key).map_err(bad)?)),
        (args, None) => {
            let arguments = args.unwrap_or_else(JsonText::empty_object);
            must_be_an_object(&arguments)?;
            Ok(Input::Arguments(arguments))
        }
    }
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
            is_callers_key: false,
            stages_state: false,
        })
    }
}

fn run_as(text: &str) -> Result<RunAs, Problem> {
    text.parse().map_err(|error| Problem::new(Code::BadRequest, format!("`run_as`: {error}")))
}

/// Starts a run. `args` are the arguments of `main`: a preprocessor is passed over. It makes them of an `event`.
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
    let idempotency_key = idempotency::key(&headers)?;
    let mut terms = submission.terms(idempotency_key.clone(), app.clock.now())?;
    if let Some(run) = caller.run() {
        // As its children: below it, so that there is an end, and as whom it acts, whatever the script's manifest names.
        terms.asked_by = Some(run);
        if terms.run_as.is_none() {
            terms.run_as = Some(run_as(&caller.principal.identity)?);
        }
    }
    let input = input(submission.args, submission.event, idempotency_key)?;
    let request = StartRequest {
        principal: Arc::clone(&caller.principal),
        workspace: caller.workspace.clone(),
        path: path.clone(),
        selector,
        input,
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
                Some(_) => answers::failure(&caller, &path, run, outcome.kind, outcome.error.as_ref()).of_its_code().into_response(),
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
