//! What whoever asked is told: a receipt, the result, what happens in the run.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use sandmill_dispatch::{Accepted, Admitted, Armed, Heard, StartRequest, Waited};
use sandmill_model::{
    Code, JsonText, LogPosition, Outcome, Output, RunId, RunStatus, ScriptPath,
    telling::ResponseHead,
    trigger::{Configured, Mode, Reply},
};
use serde_json::json;

use super::Mount;
use crate::{
    answers,
    auth::Caller,
    events::{self, View},
    observe,
    problem::Problem,
};

/// What a caller wants.
pub(super) struct Asked<'a> {
    pub(super) reply: Reply,
    pub(super) last_event: Option<LogPosition>,
    /// None: as long as the server lets wait.
    pub(super) wait_max: Option<Duration>,
    pub(super) configured: &'a dyn Configured,
}

/// Of an event from which no run begins now. Nobody waits for what nobody knows when it comes.
pub(super) fn admitted(workspace: &str, armed: &Armed, admitted: &Admitted) -> Response {
    match admitted {
        Admitted::Accepted(accepted) => {
            observe::note_run(accepted.run);
            if armed.trigger.mode == Mode::Held {
                return answers::of(*accepted, answers::not_ended(workspace, accepted.run, RunStatus::Held));
            }
            answers::accepted(workspace, *accepted)
        }
        Admitted::Captured(event) => (StatusCode::ACCEPTED, Json(json!({"captured": event.to_string()}))).into_response(),
        Admitted::Filtered => StatusCode::NO_CONTENT.into_response(),
        // Whoever calls this has started it.
        Admitted::Start(_) => Problem::internal("a run that is to start was not started").into_response(),
    }
}

impl Mount {
    pub(super) async fn reply(&self, caller: Caller, request: StartRequest, asked: Asked<'_>) -> Result<Response, Problem> {
        match asked.reply {
            Reply::Receipt => {
                let accepted = self.app.dispatch.accept(request).await?;
                observe::note_run(accepted.run);
                Ok(answers::accepted(&caller.workspace.name, accepted))
            }
            Reply::Result | Reply::Raw => self.wait(&caller, request, asked).await,
            Reply::Events => self.stream(caller, request, asked.last_event).await,
        }
    }

    /// Starts a run and tells what happens in it. Whoever was cut off may ask again with the same key and goes on behind the last event; who
    /// has seen the end is answered 204.
    async fn stream(&self, caller: Caller, request: StartRequest, last_event: Option<LogPosition>) -> Result<Response, Problem> {
        let dispatch = &self.app.dispatch;
        let path = request.path.clone();
        // Before the run is started: it cannot be taken back.
        let place = dispatch.place(caller.workspace.id)?;
        let accepted = dispatch.accept(request).await?;
        let run = accepted.run;
        observe::note_run(run);
        // An event of another run says nothing here.
        let from = last_event.filter(|_| accepted.is_repetition).unwrap_or(LogPosition::START);
        if from == LogPosition::END {
            let mut response = StatusCode::NO_CONTENT.into_response();
            answers::name_run(response.headers_mut(), run);
            return Ok(answers::of(accepted, response));
        }
        let follower = place.follow(run, from).map_err(|refusal| Problem::from(refusal).run(run))?;
        Ok(answers::of(accepted, events::answer(follower, View { app: Arc::clone(&self.app), caller, path, run, from })))
    }

    async fn wait(&self, caller: &Caller, request: StartRequest, asked: Asked<'_>) -> Result<Response, Problem> {
        let path = request.path.clone();
        let most = self.app.options.wait_limit;
        let wait_limit = asked.wait_max.map_or(most, |own| own.min(most));
        // Where it is not in memory, the start of the run would have looked it up.
        if self.app.dispatch.reads_http(caller.workspace.id, &path, request.selector).await? {
            return Box::pin(self.hear(caller, request, (wait_limit, asked.configured))).await;
        }
        let waited = self.app.dispatch.run(request, wait_limit).await?;
        Ok(self::waited(waited, caller, &path, asked.configured))
    }

    /// The answer of a script that answers HTTP itself, as it comes.
    async fn hear(
        &self,
        caller: &Caller,
        request: StartRequest,
        (wait_limit, configured): (Duration, &dyn Configured),
    ) -> Result<Response, Problem> {
        let path = request.path.clone();
        let (head, told) = match self.app.dispatch.run_told(request, wait_limit).await? {
            Heard::Waited(waited) => return Ok(self::waited(waited, caller, &path, configured)),
            Heard::Begun(head, told) => (head, told),
        };
        observe::note_run(head.run);
        // Its head is what it would be of the whole.
        let answer = configured.answer(&Output::Json(described(&head))).map_err(|refusal| answers::unanswerable(refusal, head.run))?;
        let is_empty = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let mut response = answer.map(|_| if is_empty { Body::empty() } else { Body::from_stream(told) });
        answers::name_run(response.headers_mut(), head.run);
        Ok(response)
    }
}

/// As scripts describe a response, without its body.
fn described(head: &ResponseHead) -> JsonText {
    let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in &head.headers {
        headers.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    JsonText::trusted(json!({"$http": {"status": head.status.as_u16(), "headers": headers}}).to_string())
}

fn waited(waited: Waited, caller: &Caller, path: &ScriptPath, configured: &dyn Configured) -> Response {
    let (accepted, outcome) = match waited {
        Waited::Ended { run, is_repetition, outcome } => (Accepted { run, is_repetition }, outcome),
        Waited::StillRunning(accepted) => {
            observe::note_run(accepted.run);
            return answers::of(accepted, answers::not_ended(&caller.workspace.name, accepted.run, RunStatus::Running));
        }
    };
    observe::note_run(accepted.run);
    let told = Told { caller, path, run: accepted.run, configured };
    answers::of(accepted, told.tell(&outcome).unwrap_or_else(IntoResponse::into_response))
}

/// Of whom and to whom an outcome is told.
struct Told<'a> {
    caller: &'a Caller,
    path: &'a ScriptPath,
    run: RunId,
    configured: &'a dyn Configured,
}

impl Told<'_> {
    fn tell(&self, outcome: &Outcome) -> Result<Response, Problem> {
        let Self { caller, path, run, configured } = *self;
        if Code::of_outcome(outcome.kind).is_some() {
            return Err(answers::failure(caller, path, run, outcome.kind, outcome.error.as_ref()));
        }
        let answer = match &outcome.output {
            Some(output) => configured.answer(output),
            None => configured.answer(&Output::Json(JsonText::null())),
        };
        let mut response = answer.map_err(|refusal| answers::unanswerable(refusal, run))?.map(Body::from);
        answers::name_run(response.headers_mut(), run);
        Ok(response)
    }
}
