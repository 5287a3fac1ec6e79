//! The endpoints of trigger kinds: each under its own prefix, whatever it is called.
//!
//! The hot path: a request comes in, an event goes to dispatch, an outcome comes back. What is meant is looked up first ([`meant`]), then rights
//! are checked, before the body is read ([`access`]); then the kind makes an event of it, dispatch says what becomes of that, and whoever asked
//! is told ([`reply`]).

mod access;
mod meant;
mod reply;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
    routing::any,
};
use http::{Method, header, request::Parts};
use sandmill_dispatch::{Admitted, Armed, Asker, StartRequest, StartTerms};
use sandmill_model::{
    Code, Input, RequestId,
    trigger::{Access, DynEndpoint, Incoming, NewEvent, Received, Reception, Reply, Verbatim},
    version::Selector,
};

use self::meant::{Aim, Meant};
use crate::{
    app::App,
    auth::Caller,
    events, gate,
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
        let (parts, body) = request.into_parts();
        let meant = match self.meant(&parts).await {
            Ok(meant) => meant,
            Err(problem) => return problem.into_response(),
        };
        let (origin, configured) = (parts.headers.get(header::ORIGIN).cloned(), Arc::clone(&meant.aim.configured));
        let mut response = self.serve(meant, parts, body).await.unwrap_or_else(IntoResponse::into_response);
        configured.dress(origin.as_ref(), response.headers_mut());
        response
    }

    async fn serve(&self, Meant { who, aim }: Meant, mut parts: Parts, body: Body) -> Result<Response, Problem> {
        let app = &self.app;
        let access = aim.configured.access();
        if access::is_preflight(&parts) && aim.armed.is_some() && access != Access::Kind {
            return access::preflight(&aim, parts, app.clock.now());
        }
        let last_event = events::last_event_id(&parts.headers);
        let (caller, door) = self.let_in(who, &aim, &access, &mut parts).await?;
        let bytes_max = aim.body_bytes_max(app.options.body_bytes_max);
        let (body, room) = body::read_of(app, &parts, body, bytes_max, Whose::Workspace(caller.workspace.id)).await?;
        if may_be_read(&parts, &body) && app.dispatch.reads_http(caller.workspace.id, &aim.target, aim.selector).await? {
            parts.extensions.insert(Verbatim);
        }
        let now = app.clock.now();
        let Aim { target, selector, reply, configured, armed, route, params } = aim;
        let incoming = Incoming {
            request: http::Request::from_parts(parts, body),
            params,
            route,
            caller: caller.is_known().then(|| Arc::clone(&caller.principal.identity)),
            id: RequestId::new(now),
            now,
        };
        let received = match configured.receive(incoming) {
            Ok(Reception::Event(received)) => received,
            Ok(Reception::Answer(answer)) => return Ok(answer.map(Body::from)),
            Err(refusal) => {
                self.was_refused(door.as_ref(), &refusal)?;
                return Err(refusal.into());
            }
        };
        let Received { mut event, files, reply: wanted, wait_max } = *received;
        if let (Some(door), Some(armed)) = (&door, &armed) {
            event = self.received(&caller.workspace, (door, armed), &access, event).await?;
        }
        let keys: Vec<String> = files.iter().map(|file| file.key.clone()).collect();
        for file in files {
            Box::pin(app.dispatch.keep_file(caller.workspace.id, file)).await?;
        }
        drop(room);
        let request = match &armed {
            None => StartRequest {
                principal: Arc::clone(&caller.principal),
                workspace: caller.workspace.clone(),
                path: target,
                selector,
                input: Input::Event(event.of(self.endpoint.plain_trigger())),
                terms: StartTerms::default(),
            },
            Some(armed) => match Box::pin(self.admit(&caller, armed, event, (selector, keys))).await? {
                Admitted::Start(request) => *request,
                other => return Ok(reply::admitted(&caller.workspace.name, armed, &other)),
            },
        };
        let reply = wanted.unwrap_or(reply);
        let last_event = if reply == Reply::Events { last_event? } else { None };
        let asked = reply::Asked { reply, last_event, wait_max, configured: &*configured };
        self.reply(caller, request, asked).await
    }

    /// `files`: keys of those that are kept for the event. Those that nothing comes of are given up.
    async fn admit(
        &self,
        caller: &Caller,
        armed: &Arc<Armed>,
        event: NewEvent,
        (selector, files): (Selector, Vec<String>),
    ) -> Result<Admitted, Problem> {
        let dispatch = &self.app.dispatch;
        let asker = Asker { caller: caller.is_known().then(|| Arc::clone(&caller.principal)), selector };
        let admitted = dispatch.admit(&caller.workspace, armed, event, asker).await;
        let is_for_nothing = match &admitted {
            Ok(Admitted::Filtered) => true,
            Ok(Admitted::Accepted(accepted)) => accepted.is_repetition,
            Ok(Admitted::Start(_) | Admitted::Captured(_)) => false,
            // It may have been written all the same.
            Err(refusal) => !matches!(refusal.code, Code::Unavailable | Code::StorageFull | Code::Internal),
        };
        if is_for_nothing {
            dispatch.forget_files(caller.workspace.id, files);
        }
        Ok(admitted?)
    }
}

/// Whether a kind may make something else of the body, or refuse it: also where nothing is said of it, or it is empty. What is sent most it leaves as
/// it is, and of `GET` it makes nothing that a script which reads HTTP itself would see.
fn may_be_read(parts: &Parts, body: &[u8]) -> bool {
    let is_json = parts.headers.get(header::CONTENT_TYPE).is_some_and(|announced| announced == "application/json");
    let is_usual = is_json && matches!(body, [b'{', .., b'}']);
    !is_usual && !matches!(parts.method, Method::GET | Method::HEAD)
}
