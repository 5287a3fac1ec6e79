//! Settings of a webhook that is stored: none so far.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {}

/// What an event has beside its payload.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(crate) struct Event {
    method: String,
    /// Of the URL.
    path: String,
    /// By name; several values of one name are a list.
    query: std::collections::BTreeMap<String, serde_json::Value>,
    /// By name in lower case, without credentials.
    headers: std::collections::BTreeMap<String, String>,
}
