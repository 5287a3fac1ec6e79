//! Who may start a run by a request: whoever has a token for its target, or whom the trigger lets in by itself.
//!
//! Those whom it does not let in are counted by trigger and network, as wrong tokens are: what it asks for may be short enough to be guessed. A
//! network from which it has let somebody in is not shut out by what others send from there.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{Method, header, request::Parts};
use sandmill_dispatch::{Armed, Vouched};
use sandmill_model::{
    Code, JsonText, RequestId, ScriptPath, Timestamp, TokenId,
    auth::{Action, Domain, Principal, Scopes},
    code::Refusal,
    trigger::{Access, Incoming, NewEvent, REQUEST_METADATA_BYTES_MAX, Reception},
};
use sandmill_store::workspaces::Workspace;

use super::{
    Mount,
    meant::{Aim, Who},
};
use crate::{
    app::Sender,
    auth::{self, Caller, NeedsNobody, Shown},
    on_behalf::OnBehalf,
    problem::Problem,
};

/// Of a request to a trigger that lets in whom it knows.
pub(super) struct AtDoor {
    /// None: nobody knows where it comes from.
    sender: Option<Sender>,
    on_behalf: Option<OnBehalf>,
}

/// Whether a browser asks whether a page of another site may send something. It shows nothing by which it could be known.
pub(super) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(header::ORIGIN)
        && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// What the kind answers to it; nothing is started by it, whatever it says.
pub(super) fn preflight(aim: &Aim, parts: Parts, now: Timestamp) -> Result<Response, Problem> {
    let incoming = Incoming {
        request: http::Request::from_parts(parts, Bytes::new()),
        params: aim.params.clone(),
        route: aim.route.clone(),
        caller: None,
        id: RequestId::new(now),
        now,
    };
    match aim.configured.receive(incoming) {
        Ok(Reception::Answer(answer)) => Ok(answer.map(Body::from)),
        Ok(Reception::Event(_)) => Err(Problem::new(Code::MethodNotAllowed, "no other site may send requests here")),
        Err(refusal) => Err(refusal.into()),
    }
}

fn too_many(wait: Duration) -> Problem {
    Problem::new(Code::TooManyRequests, "too many requests that were not let in came from this address").retry_after(wait)
}

fn is_denial(code: Code) -> bool {
    matches!(code, Code::Unauthorized | Code::Forbidden)
}

impl Mount {
    /// Whoever is known by a token, or is about to be looked at by the trigger.
    pub(super) async fn let_in(
        &self,
        who: Who,
        aim: &Aim,
        access: &Access,
        parts: &mut Parts,
    ) -> Result<(Caller, Option<AtDoor>), Problem> {
        let workspace = match who {
            Who::Known(caller) => return Ok((caller, None)),
            Who::Anybody(workspace) => workspace,
        };
        let Some(armed) = aim.armed.as_ref().filter(|_| *access != Access::Token) else {
            let caller = Caller::of(parts, &workspace.name, &self.app).await?;
            caller.must(Domain::Runs, Action::Start, aim.target.as_str())?;
            return Ok((caller, None));
        };
        let sender = auth::guesser(parts).map(|network| (workspace.id, armed.trigger.id, network));
        if let Some(sender) = &sender {
            self.must_not_guess(sender)?;
        }
        // What else it shows was not meant for the server, which does not look at it.
        parts.extensions.insert(NeedsNobody);
        let on_behalf = parts.extensions.get::<OnBehalf>().cloned();
        Ok((stranger(workspace, armed), Some(AtDoor { sender, on_behalf })))
    }

