//! `sandmill runs list | show | log | cancel | rerun`

use clap::Subcommand;
use reqwest::{Method, RequestBuilder};
use sandmill_model::{JsonText, OutcomeKind, RunId};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    answers::{self, PageOptions},
    filter::Filter,
};
use crate::{
    Session,
    arguments::read_object,
    client::{BulkReceipt, LogLine, Receipt, Run, RunError, Server},
    error::{CliError, Exit},
    render::{clean_line, run_error},
};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List runs, newest first
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show a run: arguments, outcome, what it used
    Show {
        /// Id of the run
        id: RunId,
    },
    /// Print a run's log
    Log {
        /// Id of the run
        id: RunId,
        /// Print what is added until the run has ended
        #[arg(long, short)]
        follow: bool,
    },
    /// Cancel a run, or all that fit and have not ended
    Cancel {
        /// Id of a run; without one, conditions
        id: Option<RunId>,
        #[command(flatten)]
        filter: Filter,
    },
    /// Do a run again, or all that fit and have ended
    Rerun {
        /// Id of a run; without one, conditions
        id: Option<RunId>,
        /// Other arguments than the run had, as a JSON object; `@FILE` to read one, `-` for stdin
        #[arg(long, value_name = "JSON|@FILE|-", requires = "id")]
        args: Option<String>,
        /// The version that ran, instead of the newest
        #[arg(long)]
        same_version: bool,
        #[command(flatten)]
        filter: Filter,
    },
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { filter, page } => list(&server, "runs", &filter, page, session).await,
        Command::Show { id } => show(&server, id, session).await,
        Command::Log { id, follow: false } => log(&server, id, session).await,
        Command::Log { id, follow: true } => follow(&server, id, session).await,
        Command::Cancel { id, filter } => match which(id, &filter, false)? {
            Some(id) => steer(&server, server.request(Method::POST, &format!("runs/{id}/cancel")), session).await,
            None => steer_many(&server, "runs/cancel", json!({"filter": filter.object()}), session).await,
        },
        Command::Rerun { id, args, same_version, filter } => {
            let version = if same_version { "same" } else { "newest" };
            match which(id, &filter, false)? {
                Some(id) => {
                    let args = args.as_deref().map(read_object).transpose()?;
                    let request = server.request(Method::POST, &format!("runs/{id}/rerun"));
                    steer(&server, request.json(&Again { version, args }), session).await
                }
                None => steer_many(&server, "runs/rerun", json!({"filter": filter.object(), "version": version}), session).await,
            }
        }
    }
}

pub(crate) async fn list(
    server: &Server,
    what: &str,
    filter: &Filter,
    page: PageOptions,
    session: &mut Session<'_>,
) -> Result<(), CliError> {
    let mut query = filter.query();
    query.extend(page.query());
    let request = server.request(Method::GET, what).query(&query);
    answers::list(server, request, session, (&["ID", "STATUS", "SCRIPT", "TRIGGER", "CREATED", "OUTCOME"], row)).await
}

fn row(run: &Run) -> Vec<String> {
    let script = format!("{}@{}", run.path, run.number);
    let trigger = run.trigger.clone().unwrap_or_else(|| "-".to_owned());
    let outcome = run.outcome.clone().unwrap_or_else(|| "-".to_owned());
    vec![run.id.clone(), run.status.clone(), script, trigger, seconds(&run.created_at), outcome]
}

/// `2026-01-02T03:04:05.678901Z` to the second.
fn seconds(at: &str) -> String {
    at.get(..19).map_or_else(|| at.to_owned(), |start| format!("{start}Z"))
}

async fn show(server: &Server, id: RunId, session: &mut Session<'_>) -> Result<(), CliError> {
    let request = server.request(Method::GET, &format!("runs/{id}"));
    let Some(run) = answers::read::<Run>(server, request, session).await? else { return Ok(()) };
    answers::facts(&facts(&run), session);
    let paint = session.console.paint();
    if let (Some(error), Some(kind)) = (&run.error, run.outcome.as_deref().and_then(OutcomeKind::from_name)) {
        session.console.say(&format!("\n{}", run_error(kind, &error.name, &error.message, error.stack.as_deref(), paint)));
    }
    Ok(())
}

fn facts(run: &Run) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("run", run.id.clone()),
        ("script", format!("{}@{}", run.path, run.number)),
        ("status", run.status.clone()),
        ("outcome", run.outcome.clone().unwrap_or_else(|| "-".to_owned())),
        ("trigger", run.trigger.clone().unwrap_or_else(|| "-".to_owned())),
        ("attempt", run.attempt.to_string()),
        ("run as", run.run_as.clone()),
        ("created", run.created_at.clone()),
    ];
    rows.extend(run.started_at.clone().map(|at| ("started", at)));
    rows.extend(run.ended_at.clone().map(|at| ("ended", at)));
    rows.extend(run.progress.as_ref().map(|progress| ("progress", format!("{} % {}", progress.percent, progress.text))));
    rows.extend(run.arguments.as_ref().map(|arguments| ("arguments", arguments.to_string())));
    if let Some(usage) = run.usage.as_ref().filter(|_| run.has_ended()) {
        let millis = |ns: u64| format!("{:.3} ms", ns as f64 / 1e6);
        rows.push(("fuel", usage.fuel.to_string()));
        rows.push(("peak memory", format!("{:.1} MiB", usage.memory_peak_bytes as f64 / (1024.0 * 1024.0))));
        rows.push(("CPU time", millis(usage.cpu_ns)));
        rows.push(("wall time", millis(usage.wall_ns)));
    }
    rows
}

