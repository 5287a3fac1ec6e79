//! Around every request: what it changes, and what it was denied, goes into the audit log (ADR 17).
//!
//! What is about to be changed is kept before the handler is called, and becomes an entry once the handler has answered; nobody is told of
//! a change whose entry could not be written. No handler does anything for it.

mod allowance;
mod also;
mod denials;
mod endings;
mod operation;
mod views;

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, request::Parts};
use sandmill_model::{
    AuditId, Code,
    audit::{self, Actor, ActorKind, AuditOutcome, Origin, Record, TARGET_BYTES_MAX, USER_AGENT_BYTES_MAX},
    auth::Principal,
};
use sandmill_store::{StoreError, workspaces::Workspace};

use crate::{
    ClientAddress,
    app::App,
    auth::{Authenticated, Caller, runs},
    problem::Problem,
    sessions,
};
pub(crate) use allowance::Allowance;
pub(crate) use also::Also;
use also::Change;
pub use denials::Denials;
use denials::Who;
pub use endings::Endings;
use endings::{Tie, Whose};
use operation::Operation;
pub(crate) use operation::{LOOKS, STARTS};

/// What says who calls, of a request that changes nothing.
const CREDENTIALS: [HeaderName; 2] = [header::AUTHORIZATION, header::COOKIE];

/// What a handler tells of a change that the log cannot see by itself: an extension of its response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Who it was, where the request did not say so in the usual way.
    pub(crate) actor: Option<Actor>,
    /// What was made, where its URL does not name it.
    pub(crate) target: Option<String>,
    /// No secrets.
    pub(crate) after: serde_json::Value,
}

/// A change that is about to be carried out.
struct Begun {
    record: Record,
    workspace: Option<Workspace>,
    /// None: nobody that is known may do it, too.
    principal: Option<Arc<Principal>>,
}

/// What a request would change, and all but its body.
struct Planned {
    operation: Operation,
    parts: Parts,
}

/// One request, as far as the log is concerned with it.
pub(crate) struct Watch<'a> {
    app: &'a Arc<App>,
    request_id: &'a HeaderValue,
    method: &'a Method,
    uri: &'a Uri,
    credentials: [Option<HeaderValue>; 2],
    user_agent: Option<HeaderValue>,
    address: Option<IpAddr>,
    /// As what whoever is known acts.
    kind: ActorKind,
    /// None: it changes nothing.
    planned: Option<Box<Planned>>,
    /// To whoever waits for the answer; none: it ends with them.
    tie: Option<Tie>,
    begun: Option<Begun>,
}

/// Whether a request would change something.
pub(crate) fn is_change(request: &Request) -> bool {
    operation(request).is_some()
}

fn operation(request: &Request) -> Option<Operation> {
    let pattern = request.extensions().get::<MatchedPath>()?;
    Operation::of(request.method(), pattern.as_str(), request.uri().path())
}

