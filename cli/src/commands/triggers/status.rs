//! `sandmill triggers status`: how a trigger fares.

use reqwest::Method;
use sandmill_model::ScriptPath;
use serde::Deserialize;

use crate::{Session, client::Server, commands::answers, error::CliError};

#[derive(Debug, Deserialize)]
struct Status {
    path: String,
    kind: String,
    mode: String,
    seats: Vec<Seat>,
}

#[derive(Debug, Deserialize)]
struct Seat {
    number: u32,
    node: Option<String>,
    state: String,
    since: String,
    error: Option<String>,
    error_at: Option<String>,
    failures: u32,
    next_try_at: Option<String>,
    last_event_at: Option<String>,
    events: u64,
    lag_events: Option<u64>,
    failing_since: Option<String>,
}

pub(super) async fn execute(server: &Server, path: &ScriptPath, session: &mut Session<'_>) -> Result<(), CliError> {
    let request = server.request(Method::GET, &format!("trigger-status/{path}"));
    let Some(status) = answers::read::<Status>(server, request, session).await? else { return Ok(()) };
    let is_alone = status.seats.len() == 1;
    answers::facts(&[("trigger", status.path), ("kind", status.kind), ("mode", status.mode)], session);
    for seat in status.seats {
        if !is_alone {
            session.console.say("");
        }
        answers::facts(&facts(seat, is_alone), session);
    }
    Ok(())
}

fn facts(seat: Seat, is_alone: bool) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if !is_alone {
        rows.push(("listener", seat.number.to_string()));
    }
    rows.push(("state", format!("{} since {}", seat.state, seat.since)));
    rows.extend(seat.node.map(|node| ("node", node)));
    rows.push(("events", seat.events.to_string()));
    rows.extend(seat.last_event_at.map(|at| ("last event", at)));
    rows.extend(seat.lag_events.map(|events| ("lag", format!("{events} events"))));
    rows.extend(seat.error.map(|error| match seat.error_at {
        Some(at) => ("last error", format!("{error} ({at})")),
        None => ("last error", error),
    }));
    if seat.failures > 0 {
        rows.push(("failures", format!("{} in a row", seat.failures)));
    }
    rows.extend(seat.failing_since.map(|at| ("failing since", at)));
    rows.extend(seat.next_try_at.map(|at| ("next try", at)));
    rows
}
