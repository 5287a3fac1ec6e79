//! `sandmill triggers list | show | put | delete | mode | kinds | status | test | preview | describe`, and what triggers keep: `events`, `held`

mod kept;
mod kinds;
mod status;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use reqwest::{Method, RequestBuilder};
use sandmill_model::{ScriptPath, Timestamp, trigger::Mode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answers::{self, PathPageOptions},
    secret,
};
use crate::{Session, client::Server, error::CliError, render::clean, trigger_file::TriggerFile};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List triggers in the order of their paths
    List {
        /// Only those of this kind
        #[arg(long)]
        kind: Option<String>,
        /// Only those that start this script
        #[arg(long)]
        target: Option<ScriptPath>,
        #[command(flatten)]
        page: PathPageOptions,
    },
    /// Show a trigger, with references in the place of what its settings refer to
    Show { path: ScriptPath },
    /// Put a trigger at a path, in the place of what is there; from a file as `push` does, or by options
    Put(Box<PutOptions>),
    /// Delete a trigger and the events that it has kept; its runs go on
    Delete { path: ScriptPath },
    /// Say what becomes of a trigger's events: `on`, `off`, `held` (each becomes a run that waits for its release), `capture` (they are kept, and no run starts)
    Mode {
        path: ScriptPath,
        #[arg(value_parser = mode)]
        mode: Mode,
    },
    /// List the kinds of trigger, or show one with the schema of its settings
    Kinds { name: Option<String> },
    /// Show how a trigger fares: who listens, what was wrong last, when the last event came
    Status { path: ScriptPath },
    /// Test the connection of a trigger, as it is on the server or as a file has it
    Test {
        path: ScriptPath,
        /// A .trigger.toml
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Tell the next instants of a trigger that knows them, as it is on the server or as a file has it
    Preview {
        path: ScriptPath,
        /// A .trigger.toml
        #[arg(long)]
        file: Option<PathBuf>,
        /// From when on, instead of now, e.g. `2026-01-31T12:00:00Z`
        #[arg(long, value_name = "TIME")]
        after: Option<Timestamp>,
        /// How many
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
    },
    /// Print the description of the URLs that triggers take, as OpenAPI
    Describe,
    /// Look at events that started no run: captured ones, and dead ones
    #[command(subcommand)]
    Events(kept::EventsCommand),
    /// Let runs go that a trigger holds, or discard them
    #[command(subcommand)]
    Held(kept::HeldCommand),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PutOptions {
    path: ScriptPath,
    /// `-`: read the settings from stdin
    #[arg(value_name = "-", value_parser = ["-"])]
    stdin: Option<String>,
    /// Its kind; see `sandmill triggers kinds`
    #[arg(long, required_unless_present = "file")]
    kind: Option<String>,
    /// The script that its events start [default: the one at the same path]
    #[arg(long, value_name = "PATH")]
    target: Option<ScriptPath>,
    /// All of it, from a .trigger.toml
    #[arg(long, conflicts_with_all = ["kind", "config", "stdin", "options", "description"])]
    file: Option<PathBuf>,
    /// Settings of the kind, a JSON object. Secrets belong into resources and variables, to which it refers: `"$res:PATH"`, `"$var:PATH"`
    #[arg(long, value_name = "JSON", conflicts_with = "stdin")]
    config: Option<String>,
    /// What all kinds have in common, a JSON object: retry, filter, batch and so on
    #[arg(long, value_name = "JSON")]
    options: Option<String>,
    /// `on`, `off`, `held` or `capture` [default: as it is; a new one is on]
    #[arg(long, value_parser = mode)]
    mode: Option<Mode>,
    /// What it is for
    #[arg(long, default_value = "")]
    description: String,
}

fn mode(name: &str) -> Result<Mode, String> {
    Mode::from_name(name).ok_or_else(|| format!("one of {}", Mode::ALL.map(Mode::name).join(", ")))
}

#[derive(Debug, Deserialize)]
struct Item {
    path: String,
    kind: String,
    mode: String,
    target: String,
    description: String,
}

#[derive(Debug, Deserialize)]
struct Trigger {
    path: String,
    kind: String,
    target: String,
    mode: String,
    description: String,
    config: Value,
    options: Value,
    answered_by: String,
    revision: i64,
    updated_at: String,
    updated_by: String,
}

#[derive(Debug, Deserialize)]
struct Moded {
    path: String,
    mode: String,
}

#[derive(Debug, Deserialize)]
struct Preview {
    instants: Vec<String>,
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { kind, target, page } => {
            let mut query = page.query();
            query.extend(kind.map(|kind| ("kind", kind)));
            query.extend(target.map(|target| ("target", target.to_string())));
            let request = server.request(Method::GET, "triggers").query(&query);
            let row =
                |item: &Item| vec![item.path.clone(), item.kind.clone(), item.mode.clone(), item.target.clone(), item.description.clone()];
            answers::list(&server, request, session, (&["TRIGGER", "KIND", "MODE", "STARTS", "DESCRIPTION"], row)).await
        }
        Command::Show { path } => print(&server, server.request(Method::GET, &format!("triggers/{path}")), session).await,
        Command::Put(options) => {
            let request = server.request(Method::PUT, &format!("triggers/{}", options.path)).json(&body(&options)?);
            print(&server, request, session).await
        }
        Command::Delete { path } => answers::delete(&server, &format!("triggers/{path}"), path.as_str(), session).await,
        Command::Mode { path, mode } => {
            let request = server.request(Method::POST, &format!("trigger-mode/{path}")).json(&json!({"mode": mode.name()}));
            let Some(moded) = answers::read::<Moded>(&server, request, session).await? else { return Ok(()) };
            session.console.say(&format!("{} {}", moded.path, moded.mode));
            Ok(())
        }
        Command::Kinds { name } => kinds::execute(&server, name.as_deref(), session).await,
        Command::Status { path } => status::execute(&server, &path, session).await,
        Command::Test { path, file } => test(&server, &path, file.as_deref(), session).await,
        Command::Preview { path, file, after, limit } => {
            let mut body = asked(&path, file.as_deref())?;
            body["limit"] = limit.into();
            if let Some(after) = after {
                body["after"] = after.to_string().into();
            }
            preview(&server, &body, session).await
        }
        Command::Describe => {
            let description = server.bytes(server.request(Method::GET, "route-description")).await?;
            answers::say_as_it_came(&description, session);
            Ok(())
        }
        Command::Events(command) => kept::events(&server, command, session).await,
        Command::Held(command) => kept::held(&server, command, session).await,
    }
}

