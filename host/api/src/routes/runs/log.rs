//! `GET /api/w/{workspace}/runs/{id}/log`

use std::{fmt::Write, sync::Arc};

use axum::{BoxError, body::Body, extract::State, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use sandmill_dispatch::Log;
use sandmill_model::{LogEntry, auth::Action};
use serde::Serialize;
use utoipa::ToSchema;

use super::find;
use crate::{
    app::App,
    auth::{BELIEVED, Caller},
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
/// here, half a second behind if it does on another node. An answer that breaks off is not the whole log.
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
    let log = app.dispatch.log(caller.workspace.id, run).await?.ok_or_else(no_run)?;
    let form = if prefers_text(&request_headers) { Form::Text } else { Form::Lines };
    let reading = Reading { app, caller, log, form };
    let mut response = Response::new(Body::from_stream(stream::try_unfold(reading, page)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    headers::sandbox(response.headers_mut());
    Ok(response)
}

#[derive(Clone, Copy)]
enum Form {
    Lines,
    Text,
}

impl Form {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

/// What is still to be sent.
struct Reading {
    app: Arc<App>,
    caller: Caller,
    log: Log,
    form: Form,
}

/// The next part of the answer. An error breaks the connection off: what was sent must not look like all of it.
async fn page(mut reading: Reading) -> Result<Option<(Bytes, Reading)>, BoxError> {
    if !reading.app.is_as_before(&reading.caller, BELIEVED).await {
        return Err("whoever reads the log may not any more".into());
    }
    let Some(entries) = reading.log.next().await.inspect_err(|refusal| tracing::warn!(%refusal, "a log broke off in the middle"))? else {
        return Ok(None);
    };
    let text = match reading.form {
        Form::Lines => as_lines(entries)?,
        Form::Text => as_text(&entries),
    };
    Ok(Some((text.into(), reading)))
}

/// The first of the two types that `Accept` names; weights are not worth their parsing here.
fn prefers_text(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut types = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    types
        .find(|name| matches!(*name, "text/plain" | "text/*" | "application/x-ndjson" | "application/json"))
        .is_some_and(|name| name.starts_with("text/"))
}

fn as_lines(entries: Vec<LogEntry>) -> serde_json::Result<String> {
    let mut out = String::new();
    for entry in entries {
        let line = serde_json::to_string(&LogLine::from(entry))?;
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
