//! `/api/w/{workspace}/usage` and `/api/instance/usage`: what was used, by day, from which bills can be made.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use sandmill_model::{
    Code, Timestamp, WorkspaceId,
    auth::{Action, Domain},
};
use sandmill_store::{
    usage::{DeletedWorkspace, OutcomeUsage, Sums, Traffic, day_of},
    workspaces::Workspace,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    auth::{Authenticated, Caller, forbidden},
    problem::Problem,
    request::{
        paging::{CursorQuery, cut, encode},
        url::Query,
    },
};

/// Days that one request tells of.
const DAYS_MAX: i64 = 366;
/// Days that it tells of if nothing is said.
const DAYS_DEFAULT: i64 = 30;
const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;
/// Days of all workspaces that one page tells of: of many days it tells of fewer workspaces.
const DAYS_OF_PAGE_MAX: i64 = 10_000;
/// How a cursor begins that is among deleted workspaces, which come after all names; the id of the last follows.
const AMONG_DELETED: char = '~';
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
    /// Bytes of arguments, events and results of runs that ended, and of their errors.
    run_bytes: u64,
    /// Bytes that scripts sent: requests by HTTP with their heads and bodies, statements for PostgreSQL with their parameters.
    outbound_bytes_sent: u64,
    /// Bytes that scripts received: answers by HTTP with their heads and bodies, answers of PostgreSQL.
    outbound_bytes_received: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DayUsage {
    /// UTC.
    day: String,
    /// Of the workspace on that day, when it was last measured; null: none, or it was not measured.
    plan: Option<String>,
    /// Bytes of code, state, resources and variables: the average of what was measured, each hour. Null: it was not.
    stored_bytes: Option<u64>,
    /// What objects of scripts count, those that scripts write by `sandmill:blob`: the average of what was measured, each hour. Null: it was not.
    object_bytes: Option<u64>,
    #[serde(flatten)]
    usage: UsageSums,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct UsageReport {
    from: String,
    to: String,
    total: UsageSums,
    /// Days on which something was used or kept.
    days: Vec<DayUsage>,
    /// Bytes of code, state, resources and variables, now.
    stored_bytes: u64,
    /// Those of all days added up.
    stored_byte_days: u64,
    /// `object_bytes` of all days added up.
    object_byte_days: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WorkspaceUsage {
    workspace: String,
    /// Of the workspace: its name may be another's later.
    id: String,
    /// When it was deleted; null: it is there. Its usage is kept for 400 days after that.
    deleted_at: Option<String>,
    #[serde(flatten)]
    total: UsageSums,
    /// Days on which something was used or kept.
    days: Vec<DayUsage>,
    /// Bytes of code, state, resources and variables, now.
    stored_bytes: u64,
    /// Those of all days added up.
    stored_byte_days: u64,
    /// `object_bytes` of all days added up.
    object_byte_days: u64,
}

/// A page of workspaces, in the order of their names, each with what it used in all of the time; after them those that were deleted since
/// the first day. A page has fewer than `limit` where many days are asked for.
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
        let Sums { runs, attempts, fuel, cpu_ns, wall_ns, memory_kib_ms, log_bytes, input_bytes, result_bytes } = used.sums;
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
            (&mut self.run_bytes, input_bytes.saturating_add(result_bytes)),
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

/// What a workspace used and kept.
#[derive(Default)]
struct Usage {
    total: UsageSums,
    days: Vec<DayUsage>,
    stored_byte_days: u64,
    object_byte_days: u64,
}

impl Usage {
    async fn read(app: &App, workspace: WorkspaceId, days: &Days) -> Result<Self, Problem> {
        let usage = &app.store.usage;
        let (mut all, mut by_day) = (Self::default(), BTreeMap::<i64, DayUsage>::new());
        for used in usage.attempts(workspace, days.from, days.to).await? {
            all.total.add_attempts(&used);
            DayUsage::of(&mut by_day, used.day).usage.add_attempts(&used);
        }
        for traffic in usage.traffic(workspace, days.from, days.to).await? {
            all.total.add_traffic(&traffic);
            DayUsage::of(&mut by_day, traffic.day).usage.add_traffic(&traffic);
        }
        for kept in usage.kept(workspace, days.from, days.to).await? {
            all.stored_byte_days = all.stored_byte_days.saturating_add(kept.stored_bytes);
            all.object_byte_days = all.object_byte_days.saturating_add(kept.object_bytes.unwrap_or(0));
            let day = DayUsage::of(&mut by_day, kept.day);
            day.plan = kept.plan.map(|plan| plan.to_string());
            day.stored_bytes = Some(kept.stored_bytes);
            day.object_bytes = kept.object_bytes;
        }
        all.days = by_day.into_values().collect();
        Ok(all)
    }
}

impl DayUsage {
    fn of(by_day: &mut BTreeMap<i64, Self>, number: i64) -> &mut Self {
        let none = || Self { day: day(number), plan: None, stored_bytes: None, object_bytes: None, usage: UsageSums::default() };
        by_day.entry(number).or_insert_with(none)
    }
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
    let asked = asked.read(app.clock.now())?;
    let Usage { total, days, stored_byte_days, object_byte_days } = Usage::read(&app, caller.workspace.id, &asked).await?;
    let stored_bytes = app.store.usage.stored_bytes(caller.workspace.id).await?;
    let (from, to) = (day(asked.from), day(asked.to));
    Ok(Json(UsageReport { from, to, total, days, stored_bytes, stored_byte_days, object_byte_days }))
}

/// Tells what each workspace of the installation has used, by day, for bills: also those that are deleted, for 400 days.
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
    let most = u32::try_from(DAYS_OF_PAGE_MAX / (days.to - days.from + 1)).unwrap_or(1).max(1);
    let (after, limit) = (page.after()?, page.limit()?.min(most));
    let Page { present, deleted, next } = Page::read(&app, after.as_deref(), limit, &days).await?;
    let mut items = Vec::with_capacity(present.len() + deleted.len());
    for workspace in present {
        let stored_bytes = app.store.usage.stored_bytes(workspace.id).await?;
        let usage = Usage::read(&app, workspace.id, &days).await?;
        items.push(WorkspaceUsage { stored_bytes, ..WorkspaceUsage::of(&workspace.name, workspace.id, usage) });
    }
    for workspace in deleted {
        let usage = Usage::read(&app, workspace.id, &days).await?;
        let deleted_at = Some(workspace.deleted_at.to_string());
        items.push(WorkspaceUsage { deleted_at, ..WorkspaceUsage::of(&workspace.name, workspace.id, usage) });
    }
    Ok(Json(InstanceUsage { from: day(days.from), to: day(days.to), items, next }))
}

impl WorkspaceUsage {
    fn of(name: &str, id: WorkspaceId, usage: Usage) -> Self {
        let Usage { total, days, stored_byte_days, object_byte_days } = usage;
        let (workspace, id) = (name.to_owned(), id.to_string());
        Self { workspace, id, deleted_at: None, total, days, stored_bytes: 0, stored_byte_days, object_byte_days }
    }
}

/// Workspaces of one page: those that are there, in the order of their names, and behind the last of them those that are deleted.
struct Page {
    present: Vec<Workspace>,
    deleted: Vec<DeletedWorkspace>,
    next: Option<String>,
}

impl Page {
    async fn read(app: &App, after: Option<&str>, limit: u32, days: &Days) -> Result<Self, Problem> {
        let among_deleted = after.and_then(|after| after.strip_prefix(AMONG_DELETED));
        let mut present = Vec::new();
        if among_deleted.is_none() {
            present = app.store.workspaces.page(after, limit + 1).await?;
            let next = cut(&mut present, limit, |workspace| workspace.name.to_string());
            if next.is_some() {
                return Ok(Self { present, deleted: Vec::new(), next });
            }
        }
        let after = match among_deleted.filter(|id| !id.is_empty()) {
            Some(id) => Some(id.parse::<WorkspaceId>().map_err(|_| Problem::new(Code::BadRequest, "the cursor is not one of this list"))?),
            None => None,
        };
        let left = (limit as usize).saturating_sub(present.len());
        let since = Timestamp::from_micros(days.from.saturating_mul(DAY_MICROS));
        let mut deleted = app.store.usage.deleted(since, after, u32::try_from(left).unwrap_or(limit) + 1).await?;
        let is_cut = deleted.len() > left;
        deleted.truncate(left);
        let last = deleted.last().map(|last| last.id.to_string()).unwrap_or_default();
        let next = is_cut.then(|| encode(format!("{AMONG_DELETED}{last}")));
        // One that was deleted between the two looks is told of once.
        deleted.retain(|gone| present.iter().all(|workspace| workspace.id != gone.id));
        Ok(Self { present, deleted, next })
    }
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
