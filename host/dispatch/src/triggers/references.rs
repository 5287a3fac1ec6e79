//! What configs refer to: a text that is `$res:PATH`, `$res:PATH#/pointer` or `$var:PATH` as a whole stands for that resource, for a part of it, or for
//! that variable.

use std::collections::HashMap;

use sandmill_model::{JsonText, ScriptPath, WorkspaceId, trigger::ConfigError};
use sandmill_store::{Store, StoreError};
use serde_json::Value;

/// References of one config: each is read whenever it is compiled.
const REFERENCES_MAX: usize = 64;

/// What a text stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Referent {
    Resource(ScriptPath),
    Variable(ScriptPath),
}

/// A text of a config that stands for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) referent: Referent,
    /// Of the part that is meant; empty: all.
    part: String,
    /// Where it is in the config.
    pub(super) at: String,
}

/// Why a config is not whole.
#[derive(Debug)]
pub(super) enum Unresolved {
    Config(ConfigError),
    Store(StoreError),
}

impl From<ConfigError> for Unresolved {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// What was read for several configs, so that each thing is read once.
#[derive(Default)]
pub(super) struct Read(HashMap<Referent, Option<Value>>);

/// All references of a config.
///
/// # Errors
/// What is wrong with one.
pub(super) fn of(config: &JsonText) -> Result<Vec<Reference>, ConfigError> {
    let mut found = Vec::new();
    // Most configs have none.
    if config.as_str().contains('$') || config.as_str().contains('\\') {
        collect(&parsed(config)?, &mut String::new(), &mut found)?;
    }
    Ok(found)
}

/// The config with what it refers to in the place of its references.
///
/// # Errors
/// What is wrong with a reference, or the store's error. No value is in them.
pub(super) async fn resolved(store: &Store, workspace: WorkspaceId, config: &JsonText, read: &mut Read) -> Result<JsonText, Unresolved> {
    let references = of(config)?;
    if references.is_empty() {
        return Ok(config.clone());
    }
    let mut whole = parsed(config)?;
    for reference in references {
        let value = read.value(store, workspace, &reference).await?;
        if let Some(place) = whole.pointer_mut(&reference.at) {
            *place = value;
        }
    }
    Ok(JsonText::trusted(whole.to_string()))
}

fn parsed(config: &JsonText) -> Result<Value, ConfigError> {
    config.read().map_err(|_| ConfigError::new("", "the config is not JSON that can be read"))
}

fn collect(value: &Value, at: &mut String, found: &mut Vec<Reference>) -> Result<(), ConfigError> {
    match value {
        Value::String(text) => {
            if let Some(reference) = reference(text, at)? {
                if found.len() == REFERENCES_MAX {
                    return Err(ConfigError::new(at.clone(), format!("a config has at most {REFERENCES_MAX} references")));
                }
                found.push(reference);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                within(at, &index.to_string(), |at| collect(item, at, found))?;
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                within(at, &name.replace('~', "~0").replace('/', "~1"), |at| collect(field, at, found))?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

fn within<T>(at: &mut String, step: &str, look: impl FnOnce(&mut String) -> T) -> T {
    let before = at.len();
    at.push('/');
    at.push_str(step);
    let looked = look(at);
    at.truncate(before);
    looked
}

fn reference(text: &str, at: &str) -> Result<Option<Reference>, ConfigError> {
    let (is_resource, path, part) = if let Some(rest) = text.strip_prefix("$res:") {
        let (path, part) = rest.split_once('#').unwrap_or((rest, ""));
        (true, path, part)
    } else if let Some(path) = text.strip_prefix("$var:") {
        (false, path, "")
    } else {
        return Ok(None);
    };
    let path = path.parse::<ScriptPath>().map_err(|error| ConfigError::new(at, format!("what it refers to: {error}")))?;
    if !(part.is_empty() || part.starts_with('/')) {
        return Err(ConfigError::new(at, "a part of a resource is written as `$res:PATH#/pointer`"));
    }
    let referent = if is_resource { Referent::Resource(path) } else { Referent::Variable(path) };
    Ok(Some(Reference { referent, part: part.to_owned(), at: at.to_owned() }))
}

impl Read {
    async fn value(&mut self, store: &Store, workspace: WorkspaceId, reference: &Reference) -> Result<Value, Unresolved> {
        let known = match self.0.get(&reference.referent) {
            Some(known) => known.clone(),
            None => {
                let found = look_up(store, workspace, &reference.referent).await.map_err(Unresolved::Store)?;
                self.0.insert(reference.referent.clone(), found.clone());
                found
            }
        };
        let (what, path) = match &reference.referent {
            Referent::Resource(path) => ("resource", path),
            Referent::Variable(path) => ("variable", path),
        };
        let whole = known.ok_or_else(|| ConfigError::new(&*reference.at, format!("there is no {what} at {path}")))?;
        let part = whole.pointer(&reference.part).cloned();
        part.ok_or_else(|| ConfigError::new(&*reference.at, format!("the {what} at {path} has nothing at {}", reference.part)).into())
    }
}

async fn look_up(store: &Store, workspace: WorkspaceId, referent: &Referent) -> Result<Option<Value>, StoreError> {
    Ok(match referent {
        Referent::Resource(path) => {
            let found = store.resources.reveal(workspace, path).await?;
            found.and_then(|found| found.value.read().ok())
        }
        Referent::Variable(path) => store.variables.reveal(workspace, path).await?.map(|found| Value::String(found.text)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &str) -> Result<Vec<Reference>, ConfigError> {
        of(&JsonText::trusted(config))
    }

    #[test]
    fn whole_texts_refer_to_something() {
        let references =
            found(r#"{"a/b": ["x", {"c": "$res:f/a/b#/key"}], "d": "$var:f/c/d", "\u0065": "\u0024var:f/e/f", "no": "a $var:f/c/d"}"#);
        let mut told: Vec<_> = references.unwrap().into_iter().map(|one| (one.at, one.referent, one.part)).collect();
        told.sort_by(|one, other| one.0.cmp(&other.0));
        let path = |text: &str| text.parse::<ScriptPath>().unwrap();
        assert_eq!(
            told,
            [
                ("/a~1b/1/c".to_owned(), Referent::Resource(path("f/a/b")), "/key".to_owned()),
                ("/d".to_owned(), Referent::Variable(path("f/c/d")), String::new()),
                ("/e".to_owned(), Referent::Variable(path("f/e/f")), String::new()),
            ]
        );
        assert_eq!(found(r#"{"price": "5 $"}"#), Ok(Vec::new()));
    }

    #[test]
    fn wrong_references_are_told() {
        for (config, at) in [(r#"{"a": "$res:x"}"#, "/a"), (r#"["$var:f/a"]"#, "/0"), (r#"{"a": "$res:f/a/b#key"}"#, "/a")] {
            assert_eq!(found(config).unwrap_err().pointer, at, "{config}");
        }
        let many = format!("[{}]", vec![r#""$var:f/a/b""#; REFERENCES_MAX + 1].join(","));
        assert!(found(&many).unwrap_err().message.contains("at most"));
    }
}