    fn must_not_guess(&self, sender: &Sender) -> Result<(), Problem> {
        let now = self.app.clock.now();
        match self.app.strangers.check(sender, now) {
            Err(wait) if self.app.known_senders.get(sender, now).is_none() => Err(too_many(wait)),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// `too_many_requests`
    pub(super) fn was_refused(&self, door: Option<&AtDoor>, refusal: &Refusal) -> Result<(), Problem> {
        match door.and_then(|door| door.sender) {
            Some(sender) if is_denial(refusal.code) => self.app.strangers.take(sender, self.app.clock.now()).map_err(too_many),
            _ => Ok(()),
        }
    }

    /// The kind took the request: now it is let in, if nobody else is to be asked.
    ///
    /// # Errors
    /// What was said against it.
    pub(super) async fn received(
        &self,
        workspace: &Workspace,
        (door, armed): (&AtDoor, &Arc<Armed>),
        access: &Access,
        event: NewEvent,
    ) -> Result<NewEvent, Problem> {
        let event = match access {
            Access::Token | Access::Kind => event,
            Access::Script(script) => self.asked(workspace, (door, armed), script, event).await?,
        };
        let now = self.app.clock.now();
        if let Some(sender) = door.sender
            && self.app.known_senders.get(&sender, now).is_none()
        {
            self.app.known_senders.put(sender, (), now);
        }
        if let Some(on_behalf) = &door.on_behalf {
            on_behalf.set(workspace.id);
        }
        Ok(event)
    }

    /// Asks the script. Each time costs the workspace a run, whatever it says and however it ends: so it is counted before, also of those who ask
    /// at the same moment, and is given back to whom it lets in.
    async fn asked(
        &self,
        workspace: &Workspace,
        (door, armed): (&AtDoor, &Arc<Armed>),
        script: &ScriptPath,
        event: NewEvent,
    ) -> Result<NewEvent, Problem> {
        let counted = self.count(door.sender)?;
        let said = Box::pin(self.app.dispatch.vouch(workspace, armed, script, event.clone())).await;
        let is_given_back = match &said {
            Ok(vouched) => matches!(vouched, Vouched::For(_)),
            Err(refusal) => has_no_room(refusal.code),
        };
        if let Some(sender) = counted.filter(|_| is_given_back) {
            self.app.strangers.give_back(&sender);
        }
        match said? {
            Vouched::For(auth) => with_auth(event, &auth),
            Vouched::Against(code) => Err(Problem::new(code, "the script that decides about requests does not let this one in")),
        }
    }

    /// None: it is not counted, as a sender whom nobody can tell from others, or one that is known and has been counted often enough.
    fn count(&self, sender: Option<Sender>) -> Result<Option<Sender>, Problem> {
        let Some(sender) = sender else { return Ok(None) };
        let now = self.app.clock.now();
        match self.app.strangers.take(sender, now) {
            Ok(()) => Ok(Some(sender)),
            Err(wait) if self.app.known_senders.get(&sender, now).is_none() => Err(too_many(wait)),
            Err(_) => Ok(None),
        }
    }
}

/// What is nobody's fault, and has cost no run.
fn has_no_room(code: Code) -> bool {
    matches!(code, Code::TooManyRequests | Code::QuotaExceeded | Code::StorageFull)
}

/// Somebody whom nobody knows, and who may do nothing but what the trigger does for them.
fn stranger(workspace: Workspace, armed: &Armed) -> Caller {
    let trigger = &armed.trigger;
    let principal = Principal {
        token: TokenId(trigger.id.0),
        workspace: Some(trigger.workspace),
        identity: Arc::clone(&trigger.answered_by),
        scopes: Scopes::default(),
    };
    Caller { principal: Arc::new(principal), workspace, shown: Shown::Nothing }
}

/// The event with what the script said of whoever sends it.
fn with_auth(event: NewEvent, auth: &JsonText) -> Result<NewEvent, Problem> {
    let metadata = event.metadata.with_member("auth", auth.as_str());
    if metadata.as_str().len() > REQUEST_METADATA_BYTES_MAX {
        let what = format!(
            "with what the script that decides about requests says, there are more than {REQUEST_METADATA_BYTES_MAX} bytes beside the body"
        );
        return Err(Problem::new(Code::Internal, what));
    }
    Ok(NewEvent { metadata, ..event })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_said_is_in_the_event() {
        let told = |metadata: &str| {
            let event = NewEvent::new(JsonText::trusted(metadata), Bytes::new());
            with_auth(event, &JsonText::trusted(r#"{"user":"ann"}"#)).unwrap().metadata.as_str().to_owned()
        };
        assert_eq!(told("{}"), r#"{"auth":{"user":"ann"}}"#);
        assert_eq!(told(r#"{"a":{}} "#), r#"{"a":{},"auth":{"user":"ann"}}"#);
        let event = NewEvent::new(JsonText::empty_object(), Bytes::new());
        let long = JsonText::trusted(format!("{{\"user\":\"{}\"}}", "x".repeat(REQUEST_METADATA_BYTES_MAX)));
        assert!(with_auth(event, &long).is_err(), "it is kept with the run, as all that is said of a request");
    }
}
