//! `sandmill resource-types list | show | put | delete`

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::Method;
use sandmill_model::TypeName;
use serde::Deserialize;
use serde_json::{Value, json};

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
    /// List the types that resources can have
    List {
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show a type with its schema
    Show { name: TypeName },
    /// Make a type, or change it as far as its resources allow
    Put {
        name: TypeName,
        /// JSON Schema of an object, secret fields of which are `"writeOnly": true`; `-` for stdin
        file: PathBuf,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Delete a type of which there are no resources
    Delete { name: TypeName },
}

#[derive(Debug, Deserialize)]
struct Type {
    name: String,
    description: String,
    is_built_in: bool,
    schema: Value,
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { page } => {
            let request = server.request(Method::GET, "resource-types").query(&page.query());
            print_page(&server, request, session, |page: &Page<Type>| {
                let row = |kind: &Type| {
                    let origin = if kind.is_built_in { "built in" } else { "own" };
                    [kind.name.as_str(), origin, kind.description.as_str()].map(clean_line).to_vec()
                };
                table(&["TYPE", "ORIGIN", "DESCRIPTION"], &page.items.iter().map(row).collect::<Vec<_>>())
            })
            .await
        }
        Command::Show { name } => {
            let body = server.bytes(server.request(Method::GET, &format!("resource-types/{name}"))).await?;
            print(&body, session)
        }
        Command::Put { name, file, description } => {
            let text = secret::read(&file)?;
            let schema: Value =
                serde_json::from_str(&text).map_err(|error| CliError::input(format!("{} is not JSON: {error}", file.display())))?;
            let request = server.request(Method::PUT, &format!("resource-types/{name}"));
            let body = server.bytes(request.json(&json!({"schema": schema, "description": description}))).await?;
            print(&body, session)
        }
        Command::Delete { name } => {
            server.send(server.request(Method::DELETE, &format!("resource-types/{name}"))).await?;
            deleted(name.as_str(), session);
            Ok(())
        }
    }
}

fn print(body: &[u8], session: &mut Session<'_>) -> Result<(), CliError> {
    if session.console.is_json() {
        session.console.say(String::from_utf8_lossy(body).trim_end());
        return Ok(());
    }
    let kind: Type = serde_json::from_slice(body)
        .map_err(|error| CliError::Unreachable(format!("the server answered something else than expected: {error}")))?;
    let paint = session.console.paint();
    session.console.say(&format!("{} {}", paint.dim("type       "), clean_line(&kind.name)));
    if !kind.description.is_empty() {
        session.console.say(&format!("{} {}", paint.dim("description"), clean_line(&kind.description)));
    }
    session.console.say(&format!("\n{}", clean(&serde_json::to_string_pretty(&kind.schema).unwrap_or_default())));
    Ok(())
}
