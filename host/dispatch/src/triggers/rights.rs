//! Who may read what a config refers to: whoever saves or tests it, by their token; and whoever answers for the trigger, each time that the
//! config is used.

use std::sync::Arc;

use sandmill_model::{
    JsonText, ScriptPath, WorkspaceId,
    auth::{Action, Domain, Principal},
    code::{Code, Refusal},
    trigger::ConfigError,
};
use sandmill_store::triggers::Trigger;
use serde_json::Value;

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
async fn owner_reads(inner: &Inner, trigger: &Trigger) -> Result<Result<(), ConfigError>, Refusal> {
    let found = match references::of(&trigger.config) {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    for one in &found {
        let (domain, path) = place(one);
        let asked: Arc<str> = format!("read {} {path}", domain.name()).into();
        let look_up = inner.identity_may(trigger.workspace, &trigger.answered_by, (domain, Action::Read), path);
        if !inner.owner_may((trigger.workspace, Arc::clone(&trigger.answered_by), asked), look_up).await? {
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
pub(super) async fn whole(
    inner: &Inner,
    workspace: WorkspaceId,
    config: &JsonText,
    read: &mut Read,
) -> Result<Result<JsonText, ConfigError>, Refusal> {
    match references::resolved(&inner.store, workspace, config, read).await {
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
pub(super) async fn owned(inner: &Inner, trigger: &Trigger, read: &mut Read) -> Result<Result<JsonText, ConfigError>, Refusal> {
    match owner_reads(inner, trigger).await? {
        Ok(()) => whole(inner, trigger.workspace, &trigger.config, read).await,
        Err(error) => Ok(Err(error)),
    }
}

/// Which script a kind starts beside the target must be said in the config itself: what it refers to changes, and nobody looks then at whether
/// whoever changes it may start that.
///
/// # Errors
/// Where a reference stands for the path of such a script.
pub(super) fn must_name(config: &JsonText, whole: &JsonText, scripts: &[ScriptPath]) -> Result<(), ConfigError> {
    let found = references::of(config)?;
    if found.is_empty() || scripts.is_empty() {
        return Ok(());
    }
    let whole: Value = whole.read().map_err(|_| ConfigError::new("", "the config is not JSON that can be read"))?;
    for one in &found {
        let value = whole.pointer(&one.at).unwrap_or(&Value::Null);
        if scripts.iter().any(|script| has_text(value, script.as_str())) {
            return Err(ConfigError::new(one.at.as_str(), "a script that is started is named here, not by what is referred to"));
        }
    }
    Ok(())
}

fn has_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own == text,
        Value::Array(items) => items.iter().any(|item| has_text(item, text)),
        Value::Object(fields) => fields.values().any(|field| has_text(field, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
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

    #[test]
    fn scripts_are_named_in_the_config_itself() {
        let scripts = ["f/a/secret".parse::<ScriptPath>().unwrap()];
        let names = |config: &str, whole: &str| must_name(&JsonText::trusted(config), &JsonText::trusted(whole), &scripts).is_ok();
        assert!(names(r#"{"script": "f/a/secret", "x": "$var:f/a/x"}"#, r#"{"script": "f/a/secret", "x": "y"}"#));
        // What it says elsewhere does not help.
        assert!(!names(r#"{"script": "$var:f/a/x", "y": "f/a/secret"}"#, r#"{"script": "f/a/secret", "y": "f/a/secret"}"#));
        assert!(!names(r#"{"auth": "$res:f/a/x"}"#, r#"{"auth": {"script": ["f/a/secret"]}}"#));
        assert!(names("{}", "{}"));
    }
}
