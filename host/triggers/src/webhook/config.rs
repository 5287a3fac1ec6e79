//! Settings of a webhook that is stored, and what its events tell.

use std::time::Duration;

use http::HeaderName;
use sandmill_model::trigger::ConfigError;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::web::metadata;

/// Names that become arguments, of headers and of the query each.
pub(super) const INCLUDED_MAX: usize = 32;
/// No server lets wait longer.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Terms on which a script's own URL starts it. What callers may say in the query they may say in any case: `include_header` and `include_query`, each
/// with names between commas, and `wait_ms`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Headers that become arguments: `X-Event-Id` is `x_event_id`. They take the place of what the body says.
    include_headers: Vec<String>,
    /// Parameters of the URL that become arguments of a request with a body.
    include_query: Vec<String>,
    /// The body passes as it is, whatever it is said to be: no form is read, and nothing must be JSON.
    raw_body: bool,
    /// How long callers wait for the result at most; never longer than the server lets them.
    wait_ms: Option<u64>,
}

/// The same, checked.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    pub(super) headers: Vec<HeaderName>,
    pub(super) query: Vec<String>,
    pub(super) raw_body: bool,
    pub(super) wait_max: Option<Duration>,
}

impl Config {
    pub(super) fn check(self) -> Result<Ready, ConfigError> {
        let Self { include_headers, include_query, raw_body, wait_ms } = self;
        for (pointer, names) in [("/include_headers", &include_headers), ("/include_query", &include_query)] {
            if names.len() > INCLUDED_MAX {
                return Err(ConfigError::new(pointer, format!("there are at most {INCLUDED_MAX}")));
            }
        }
        let header = |(number, name): (usize, &String)| {
            let name: Option<HeaderName> = name.parse().ok();
            let may_be = name.filter(|name| !metadata::is_secret(name));
            may_be.ok_or_else(|| ConfigError::new(format!("/include_headers/{number}"), "it is no header, or one that nobody is shown"))
        };
        let headers = include_headers.iter().enumerate().map(header).collect::<Result<_, _>>()?;
        let wait_max = wait_ms.map(Duration::from_millis);
        if wait_max.is_some_and(|wait| wait > WAIT_MAX) {
            return Err(ConfigError::new("/wait_ms", format!("it is at most {}", WAIT_MAX.as_millis())));
        }
        Ok(Ready { headers, query: include_query, raw_body, wait_max })
    }
}

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
    /// Attributes of a CloudEvent, if the request was one: `id`, `source`, `type` and what else it has.
    cloudevent: Option<std::collections::BTreeMap<String, serde_json::Value>>,
}
