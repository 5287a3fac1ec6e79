//! `sandmill triggers events …` and `sandmill triggers held …`: what triggers keep until somebody decides.

use clap::Subcommand;
use reqwest::Method;
use sandmill_model::{RunId, ScriptPath, TriggerEventId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Session,
    client::{Page, Server},
    commands::{
        answers::{self, PageOptions},
        filter::Filter,
        runs,
    },
    error::{CliError, Exit},
    render::{clean, clean_line},
};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// List the events that a trigger has kept, newest first
    List {
        path: ScriptPath,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show one event with its payload
    Show { path: ScriptPath, id: TriggerEventId },
    /// Start runs of events, on the trigger's terms
    Replay(EventsOptions),
    /// Forget events
    Discard(EventsOptions),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct EventsOptions {
    path: ScriptPath,
    /// Ids of events; without any, `--all`
    #[arg(required_unless_present = "all")]
    ids: Vec<TriggerEventId>,
    /// All of them
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// With --all: only captured ones
    #[arg(long, requires = "all", conflicts_with_all = ["dead", "ids"])]
    captured: bool,
    /// With --all: only dead ones
    #[arg(long, requires = "all", conflicts_with = "ids")]
    dead: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum HeldCommand {
    /// List runs that a trigger holds, newest first
    List {
        path: ScriptPath,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Let runs go
    Release(HeldOptions),
    /// Cancel runs
    Discard(HeldOptions),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct HeldOptions {
    path: ScriptPath,
    /// Ids of runs; without any, `--all`
    #[arg(required_unless_present = "all")]
    ids: Vec<RunId>,
    /// All of them
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

#[derive(Debug, Deserialize)]
struct Event {
    id: String,
    at: String,
    kept_as: String,
    reason: Option<String>,
    event: Value,
    payload: Option<String>,
    encoding: Option<String>,
    payload_bytes: u64,
}

/// What became of some, and then of all.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Receipt {
    done: u64,
    passed_over: u64,
    problems: Vec<Fault>,
    next: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Fault {
    id: String,
    code: String,
    detail: String,
}

pub(super) async fn events(server: &Server, command: EventsCommand, session: &mut Session<'_>) -> Result<(), CliError> {
    match command {
        EventsCommand::List { path, page } => {
            let request = server.request(Method::GET, &format!("trigger-events/{path}")).query(&page.query());
            let row = |event: &Event| {
                vec![event.id.clone(), event.kept_as.clone(), event.at.clone(), event.payload_bytes.to_string(), about(event)]
            };
            answers::list(server, request, session, (&["EVENT", "KEPT AS", "AT", "BYTES", "PAYLOAD OR REASON"], row)).await
        }
        EventsCommand::Show { path, id } => show(server, &path, id, session).await,
        EventsCommand::Replay(options) => steer(server, &events_url(&options), events_body(&options, "replay"), session).await,
        EventsCommand::Discard(options) => steer(server, &events_url(&options), events_body(&options, "discard"), session).await,
    }
}

pub(super) async fn held(server: &Server, command: HeldCommand, session: &mut Session<'_>) -> Result<(), CliError> {
    match command {
        HeldCommand::List { path, page } => runs::list(server, "runs", &Filter::held_by(path), page, session).await,
        HeldCommand::Release(options) => steer(server, &held_url(&options), held_body(&options, "release"), session).await,
        HeldCommand::Discard(options) => steer(server, &held_url(&options), held_body(&options, "discard"), session).await,
    }
}

fn events_url(options: &EventsOptions) -> String {
    format!("trigger-events/{}", options.path)
}

fn events_body(options: &EventsOptions, action: &str) -> Value {
    let mut body = meant(&options.ids, options.all, action);
    if options.captured || options.dead {
        let kept_as = if options.dead { "dead" } else { "captured" };
        body["kept_as"] = kept_as.into();
    }
    body
}

fn held_url(options: &HeldOptions) -> String {
    format!("held-runs/{}", options.path)
}

fn held_body(options: &HeldOptions, action: &str) -> Value {
    meant(&options.ids, options.all, action)
}

fn meant<Id: ToString>(ids: &[Id], all: bool, action: &str) -> Value {
    if all {
        return json!({"action": action, "all": true});
    }
    json!({"action": action, "ids": ids.iter().map(ToString::to_string).collect::<Vec<_>>()})
}

/// How the payload begins, or why it is dead.
fn about(event: &Event) -> String {
    const SHOWN: usize = 60;
    let text = event.reason.as_deref().or(event.payload.as_deref()).unwrap_or("-");
    text.chars().take(SHOWN).collect()
}

async fn show(server: &Server, path: &ScriptPath, id: TriggerEventId, session: &mut Session<'_>) -> Result<(), CliError> {
    let request = server.request(Method::GET, &format!("trigger-events/{path}")).query(&[("id", id.to_string())]);
    let Some(page) = answers::read::<Page<Event>>(server, request, session).await? else { return Ok(()) };
    for event in page.items {
        let facts = [
            ("event", event.id),
            ("kept as", event.kept_as),
            ("at", event.at),
            ("reason", event.reason.unwrap_or_default()),
            ("bytes", event.payload_bytes.to_string()),
            ("encoding", event.encoding.unwrap_or_default()),
        ];
        answers::facts(&facts, session);
        session.console.say(&format!("\n{}", clean(&serde_json::to_string_pretty(&event.event).unwrap_or_default())));
        if let Some(payload) = event.payload {
            session.console.say(&format!("\n{}", clean(&payload)));
        }
    }
    Ok(())
}

/// Until all are done, page by page. If something stood in the way of some, that is the server's refusal.
async fn steer(server: &Server, url: &str, mut body: Value, session: &mut Session<'_>) -> Result<(), CliError> {
    let mut total = Receipt::default();
    let done = loop {
        match server.read::<Receipt>(server.request(Method::POST, url).json(&body)).await {
            Ok(some) => {
                total.done += some.done;
                total.passed_over += some.passed_over;
                total.problems.extend(some.problems);
                session.console.progress(&format!("{} done", total.done));
                match some.next {
                    Some(next) => body["cursor"] = next.into(),
                    None => break Ok(()),
                }
            }
            // What was done before is told in any case.
            Err(error) => break Err(error),
        }
    };
    if session.console.is_json() {
        session.console.say(&serde_json::to_string(&total).unwrap_or_default());
    } else {
        for problem in &total.problems {
            session.console.say(&clean_line(&format!("{} {}: {}", problem.id, problem.code, problem.detail)));
        }
        let over = if total.passed_over > 0 { format!(", {} passed over", total.passed_over) } else { String::new() };
        session.console.say(&format!("{} done{over}", total.done));
    }
    done?;
    if total.problems.is_empty() { Ok(()) } else { Err(CliError::Said(Exit::Server)) }
}
