//! Lines of a run's log.

use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, json::JsonText};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// The `log` interface, `console` among its users.
    Log,
    Stdout,
    Stderr,
    /// `output.write`: partial results.
    Output,
    /// `output.progress`.
    Progress,
    /// The host itself: a limit that was met, a line that was cut.
    Host,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    pub at: Timestamp,
    pub level: LogLevel,
    pub stream: LogStream,
    pub message: String,
    /// A JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<JsonText>,
}

impl LogEntry {
    /// What the entry counts against the log limit.
    #[must_use]
    pub fn charge_bytes(&self) -> usize {
        /// Time, level and stream.
        const OVERHEAD_BYTES: usize = 32;
        OVERHEAD_BYTES + self.message.len() + self.fields.as_ref().map_or(0, |fields| fields.as_str().len())
    }
}
