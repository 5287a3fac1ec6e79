//! What configs refer to: a text `"$res:PATH"`, `"$res:PATH#/POINTER"` or `"$var:PATH"` stands for a resource, a part of one, or a variable.
//!
//! A config is stored with its references. What they stand for is put in their place each time that the config is used, and whoever answers
//! for the trigger must be allowed to read it each time.

use sandmill_model::{
    JsonText, ScriptPath, WorkspaceId,
    auth::{Action, Domain, Principal},
    code::{Code, Refusal},
    schema::escape,
    trigger::ConfigError,
};
use sandmill_store::triggers::Trigger;
use serde_json::Value;

use crate::{Inner, refuse};

/// References of one config.
const REFERENCES_MAX: usize = 32;
/// Bytes of a config as JSON, with what it refers to.
const RESOLVED_BYTES_MAX: usize = 1024 * 1024;

/// One reference.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Where it stands in the config, RFC 6901.
    pointer: String,
    /// `Resources` or `Variables`.
    domain: Domain,
    path: ScriptPath,
    /// Of a resource: RFC 6901; empty: the whole.
    part: String,
}

/// All references of a config, in its order.
pub(super) fn of(config: &JsonText) -> Result<Vec<Reference>, ConfigError> {
    if !config.as_str().contains("\"$") {
        return Ok(Vec::new());
    }
    let config: Value = config.read().map_err(|error| ConfigError::new("", error.to_string()))?;
    let mut found = Vec::new();
    collect(&config, &mut String::new(), &mut found)?;
    if found.len() > REFERENCES_MAX {
        return Err(ConfigError::new("", format!("a config refers to at most {REFERENCES_MAX} resources and variables")));
    }
    Ok(found)
}

