//! `GET /api/w/{workspace}/runs/{id}/log`

use std::{fmt::Write, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, header};
use sandmill_model::{LogEntry, auth::Action};
use serde::Serialize;
use utoipa::ToSchema;

use super::find;
use crate::{
    app::App,
    auth::Caller,
    problem::Problem,
    request::{
        headers,
        json::one_line,
        url::{RunRef, no_run},
    },
};

/// One line of a log.
#[derive(Serialize, ToSchema)]
pub(crate) struct LogLine {
    at: String,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    #[schema(value_type = String)]
    level: sandmill_model::LogLevel,
    /// `log`, `stdout`, `stderr`, `output`, `progress` or `host`.
    #[schema(value_type = String)]
    stream: sandmill_model::LogStream,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    fields: Option<sandmill_model::JsonText>,
}

impl From<LogEntry> for LogLine {
    fn from(LogEntry { at, level, stream, message, fields }: LogEntry) -> Self {
        Self { at: at.to_string(), level, stream, message, fields }
    }
}

/// Gives a run's log: a JSON object a line, or text if `Accept` prefers `text/plain`. So far, while the run executes: at once if it does
/// here, half a second behind if it does on another node.
#[utoipa::path(get, path = "/api/w/{workspace}/runs/{id}/log", tag = "runs",
    params(("workspace" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "In order of time", content((LogLine = "application/x-ndjson"), (String = "text/plain")))))]
pub(crate) async fn log(
    State(app): State<Arc<App>>,
    caller: Caller,
    RunRef(run): RunRef,
    request_headers: HeaderMap,
) -> Result<Response, Problem> {
    find(&app, &caller, run, Action::Read).await?;
    let entries = app.dispatch.log(caller.workspace.id, run).await?.ok_or_else(no_run)?;
    let (content_type, body) = if prefers_text(&request_headers) {
        ("text/plain; charset=utf-8", as_text(&entries))
    } else {
        ("application/x-ndjson", as_lines(entries)?)
    };
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers::sandbox(response.headers_mut());
    Ok(response)
}

/// The first of the two types that `Accept` names; weights are not worth their parsing here.
fn prefers_text(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut types = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    types
        .find(|name| matches!(*name, "text/plain" | "text/*" | "application/x-ndjson" | "application/json"))
        .is_some_and(|name| name.starts_with("text/"))
}

fn as_lines(entries: Vec<LogEntry>) -> Result<String, Problem> {
    let mut out = String::new();
    for entry in entries {
        let line = serde_json::to_string(&LogLine::from(entry)).map_err(|error| Problem::internal(error.to_string()))?;
        out.push_str(&one_line(&line));
        out.push('\n');
    }
    Ok(out)
}

fn as_text(entries: &[LogEntry]) -> String {
    let mut out = String::new();
    for entry in entries {
        let level = match entry.level {
            sandmill_model::LogLevel::Trace => "TRACE",
            sandmill_model::LogLevel::Debug => "DEBUG",
            sandmill_model::LogLevel::Info => "INFO ",
            sandmill_model::LogLevel::Warn => "WARN ",
            sandmill_model::LogLevel::Error => "ERROR",
        };
        let fields = entry.fields.as_ref().map(|fields| format!(" {}", fields.as_str())).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{} {level} {}{fields}", entry.at, entry.message);
    }
    out
}