/// What is sent for a trigger.
fn body(options: &PutOptions) -> Result<Value, CliError> {
    let PutOptions { path, stdin, kind, target, file, config, options, mode, description } = options;
    let mut body = match (file, kind) {
        (Some(file), _) => TriggerFile::load(file)?.body(file, Some(target.as_ref().unwrap_or(path)))?,
        (None, kind) => json!({"kind": kind, "target": target.as_ref().unwrap_or(path).as_str(), "description": description}),
    };
    let config = match (config, stdin) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(_)) => Some(secret::read("-".as_ref())?),
        (None, None) => None,
    };
    for (name, text) in [("config", config.as_deref()), ("options", options.as_deref())] {
        if let Some(text) = text {
            body[name] = object(name, text)?;
        }
    }
    if let Some(target) = target {
        body["target"] = target.as_str().into();
    }
    if let Some(mode) = mode {
        body["mode"] = mode.name().into();
    }
    Ok(body)
}

fn object(name: &str, text: &str) -> Result<Value, CliError> {
    // Not the parser's own words: they may repeat a part of a secret.
    let value = serde_json::from_str::<Value>(text)
        .map_err(|error| CliError::input(format!("--{name} is not JSON: see line {} column {}", error.line(), error.column())))?;
    if value.is_object() { Ok(value) } else { Err(CliError::input(format!("--{name} is not a JSON object"))) }
}

/// Of what is on the server, or of what a file has.
fn asked(path: &ScriptPath, file: Option<&Path>) -> Result<Value, CliError> {
    let Some(file) = file else { return Ok(json!({"path": path.as_str()})) };
    let trigger = TriggerFile::load(file)?;
    Ok(json!({"path": path.as_str(), "kind": trigger.kind, "config": trigger.config()}))
}

async fn test(server: &Server, path: &ScriptPath, file: Option<&Path>, session: &mut Session<'_>) -> Result<(), CliError> {
    server.send(server.request(Method::POST, "trigger-probes").json(&asked(path, file)?)).await?;
    if session.console.is_json() {
        session.console.json(&json!({"path": path.as_str(), "works": true}));
    } else {
        session.console.say(&format!("{path} works"));
    }
    Ok(())
}

async fn preview(server: &Server, body: &Value, session: &mut Session<'_>) -> Result<(), CliError> {
    let request = server.request(Method::POST, "trigger-previews").json(body);
    let Some(preview) = answers::read::<Preview>(server, request, session).await? else { return Ok(()) };
    for instant in &preview.instants {
        session.console.say(&clean(instant));
    }
    if preview.instants.is_empty() {
        session.console.note("nothing: its kind cannot tell, or nothing comes any more");
    }
    Ok(())
}

async fn print(server: &Server, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(trigger) = answers::read::<Trigger>(server, request, session).await? else { return Ok(()) };
    let facts = [
        ("trigger", trigger.path),
        ("kind", trigger.kind),
        ("mode", trigger.mode),
        ("starts", trigger.target),
        ("description", trigger.description),
        ("answered by", trigger.answered_by),
        ("revision", trigger.revision.to_string()),
        ("updated", format!("{} by {}", trigger.updated_at, trigger.updated_by)),
    ];
    answers::facts(&facts, session);
    for (name, value) in [("config", &trigger.config), ("options", &trigger.options)] {
        if value.as_object().is_some_and(|object| !object.is_empty()) {
            session.console.say(&format!("\n{name} {}", clean(&serde_json::to_string_pretty(value).unwrap_or_default())));
        }
    }
    Ok(())
}
