//! `/api/w/{workspace}/dead-letters`: runs that failed for good, until somebody replays or discards them.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use sandmill_dispatch::Refused;
use sandmill_model::auth::Action;
use sandmill_store::history::RunFilter;
use serde::Deserialize;
use utoipa::ToSchema;

use super::runs::{
    bulk::{self, BulkReceipt, Steered},
    filter::{FilterQuery, strict},
    find,
    list::{PageQuery, RunList, page},
};
use crate::{
    answers::{self, RunReceipt},
    app::App,
    audit::Facts,
    auth::Caller,
    observe,
    problem::Problem,
    request::{
        body::JsonBody,
        url::{Query, RunRef},
    },
};

/// Which dead letters are meant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkLetters {
    /// Empty: all of them.
    #[serde(deserialize_with = "strict")]
    #[schema(value_type = FilterQuery)]
    filter: FilterQuery,
    /// `next` of the answer before.
    cursor: Option<String>,
}

/// Lists dead letters that the token may read, newest first: runs that were queued and failed for good, whatever started them.
#[utoipa::path(get, path = "/api/w/{workspace}/dead-letters", tag = "dead letters",
    params(("workspace" = String, Path), FilterQuery, PageQuery), responses((status = 200, body = RunList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(filter): Query<FilterQuery>,
    Query(asked): Query<PageQuery>,
) -> Result<Json<RunList>, Problem> {
    page(&app, &caller, RunFilter { is_dead: true, ..filter.read()? }, &asked).await
}

/// Starts a dead letter again, by the newest version of its script and with its event as it came. It is none any more then.
#[utoipa::path(post, path = "/api/w/{workspace}/dead-letters/{id}/replay", tag = "dead letters",
    params(("workspace" = String, Path), ("id" = String, Path)),
    responses((status = 202, description = "The new run is durable", body = RunReceipt)))]
pub(crate) async fn replay(State(app): State<Arc<App>>, caller: Caller, RunRef(run): RunRef) -> Result<Response, Problem> {
    find(&app, &caller, run, Action::Start).await?;
    let again = app.dispatch.replay(Arc::clone(&caller.principal), caller.workspace.clone(), run).await?;
    observe::note_run(again.run);
    Ok(answers::accepted(&caller.workspace.name, again))
}

/// Forgets a dead letter. Its run stays in history.
#[utoipa::path(delete, path = "/api/w/{workspace}/dead-letters/{id}", tag = "dead letters",
    params(("workspace" = String, Path), ("id" = String, Path)), responses((status = 204, description = "It is forgotten")))]
pub(crate) async fn discard(State(app): State<Arc<App>>, caller: Caller, RunRef(run): RunRef) -> Result<Response, Problem> {
    find(&app, &caller, run, Action::Cancel).await?;
    app.dispatch.discard(caller.workspace.id, run).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Replays the dead letters that fit, a thousand at most in one request.
#[utoipa::path(post, path = "/api/w/{workspace}/dead-letters/replay", tag = "dead letters", params(("workspace" = String, Path)),
    request_body = BulkLetters, responses((status = 200, body = BulkReceipt)))]
pub(crate) async fn replay_many(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(bulk): JsonBody<BulkLetters>,
) -> Result<Json<BulkReceipt>, Problem> {
    let filter = RunFilter { is_dead: true, ..bulk.filter.read()? };
    let (runs, next) = bulk::find(&app, &caller, Action::Start, filter, bulk.cursor.as_deref()).await?;
    let (app, caller) = (&app, &caller);
    let receipt = bulk::each(app, caller, runs, |run| async move {
        let again = app.dispatch.replay(Arc::clone(&caller.principal), caller.workspace.clone(), run).await;
        again.map(|_| Steered::Done).map_err(Refused::into_refusal)
    });
    Ok(Json(receipt.await.going_on_at(next)))
}

/// Forgets the dead letters that fit, a thousand at most in one request.
#[utoipa::path(post, path = "/api/w/{workspace}/dead-letters/discard", tag = "dead letters", params(("workspace" = String, Path)),
    request_body = BulkLetters, responses((status = 200, body = BulkReceipt)))]
pub(crate) async fn discard_many(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(bulk): JsonBody<BulkLetters>,
) -> Result<(Extension<Facts>, Json<BulkReceipt>), Problem> {
    let filter = RunFilter { is_dead: true, ..bulk.filter.read()? };
    let (runs, next) = bulk::find(&app, &caller, Action::Cancel, filter, bulk.cursor.as_deref()).await?;
    let (app, workspace) = (&app, caller.workspace.id);
    let receipt = bulk::each(app, &caller, runs, |run| async move { app.dispatch.discard(workspace, run).await.map(|()| Steered::Done) });
    let receipt = receipt.await.going_on_at(next);
    Ok((receipt.facts(), Json(receipt)))
}
