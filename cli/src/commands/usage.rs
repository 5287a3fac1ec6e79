//! `sandmill usage`

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;

use super::answers::{self, PageOptions};
use crate::{
    Session,
    client::Server,
    error::CliError,
    render::{clean_line, table},
};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The first day (UTC), e.g. `2026-01-01`; 29 days before the last if left out
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// The last day; today if left out
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// Of all workspaces of the installation, in the order of their names; at the end those that were deleted since the first day
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    page: PageOptions,
}

#[derive(Debug, Deserialize)]
struct Usage {
    runs: BTreeMap<String, u64>,
    attempts: u64,
    fuel: u64,
    cpu_ns: u64,
    log_bytes: u64,
    /// A server of before does not tell it.
    #[serde(default)]
    run_bytes: u64,
    outbound_bytes_sent: u64,
    outbound_bytes_received: u64,
}

#[derive(Debug, Deserialize)]
struct Day {
    day: String,
    plan: Option<String>,
    stored_bytes: Option<u64>,
    object_bytes: Option<u64>,
    #[serde(flatten)]
    usage: Usage,
}

#[derive(Debug, Deserialize)]
struct Report {
    total: Usage,
    days: Vec<Day>,
    stored_bytes: u64,
    stored_byte_days: u64,
    #[serde(default)]
    object_byte_days: u64,
}

#[derive(Debug, Deserialize)]
struct OfWorkspace {
    workspace: String,
    deleted_at: Option<String>,
    stored_byte_days: u64,
    #[serde(default)]
    object_byte_days: u64,
    #[serde(flatten)]
    total: Usage,
}

const HEADINGS: [&str; 12] =
    ["", "RUNS", "FAILED", "ATTEMPTS", "FUEL", "CPU_MS", "LOG_BYTES", "RUN_BYTES", "OUTBOUND_BYTES", "STORED_BYTES", "OBJECT_BYTES", ""];

pub(crate) async fn execute(options: Options, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    let Options { from, to, all, page } = options;
    let days: Vec<(&str, String)> = [("from", from), ("to", to)].into_iter().filter_map(|(name, day)| Some((name, day?))).collect();
    if all {
        let request = server.request_at(Method::GET, "api/instance/usage").query(&days).query(&page.query());
        let mut headings = HEADINGS;
        [headings[0], headings[9], headings[10], headings[11]] = ["WORKSPACE", "STORED_BYTE_DAYS", "OBJECT_BYTE_DAYS", "DELETED_AT"];
        return answers::list(&server, request, session, (&headings, row_of_workspace)).await;
    }
    let request = server.request(Method::GET, "usage").query(&days);
    let Some(report) = answers::read::<Report>(&server, request, session).await? else { return Ok(()) };
    let mut rows: Vec<Vec<String>> = report.days.iter().map(row_of_day).collect();
    rows.push(row("all", &report.total, ["", "", ""]));
    let mut headings = HEADINGS;
    [headings[0], headings[11]] = ["DAY", "PLAN"];
    session.console.say(&table(&headings, &rows));
    let Report { stored_bytes, stored_byte_days, object_byte_days, .. } = report;
    session.console.say(&format!("stored now: {stored_bytes} bytes; byte days: {stored_byte_days}; of objects: {object_byte_days}"));
    Ok(())
}

fn row_of_day(day: &Day) -> Vec<String> {
    let [stored, objects] =
        [day.stored_bytes, day.object_bytes].map(|bytes| bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()));
    row(&clean_line(&day.day), &day.usage, [&stored, &objects, &clean_line(day.plan.as_deref().unwrap_or("-"))])
}

fn row_of_workspace(of: &OfWorkspace) -> Vec<String> {
    let deleted_at = of.deleted_at.as_deref().unwrap_or("-").to_owned();
    row(&of.workspace, &of.total, [&of.stored_byte_days.to_string(), &of.object_byte_days.to_string(), &deleted_at])
}

fn row(of: &str, usage: &Usage, kept: [&str; 3]) -> Vec<String> {
    let runs: u64 = usage.runs.values().sum();
    let well: u64 = ["ok", "skipped"].iter().filter_map(|outcome| usage.runs.get(*outcome)).sum();
    let outbound = usage.outbound_bytes_sent.saturating_add(usage.outbound_bytes_received);
    let numbers = [runs, runs - well, usage.attempts, usage.fuel, usage.cpu_ns / 1_000_000, usage.log_bytes, usage.run_bytes, outbound];
    std::iter::once(of.to_owned()).chain(numbers.iter().map(ToString::to_string)).chain(kept.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_end_well_is_counted_apart() {
        let runs = BTreeMap::from([("ok".to_owned(), 5), ("skipped".to_owned(), 1), ("error".to_owned(), 2)]);
        let usage = Usage {
            runs,
            attempts: 9,
            fuel: 10,
            cpu_ns: 3_000_000,
            log_bytes: 4,
            run_bytes: 6,
            outbound_bytes_sent: 1,
            outbound_bytes_received: 2,
        };
        let day = Day { day: "2026-01-31".to_owned(), plan: Some("small".to_owned()), stored_bytes: Some(5), object_bytes: None, usage };
        assert_eq!(row_of_day(&day), ["2026-01-31", "8", "2", "9", "10", "3", "4", "6", "3", "5", "-", "small"]);
    }
}
