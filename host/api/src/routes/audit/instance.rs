//! `/api/instance/audit…`: the chain of the installation.

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use sandmill_model::auth::{Action, Domain, Principal};

use super::{
    export::{self, ExportQuery, Reader},
    list::{self, AuditEntry, AuditList, AuditQuery},
    verify::{self, AuditVerdict, VerifyQuery},
};
use crate::{
    app::App,
    auth::{Authenticated, forbidden},
    problem::Problem,
    request::url::Query,
};

/// Lists what was done to the installation, and what nobody that is known and tokens of the installation were denied; newest first.
#[utoipa::path(get, path = "/api/instance/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = AuditList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Authenticated(principal, ..): Authenticated,
    Query(query): Query<AuditQuery>,
) -> Result<Json<AuditList>, Problem> {
    must_audit(&principal)?;
    list::page(&app, None, &query).await
}

/// Gives the audit log of the installation as it is at this moment: an entry a line, oldest first.
#[utoipa::path(get, path = "/api/instance/audit/export", tag = "audit", params(ExportQuery),
    responses((status = 200, description = "A JSON object a line", content((AuditEntry = "application/x-ndjson")))))]
pub(crate) async fn export(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    must_audit(&caller.0)?;
    export::answer(app, Reader::Outside(caller), &query).await
}

/// Checks the hash chain of the audit log of the installation, twenty thousand entries at most in one request.
#[utoipa::path(get, path = "/api/instance/audit/verify", tag = "audit", params(VerifyQuery),
    responses((status = 200, body = AuditVerdict)))]
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    Authenticated(principal, ..): Authenticated,
    Query(query): Query<VerifyQuery>,
) -> Result<Json<AuditVerdict>, Problem> {
    must_audit(&principal)?;
    verify::verdict(&app, None, &query).await
}

fn must_audit(principal: &Principal) -> Result<(), Problem> {
    if principal.may_audit_instance() { Ok(()) } else { Err(forbidden(Domain::Audit, Action::Read, None)) }
}
