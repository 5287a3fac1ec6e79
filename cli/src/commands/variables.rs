//! `sandmill variables list | show | put | delete`

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::{Method, RequestBuilder};
use sandmill_model::ScriptPath;
use serde::Deserialize;
use serde_json::json;

use super::{
    answers::{self, PathPageOptions},
    secret,
};
use crate::{Session, client::Server, error::CliError, render::clean};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List variables in the order of their paths
    List {
        #[command(flatten)]
        page: PathPageOptions,
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
        Command::List { page } => {
            let request = server.request(Method::GET, "variables").query(&page.query());
            let row =
                |item: &Variable| vec![item.path.clone(), kind(item.secret).to_owned(), item.updated_by.clone(), item.description.clone()];
            answers::list(&server, request, session, (&["VARIABLE", "KIND", "BY", "DESCRIPTION"], row)).await
        }
        Command::Show { path } => print(&server, server.request(Method::GET, &format!("variables/{path}")), session).await,
        Command::Put(options) => {
            let text = text(&options)?;
            let body = json!({"text": text, "secret": options.secret, "description": options.description});
            let request = server.request(Method::PUT, &format!("variables/{}", options.path)).json(&body);
            print(&server, request, session).await
        }
        Command::Delete { path } => answers::delete(&server, &format!("variables/{path}"), path.as_str(), session).await,
    }
}

const fn kind(is_secret: bool) -> &'static str {
    if is_secret { "secret" } else { "plain" }
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

async fn print(server: &Server, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(variable) = answers::read::<Variable>(server, request, session).await? else { return Ok(()) };
    let facts = [
        ("variable", variable.path),
        ("kind", kind(variable.secret).to_owned()),
        ("description", variable.description),
        ("updated", format!("{} by {}", variable.updated_at, variable.updated_by)),
    ];
    answers::facts(&facts, session);
    if let Some(text) = variable.text {
        session.console.say(&format!("\n{}", clean(&text)));
    }
    Ok(())
}
