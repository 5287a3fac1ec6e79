//! `sandmill variables list | show | put | delete`

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::Method;
use sandmill_model::ScriptPath;
use serde::Deserialize;
use serde_json::json;

use super::{
    resources::{PageOptions, deleted, print_page},
    secret,
};
use crate::{
    Session,
    client::{Page, Server},
    error::CliError,
    render::{clean, clean_line, table},
};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List variables in the order of their paths
    List {
        /// Only paths that start so, e.g. `f/demo/`
        #[arg(long)]
        prefix: Option<String>,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show a variable, with its text unless that is secret
    Show { path: ScriptPath },
    /// Put a text at a path; it is asked for if no option says where it is
    Put(PutOptions),
    /// Delete a variable
    Delete { path: ScriptPath },
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PutOptions {
    path: ScriptPath,
    /// `-`: read the text from stdin, as it is
    #[arg(value_name = "-", value_parser = ["-"])]
    stdin: Option<String>,
    /// Seal the text, and show it to nobody
    #[arg(long)]
    secret: bool,
    /// The text. Other users of this machine see what is on a command line: not for secrets
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["file", "stdin", "secret"])]
    value: Option<String>,
    /// Read the text from a file, as it is
    #[arg(long, conflicts_with = "stdin")]
    file: Option<PathBuf>,
    /// Leave the text as it is, and change the rest
    #[arg(long, conflicts_with_all = ["file", "stdin", "value"])]
    keep: bool,
    /// What it is for
    #[arg(long, default_value = "")]
    description: String,
}

#[derive(Debug, Deserialize)]
struct Variable {
    path: String,
    secret: bool,
    /// Only where one variable is shown.
    text: Option<String>,
    description: String,
    updated_at: String,
    updated_by: String,
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { prefix, page } => {
            let mut query = page.query();
            query.extend(prefix.map(|prefix| ("prefix", prefix)));
            let request = server.request(Method::GET, "variables").query(&query);
            print_page(&server, request, session, |page: &Page<Variable>| {
                let row = |item: &Variable| {
                    let kind = if item.secret { "secret" } else { "plain" };
                    [item.path.as_str(), kind, item.updated_by.as_str(), item.description.as_str()].map(clean_line).to_vec()
                };
                table(&["VARIABLE", "KIND", "BY", "DESCRIPTION"], &page.items.iter().map(row).collect::<Vec<_>>())
            })
            .await
        }
        Command::Show { path } => {
            let body = server.bytes(server.request(Method::GET, &format!("variables/{path}"))).await?;
            print(&body, session)
        }
        Command::Put(options) => {
            let text = text(&options)?;
            let body = json!({"text": text, "secret": options.secret, "description": options.description});
            let request = server.request(Method::PUT, &format!("variables/{}", options.path)).json(&body);
            let body = server.bytes(request).await?;
            print(&body, session)
        }
        Command::Delete { path } => {
            server.send(server.request(Method::DELETE, &format!("variables/{path}"))).await?;
            deleted(path.as_str(), session);
            Ok(())
        }
    }
}

/// None: as it is.
fn text(options: &PutOptions) -> Result<Option<String>, CliError> {
    Ok(match (&options.value, &options.file, &options.stdin) {
        _ if options.keep => None,
        (Some(text), _, _) => Some(text.clone()),
        (None, Some(file), _) => Some(secret::read(file)?),
        (None, None, Some(_)) => Some(secret::read("-".as_ref())?),
        (None, None, None) => Some(secret::ask(options.path.as_str())?),
    })
}

fn print(body: &[u8], session: &mut Session<'_>) -> Result<(), CliError> {
    if session.console.is_json() {
        session.console.say(String::from_utf8_lossy(body).trim_end());
        return Ok(());
    }
    let variable: Variable = serde_json::from_slice(body)
        .map_err(|error| CliError::Unreachable(format!("the server answered something else than expected: {error}")))?;
    let paint = session.console.paint();
    let kind = if variable.secret { "secret" } else { "plain" };
    for (name, value) in [
        ("variable", variable.path),
        ("kind", kind.to_owned()),
        ("description", variable.description),
        ("updated", format!("{} by {}", variable.updated_at, variable.updated_by)),
    ] {
        if !value.is_empty() {
            session.console.say(&format!("{} {}", paint.dim(&format!("{name:11}")), clean_line(&value)));
        }
    }
    if let Some(text) = variable.text {
        session.console.say(&format!("\n{}", clean(&text)));
    }
    Ok(())
}
