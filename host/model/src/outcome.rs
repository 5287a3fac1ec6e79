//! How an attempt ended.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{digest::Digest, json::JsonText, log::LogEntry, path::ScriptPath};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    Ok,
    /// The preprocessor said that there is nothing to do.
    Skipped,
    /// The script's own error.
    Error,
    InvalidArguments,
    /// The sandbox stopped the code: unreachable, out of bounds, stack overflow.
    Trap,
    OutOfFuel,
    OutOfMemory,
    Timeout,
    /// The result or what the script returned could not be kept: over a limit.
    ResultTooLarge,
    /// A capability was refused and the script did not catch it.
    Denied,
    Cancelled,
    /// The node that ran it died.
    Lost,
    /// It killed three nodes.
    Poisoned,
    /// Our fault, not the script's.
    HostFault,
}

impl OutcomeKind {
    pub const ALL: [Self; 14] = [
        Self::Ok,
        Self::Skipped,
        Self::Error,
        Self::InvalidArguments,
        Self::Trap,
        Self::OutOfFuel,
        Self::OutOfMemory,
        Self::Timeout,
        Self::ResultTooLarge,
        Self::Denied,
        Self::Cancelled,
        Self::Lost,
        Self::Poisoned,
        Self::HostFault,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Error => "error",
            Self::InvalidArguments => "invalid_arguments",
            Self::Trap => "trap",
            Self::OutOfFuel => "out_of_fuel",
            Self::OutOfMemory => "out_of_memory",
            Self::Timeout => "timeout",
            Self::ResultTooLarge => "result_too_large",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::Poisoned => "poisoned",
            Self::HostFault => "host_fault",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What a script returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    Json(JsonText),
    Bytes {
        content_type: String,
        data: Bytes,
    },
    /// Too large for the run's record: the store keeps it apart, and fetches it for whoever asks.
    Kept(KeptOutput),
}

/// What is known of a result that is kept apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptOutput {
    /// None: JSON.
    pub content_type: Option<String>,
    pub bytes: u64,
    pub digest: Digest,
}

impl Output {
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        match self {
            Self::Json(text) => text.as_str().len(),
            Self::Bytes { data, .. } => data.len(),
            // It takes no room itself.
            Self::Kept(_) => 0,
        }
    }
}

/// Statuses by which a preprocessor may refuse a request: its sender is at fault. Others are for the host to say.
const REJECTIONS: std::ops::RangeInclusive<u16> = 400..=499;

/// Why an attempt did not end well, in words for the script's author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// Class of the script's error, or the outcome's name.
    pub name: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// For `invalid_arguments`: `{"faults": [{"pointer": "/a/0", "message": "…"}]}`; for `trap`: `{"code": "stack_overflow"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<JsonText>,
    /// Of a preprocessor that refuses the event: the HTTP status that it chose, from 400 to 499. Scripts cannot set it otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejects: Option<u16>,
}

impl RunError {
    #[must_use]
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into(), stack: None, details: None, rejects: None }
    }

    /// As what a preprocessor threw: `status` in its details answers the request that it refuses, if it is one for a refusal.
    #[must_use]
    pub fn of_preprocessor(self) -> Self {
        let details = self.details.as_ref().and_then(|details| details.read::<serde_json::Value>().ok());
        let chosen = details.and_then(|details| details.get("status")?.as_u64()).and_then(|status| u16::try_from(status).ok());
        let rejects = chosen.filter(|status| REJECTIONS.contains(status));
        Self { rejects, ..self }
    }
}

/// What the attempt used, kept for every outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub fuel: u64,
    pub memory_peak_bytes: u64,
    pub cpu_ns: u64,
    pub wall_ns: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub kind: OutcomeKind,
    /// Only with `ok`.
    pub output: Option<Output>,
    /// With everything but `ok` and `skipped`.
    pub error: Option<RunError>,
    /// What the preprocessor made of the event, if there is one.
    pub arguments: Option<JsonText>,
    pub usage: Usage,
    pub log: Vec<LogEntry>,
}

impl Outcome {
    /// An attempt that ended before or beside the sandbox.
    #[must_use]
    pub fn failed(kind: OutcomeKind, error: RunError) -> Self {
        Self { kind, output: None, error: Some(error), arguments: None, usage: Usage::default(), log: Vec::new() }
    }

    #[must_use]
    pub fn host_fault(message: impl Into<String>) -> Self {
        Self::failed(OutcomeKind::HostFault, RunError::new("host_fault", message))
    }

    /// The version that the attempt should have executed is not there.
    #[must_use]
    pub fn version_missing(path: &ScriptPath) -> Self {
        Self::host_fault(format!("the version of {path} that this run started with is gone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preprocessor_chooses_among_the_statuses_of_refusals() {
        for (details, expected) in [
            (Some(r#"{"status": 401}"#), Some(401)),
            (Some(r#"{"status": 400, "more": [1]}"#), Some(400)),
            (Some(r#"{"status": 499}"#), Some(499)),
            (Some(r#"{"status": 500}"#), None),
            (Some(r#"{"status": 200}"#), None),
            (Some(r#"{"status": 399}"#), None),
            (Some(r#"{"status": -401}"#), None),
            (Some(r#"{"status": 65937}"#), None),
            (Some(r#"{"status": "401"}"#), None),
            (Some(r#"{"status": 401.5}"#), None),
            (Some(r#""status""#), None),
            (Some("[401]"), None),
            (None, None),
        ] {
            let error = RunError { details: details.map(JsonText::trusted), ..RunError::new("Error", "no") };
            assert_eq!(error.rejects, None);
            assert_eq!(error.of_preprocessor().rejects, expected, "{details:?}");
        }
    }

    #[test]
    fn errors_of_before_are_read() {
        let error: RunError = serde_json::from_str(r#"{"name":"Error","message":"no"}"#).unwrap();
        assert_eq!(error, RunError::new("Error", "no"));
        assert_eq!(serde_json::to_string(&error).unwrap(), r#"{"name":"Error","message":"no"}"#);
    }
}
