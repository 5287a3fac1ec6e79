//! What the host knows of a kind: its name, the schema of its config, and which of the contracts it keeps.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{DynEndpoint, DynListener, DynPublisher};
use crate::json::JsonText;

/// Settings of a trigger: one struct is the parser, the form and the documentation. Whatever a config refers to by `"$res:PATH"` or `"$var:PATH"`,
/// a text as a whole, the host has put in its place before it is parsed, so a field has the type of what is referred to.
pub trait Config: DeserializeOwned + JsonSchema + Send + Sync + 'static {}

impl<C: DeserializeOwned + JsonSchema + Send + Sync + 'static> Config for C {}

/// What is wrong with a config, for whoever wrote it. Never with a value that may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// RFC 6901, into the config; empty: the whole.
    pub pointer: String,
    pub message: String,
}

impl ConfigError {
    #[must_use]
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }

    pub(super) fn parse<C: DeserializeOwned>(config: &JsonText) -> Result<C, Self> {
        config.read().map_err(|error| Self::new("", without_values(&error)))
    }
}

/// A message of the parser quotes what it found, which may be a secret that was put in the place of a reference.
fn without_values(error: &serde_json::Error) -> String {
    const QUOTING: [&str; 3] = ["invalid type: ", "invalid value: ", "unknown variant "];
    let text = error.to_string();
    let quotes = QUOTING.iter().any(|start| text.starts_with(start));
    match text.rsplit_once(", expected ").filter(|_| quotes) {
        Some((_, expected)) => format!("a value does not fit: expected {expected}"),
        None => text,
    }
}

/// Why a listener ended, or a test of its connection failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Nothing but another config or another right helps. The host shows it and tries again at its longest pause, or at once when the trigger or
    /// what it refers to is changed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It may help to try again: the host does, for ever, with growing pauses.
    #[error("{0}")]
    Transient(String),
}

/// A type of resource that a kind reads its connection from, which every workspace has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceKind {
    pub name: &'static str,
    /// JSON Schema, as the files of `host/model/src/resource_types`.
    pub schema: &'static str,
}

/// A kind as lists, forms and docs show it.
#[derive(Clone, Debug)]
pub struct KindInfo {
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// JSON Schema of its config.
    pub config: Value,
    /// JSON Schema of what `preprocessor(event)` gets beside `kind`, `trigger`, `body`, `raw` and `encoding`.
    pub event: Value,
    pub resource_types: &'static [ResourceKind],
    /// First segment of its URLs, if it has any.
    pub prefix: Option<&'static str>,
    /// Whether each trigger is held by at least one listener.
    pub listens: bool,
    /// Whether several may listen to one trigger at once, because the broker shares events out.
    pub is_shared: bool,
    /// Whether the script itself is such a trigger: a stored one says on which other terms, and there is at most one for each script.
    pub is_of_every_script: bool,
}

/// A row of the registry.
#[derive(Clone)]
pub struct Kind {
    pub info: Arc<KindInfo>,
    pub endpoint: Option<Arc<dyn DynEndpoint>>,
    pub listener: Option<Arc<dyn DynListener>>,
    pub publisher: Option<Arc<dyn DynPublisher>>,
}

impl Kind {
    /// One that HTTP requests start.
    #[must_use]
    pub fn endpoint(endpoint: Arc<dyn DynEndpoint>) -> Self {
        Self { info: Arc::new(endpoint.info()), endpoint: Some(endpoint), listener: None, publisher: None }
    }

    /// One that listens.
    #[must_use]
    pub fn listener(listener: Arc<dyn DynListener>) -> Self {
        Self { info: Arc::new(listener.info()), endpoint: None, listener: Some(listener), publisher: None }
    }

    /// The same, and scripts send by it, too.
    #[must_use]
    pub fn with_publisher(self, publisher: Arc<dyn DynPublisher>) -> Self {
        Self { publisher: Some(publisher), ..self }
    }
}

/// The registry.
#[derive(Clone, Default)]
pub struct Kinds(Arc<[Kind]>);

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self(kinds.into_iter().collect())
    }
}

impl Kinds {
    #[must_use]
    pub fn all(&self) -> &[Kind] {
        &self.0
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Kind> {
        self.0.iter().find(|kind| kind.info.name == name)
    }

    /// Types of resources that the kinds bring, each once.
    #[must_use]
    pub fn resource_types(&self) -> Vec<ResourceKind> {
        let mut types: Vec<ResourceKind> = Vec::new();
        let listened = self.0.iter().flat_map(|kind| kind.info.resource_types.iter().copied());
        let published = self.0.iter().filter_map(|kind| kind.publisher.as_ref()).map(|publisher| publisher.resource());
        for one in listened.chain(published) {
            if types.iter().all(|other| other.name != one.name) {
                types.push(one);
            }
        }
        types
    }

    /// By which scripts send.
    pub fn publishers(&self) -> impl Iterator<Item = &Arc<dyn DynPublisher>> {
        self.0.iter().filter_map(|kind| kind.publisher.as_ref())
    }

    /// What is mounted.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<dyn DynEndpoint>> {
        self.0.iter().filter_map(|kind| kind.endpoint.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_a_config_quote_no_values() {
        let error = ConfigError::parse::<u32>(&JsonText::trusted("\"hunter2\"")).unwrap_err();
        assert!(!error.message.contains("hunter2") && error.message.contains("u32"), "{error}");
    }
}