impl<'a> Watch<'a> {
    pub(crate) fn new(app: &'a Arc<App>, (request_id, method, uri): (&'a HeaderValue, &'a Method, &'a Uri), request: &Request) -> Self {
        let headers = request.headers();
        Self {
            app,
            request_id,
            method,
            uri,
            credentials: CREDENTIALS.map(|name| headers.get(name).cloned()),
            user_agent: headers.get(header::USER_AGENT).cloned(),
            address: request.extensions().get::<ClientAddress>().map(|client| client.address),
            kind: kind(headers, uri),
            planned: operation(request).map(|operation| Box::new(Planned { operation, parts: copy(request) })),
            tie: request.extensions().get::<Tie>().cloned(),
            begun: None,
        }
    }

    /// Keeps what is about to be changed.
    ///
    /// # Errors
    /// Who calls is not known, or nothing can be kept: then nothing may be changed either.
    pub(crate) async fn begin(&mut self) -> Result<(), Problem> {
        if let Some(planned) = self.planned.as_deref_mut() {
            let (principal, workspace) = Box::pin(caller(self.app, planned)).await?;
            if let Some(tie) = &self.tie {
                tie.begin(Whose::of(workspace.as_ref().map(|workspace| workspace.id), principal.as_deref()));
            }
            let begun = Box::pin(self.keep(principal, workspace)).await?;
            self.begun = begun;
        }
        Ok(())
    }

    async fn keep(&self, principal: Option<Arc<Principal>>, workspace: Option<Workspace>) -> Result<Option<Begun>, Problem> {
        let Some(Planned { operation, .. }) = self.planned.as_deref() else { return Ok(None) };
        let app = self.app;
        let before = views::view(app, operation, workspace.as_ref(), principal.as_deref()).await?;
        let record = Record {
            workspace: workspace.as_ref().map(|workspace| workspace.id),
            action: operation.action.clone(),
            target: operation.target.clone(),
            before,
            ..self.record(principal.as_deref())
        };
        // What strangers may do is not kept before: they would fill the store with what is refused.
        if !operation.is_open {
            app.store.audit.begin(record.clone(), app.clock.now()).await?;
        }
        Ok(Some(Begun { record, workspace, principal }))
    }

    /// Records what came of it. The answer becomes another one if the entry of a change cannot be written.
    pub(crate) async fn end(self, response: &mut Response) {
        let denied = response.extensions().get::<Problem>().filter(|problem| problem.is_denial()).map(Problem::code);
        if denied.is_some() || self.begun.is_some() {
            Box::pin(self.finish(response, denied)).await;
        }
    }

    async fn finish(mut self, response: &mut Response, denied: Option<Code>) {
        let facts = response.extensions_mut().remove::<Facts>();
        let also = response.extensions_mut().remove::<Also>().unwrap_or_default();
        // It is done, whatever is answered.
        let also = self.append_also(also).await;
        let status = response.status();
        let Some(begun) = self.begun.take() else {
            return self.deny(denied, None).await;
        };
        if denied.is_none() && (status.is_success() || status.is_redirection()) {
            let done = match also {
                Ok(()) => self.done(begun, facts).await,
                Err(error) => Err(error.into()),
            };
            if let Err(problem) = done {
                *response = problem.into_response();
            }
        } else if denied.is_none() && status.is_server_error() {
            let failed = Record { outcome: AuditOutcome::Failed, ..begun.record };
            if let Err(error) = self.append(failed).await {
                tracing::error!(%error, "the audit log does not tell yet how a request ended that failed");
            }
        } else {
            // Refused: nothing was changed.
            let is_kept = self.planned.as_ref().is_some_and(|planned| !planned.operation.is_open);
            if is_kept && let Err(error) = self.app.store.audit.give_up(begun.record.workspace, begun.record.id).await {
                tracing::error!(%error, "the audit log takes a request that was refused for one of an unknown end");
            }
            self.deny(denied, begun.principal).await;
        }
    }

    async fn done(&self, begun: Begun, facts: Option<Facts>) -> Result<(), Problem> {
        let Begun { mut record, workspace, principal } = begun;
        record.outcome = AuditOutcome::Done;
        match facts {
            Some(Facts { actor, target, after }) => {
                record.after = audit::shown(&after);
                record.actor = actor.unwrap_or(record.actor);
                record.target = target.unwrap_or(record.target);
            }
            None => {
                if let Some(planned) = &self.planned {
                    let after = views::view(self.app, &planned.operation, workspace.as_ref(), principal.as_deref()).await;
                    record.after = after.unwrap_or_else(|problem| {
                        tracing::warn!(cause = problem.cause(), "the audit log does not show what was changed");
                        None
                    });
                }
            }
        }
        self.append(record).await?;
        Ok(())
    }

    /// One entry for each change, although others could not be written; the first error is returned.
    async fn append_also(&self, Also(changes): Also) -> Result<(), StoreError> {
        let mut all = Ok(());
        for Change { workspace, actor, action, target, before, after } in changes {
            let record = Record {
                workspace,
                actor,
                action: action.to_owned(),
                target,
                outcome: AuditOutcome::Done,
                before: audit::shown(&before),
                after: audit::shown(&after),
                ..self.record(None)
            };
            if let Err(error) = self.append(record).await {
                tracing::error!(%error, action, "the audit log lacks what a request has changed");
                all = all.and(Err(error));
            }
        }
        all
    }

    /// Only now it is counted what its values take: else whoever may change nothing would use up what is for those who may.
    async fn append(&self, mut record: Record) -> Result<(), StoreError> {
        let now = self.app.clock.now();
        let chain = record.workspace;
        record.before = record.before.map(|before| self.app.allowance.kept(chain, before, now));
        record.after = record.after.map(|after| self.app.allowance.kept(chain, after, now));
        self.app.store.audit.append(record, now).await.map(drop)
    }

    /// In the chain of whoever was denied it: whatever it was, others do not learn of it, and it says nothing of what others have.
    async fn deny(&self, denied: Option<Code>, principal: Option<Arc<Principal>>) {
        let Some(code) = denied else { return };
        let principal = match (principal, code) {
            (None, code) if code != Code::Unauthorized => self.principal().await,
            (principal, _) => principal,
        };
        let action = if code == Code::Unauthorized { "auth.failed" } else { "access.denied" };
        let record = Record {
            workspace: principal.as_ref().and_then(|principal| principal.workspace),
            action: action.to_owned(),
            target: audit::bounded(&format!("{} {}", self.method, self.uri.path()), TARGET_BYTES_MAX),
            outcome: AuditOutcome::Denied,
            ..self.record(principal.as_deref())
        };
        let who = Who::of(principal.as_deref(), self.address);
        let now = self.app.clock.now();
        if self.app.denials.admits(who, &record, now)
            && let Err(error) = self.app.store.audit.append(record, now).await
        {
            tracing::error!(%error, "the audit log lacks an attempt that was denied");
        }
    }

    /// What is the same in all entries of a request.
    fn record(&self, principal: Option<&Principal>) -> Record {
        let actor = match principal {
            None => Actor::nameless(ActorKind::Anonymous),
            Some(principal) => {
                // Of a run it is the run's id.
                Actor { kind: self.kind, identity: Some(Arc::clone(&principal.identity)), token: Some(principal.token) }
            }
        };
        let user_agent =
            self.user_agent.as_ref().map(|name| audit::bounded(&String::from_utf8_lossy(name.as_bytes()), USER_AGENT_BYTES_MAX));
        Record {
            id: AuditId::new(self.app.clock.now()),
            workspace: None,
            actor,
            origin: Origin { address: self.address.map(|address| address.to_canonical().to_string()), user_agent },
            request_id: self.request_id.to_str().unwrap_or_default().to_owned(),
            action: String::new(),
            target: String::new(),
            outcome: AuditOutcome::Unknown,
            attempts: 1,
            before: None,
            after: None,
        }
    }

    /// Who was denied something; in the workspace of the URL if they have anything to do with it.
    async fn principal(&self) -> Option<Arc<Principal>> {
        let mut parts = http::Request::new(()).into_parts().0;
        // As if it only looked: what else it lacked is no matter here.
        (parts.method, parts.uri) = (Method::GET, self.uri.clone());
        let present = CREDENTIALS.into_iter().zip(&self.credentials);
        parts.headers = present.filter_map(|(name, value)| Some((name, value.clone()?))).collect();
        if self.uri.path().starts_with("/api/w/")
            && let Ok(caller) = Caller::from_request_parts(&mut parts, self.app).await
        {
            return Some(caller.principal);
        }
        Authenticated::from_request_parts(&mut parts, self.app).await.ok().map(|Authenticated(principal, ..)| principal)
    }
}

