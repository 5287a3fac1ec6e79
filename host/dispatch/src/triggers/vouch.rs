//! Scripts that say whether a request may start a run: started with its event before anything else is, as the trigger's own, and waited for.

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    Input, JsonText, Outcome, OutcomeKind, Output, ScriptPath,
    code::{Code, Refusal},
    trigger::NewEvent,
    version::Selector,
};
use sandmill_store::{triggers::Trigger, workspaces::Workspace};
use serde_json::{Map, Value};

use super::{Armed, deliver::own_principal, event_of};
use crate::{Dispatch, StartRequest, StartTerms, Waited};

/// How long a request waits for what the script says.
pub const VOUCH_MAX: Duration = Duration::from_secs(10);

/// What a script says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vouched {
    /// With what else it said: a JSON object, which may be empty.
    For(JsonText),
    /// `unauthorized` or `forbidden`.
    Against(Code),
}

impl Dispatch {
    /// Asks `script` whether a request may start a run of the trigger. It gets the event as its target would; its run is counted like any other.
    ///
    /// # Errors
    /// `internal` if it failed or said nothing that is understood, `unavailable` if it took longer than [`VOUCH_MAX`]; else as [`Dispatch::run`].
    pub async fn vouch(&self, workspace: &Workspace, armed: &Armed, script: &ScriptPath, event: NewEvent) -> Result<Vouched, Refusal> {
        let trigger = &armed.trigger;
        // Repetitions are asked about, too: they must not be known by the key of what they would start.
        let event = NewEvent { dedup_key: None, ordering_key: None, ..event };
        let request = StartRequest {
            // Whoever set the trigger up must still be allowed to start the script: that is looked at with each start.
            principal: Arc::new(own_principal(trigger, script)),
            workspace: workspace.clone(),
            path: script.clone(),
            selector: Selector::Newest,
            input: Input::Event(event_of(trigger, event)),
            terms: StartTerms::default(),
        };
        match self.run(request, VOUCH_MAX).await.map_err(|refusal| unasked(trigger, &refusal))? {
            Waited::Ended { outcome, .. } => vouched(&outcome).map_err(|what| failed(trigger, what)),
            Waited::StillRunning(accepted) => {
                // Nobody wants to know any more.
                let _ = self.cancel(workspace.id, accepted.run).await;
                Err(Refusal::new(Code::Unavailable, "the script that decides about requests took too long; try again"))
            }
        }
    }
}

/// Strangers are told no more than that it is not their fault, unless it is one that passes.
fn unasked(trigger: &Trigger, refusal: &Refusal) -> Refusal {
    match refusal.code {
        Code::TooManyRequests | Code::QuotaExceeded | Code::Unavailable | Code::StorageFull | Code::PayloadTooLarge => refusal.clone(),
        _ => failed(trigger, &refusal.detail),
    }
}

fn failed(trigger: &Trigger, what: &str) -> Refusal {
    let (workspace, path) = (trigger.workspace, &trigger.path);
    tracing::warn!(%workspace, %path, what, "the script that decides about a trigger's requests did not");
    Refusal::new(Code::Internal, "the script that decides about requests did not; its runs say why")
}

fn vouched(outcome: &Outcome) -> Result<Vouched, &'static str> {
    const NOT_UNDERSTOOD: &str = "it returned neither true or false nor an object with `allow`";
    let output = match (outcome.kind, &outcome.output) {
        (OutcomeKind::Ok, Some(Output::Json(output))) => output,
        (OutcomeKind::Ok, _) => return Err(NOT_UNDERSTOOD),
        // Its preprocessor found nothing to do.
        (OutcomeKind::Skipped, _) => return Ok(Vouched::Against(Code::Forbidden)),
        _ => return Err("its run failed"),
    };
    let mut said: Map<String, Value> = match output.read() {
        Ok(Value::Bool(true)) => return Ok(Vouched::For(JsonText::empty_object())),
        Ok(Value::Bool(false)) => return Ok(Vouched::Against(Code::Forbidden)),
        Ok(Value::Object(said)) => said,
        _ => return Err(NOT_UNDERSTOOD),
    };
    match said.remove("allow") {
        Some(Value::Bool(true)) => Ok(Vouched::For(JsonText::trusted(Value::Object(said).to_string()))),
        Some(Value::Bool(false)) => match said.get("status").map(Value::as_u64) {
            Some(Some(401)) => Ok(Vouched::Against(Code::Unauthorized)),
            None | Some(Some(403)) => Ok(Vouched::Against(Code::Forbidden)),
            _ => Err("the `status` of its refusal is neither 401 nor 403"),
        },
        _ => Err(NOT_UNDERSTOOD),
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::{RunError, Usage};

    use super::*;

    #[test]
    fn only_what_is_said_clearly_counts() {
        let ended = |output: Output| Outcome {
            kind: OutcomeKind::Ok,
            output: Some(output),
            error: None,
            arguments: None,
            usage: Usage::default(),
            log: Vec::new(),
        };
        let said = |text: &str| vouched(&ended(Output::Json(JsonText::trusted(text))));
        assert_eq!(said("true"), Ok(Vouched::For(JsonText::empty_object())));
        assert_eq!(said(r#"{"allow":true,"user":"ann"}"#), Ok(Vouched::For(JsonText::trusted(r#"{"user":"ann"}"#))));
        assert_eq!(said("false"), Ok(Vouched::Against(Code::Forbidden)));
        assert_eq!(said(r#"{"allow":false}"#), Ok(Vouched::Against(Code::Forbidden)));
        assert_eq!(said(r#"{"allow":false,"status":401}"#), Ok(Vouched::Against(Code::Unauthorized)));
        for unclear in ["null", "1", "\"true\"", "{}", "[true]", r#"{"allow":1}"#, r#"{"allow":"true"}"#, r#"{"allow":false,"status":200}"#]
        {
            assert!(said(unclear).is_err(), "{unclear}");
        }
        assert!(vouched(&ended(Output::Bytes { content_type: "text/plain".into(), data: "true".into() })).is_err());
        let failed = Outcome {
            output: Some(Output::Json(JsonText::trusted("true"))),
            ..Outcome::failed(OutcomeKind::Error, RunError::new("E", "e"))
        };
        assert!(vouched(&failed).is_err());
    }
}
