//! `GET /api/w/{workspace}/audit/verify`

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{
    Code,
    audit::{Broken, Link, Verifier},
};
use sandmill_store::{StoreError, audit::Chain};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{app::App, auth::Caller, problem::Problem, request::url::Query};

/// Entries that one request looks at.
const ENTRIES_MAX: u64 = 20_000;
/// Entries that are read together.
const PAGE: u32 = 500;
/// Looks, if entries are let go meanwhile.
const TRIES_MAX: usize = 3;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct VerifyQuery {
    /// An entry that was noted earlier, as `N:HASH`: it must still be there, with all before it.
    head: Option<String>,
    /// `next` of the answer before.
    after: Option<String>,
}

/// Whether a chain is as it was written.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditVerdict {
    /// Whether all that was looked at is right.
    valid: bool,
    /// What is wrong, and with which entry.
    fault: Option<String>,
    /// The last entry that was let go, as `N:HASH`: the rest follows it. What was noted of it or before cannot be looked for any more.
    anchor: String,
    /// The newest entry. Whoever notes it elsewhere notices when it goes missing.
    head: String,
    /// The last entry that was found to be right.
    verified: String,
    /// Send it as `after` to go on; null: this was all.
    next: Option<String>,
}

/// Checks the hash chain of the audit log of a workspace, twenty thousand entries at most in one request.
#[utoipa::path(get, path = "/api/w/{workspace}/audit/verify", tag = "audit", params(("workspace" = String, Path), VerifyQuery),
    responses((status = 200, body = AuditVerdict)))]
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<VerifyQuery>,
) -> Result<Json<AuditVerdict>, Problem> {
    caller.must_audit()?;
    verdict(&app, Some(caller.workspace.id), &query).await
}

pub(super) async fn verdict(app: &App, chain: Chain, query: &VerifyQuery) -> Result<Json<AuditVerdict>, Problem> {
    let noted = link("head", query.head.as_deref())?;
    let after = link("after", query.after.as_deref())?;
    let mut tries = 1;
    loop {
        let ends = app.store.audit.ends(chain).await?;
        let start = after.filter(|after| after.number >= ends.anchor.number).unwrap_or(ends.anchor);
        // What was noted before the start was looked at in the request before, or was let go.
        let mut verifier = Verifier::new(start, [ends.head].into_iter().chain(noted));
        let found = if start.number > ends.head.number {
            Err(Broken::CutOff { last: ends.head.number, noted: start.number })
        } else {
            look(app, chain, &mut verifier, ends.head).await?
        };
        if found.is_err() && tries < TRIES_MAX && app.store.audit.ends(chain).await?.anchor != ends.anchor {
            tries += 1;
            continue;
        }
        let fault = found.err().map(|broken| broken.to_string());
        let is_all = verifier.last().number >= ends.head.number;
        return Ok(Json(AuditVerdict {
            valid: fault.is_none(),
            next: (fault.is_none() && !is_all).then(|| verifier.last().to_string()),
            fault,
            anchor: ends.anchor.to_string(),
            head: ends.head.to_string(),
            verified: verifier.last().to_string(),
        }));
    }
}

/// As far as one request goes.
async fn look(app: &App, chain: Chain, verifier: &mut Verifier, head: Link) -> Result<Result<(), Broken>, StoreError> {
    let mut left = ENTRIES_MAX;
    while left > 0 && verifier.last().number < head.number {
        let entries = app.store.audit.entries(chain, verifier.last().number, PAGE).await?;
        let count = entries.len() as u64;
        for entry in entries.iter().take_while(|entry| entry.number <= head.number) {
            if let Err(broken) = verifier.add(entry) {
                return Ok(Err(broken));
            }
        }
        if count < u64::from(PAGE) {
            return Ok(verifier.finish());
        }
        left = left.saturating_sub(count);
    }
    Ok(if verifier.last().number >= head.number { verifier.finish() } else { Ok(()) })
}

fn link(name: &str, text: Option<&str>) -> Result<Option<Link>, Problem> {
    let read = |text: &str| text.parse::<Link>().map_err(|error| Problem::new(Code::BadRequest, format!("`{name}`: {error}")));
    text.map(read).transpose()
}
