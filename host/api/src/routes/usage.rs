//! `/api/w/{workspace}/usage` and `/api/instance/usage`: what was used, by day, from which bills can be made.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use sandmill_model::{
    Code, Timestamp, WorkspaceId,
    auth::{Action, Domain},
};
use sandmill_store::usage::{OutcomeUsage, Sums, Traffic, day_of};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    auth::{Authenticated, Caller, forbidden},
    problem::Problem,
    request::{
        paging::{CursorQuery, cut},
        url::Query,
    },
};

/// Days that one request tells of.
const DAYS_MAX: i64 = 366;
/// Days that it tells of if nothing is said.
const DAYS_DEFAULT: i64 = 30;
const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;
/// Of a time as text.
const DATE_LENGTH: usize = "2026-01-31".len();

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DaysQuery {
    /// The first day (UTC), e.g. `2026-01-01`; 29 days before the last if left out.
    from: Option<String>,
    /// The last day; today if left out. At most 366 days.
    to: Option<String>,
}

/// What was used in some time.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Usage)]
pub(crate) struct UsageSums {
    /// Runs that ended, by outcome.
    #[schema(value_type = Object)]
    runs: BTreeMap<&'static str, u64>,
    /// Attempts that ended; a run that was tried again had several.
    attempts: u64,
    fuel: u64,
    cpu_ns: u64,
    wall_ns: u64,
    /// Peak of memory in KiB times wall time in milliseconds, over all attempts.
    memory_kib_ms: u64,
    log_bytes: u64,
    /// Bytes of requests that scripts made by HTTP, and of their answers.
    outbound_bytes_sent: u64,
    outbound_bytes_received: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DayUsage {
    /// UTC.
    day: String,
    #[serde(flatten)]
    usage: UsageSums,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct UsageReport {
    from: String,
    to: String,
    total: UsageSums,
    /// Days on which something was used.
    days: Vec<DayUsage>,
    /// Bytes of code, state, resources and variables, now.
    stored_bytes: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WorkspaceUsage {
    workspace: String,
    /// Of the workspace: its name may be another's later.
    id: String,
    #[serde(flatten)]
    total: UsageSums,
    stored_bytes: u64,
}

/// A page of workspaces, in the order of their names, each with what it used in all of the time.
#[derive(Serialize, ToSchema)]
pub(crate) struct InstanceUsage {
    from: String,
    to: String,
    items: Vec<WorkspaceUsage>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

impl UsageSums {
    fn add_attempts(&mut self, used: &OutcomeUsage) {
        let Sums { runs, attempts, fuel, cpu_ns, wall_ns, memory_kib_ms, log_bytes } = used.sums;
        if runs > 0 {
            *self.runs.entry(used.outcome.name()).or_default() += runs;
        }
        for (sum, more) in [
            (&mut self.attempts, attempts),
            (&mut self.fuel, fuel),
            (&mut self.cpu_ns, cpu_ns),
            (&mut self.wall_ns, wall_ns),
            (&mut self.memory_kib_ms, memory_kib_ms),
            (&mut self.log_bytes, log_bytes),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    fn add_traffic(&mut self, traffic: &Traffic) {
        self.outbound_bytes_sent = self.outbound_bytes_sent.saturating_add(traffic.bytes_up);
        self.outbound_bytes_received = self.outbound_bytes_received.saturating_add(traffic.bytes_down);
    }
}

/// Days since 1970, both included.
struct Days {
    from: i64,
    to: i64,
}

impl DaysQuery {
    fn read(&self, now: Timestamp) -> Result<Days, Problem> {
        let to = self.to.as_deref().map_or(Ok(day_of(now)), read_day)?;
        let from = self.from.as_deref().map_or(Ok(to - DAYS_DEFAULT + 1), read_day)?;
        if from > to || to - from >= DAYS_MAX {
            return Err(Problem::new(Code::BadRequest, format!("`from` is not after `to`, and both are within {DAYS_MAX} days")));
        }
        Ok(Days { from, to })
    }
}

fn read_day(text: &str) -> Result<i64, Problem> {
    let wrong = || Problem::new(Code::BadRequest, "a day is written like 2026-01-31");
    if text.len() != DATE_LENGTH {
        return Err(wrong());
    }
    format!("{text}T00:00:00Z").parse().map(day_of).map_err(|_| wrong())
}

fn day(number: i64) -> String {
    let mut text = Timestamp::from_micros(number.saturating_mul(DAY_MICROS)).to_string();
    text.truncate(DATE_LENGTH);
    text
}

/// Tells what a workspace has used, by day. What attempts used counts to the day on which they ended.
#[utoipa::path(get, path = "/api/w/{workspace}/usage", tag = "workspaces", params(("workspace" = String, Path), DaysQuery),
    responses((status = 200, body = UsageReport)))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(asked): Query<DaysQuery>,
) -> Result<Json<UsageReport>, Problem> {
    if !caller.may(Domain::Runs, Action::Read, None) {
        return Err(forbidden(Domain::Runs, Action::Read, None));
    }
    let days = asked.read(app.clock.now())?;
    let mut by_day: BTreeMap<i64, UsageSums> = BTreeMap::new();
    let mut total = UsageSums::default();
    for used in app.store.usage.attempts(caller.workspace.id, days.from, days.to).await? {
        total.add_attempts(&used);
        by_day.entry(used.day).or_default().add_attempts(&used);
    }
    for traffic in app.store.usage.traffic(caller.workspace.id, days.from, days.to).await? {
        total.add_traffic(&traffic);
        by_day.entry(traffic.day).or_default().add_traffic(&traffic);
    }
    let stored_bytes = app.store.usage.stored_bytes(caller.workspace.id).await?;
    let by_day = by_day.into_iter().map(|(number, usage)| DayUsage { day: day(number), usage });
    Ok(Json(UsageReport { from: day(days.from), to: day(days.to), total, days: by_day.collect(), stored_bytes }))
}

/// Tells what each workspace of the installation has used.
#[utoipa::path(get, path = "/api/instance/usage", tag = "workspaces", params(DaysQuery, CursorQuery),
    responses((status = 200, body = InstanceUsage)))]
pub(crate) async fn all(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Query(asked): Query<DaysQuery>,
    Query(page): Query<CursorQuery>,
) -> Result<Json<InstanceUsage>, Problem> {
    caller.must(Action::Read)?;
    let days = asked.read(app.clock.now())?;
    let (after, limit) = (page.after()?, page.limit()?);
    let mut found = app.store.workspaces.page(after.as_deref(), limit + 1).await?;
    let next = cut(&mut found, limit, |workspace| workspace.name.to_string());
    let mut items = Vec::with_capacity(found.len());
    for workspace in found {
        let total = total(&app, workspace.id, &days).await?;
        let stored_bytes = app.store.usage.stored_bytes(workspace.id).await?;
        items.push(WorkspaceUsage { workspace: workspace.name.to_string(), id: workspace.id.to_string(), total, stored_bytes });
    }
    Ok(Json(InstanceUsage { from: day(days.from), to: day(days.to), items, next }))
}

async fn total(app: &App, workspace: WorkspaceId, days: &Days) -> Result<UsageSums, Problem> {
    let mut total = UsageSums::default();
    app.store.usage.attempts(workspace, days.from, days.to).await?.iter().for_each(|used| total.add_attempts(used));
    app.store.usage.traffic(workspace, days.from, days.to).await?.iter().for_each(|traffic| total.add_traffic(traffic));
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_within_bounds() {
        let now = Timestamp::from_micros(1_709_251_199_000_000);
        let check = |from: Option<&str>, to: Option<&str>, expected: Option<(&str, &str)>| {
            let query = DaysQuery { from: from.map(str::to_owned), to: to.map(str::to_owned) };
            let read = query.read(now).ok().map(|days| (day(days.from), day(days.to)));
            assert_eq!(read.as_ref().map(|(from, to)| (from.as_str(), to.as_str())), expected, "{from:?} {to:?}");
        };
        check(None, None, Some(("2024-01-31", "2024-02-29")));
        check(Some("2024-02-29"), Some("2024-02-29"), Some(("2024-02-29", "2024-02-29")));
        check(None, Some("2023-03-01"), Some(("2023-01-31", "2023-03-01")));
        check(Some("2023-03-01"), None, Some(("2023-03-01", "2024-02-29")));
        check(Some("2023-02-28"), None, None);
        check(Some("2024-03-01"), None, None);
        for bad in ["", "2024-02-30", "2024-2-1", "yesterday!", "2024-02-0ü"] {
            check(Some(bad), None, None);
        }
    }
}
