//! The installation itself: version, health, readiness, metrics, and the description of the API.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::header;
use sandmill_model::{
    Code,
    auth::{Action, Domain},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    MetricsAccess,
    app::App,
    auth::{Authenticated, forbidden},
    problem::Problem,
};

/// How long the database may take to say that it is there.
const READY_MAX: Duration = Duration::from_secs(2);

/// What answers here, and to whom.
#[derive(Serialize, ToSchema)]
pub(crate) struct Instance {
    version: &'static str,
    /// Whom the token stands for, e.g. `u/ann`.
    identity: String,
}

/// Tells the version of the server and whom the token stands for; any valid token will do that does more than start one script.
#[utoipa::path(get, path = "/api/instance/version", tag = "instance", responses((status = 200, body = Instance)))]
pub(crate) async fn version(Authenticated(principal, ..): Authenticated) -> Result<Json<Instance>, Problem> {
    // Such a token is in addresses that are given to strangers.
    if principal.only_starts_one() {
        return Err(Problem::new(Code::Forbidden, "the token starts one script, and is for nothing else"));
    }
    Ok(Json(Instance { version: env!("CARGO_PKG_VERSION"), identity: principal.identity.to_string() }))
}

/// One node of the installation.
#[derive(Serialize, ToSchema)]
pub(crate) struct NodeEntry {
    name: String,
    release: String,
    roles: Vec<String>,
    /// Tags that it serves beside runs without one.
    tags: Vec<String>,
    slots: u64,
    /// Runs that execute there.
    running: u64,
    started_at: String,
    seen_at: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct NodeList {
    items: Vec<NodeEntry>,
}

/// Lists the nodes that live, or that died within the last seconds.
#[utoipa::path(get, path = "/api/instance/nodes", tag = "instance", responses((status = 200, body = NodeList)))]
pub(crate) async fn nodes(State(app): State<Arc<App>>, Authenticated(principal, ..): Authenticated) -> Result<Json<NodeList>, Problem> {
    if !principal.may_instance(Action::Read) {
        return Err(forbidden(Domain::Instance, Action::Read, None));
    }
    let nodes = app.dispatch.nodes().await?.into_iter().map(|node| NodeEntry {
        name: node.about.name.to_string(),
        release: node.about.release,
        roles: node.about.roles,
        tags: node.about.tags,
        slots: node.about.slots,
        running: node.running,
        started_at: node.started_at.to_string(),
        seen_at: node.seen_at.to_string(),
    });
    Ok(Json(NodeList { items: nodes.collect() }))
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    status: &'static str,
}

/// Tells that the process is alive.
#[utoipa::path(get, path = "/health", tag = "instance", security(()), responses((status = 200, body = Health)))]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Tells whether the server can do its work: 503 while its database does not answer.
#[utoipa::path(get, path = "/ready", tag = "instance", security(()), responses((status = 200, body = Health)))]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Json<Health>, Problem> {
    match tokio::time::timeout(READY_MAX, app.store.health.check()).await {
        Ok(Ok(())) => Ok(Json(Health { status: "ready" })),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Err(Problem::new(Code::Unavailable, "the database does not answer"))
        }
        Err(_) => Err(Problem::new(Code::Unavailable, format!("the database did not answer within {} s", READY_MAX.as_secs()))),
    }
}

/// Reports metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "instance",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    if app.options.metrics == MetricsAccess::Token && !app.principal(&parts).await?.may_instance(Action::Read) {
        return Err(forbidden(Domain::Instance, Action::Read, None));
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render()).into_response())
}

/// Describes this API.
#[utoipa::path(get, path = "/openapi.json", tag = "instance", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(crate) async fn openapi(State(app): State<Arc<App>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.description.clone()).into_response()
}
