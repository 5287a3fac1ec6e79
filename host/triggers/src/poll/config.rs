//! Settings of a poll.

use sandmill_model::ScriptPath;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::schedule::config::{self as schedule, Window};

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// When it is looked: five fields (minutes, hours, days of the month, months, weekdays), six with seconds before them, or seven with years
    /// after them. `L`, `W`, `#`, names of months and weekdays, and `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly` are known.
    pub(crate) cron: String,
    /// Of the IANA database, such as `Europe/Zurich`.
    #[serde(default = "schedule::utc")]
    pub(crate) time_zone: String,
    /// It is looked up to so much later than at the instant, always equally much for the same instant, and before the next one. At most a day.
    #[serde(default)]
    pub(crate) jitter_ms: u64,
    #[serde(default)]
    pub(crate) window: Window,
    /// RFC 3339. Instants before are recorded as skipped.
    #[serde(default)]
    pub(crate) pause_until: Option<String>,
    /// Path of the script that looks. What it writes to its state becomes so together with the runs of what it found.
    #[schemars(with = "String")]
    pub(crate) script: ScriptPath,
    /// What that script is started with.
    #[serde(default)]
    pub(crate) arguments: Map<String, Value>,
    /// JSON pointer to the list of items in what it returns. Empty: that is the list.
    #[serde(default)]
    pub(crate) items: String,
    /// JSON pointer into an item: by what is there it is known when it is found again. None: each that is found is new.
    #[serde(default)]
    pub(crate) id: Option<String>,
}

/// What an event has beside its payload, which is the item.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Event {
    /// When it was looked.
    #[serde(flatten)]
    pub(crate) instant: schedule::Event,
    /// The run that found it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) polled_by: Option<String>,
    /// Of the item in the list, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<usize>,
    /// By what the item is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) item_id: Option<String>,
}
