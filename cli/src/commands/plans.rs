//! `sandmill plans list | show | put | delete`

use clap::Subcommand;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    answers::{self, PageOptions},
    quotas::{object, read_limit, read_name, shown},
};
use crate::{Session, client::Server, error::CliError};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List plans in the order of their names
    List {
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show a plan
    Show {
        #[arg(value_parser = read_name)]
        name: String,
    },
    /// Put a plan in the place of what has its name; it holds for all workspaces that have it
    Put {
        #[arg(value_parser = read_name)]
        name: String,
        /// E.g. `runs_per_day=1000`; what is not limited is without limit
        #[arg(value_name = "NAME=LIMIT", value_parser = read_limit)]
        quotas: Vec<(String, Value)>,
        /// Who it is for
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Delete a plan that no workspace has
    Delete {
        #[arg(value_parser = read_name)]
        name: String,
    },
}

#[derive(Debug, Deserialize)]
struct Plan {
    name: String,
    quotas: Map<String, Value>,
    description: String,
    updated_at: String,
    updated_by: String,
}

/// Where plans are.
const AT: &str = "api/instance/plans";

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { page } => {
            let request = server.request_at(Method::GET, AT).query(&page.query());
            let row = |plan: &Plan| vec![plan.name.clone(), shown(&plan.quotas), plan.description.clone()];
            answers::list(&server, request, session, (&["PLAN", "LIMITS", "DESCRIPTION"], row)).await
        }
        Command::Show { name } => print(&server, server.request_at(Method::GET, &format!("{AT}/{name}")), session).await,
        Command::Put { name, quotas, description } => {
            let body = json!({"quotas": object(quotas), "description": description});
            print(&server, server.request_at(Method::PUT, &format!("{AT}/{name}")).json(&body), session).await
        }
        Command::Delete { name } => {
            server.send(server.request_at(Method::DELETE, &format!("{AT}/{name}"))).await?;
            if session.console.is_json() {
                session.console.json(&json!({ "deleted": name }));
            } else {
                session.console.say(&format!("{name} deleted"));
            }
            Ok(())
        }
    }
}

async fn print(server: &Server, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(plan) = answers::read::<Plan>(server, request, session).await? else { return Ok(()) };
    let facts = [
        ("plan", plan.name),
        ("limits", shown(&plan.quotas)),
        ("description", plan.description),
        ("updated", format!("{} by {}", plan.updated_at, plan.updated_by)),
    ];
    answers::facts(&facts, session);
    Ok(())
}
