//! Who may read what a config refers to: whoever saves or tests it, by their token; and whoever answers for the trigger, each time that the
//! config is used.

use sandmill_model::{
    JsonText, ScriptPath, WorkspaceId,
    auth::{Action, Domain, Principal},
    code::{Code, Refusal},
    trigger::ConfigError,
};
use sandmill_store::triggers::Trigger;

use super::references::{self, Read, Reference, Referent, Unresolved};
use crate::{Inner, refuse};

/// Bytes of a config as JSON, with what it refers to.
const RESOLVED_BYTES_MAX: usize = 1024 * 1024;

fn place(reference: &Reference) -> (Domain, &ScriptPath) {
    match &reference.referent {
        Referent::Resource(path) => (Domain::Resources, path),
        Referent::Variable(path) => (Domain::Variables, path),
    }
}

/// # Errors
/// `forbidden`, in the same words whether it is there or not.
pub(super) fn must_read(principal: &Principal, workspace: WorkspaceId, found: &[Reference]) -> Result<(), Refusal> {
    for (domain, path) in found.iter().map(place) {
        if !principal.may(workspace, domain, Action::Read, Some(path.as_str())) {
            let scope = format!("{}:read:{path}", domain.name());
            return Err(Refusal::new(Code::Forbidden, format!("the token does not allow {scope}, to which the config refers")));
        }
    }
    Ok(())
}

/// Whether whoever answers for a trigger may still read what its config refers to; inside: what they may not.
///
/// # Errors
/// `unavailable`.
pub(super) async fn owner_reads(inner: &Inner, trigger: &Trigger) -> Result<Result<(), ConfigError>, Refusal> {
    let found = match references::of(&trigger.config) {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    for one in &found {
        let (domain, path) = place(one);
        let may = inner.identity_may(trigger.workspace, &trigger.answered_by, (domain, Action::Read), path).await;
        if !may.map_err(|error| refuse(&error))? {
            let message = format!("whoever set this trigger up may not read {path} any more: somebody who may must save it again");
            return Ok(Err(ConfigError::new(one.at.as_str(), message)));
        }
    }
    Ok(Ok(()))
}

/// A config with what it refers to in its place.
///
/// # Errors
/// `unavailable`; inside: what it refers to is not there, or too much.
pub(super) async fn whole(inner: &Inner, workspace: WorkspaceId, config: &JsonText) -> Result<Result<JsonText, ConfigError>, Refusal> {
    match references::resolved(&inner.store, workspace, config, &mut Read::default()).await {
        Ok(whole) if whole.as_str().len() > RESOLVED_BYTES_MAX => {
            let message = format!("with what it refers to it has more than {RESOLVED_BYTES_MAX} bytes");
            Ok(Err(ConfigError::new("", message)))
        }
        Ok(whole) => Ok(Ok(whole)),
        Err(Unresolved::Config(error)) => Ok(Err(error)),
        Err(Unresolved::Store(error)) => Err(refuse(&error)),
    }
}

/// The config of a stored trigger as its kind reads it, if whoever answers for it may still read all of it.
///
/// # Errors
/// As [`whole`].
pub(super) async fn owned(inner: &Inner, trigger: &Trigger) -> Result<Result<JsonText, ConfigError>, Refusal> {
    match owner_reads(inner, trigger).await? {
        Ok(()) => whole(inner, trigger.workspace, &trigger.config).await,
        Err(error) => Ok(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::{Timestamp, TokenId, auth::Scope};

    use super::*;

    #[test]
    fn what_may_not_be_read_may_not_be_referred_to() {
        let now = Timestamp::from_micros(1);
        let workspace = WorkspaceId::new(now);
        let may = |scope: &str, text: &str| {
            let scopes = [scope.parse::<Scope>().unwrap()].into();
            let principal = Principal { token: TokenId::new(now), workspace: Some(workspace), identity: "u/ann".into(), scopes };
            let found = references::of(&JsonText::parse(text).unwrap()).unwrap();
            must_read(&principal, workspace, &found).map_err(|refusal| refusal.code)
        };
        assert_eq!(may("resources:read:f/db/*", r#"["$res:f/db/main"]"#), Ok(()));
        assert_eq!(may("resources:read:f/db/*", r#"["$res:f/dc/main"]"#), Err(Code::Forbidden));
        assert_eq!(may("resources:read:f/db/*", r#"["$var:f/db/main"]"#), Err(Code::Forbidden));
        // Written otherwise, it is the same text.
        assert_eq!(may("resources:read:f/db/*", r#"["\u0024var:f/db/main"]"#), Err(Code::Forbidden));
        assert_eq!(may("resources:read:f/db/*", "[]"), Ok(()));
    }
}
