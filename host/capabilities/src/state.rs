//! `sandmill:state`: JSON that a script keeps from one run to the next.

use sandmill_model::{
    BoxFuture, JsonText, RunId, ScriptPath, WorkspaceId,
    limits::{STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX},
};
use sandmill_sandbox::Guest;
use serde::{Deserialize, Serialize};
use wasmtime::Result;

use crate::{
    Host,
    bindings::state::{Error, Host as State},
};

/// Whose state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StateScope {
    pub workspace: WorkspaceId,
    pub path: ScriptPath,
    /// Path of the trigger; empty for runs that no configured trigger started.
    pub trigger: String,
    /// What is written is seen by this run alone, until a delivery of its trigger adopts it; the run sees it before what is there.
    #[serde(default)]
    pub staged_by: Option<RunId>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateError {
    /// Over a limit; the text names it.
    #[error("{0}")]
    TooLarge(String),
    /// The store cannot be reached; the call may be tried again.
    #[error("{0}")]
    Unavailable(String),
}

/// Where state is kept. Keys and values that come here are valid and within their limits.
pub trait StatePort: Send + Sync + 'static {
    fn get(&self, scope: StateScope, key: String) -> BoxFuture<'_, Result<Option<JsonText>, StateError>>;

    /// Writes `value` (none deletes) if `expected` is none or what is there (some none: nothing), compared as JSON values.
    /// Durable when it returns. Returns whether it wrote.
    /// A scope that is staged compares with what its run sees.
    fn put(
        &self,
        scope: StateScope,
        key: String,
        expected: Option<Option<JsonText>>,
        value: Option<JsonText>,
    ) -> BoxFuture<'_, Result<bool, StateError>>;

    /// Keys that begin with `prefix`, in the order of their bytes, after the key `after`; at most `limit`.
    fn keys(&self, scope: StateScope, prefix: String, after: Option<String>, limit: u32) -> BoxFuture<'_, Result<Vec<String>, StateError>>;
}

/// Keys that are listed at once.
const LIST_KEYS_MAX: u32 = 1_000;

impl State for Guest<Host> {
    async fn get(&mut self, key: String) -> Result<Result<Option<String>, Error>> {
        self.pace().await;
        let found = get(&self.host, key).await;
        Ok(found.map(|value| value.map(|json| json.as_str().to_owned())))
    }

    async fn set(&mut self, key: String, value: String) -> Result<Result<(), Error>> {
        self.pace().await;
        let value = match json(value) {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        };
        Ok(put(&self.host, key, None, Some(value)).await.map(drop))
    }

    async fn delete(&mut self, key: String) -> Result<Result<(), Error>> {
        self.pace().await;
        Ok(put(&self.host, key, None, None).await.map(drop))
    }

    async fn compare_and_swap(&mut self, key: String, expected: Option<String>, new: Option<String>) -> Result<Result<bool, Error>> {
        self.pace().await;
        let (expected, new) = match (expected.map(json).transpose(), new.map(json).transpose()) {
            (Ok(expected), Ok(new)) => (expected, new),
            (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
        };
        Ok(put(&self.host, key, Some(expected), new).await)
    }

    async fn list(&mut self, prefix: String, after: Option<String>, limit: u32) -> Result<Result<Vec<String>, Error>> {
        self.pace().await;
        Ok(keys(&self.host, prefix, after, limit).await)
    }
}

pub(crate) async fn get(host: &Host, key: String) -> Result<Option<JsonText>, Error> {
    check_key(&key)?;
    Ok(host.ports.state.get(host.run.state_scope(), key).await?)
}

pub(crate) async fn keys(host: &Host, prefix: String, after: Option<String>, limit: u32) -> Result<Vec<String>, Error> {
    if prefix.len() > STATE_KEY_BYTES_MAX || after.as_ref().is_some_and(|after| after.len() > STATE_KEY_BYTES_MAX) {
        return Err(Error::InvalidKey(format!("a key has at most {STATE_KEY_BYTES_MAX} bytes")));
    }
    Ok(host.ports.state.keys(host.run.state_scope(), prefix, after, limit.min(LIST_KEYS_MAX)).await?)
}

pub(crate) async fn put(host: &Host, key: String, expected: Option<Option<JsonText>>, value: Option<JsonText>) -> Result<bool, Error> {
    check_key(&key)?;
    Ok(host.ports.state.put(host.run.state_scope(), key, expected, value).await?)
}

fn check_key(key: &str) -> Result<(), Error> {
    let reason = if key.is_empty() {
        "a key has at least one character".to_owned()
    } else if key.len() > STATE_KEY_BYTES_MAX {
        format!("a key has at most {STATE_KEY_BYTES_MAX} bytes; this one has {}", key.len())
    } else if key.chars().any(char::is_control) {
        "a key has no control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::InvalidKey(reason))
}

fn json(text: String) -> Result<JsonText, Error> {
    check_length(text.len())?;
    JsonText::parse(text).map_err(|error| Error::InvalidJson(error.to_string()))
}

pub(crate) fn within_limit(json: JsonText) -> Result<JsonText, Error> {
    check_length(json.as_str().len()).map(|()| json)
}

fn check_length(bytes: usize) -> Result<(), Error> {
    if bytes > STATE_VALUE_BYTES_MAX {
        return Err(Error::TooLarge(format!("a value has at most {STATE_VALUE_BYTES_MAX} bytes of JSON; this one has {bytes}")));
    }
    Ok(())
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::TooLarge(text) => Self::TooLarge(text),
            StateError::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_at_their_limits() {
        let fits = |key: &str| check_key(key).is_ok();
        assert!(fits("a") && fits(&"k".repeat(STATE_KEY_BYTES_MAX)) && fits("ключ/1 x"));
        for bad in ["", &"k".repeat(STATE_KEY_BYTES_MAX + 1), "a\nb", "a\u{0}"] {
            assert!(!fits(bad), "{bad:?}");
        }
        let text = |bytes: usize| format!("\"{}\"", "v".repeat(bytes - 2));
        assert!(json(text(STATE_VALUE_BYTES_MAX)).is_ok());
        assert!(matches!(json(text(STATE_VALUE_BYTES_MAX + 1)), Err(Error::TooLarge(_))));
        assert!(matches!(json("{".to_owned()), Err(Error::InvalidJson(_))));
    }
}
