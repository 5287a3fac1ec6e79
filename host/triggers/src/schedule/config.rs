//! Settings of a schedule.

use sandmill_model::{ScriptPath, trigger};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What becomes of an instant while a run of an earlier one has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Overlap {
    /// It is recorded as skipped.
    #[default]
    Skip,
    /// Its run waits.
    Queue,
    /// Both go on.
    Allow,
    /// The earlier runs are cancelled.
    CancelPrevious,
}

impl From<Overlap> for trigger::Overlap {
    fn from(overlap: Overlap) -> Self {
        match overlap {
            Overlap::Skip => Self::Skip,
            Overlap::Queue => Self::Queue,
            Overlap::Allow => Self::Allow,
            Overlap::CancelPrevious => Self::CancelPrevious,
        }
    }
}

/// What becomes of instants that came while nothing could be started. Those for which no run starts are recorded as skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Misfire {
    /// None is made up for.
    Skip,
    /// The last one runs.
    #[default]
    Once,
    /// The last `catch_up_max` run.
    All,
}

/// Between which moments it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Window {
    /// RFC 3339. An instant at this moment is the first.
    pub(crate) from: Option<String>,
    /// RFC 3339. An instant at this moment is none any more.
    pub(crate) until: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Five fields (minutes, hours, days of the month, months, weekdays), six with seconds before them, or seven with years after them. `L`, `W`,
    /// `#`, names of months and weekdays, and `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly` are known.
    pub(crate) cron: String,
    /// Of the IANA database, such as `Europe/Zurich`. Where its clock leaves out an hour or shows one twice, an expression that fires in every hour follows
    /// real time. Any other fires once for each time on the clock: at the end of what is left out, in the first of what comes twice.
    #[serde(default = "utc")]
    pub(crate) time_zone: String,
    /// Each run starts up to so much later than its instant, always equally much for the same instant, and before the next one. At most a day.
    #[serde(default)]
    pub(crate) jitter_ms: u64,
    #[serde(default)]
    pub(crate) window: Window,
    /// RFC 3339. Instants before are recorded as skipped.
    #[serde(default)]
    pub(crate) pause_until: Option<String>,
    #[serde(default)]
    pub(crate) overlap: Overlap,
    #[serde(default)]
    pub(crate) misfire: Misfire,
    /// From 1 to 1000. An instant is missed if nothing could be started for a minute after it was due; of those that are older than the last
    /// thousand there is one record for all.
    #[serde(default = "catch_up_max")]
    pub(crate) catch_up_max: usize,
    /// What the script is started with; it is kept with each run, so no secret belongs there. The texts `$scheduled_for`, `$local_time`, `$local_date`, `$previous` and `$next` stand for what is so called.
    #[serde(default)]
    pub(crate) arguments: Map<String, Value>,
    /// Path of a script that is asked for the arguments of each run, with `arguments` as its own. It returns an object, or null: then the
    /// instant is recorded as skipped.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(crate) arguments_from: Option<ScriptPath>,
}

pub(crate) fn utc() -> String {
    "UTC".to_owned()
}

const fn catch_up_max() -> usize {
    100
}

/// What an event has beside its payload, which is the arguments.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Event {
    /// The instant, without jitter: RFC 3339 in UTC.
    pub(crate) scheduled_for: String,
    /// The same as the clock on the wall shows it, with its offset.
    pub(crate) local_time: String,
    pub(crate) time_zone: &'static str,
    /// The instant before, whether it ran or not.
    pub(crate) previous: Option<String>,
    /// The instant after.
    pub(crate) next: Option<String>,
    /// In the record of many that were skipped together: the first of them; `scheduled_for` is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skipped_since: Option<String>,
}
