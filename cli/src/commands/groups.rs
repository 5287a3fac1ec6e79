//! `sandmill groups list | show | put | delete`

use clap::Subcommand;
use reqwest::{Method, RequestBuilder};
use sandmill_model::people::Name;
use serde::Deserialize;
use serde_json::json;

use super::answers::{self, PageOptions};
use crate::{Session, client::Server, error::CliError};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List the groups of the workspace in the order of their names
    List {
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show a group with its members
    Show { name: Name },
    /// Make a group, or put other members in the place of those it has
    Put {
        name: Name,
        /// A member of the workspace; as often as there are some
        #[arg(long = "member", value_name = "USER")]
        members: Vec<Name>,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Delete a group, and take it out of all lists
    Delete { name: Name },
}

#[derive(Debug, Deserialize)]
struct Item {
    name: String,
    description: String,
    updated_by: String,
}

#[derive(Debug, Deserialize)]
struct Group {
    name: String,
    description: String,
    members: Vec<String>,
    updated_at: String,
    updated_by: String,
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { page } => {
            let request = server.request(Method::GET, "groups").query(&page.query());
            let row = |item: &Item| vec![item.name.clone(), item.updated_by.clone(), item.description.clone()];
            answers::list(&server, request, session, (&["GROUP", "BY", "DESCRIPTION"], row)).await
        }
        Command::Show { name } => print(&server, server.request(Method::GET, &format!("groups/{name}")), session).await,
        Command::Put { name, members, description } => {
            let members: Vec<&str> = members.iter().map(Name::as_str).collect();
            let body = json!({"members": members, "description": description});
            print(&server, server.request(Method::PUT, &format!("groups/{name}")).json(&body), session).await
        }
        Command::Delete { name } => answers::delete(&server, &format!("groups/{name}"), &format!("g/{name}"), session).await,
    }
}

async fn print(server: &Server, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(group) = answers::read::<Group>(server, request, session).await? else { return Ok(()) };
    let facts = [
        ("group", group.name),
        ("description", group.description),
        ("members", group.members.join(", ")),
        ("updated", format!("{} by {}", group.updated_at, group.updated_by)),
    ];
    answers::facts(&facts, session);
    Ok(())
}
