//! `GET /api/w/{workspace}/runs/{id}/events`

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use sandmill_model::{LogPosition, auth::Action};
use serde::Deserialize;

use super::find;
use crate::{
    app::App,
    auth::Caller,
    events::{self, EventData, View},
    problem::Problem,
    request::url::{Query, RunRef},
};

#[derive(Deserialize)]
pub(crate) struct After {
    after: Option<i64>,
}

/// Tells what happens in a run, as server-sent events: `log`, `progress`, `chunk`, `attempt` and at last `end`.
///
/// A stream that ends without `end` broke off: come back, to any node, with the id of the last event in `Last-Event-ID`, and what was missed
/// follows. Who has seen the end is answered 204.
#[utoipa::path(get, path = "/api/w/{workspace}/runs/{id}/events", tag = "runs",
    params(("workspace" = String, Path), ("id" = String, Path),
        ("after" = Option<i64>, Query, description = "Id of the last event that was seen, where no header can be set"),
        ("Last-Event-ID" = Option<i64>, Header, description = "Id of the last event that was seen")),
    responses((status = 200, description = "The data of each event is JSON", body = EventData, content_type = "text/event-stream"),
        (status = 204, description = "The end was the last event that was seen")))]
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    caller: Caller,
    RunRef(run): RunRef,
    headers: HeaderMap,
    Query(After { after }): Query<After>,
) -> Result<Response, Problem> {
    let path = find(&app, &caller, run, Action::Read).await?.summary.path;
    // Checked also where the header counts instead: what is wrong is wrong.
    let after = after.map(events::position).transpose()?;
    let from = events::last_event_id(&headers)?.or(after).unwrap_or(LogPosition::START);
    if from == LogPosition::END {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let follower = app.dispatch.place(caller.workspace.id)?.follow(run, from)?;
    Ok(events::answer(follower, View { app, caller, path, run, from }))
}
