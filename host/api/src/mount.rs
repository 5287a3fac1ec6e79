//! The endpoints of trigger kinds: each under its own prefix, whatever it is called.
//!
//! The hot path: a request comes in, an event goes to dispatch, an outcome comes back. Rights are checked before the body is read.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
    routing::any,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use sandmill_dispatch::{Accepted, StartRequest, StartTerms, Waited};
use sandmill_model::{
    Code, Input, JsonText, LogPosition, Outcome, Output, RequestId, RunId, RunStatus, ScriptPath,
    auth::{Action, Domain},
    trigger::{Address, Configured, DynEndpoint, Head, Incoming, Reception, Reply, To},
};

use crate::{
    answers,
    app::App,
    auth::Caller,
    events::{self, View},
    gate,
    hosts::Side,
    observe::{self, IsProblem, Surface},
    problem::Problem,
    request::{body, headers, room::Whose},
};

struct Mount {
    app: Arc<App>,
    endpoint: Arc<dyn DynEndpoint>,
    surface: Surface,
}

/// A router for one kind.
pub(crate) fn router(app: &Arc<App>, endpoint: Arc<dyn DynEndpoint>) -> Router {
    let pattern = format!("/{}/{{*rest}}", endpoint.prefix());
    let surface = Surface::new(endpoint.kind());
    let mount = Arc::new(Mount { app: Arc::clone(app), endpoint, surface });
    Router::new().route(
        &pattern,
        any(move |request: Request| {
            let mount = Arc::clone(&mount);
            async move {
                let passed = gate::pass_endpoint(&mount.app, &request);
                let mut response = observe::observed(&mount.app, &mount.surface, passed, request, |request| mount.answer(request)).await;
                // Around everything, so that an answer to a panic or to what was not let in is no exception.
                headers::sandbox(response.headers_mut());
                if response.extensions().get::<IsProblem>().is_some() {
                    headers::guard(response.headers_mut());
                }
                response
            }
        }),
    )
}

impl Mount {
    async fn answer(&self, request: Request) -> Response {
        self.call(request).await.unwrap_or_else(IntoResponse::into_response)
    }

    async fn call(&self, request: Request) -> Result<Response, Problem> {
        let app = &self.app;
        let (parts, body) = request.into_parts();
        if let Some(host) = &app.options.routes_host {
            host.check(Side::Routes, &parts.headers, &parts.uri)?;
        }
        let Address { workspace, to } = self.address(&parts.method, parts.uri.path(), &parts.headers)?;
        // No stored trigger is asked yet, so there is none.
        let nothing = || Problem::new(Code::NotFound, "there is nothing here");
        let To::Script { path, selector, reply } = to else { return Err(nothing()) };
        let configured = self.endpoint.plain().ok_or_else(nothing)?;
        let caller = Caller::of(&parts, workspace, app).await?;
        caller.must(Domain::Runs, Action::Start, path.as_str())?;
        let last_event = if reply == Reply::Events { events::last_event_id(&parts.headers)? } else { None };
        let (body, _) = body::read_of(app, &parts, body, app.options.body_bytes_max, Whose::Workspace(caller.workspace.id)).await?;
        let now = app.clock.now();
        let incoming = Incoming {
            request: http::Request::from_parts(parts, body),
            params: Vec::new(),
            route: None,
            caller: Some(Arc::clone(&caller.principal.identity)),
            id: RequestId::new(now),
            now,
        };
        let event = match configured.receive(incoming)? {
            Reception::Event(received) => received.event.of(self.endpoint.plain_trigger()),
            Reception::Answer(answer) => return Ok(answer.map(Body::from)),
        };
        let Caller { principal, workspace, shown: _ } = caller.clone();
        let request = StartRequest { principal, workspace, path, selector, input: Input::Event(event), terms: StartTerms::default() };
        match reply {
            Reply::Receipt => {
                let accepted = app.dispatch.accept(request).await?;
                observe::note_run(accepted.run);
                Ok(answers::accepted(&caller.workspace.name, accepted))
            }
            Reply::Result | Reply::Raw => self.wait(&caller, request, &*configured).await,
            Reply::Events => self.stream(caller, request, last_event).await,
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

    async fn wait(&self, caller: &Caller, request: StartRequest, configured: &dyn Configured) -> Result<Response, Problem> {
        let path = request.path.clone();
        let (accepted, outcome) = match self.app.dispatch.run(request, self.app.options.wait_limit).await? {
            Waited::Ended { run, is_repetition, outcome } => (Accepted { run, is_repetition }, outcome),
            Waited::StillRunning(accepted) => {
                observe::note_run(accepted.run);
                return Ok(answers::of(accepted, answers::not_ended(&caller.workspace.name, accepted.run, RunStatus::Running)));
            }
        };
        observe::note_run(accepted.run);
        let told = Told { caller, path: &path, run: accepted.run, configured };
        let response = told.tell(&outcome).unwrap_or_else(IntoResponse::into_response);
        Ok(answers::of(accepted, response))
    }

    fn address<'a>(&self, method: &'a Method, path: &'a str, headers: &'a HeaderMap) -> Result<Address<'a>, Problem> {
        // The router has matched `/PREFIX/` and something behind it.
        let rest = path.get(self.endpoint.prefix().len() + 2..).unwrap_or_default();
        self.endpoint.address(Head { method, rest, headers }).map_err(|refusal| {
            let wrong_method = refusal.code == Code::MethodNotAllowed;
            let problem = Problem::from(refusal);
            if wrong_method { problem.allow(self.methods(rest, headers)) } else { problem }
        })
    }

    /// The methods that the kind takes at this URL, found by asking it.
    fn methods(&self, rest: &str, headers: &HeaderMap) -> HeaderValue {
        let all = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
        let taken = |method: &Method| !matches!(self.endpoint.address(Head { method, rest, headers }), Err(refusal) if refusal.code == Code::MethodNotAllowed);
        let names: Vec<String> = all.into_iter().filter(taken).map(|method| method.to_string()).collect();
        HeaderValue::from_maybe_shared(names.join(",")).unwrap_or(HeaderValue::from_static(""))
    }
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