/// Who calls, and in which workspace, as the handler will see it.
async fn caller(app: &Arc<App>, planned: &mut Planned) -> Result<(Option<Arc<Principal>>, Option<Workspace>), Problem> {
    let Planned { operation, parts } = planned;
    if operation.workspace.is_some() {
        let Caller { principal, workspace, .. } = Caller::from_request_parts(parts, app).await?;
        return Ok((Some(principal), Some(workspace)));
    }
    match Authenticated::from_request_parts(parts, app).await {
        Ok(Authenticated(principal, ..)) => Ok((Some(principal), None)),
        Err(_) if operation.is_open => Ok((None, None)),
        Err(problem) => Err(problem),
    }
}

fn kind(headers: &HeaderMap, uri: &Uri) -> ActorKind {
    if runs::in_header(headers).is_some() {
        ActorKind::Run
    } else if sessions::is_shown(headers, uri) {
        ActorKind::Session
    } else {
        ActorKind::Token
    }
}

/// All but the body.
fn copy(request: &Request) -> Parts {
    let mut parts = http::Request::new(()).into_parts().0;
    (parts.method, parts.uri, parts.version) = (request.method().clone(), request.uri().clone(), request.version());
    (parts.headers, parts.extensions) = (request.headers().clone(), request.extensions().clone());
    parts
}
