//! The JSON in events.

use base64::{Engine, engine::general_purpose::STANDARD};
use sandmill_model::{JsonText, LogEntry, OutcomeKind, Output, RunError, RunRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{problem::ScriptError, routes::runs::log::LogLine};

/// Data of a `log` event is a line as `…/log` has it; these are those of the others.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum EventData {
    /// `progress`
    Progress {
        at: String,
        /// 0 to 100.
        percent: f64,
        text: String,
    },
    /// `chunk` of text
    Text { at: String, text: String },
    /// `chunk` of other bytes
    Bytes { at: String, base64: String },
    /// `attempt`: the run begins anew, after an attempt that failed, was lost or was handed back
    Attempt {
        /// How often it has begun, this time included.
        begun: u32,
    },
    /// `end`
    End(Box<End>),
}

/// How the run ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct End {
    run_id: String,
    /// `succeeded`, `failed`, `cancelled` or `skipped`.
    status: &'static str,
    outcome: Option<&'static str>,
    /// What the script returned, if it is JSON and not too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<JsonText>,
    /// What the script returned, if it is bytes and not too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<ResultBytes>,
    /// Where that is, if it has more than 64 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_at: Option<String>,
    /// Message and stack only for tokens that may read runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ScriptError>,
}

#[derive(Serialize, ToSchema)]
struct ResultBytes {
    content_type: String,
    base64: String,
}

/// Bytes of a result that `end` tells: a thousand may follow, and each of them holds its own.
const RESULT_BYTES_MAX: usize = 64 * 1024;

fn json(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned())
}

pub(super) fn log(entry: LogEntry) -> String {
    json(&LogLine::from(entry))
}

pub(super) fn attempt(begun: u32) -> String {
    json(&EventData::Attempt { begun })
}

pub(super) fn progress(entry: LogEntry) -> String {
    #[derive(Default, Deserialize)]
    struct Fields {
        #[serde(default)]
        percent: f64,
    }
    let fields = entry.fields.and_then(|fields| fields.read::<Fields>().ok()).unwrap_or_default();
    json(&EventData::Progress { at: entry.at.to_string(), percent: fields.percent, text: entry.message })
}

pub(super) fn chunk(entry: LogEntry) -> String {
    let at = entry.at.to_string();
    // Bytes that are not text have their encoding in the entry's fields.
    json(&match entry.fields {
        None => EventData::Text { at, text: entry.message },
        Some(_) => EventData::Bytes { at, base64: entry.message },
    })
}

/// How a run of `workspace` ended.
pub(super) fn end(record: RunRecord, workspace: &str, may_read: bool) -> String {
    let summary = record.summary;
    let kind = summary.outcome.unwrap_or(OutcomeKind::HostFault);
    let (mut result, mut bytes, mut result_at) = (None, None, None);
    match record.output {
        Some(output) if output.len_bytes() > RESULT_BYTES_MAX || matches!(output, Output::Kept(_)) => {
            result_at = Some(format!("/api/w/{workspace}/runs/{}/result", summary.id));
        }
        Some(Output::Json(output)) => result = Some(output),
        Some(Output::Bytes { content_type, data }) => bytes = Some(ResultBytes { content_type, base64: STANDARD.encode(data) }),
        // As whoever waits is answered.
        None if kind == OutcomeKind::Skipped => result = Some(JsonText::null()),
        Some(Output::Kept(_)) | None => {}
    }
    json(&EventData::End(Box::new(End {
        run_id: summary.id.to_string(),
        status: summary.status.name(),
        outcome: summary.outcome.map(OutcomeKind::name),
        result,
        bytes,
        result_at,
        error: record.error.map(|error| visible(error, kind, may_read)),
    })))
}

/// What is wrong with arguments is for whoever sent them; all else for those who may read runs.
fn visible(error: RunError, kind: OutcomeKind, may_read: bool) -> ScriptError {
    if may_read || kind == OutcomeKind::InvalidArguments {
        return error.into();
    }
    let message = "a token with the scope runs:read sees why".to_owned();
    ScriptError { name: kind.name().to_owned(), message, stack: None, details: None }
}

#[cfg(test)]
mod tests {
    use sandmill_model::{LogLevel, LogStream, Timestamp};

    use super::*;

    fn entry(stream: LogStream, message: &str, fields: Option<&str>) -> LogEntry {
        let fields = fields.map(JsonText::trusted);
        LogEntry { at: Timestamp::from_micros(0), level: LogLevel::Info, stream, message: message.to_owned(), fields }
    }

    #[test]
    fn entries_become_data() {
        let at = r#""at":"1970-01-01T00:00:00.000000Z""#;
        assert_eq!(
            progress(entry(LogStream::Progress, "half", Some(r#"{"percent":50.5}"#))),
            format!(r#"{{{at},"percent":50.5,"text":"half"}}"#)
        );
        assert_eq!(chunk(entry(LogStream::Output, "a\nb", None)), format!(r#"{{{at},"text":"a\nb"}}"#));
        assert_eq!(chunk(entry(LogStream::Output, "/wAB", Some(r#"{"encoding":"base64"}"#))), format!(r#"{{{at},"base64":"/wAB"}}"#));
        assert_eq!(
            log(entry(LogStream::Log, "x", Some("{\n\"a\":1}"))),
            format!("{{{at},\"level\":\"info\",\"stream\":\"log\",\"message\":\"x\",\"fields\":{{\n\"a\":1}}}}")
        );
        assert_eq!(attempt(2), r#"{"begun":2}"#);
    }

    #[test]
    fn errors_are_for_those_who_may_read() {
        let error = || RunError { stack: Some("at main".into()), ..RunError::new("TypeError", "secret") };
        assert_eq!(visible(error(), OutcomeKind::Error, true).message, "secret");
        let hidden = visible(error(), OutcomeKind::Error, false);
        assert_eq!((&*hidden.name, hidden.stack, hidden.details), ("error", None, None));
        assert!(!hidden.message.contains("secret"));
        assert_eq!(visible(error(), OutcomeKind::InvalidArguments, false).message, "secret", "they are the caller's own");
    }
}