async fn log(server: &Server, id: RunId, session: &mut Session<'_>) -> Result<(), CliError> {
    server.log(&id.to_string(), |line| print(&line, session)).await
}

/// Prints what there is until the run has ended. Its failure is ours.
async fn follow(server: &Server, id: RunId, session: &mut Session<'_>) -> Result<(), CliError> {
    let end = server.follow(&id.to_string(), |line| print(&line, session)).await?;
    match end.outcome.as_deref() {
        Some("ok" | "skipped") => Ok(()),
        outcome => Err(failure(outcome.unwrap_or_default(), end.error)),
    }
}

/// A run's bad end as the command's.
pub(crate) fn failure(outcome: &str, error: Option<RunError>) -> CliError {
    let kind = OutcomeKind::from_name(outcome).unwrap_or(OutcomeKind::HostFault);
    let error = error.unwrap_or_default();
    let name = if error.name.is_empty() { outcome.to_owned() } else { error.name };
    CliError::RunFailed(kind, sandmill_model::RunError { name, message: error.message, stack: error.stack, details: None, rejects: None })
}

/// The log is what was asked for, so it goes to stdout.
fn print(line: &LogLine, session: &mut Session<'_>) {
    let paint = session.console.paint();
    let text =
        if session.console.is_json() { serde_json::to_string(line).unwrap_or_default() } else { crate::render::log_line(line, paint) };
    session.console.say(&text);
}

/// One run, or none: all that fit.
pub(crate) fn which(id: Option<RunId>, filter: &Filter, all: bool) -> Result<Option<RunId>, CliError> {
    match (id, filter.query().is_empty() && !all) {
        (Some(_), true) => Ok(id),
        (None, false) => Ok(None),
        (Some(_), false) => Err(CliError::input("give the id of a run, or conditions, not both")),
        (None, true) => Err(CliError::input("give the id of a run, or conditions like --path f/demo/hello --status failed")),
    }
}

/// What is said of a run that is done again.
#[derive(Serialize)]
struct Again {
    version: &'static str,
    /// As the user wrote them.
    args: Option<JsonText>,
}

pub(crate) async fn steer(server: &Server, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(receipt) = answers::read::<Receipt>(server, request, session).await? else { return Ok(()) };
    session.console.say(&format!("{} {}", receipt.run_id, receipt.status));
    Ok(())
}

/// Steers all that fit, and tells what came of it, whatever then went wrong. If something stood in the way of some, that is the server's refusal.
pub(crate) async fn steer_many(server: &Server, rest: &str, body: Value, session: &mut Session<'_>) -> Result<(), CliError> {
    let mut total = BulkReceipt::default();
    let console = &mut session.console;
    let done = server
        .steer_many(rest, body, |some| {
            total.add(some);
            console.progress(&total.to_string());
        })
        .await;
    if console.is_json() {
        console.say(&serde_json::to_string(&total).unwrap_or_default());
    } else {
        for problem in &total.problems {
            console.say(&clean_line(&format!("{} {}: {}", problem.run, problem.code, problem.detail)));
        }
        console.say(&total.to_string());
    }
    done?;
    if total.problems.is_empty() { Ok(()) } else { Err(CliError::Said(Exit::Server)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_rows() {
        let body = serde_json::json!({"id": "r", "path": "f/a/b", "number": 3, "version": "sha256:0", "status": "failed", "outcome": "error", "trigger": null,
            "attempt": 1, "run_as": "u/admin", "created_at": "2026-01-02T03:04:05.678901Z", "scheduled_for": "x", "started_at": null, "ended_at": null,
            "arguments": {"a": 1}, "usage": {"fuel": 5, "memory_peak_bytes": 1048576, "cpu_ns": 1500000, "wall_ns": 2000000}});
        let run: Run = serde_json::from_value(body).unwrap();
        assert_eq!(row(&run), ["r", "failed", "f/a/b@3", "-", "2026-01-02T03:04:05Z", "error"]);
        let facts = facts(&run);
        assert!(
            facts.contains(&("peak memory", "1.0 MiB".to_owned())) && facts.contains(&("CPU time", "1.500 ms".to_owned())),
            "{facts:?}"
        );
        let error = failure("error", run.error);
        assert_eq!(error.exit() as u8, 1);
    }
}
