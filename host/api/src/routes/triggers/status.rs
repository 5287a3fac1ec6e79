//! `GET /api/w/{workspace}/trigger-status/{path}`: how a trigger fares.

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{
    Timestamp,
    auth::Action,
    trigger::{SeatState, SeatStatus},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::find;
use crate::{app::App, auth::Caller, problem::Problem, request::url::WholePath};

/// How a trigger fares.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatusBody {
    path: String,
    kind: String,
    /// `on`, `off`, `held` or `capture`.
    mode: &'static str,
    revision: i64,
    /// Those who listen to it; none for kinds that do not listen, and where it is off.
    seats: Vec<SeatBody>,
}

/// One listener.
#[derive(Serialize, ToSchema)]
pub(crate) struct SeatBody {
    number: u32,
    /// Name of the node; null if none has it, and to whoever may not read what concerns the installation.
    node: Option<String>,
    /// `free` (no node has it), `starting`, `listening`, `backing_off` (it failed and tries again), `misconfigured` (another config or right helps, nothing
    /// else), `paused` (the queue has no room).
    state: &'static str,
    /// Since when.
    since: String,
    /// What was wrong last, also after it was overcome.
    error: Option<String>,
    error_at: Option<String>,
    /// Failures in a row.
    failures: u32,
    next_try_at: Option<String>,
    last_event_at: Option<String>,
    /// Events that were acknowledged since the trigger was made.
    events: u64,
    /// Events that its source has and that were not delivered; null: it cannot tell.
    lag_events: Option<u64>,
    /// Since when nothing was heard; null: all is well.
    failing_since: Option<String>,
    /// When its alert went out for this failure.
    alerted_at: Option<String>,
}

const fn name(state: SeatState) -> &'static str {
    match state {
        SeatState::Free => "free",
        SeatState::Starting => "starting",
        SeatState::Listening => "listening",
        SeatState::BackingOff => "backing_off",
        SeatState::Misconfigured => "misconfigured",
        SeatState::Paused => "paused",
    }
}

fn seat(number: u32, node: Option<String>, status: SeatStatus) -> SeatBody {
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    SeatBody {
        number,
        node,
        state: name(status.state),
        since: status.since.to_string(),
        error: status.error,
        error_at: text(status.error_at),
        failures: status.failures,
        next_try_at: text(status.next_try_at),
        last_event_at: text(status.last_event_at),
        events: status.events,
        lag_events: status.lag_events,
        failing_since: text(status.failing_since),
        alerted_at: text(status.alerted_at),
    }
}

/// Shows how a trigger fares: who listens, since when, what was wrong last, when the last event came.
#[utoipa::path(get, path = "/api/w/{workspace}/trigger-status/{path}", tag = "triggers",
    params(("workspace" = String, Path), ("path" = String, Path)), responses((status = 200, body = StatusBody)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller, WholePath(path): WholePath) -> Result<Json<StatusBody>, Problem> {
    let trigger = find(&app, &caller, &path, Action::Read).await?;
    let status = app.dispatch.trigger_status(caller.workspace.id, &path).await?;
    // Names of nodes are no tenant's business.
    let may_see_nodes = caller.principal.may_instance(Action::Read);
    let seats = status.seats.into_iter().map(|(number, node, status)| seat(number, node.filter(|_| may_see_nodes), status)).collect();
    Ok(Json(StatusBody {
        path: trigger.path.to_string(),
        kind: trigger.kind.to_string(),
        mode: trigger.mode.name(),
        revision: trigger.revision,
        seats,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_called_as_they_are_kept() {
        for state in SeatState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), name(state));
        }
    }
}
