//! `GET /api/w/{workspace}/audit/export`

use std::sync::Arc;

use axum::{BoxError, body::Body, extract::State, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use sandmill_model::Code;
use sandmill_store::audit::{Chain, Ends};
use serde::Deserialize;

use super::list::AuditEntry;
use crate::{
    app::App,
    auth::{Authenticated, BELIEVED, Caller},
    problem::Problem,
    request::{headers, url::Query},
};

/// Entries that are read together, and for which it is looked once whether the caller may read them still: they may be large.
const PAGE: u32 = 20;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct ExportQuery {
    /// Only entries with greater numbers.
    after: Option<u64>,
}

/// Gives the audit log of a workspace as it is at this moment: an entry a line, oldest first.
///
/// `sandmill audit verify --file` checks what was saved. An answer that breaks off is not all of it.
#[utoipa::path(get, path = "/api/w/{workspace}/audit/export", tag = "audit", params(("workspace" = String, Path), ExportQuery),
    responses((status = 200, description = "A JSON object a line", content((AuditEntry = "application/x-ndjson")))))]
pub(crate) async fn export(State(app): State<Arc<App>>, caller: Caller, Query(query): Query<ExportQuery>) -> Result<Response, Problem> {
    caller.must_audit()?;
    answer(app, Reader::Inside(caller), &query).await
}

/// Whoever reads a chain.
pub(super) enum Reader {
    /// That of their workspace.
    Inside(Caller),
    /// The installation's.
    Outside(Authenticated),
}

impl Reader {
    const fn chain(&self) -> Chain {
        match self {
            Self::Inside(caller) => Some(caller.workspace.id),
            Self::Outside(_) => None,
        }
    }

    /// Whether they may read on.
    async fn is_as_before(&self, app: &App) -> bool {
        match self {
            Self::Inside(caller) => app.is_as_before(caller, BELIEVED).await,
            Self::Outside(caller) => app.is_as_before_outside(caller, BELIEVED).await,
        }
    }
}

pub(super) async fn answer(app: Arc<App>, reader: Reader, query: &ExportQuery) -> Result<Response, Problem> {
    // No database counts further.
    if query.after.is_some_and(|after| i64::try_from(after).is_err()) {
        return Err(Problem::new(Code::BadRequest, "`after` is the number of an entry"));
    }
    let Ends { anchor, head } = app.store.audit.ends(reader.chain()).await?;
    let part = Part { app, reader, after: query.after.unwrap_or(0).max(anchor.number), last: head.number };
    let mut response = Response::new(Body::from_stream(stream::try_unfold(part, lines)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers::sandbox(response.headers_mut());
    Ok(response)
}

/// What is still to be sent.
struct Part {
    app: Arc<App>,
    reader: Reader,
    after: u64,
    last: u64,
}

async fn lines(mut part: Part) -> Result<Option<(Bytes, Part)>, BoxError> {
    if part.after >= part.last {
        return Ok(None);
    }
    if !part.reader.is_as_before(&part.app).await {
        return Err("whoever reads the audit log may not any more".into());
    }
    let entries = part.app.store.audit.entries(part.reader.chain(), part.after, PAGE).await;
    let mut entries = entries.inspect_err(|error| tracing::warn!(%error, "an export of the audit log broke off"))?;
    if entries.is_empty() {
        // Whoever checks it finds out what is missing.
        return Ok(None);
    }
    entries.retain(|entry| entry.number <= part.last);
    part.after = entries.last().map_or(part.last, |last| last.number);
    let mut text = String::new();
    for entry in entries {
        text.push_str(&serde_json::to_string(&AuditEntry::from(entry))?);
        text.push('\n');
    }
    Ok(Some((text.into(), part)))
}
