//! `sandmill resource-types list | show | put | delete`

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::{Method, RequestBuilder};
use sandmill_model::TypeName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answers::{self, PageOptions},
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
            let row = |kind: &Type| {
                let origin = if kind.is_built_in { "built in" } else { "own" };
                vec![kind.name.clone(), origin.to_owned(), kind.description.clone()]
            };
            answers::list(&server, request, session, (&["TYPE", "ORIGIN", "DESCRIPTION"], row)).await
        }
        Command::Show { name } => print(&server, server.request(Method::GET, &format!("resource-types/{name}")), session).await,
        Command::Put { name, file, description } => {
            let text = secret::read(&file)?;
            let schema: Value =
                serde_json::from_str(&text).map_err(|error| CliError::input(format!("{} is not JSON: {error}", file.display())))?;
            let request = server.request(Method::PUT, &format!("resource-types/{name}"));
            print(&server, request.json(&json!({"schema": schema, "description": description})), session).await
        }
        Command::Delete { name } => answers::delete(&server, &format!("resource-types/{name}"), name.as_str(), session).await,
    }
}

async fn print(server: &Server, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(kind) = answers::read::<Type>(server, request, session).await? else { return Ok(()) };
    answers::facts(&[("type", kind.name), ("description", kind.description)], session);
    session.console.say(&format!("\n{}", clean(&serde_json::to_string_pretty(&kind.schema).unwrap_or_default())));
    Ok(())
}