fn collect(value: &Value, pointer: &mut String, found: &mut Vec<Reference>) -> Result<(), ConfigError> {
    let own = pointer.len();
    match value {
        Value::String(text) => found.extend(parse(text, pointer)?),
        Value::Array(list) => {
            for (index, element) in list.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                collect(element, pointer, found)?;
                pointer.truncate(own);
            }
        }
        Value::Object(fields) => {
            for (name, element) in fields {
                pointer.push('/');
                pointer.push_str(&escape(name));
                collect(element, pointer, found)?;
                pointer.truncate(own);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

fn parse(text: &str, pointer: &str) -> Result<Option<Reference>, ConfigError> {
    let (domain, rest) = match (text.strip_prefix("$res:"), text.strip_prefix("$var:")) {
        (Some(rest), _) => (Domain::Resources, rest),
        (None, Some(rest)) => (Domain::Variables, rest),
        (None, None) => return Ok(None),
    };
    let (path, part) = match rest.split_once('#') {
        Some((path, part)) if domain == Domain::Resources => (path, part),
        _ => (rest, ""),
    };
    if !(part.is_empty() || part.starts_with('/')) {
        return Err(ConfigError::new(pointer, "after `#` comes a JSON pointer, which starts with `/`"));
    }
    let path = path.parse().map_err(|error| ConfigError::new(pointer, format!("a reference: {error}")))?;
    Ok(Some(Reference { pointer: pointer.to_owned(), domain, path, part: part.to_owned() }))
}

/// Whoever saves or tests a config must be allowed to read what it refers to.
///
/// # Errors
/// `forbidden`, in the same words whether it is there or not.
pub(super) fn must_be_readable(references: &[Reference], principal: &Principal, workspace: WorkspaceId) -> Result<(), Refusal> {
    let is_lacking = |one: &&Reference| !principal.may(workspace, one.domain, Action::Read, Some(one.path.as_str()));
    match references.iter().find(is_lacking) {
        None => Ok(()),
        Some(one) => {
            let scope = format!("{}:read:{}", one.domain.name(), one.path);
            Err(Refusal::new(Code::Forbidden, format!("the token does not allow {scope}, to which the config refers")))
        }
    }
}

/// A config with what it refers to in its place.
///
/// # Errors
/// `unavailable`; inside: what it refers to is not there.
pub(super) async fn put_in(
    inner: &Inner,
    workspace: WorkspaceId,
    config: &JsonText,
    references: &[Reference],
) -> Result<Result<JsonText, ConfigError>, Refusal> {
    if references.is_empty() {
        return Ok(Ok(config.clone()));
    }
    let Ok(mut resolved) = config.read::<Value>() else { return Ok(Err(ConfigError::new("", "it cannot be read"))) };
    for one in references {
        let value = match look_up(inner, workspace, one).await? {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(place) = resolved.pointer_mut(&one.pointer) {
            *place = value;
        }
    }
    let text = resolved.to_string();
    if text.len() > RESOLVED_BYTES_MAX {
        return Ok(Err(ConfigError::new("", format!("with what it refers to it has more than {RESOLVED_BYTES_MAX} bytes"))));
    }
    Ok(Ok(JsonText::trusted(text)))
}

async fn look_up(inner: &Inner, workspace: WorkspaceId, one: &Reference) -> Result<Result<Value, ConfigError>, Refusal> {
    let missing = |what: &str| Err(ConfigError::new(one.pointer.as_str(), format!("there is no {what} at {}", one.path)));
    if one.domain == Domain::Variables {
        let found = inner.store.variables.reveal(workspace, &one.path).await.map_err(|error| refuse(&error))?;
        return Ok(found.map_or_else(|| missing("variable"), |found| Ok(Value::from(found.text))));
    }
    let found = inner.store.resources.reveal(workspace, &one.path).await.map_err(|error| refuse(&error))?;
    let Some(found) = found else { return Ok(missing("resource")) };
    let Ok(value) = found.value.read::<Value>() else { return Ok(missing("readable resource")) };
    Ok(match value.pointer(&one.part) {
        Some(part) => Ok(part.clone()),
        None => Err(ConfigError::new(one.pointer.as_str(), format!("the resource at {} has nothing at {}", one.path, one.part))),
    })
}

/// The config of a stored trigger as its kind reads it. Whoever answers for the trigger must be allowed to read what it refers to still.
///
/// # Errors
/// `unavailable`; inside: what is wrong with the config or with that right.
pub(super) async fn owned(inner: &Inner, trigger: &Trigger) -> Result<Result<JsonText, ConfigError>, Refusal> {
    let references = match of(&trigger.config) {
        Ok(references) => references,
        Err(error) => return Ok(Err(error)),
    };
    for one in &references {
        let may = inner.identity_may(trigger.workspace, &trigger.answered_by, (one.domain, Action::Read), &one.path).await;
        if !may.map_err(|error| refuse(&error))? {
            let message = format!("whoever set this trigger up may not read {} any more: somebody who may must save it again", one.path);
            return Ok(Err(ConfigError::new(one.pointer.as_str(), message)));
        }
    }
    put_in(inner, trigger.workspace, &trigger.config, &references).await
}

#[cfg(test)]
mod tests {
    use sandmill_model::{Timestamp, TokenId, auth::Scope};

    use super::*;

    fn config(text: &str) -> JsonText {
        JsonText::parse(text).unwrap()
    }

    #[test]
    fn only_whole_texts_refer() {
        let found =
            of(&config(r#"{"a": "$res:f/db/main", "b/c": [1, "$var:u/ann/key"], "d": {"e": "$res:f/db/main#/user"}, "f": "x$res:f/a/b"}"#));
        let found: Vec<_> = found.unwrap().into_iter().map(|one| (one.pointer, one.domain, one.path.to_string(), one.part)).collect();
        let expected = [
            ("/a", Domain::Resources, "f/db/main", ""),
            ("/b~1c/1", Domain::Variables, "u/ann/key", ""),
            ("/d/e", Domain::Resources, "f/db/main", "/user"),
        ];
        let expected: Vec<_> =
            expected.map(|(pointer, domain, path, part)| (pointer.to_owned(), domain, path.to_owned(), part.to_owned())).into();
        assert_eq!(found, expected);
        assert_eq!(of(&config(r#"{"a": "b"}"#)), Ok(Vec::new()));
    }

    #[test]
    fn wrong_references_are_told() {
        let many = format!("[{}]", vec!["\"$var:f/a/b\""; REFERENCES_MAX + 1].join(","));
        for (text, pointer) in [
            (r#"{"a": "$res:../x"}"#, "/a"),
            (r#"{"a": "$res:"}"#, "/a"),
            (r#"{"a": "$var:f/a/b#/c"}"#, "/a"),
            (r#"{"a": "$res:f/a/b#c"}"#, "/a"),
            (many.as_str(), ""),
        ] {
            assert_eq!(of(&config(text)).unwrap_err().pointer, pointer, "{text}");
        }
    }

    #[test]
    fn what_may_not_be_read_may_not_be_referred_to() {
        let now = Timestamp::from_micros(1);
        let workspace = WorkspaceId::new(now);
        let may = |scope: &str, text: &str| {
            let scopes = [scope.parse::<Scope>().unwrap()].into();
            let principal = Principal { token: TokenId::new(now), workspace: Some(workspace), identity: "u/ann".into(), scopes };
            must_be_readable(&of(&config(text)).unwrap(), &principal, workspace).map_err(|refusal| refusal.code)
        };
        assert_eq!(may("resources:read:f/db/*", r#"["$res:f/db/main"]"#), Ok(()));
        assert_eq!(may("resources:read:f/db/*", r#"["$res:f/dc/main"]"#), Err(Code::Forbidden));
        assert_eq!(may("resources:read:f/db/*", r#"["$var:f/db/main"]"#), Err(Code::Forbidden));
        assert_eq!(may("resources:read:f/db/*", "[]"), Ok(()));
    }
}
