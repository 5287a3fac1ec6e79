//! `GET /api/w/{workspace}/audit`

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{
    Code, JsonText, Timestamp,
    audit::{AuditOutcome, Entry, Record},
};
use sandmill_store::audit::{Chain, Filter, Page, Pattern};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    auth::Caller,
    problem::Problem,
    request::{paging, url::Query},
};

/// Everything that is given must fit.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct AuditQuery {
    /// Only what this identity did, e.g. `u/ann`.
    actor: Option<String>,
    /// Only this action, e.g. `variables.put`; `variables.*` is all that begin so.
    action: Option<String>,
    /// Only what was done to this, e.g. `f/demo/hello`; `f/demo/*` is all that begin so.
    target: Option<String>,
    /// Only entries with this outcome: `done`, `denied`, `failed` or `unknown`.
    outcome: Option<String>,
    /// Only what was recorded then or later, e.g. `2026-01-31T12:00:00Z`.
    from: Option<String>,
    /// Only what was recorded before.
    before: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 if left out.
    limit: Option<u32>,
}

/// A page of entries, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditList {
    items: Vec<AuditEntry>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// In its chain, from 1.
    number: u64,
    /// When it was recorded; the time in `id` is that of the beginning.
    at: String,
    id: String,
    /// Id of the workspace; null: it is in the chain of the installation.
    workspace: Option<String>,
    actor: AuditActor,
    origin: AuditOrigin,
    request_id: String,
    /// E.g. `scripts.deploy`, `auth.failed`, `access.denied`.
    action: String,
    /// A path, a name or an id.
    target: String,
    /// `done`, `denied`, `failed`, or `unknown` if the server ended before it was recorded.
    outcome: &'static str,
    /// More than 1: so many attempts that were not recorded one by one.
    attempts: u32,
    /// What was there; secrets as keyed digests.
    #[schema(value_type = Option<Object>)]
    before: Option<JsonText>,
    /// What is there now.
    #[schema(value_type = Option<Object>)]
    after: Option<JsonText>,
    /// Hash of the entry before it.
    previous: String,
    /// Of all that the entry says and of `previous`.
    hash: String,
}

/// Who acted.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditActor {
    /// `anonymous`, `token`, `session`, `run`, `system` or `operator`.
    kind: &'static str,
    /// E.g. `u/ann`.
    identity: Option<String>,
    /// Id of the token.
    token: Option<String>,
}

/// From where.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditOrigin {
    address: Option<String>,
    user_agent: Option<String>,
}

/// Lists the audit log of a workspace, newest first. A page may be short, or empty, although there are more: `next` tells.
#[utoipa::path(get, path = "/api/w/{workspace}/audit", tag = "audit",
    params(("workspace" = String, Path), AuditQuery), responses((status = 200, body = AuditList)))]
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller, Query(query): Query<AuditQuery>) -> Result<Json<AuditList>, Problem> {
    caller.must_audit()?;
    page(&app, Some(caller.workspace.id), &query).await
}

pub(super) async fn page(app: &App, chain: Chain, query: &AuditQuery) -> Result<Json<AuditList>, Problem> {
    let limit = paging::limit(query.limit)?;
    let before: Option<u64> = paging::decode(query.cursor.as_deref())?;
    let Page { entries, next } = app.store.audit.list(chain, query.filter()?, before, limit).await?;
    Ok(Json(AuditList { items: entries.into_iter().map(AuditEntry::from).collect(), next: next.map(paging::encode) }))
}

impl AuditQuery {
    fn filter(&self) -> Result<Filter, Problem> {
        let outcome = self.outcome.as_deref().map(|name| {
            let wrong = || Problem::new(Code::BadRequest, "`outcome` is `done`, `denied`, `failed` or `unknown`");
            AuditOutcome::from_name(name).ok_or_else(wrong)
        });
        Ok(Filter {
            from: time("from", self.from.as_deref())?,
            until: time("before", self.before.as_deref())?,
            actor: text("actor", self.actor.as_deref())?.map(str::to_owned),
            action: text("action", self.action.as_deref())?.map(Pattern::of),
            target: text("target", self.target.as_deref())?.map(Pattern::of),
            outcome: outcome.transpose()?,
        })
    }
}

fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let read = |text: &str| text.parse::<Timestamp>().map_err(|error| Problem::new(Code::BadRequest, format!("`{name}`: {error}")));
    text.map(read).transpose()
}

/// No entry has the character NUL.
fn text<'a>(name: &str, text: Option<&'a str>) -> Result<Option<&'a str>, Problem> {
    match text {
        Some(text) if text.contains('\0') => Err(Problem::new(Code::BadRequest, format!("`{name}` has the character NUL"))),
        text => Ok(text),
    }
}

impl From<Entry> for AuditEntry {
    fn from(Entry { number, at, record, previous, hash }: Entry) -> Self {
        let Record { id, workspace, actor, origin, request_id, action, target, outcome, attempts, before, after } = record;
        Self {
            number,
            at: at.to_string(),
            id: id.to_string(),
            workspace: workspace.map(|workspace| workspace.to_string()),
            actor: AuditActor {
                kind: actor.kind.name(),
                identity: actor.identity.map(|identity| identity.to_string()),
                token: actor.token.map(|token| token.to_string()),
            },
            origin: AuditOrigin { address: origin.address, user_agent: origin.user_agent },
            request_id,
            action,
            target,
            outcome: outcome.name(),
            attempts,
            before,
            after,
            previous: previous.to_string(),
            hash: hash.to_string(),
        }
    }
}
