//! Settings of a route: what it takes, who may call it, what the caller waits for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::signature::config::Hmac;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Each once. `HEAD` is answered where `GET` is.
    pub(super) methods: Vec<Taken>,
    /// What follows `/r/{workspace}`: `/users/:id` has a parameter, `/files/*rest` takes all that begins so.
    pub(super) path: String,
    /// Who may call it; where nothing is said, who shows a token that may start the script.
    #[serde(default)]
    pub(super) auth: Auth,
    #[serde(default)]
    pub(super) reply: Answer,
    /// How long the caller waits for a result, in milliseconds; never longer than the server lets anybody wait.
    pub(super) wait_ms: Option<u64>,
    /// Which pages of other sites may call it; none where nothing is said.
    pub(super) cors: Option<Cors>,
}

/// A method that starts runs.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Taken {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// What the caller is answered.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// The result, or the response that the script describes.
    #[default]
    Sync,
    /// That the run is durable.
    Async,
    /// What happens in the run, as server-sent events.
    Stream,
    /// The response of a component that answers HTTP itself, as it comes.
    Raw,
}

/// Who may call a route.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Auth {
    /// Everybody.
    None {},
    /// Who shows a token that may start the script; the run is theirs.
    Token {},
    ApiKey(ApiKey),
    Basic(Basic),
    Hmac(Box<Hmac>),
    Script(Script),
}

impl Default for Auth {
    fn default() -> Self {
        Self::Token {}
    }
}

/// A key in a header field.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKey {
    #[serde(default = "x_api_key")]
    pub(super) header: String,
    /// Best `"$var:PATH"`, so that it is kept sealed.
    pub(super) key: String,
    /// Others that are as good, as long as callers change theirs. At most three.
    #[serde(default)]
    pub(super) other_keys: Vec<String>,
}

fn x_api_key() -> String {
    "x-api-key".to_owned()
}

/// User and password, as RFC 7617 has them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Basic {
    pub(super) user: String,
    /// Best `"$var:PATH"`, so that it is kept sealed.
    pub(super) password: String,
}

/// A script of the workspace, which is run with the event and returns true, or `{"allow": true}`. What else is in that object is the event's `auth`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    pub(super) path: String,
}

/// Pages that may call a route (CORS). Cookies are never looked at, so none are asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cors {
    /// Such as `https://app.example.com`, or only `*` for all.
    pub(super) origins: Vec<String>,
    /// Header fields that pages may send.
    #[serde(default = "usual_headers")]
    pub(super) headers: Vec<String>,
    /// Header fields of answers that pages may read.
    #[serde(default)]
    pub(super) expose: Vec<String>,
    /// How long browsers believe this, in seconds.
    #[serde(default = "ten_minutes")]
    pub(super) max_age_s: u32,
}

fn usual_headers() -> Vec<String> {
    ["authorization", "content-type", "idempotency-key", "x-api-key"].map(str::to_owned).into()
}

const fn ten_minutes() -> u32 {
    600
}

/// What an event has beside its payload.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(crate) struct Event {
    method: String,
    /// Of the URL.
    path: String,
    /// By name; several values of one name are a list.
    query: BTreeMap<String, serde_json::Value>,
    /// By name in lower case, without credentials.
    headers: BTreeMap<String, String>,
    /// Of the path, by name, decoded.
    params: BTreeMap<String, String>,
    /// The pattern, as it was written.
    route: String,
    /// What follows `/r/{workspace}` in the URL, as it was sent: the path that a component sees which answers HTTP itself.
    target: String,
    /// What the script that let it pass returned.
    auth: Option<serde_json::Value>,
}
