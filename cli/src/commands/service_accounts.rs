//! `sandmill service-accounts list | show | put | delete`

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
    /// List the service accounts of the workspace in the order of their names
    List {
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show a service account, and who may use it
    Show { name: Name },
    /// Make a service account, or put other scopes and users in the place of those it has
    Put {
        name: Name,
        /// What runs that act so may do at most, e.g. runs:start:f/billing/*; as often as there are some
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Who may have runs act so, beside admins: u/NAME or g/NAME; as often as there are some
        #[arg(long = "user", value_name = "WHO")]
        users: Vec<String>,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Delete a service account: nothing starts as it any more
    Delete { name: Name },
}

#[derive(Debug, Deserialize)]
struct Item {
    identity: String,
    description: String,
    scopes: Vec<String>,
    updated_by: String,
}

#[derive(Debug, Deserialize)]
struct Account {
    identity: String,
    description: String,
    scopes: Vec<String>,
    users: Vec<String>,
    updated_at: String,
    updated_by: String,
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { page } => {
            let request = server.request(Method::GET, "service-accounts").query(&page.query());
            let row = |item: &Item| vec![item.identity.clone(), item.scopes.join(" "), item.updated_by.clone(), item.description.clone()];
            answers::list(&server, request, session, (&["IDENTITY", "SCOPES", "BY", "DESCRIPTION"], row)).await
        }
        Command::Show { name } => print(&server, server.request(Method::GET, &format!("service-accounts/{name}")), session).await,
        Command::Put { name, scopes, users, description } => {
            let body = json!({"scopes": scopes, "users": users, "description": description});
            print(&server, server.request(Method::PUT, &format!("service-accounts/{name}")).json(&body), session).await
        }
        Command::Delete { name } => answers::delete(&server, &format!("service-accounts/{name}"), &format!("s/{name}"), session).await,
    }
}

async fn print(server: &Server, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(account) = answers::read::<Account>(server, request, session).await? else { return Ok(()) };
    let facts = [
        ("identity", account.identity),
        ("description", account.description),
        ("scopes", account.scopes.join(" ")),
        ("users", account.users.join(", ")),
        ("updated", format!("{} by {}", account.updated_at, account.updated_by)),
    ];
    answers::facts(&facts, session);
    Ok(())
}
