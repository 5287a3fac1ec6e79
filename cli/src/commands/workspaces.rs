//! `sandmill workspaces list | create | show | archive | unarchive | delete | plan | quota`

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
    /// List workspaces in the order of their names
    List {
        #[command(flatten)]
        page: PageOptions,
    },
    /// Make a workspace
    Create {
        #[arg(value_parser = read_name)]
        name: String,
        /// Plan whose limits it has
        #[arg(long, value_parser = read_name)]
        plan: Option<String>,
        /// A limit in the place of the plan's, e.g. `runs_per_day=1000`; `none` is without limit
        #[arg(long = "quota", value_name = "NAME=LIMIT", value_parser = read_limit)]
        quotas: Vec<(String, Value)>,
    },
    /// Show a workspace, its plan and its limits
    Show {
        #[arg(value_parser = read_name)]
        name: String,
    },
    /// Let nothing new start in a workspace; it can be read as before
    Archive {
        #[arg(value_parser = read_name)]
        name: String,
    },
    /// Let an archived workspace go on
    Unarchive {
        #[arg(value_parser = read_name)]
        name: String,
    },
    /// Delete a workspace with all that it has; there is no way back
    Delete {
        #[arg(value_parser = read_name)]
        name: String,
        /// The name once more
        #[arg(long, value_name = "NAME")]
        confirm: String,
    },
    /// Give a workspace a plan, or none
    Plan {
        #[arg(value_parser = read_name)]
        name: String,
        #[arg(value_parser = read_name, required_unless_present = "none")]
        plan: Option<String>,
        /// No plan: no limits but its own
        #[arg(long, conflicts_with = "plan")]
        none: bool,
    },
    /// Give a workspace limits of its own, in the place of its plan's
    Quota {
        #[arg(value_parser = read_name)]
        name: String,
        /// E.g. `runs_per_day=1000`; `none` is without limit, `plan` that of the plan again
        #[arg(value_name = "NAME=LIMIT", value_parser = read_limit, required = true)]
        quotas: Vec<(String, Value)>,
    },
}

#[derive(Debug, Deserialize)]
struct Workspace {
    id: String,
    name: String,
    status: String,
    status_since: String,
    created_at: String,
    plan: Option<String>,
    overrides: Map<String, Value>,
    quotas: Map<String, Value>,
}

/// Where workspaces are.
const AT: &str = "api/instance/workspaces";

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    let request = match command {
        Command::List { page } => {
            let request = server.request_at(Method::GET, AT).query(&page.query());
            return answers::list(&server, request, session, (&["WORKSPACE", "STATUS", "PLAN", "CREATED"], row)).await;
        }
        Command::Create { name, plan, quotas } => {
            server.request_at(Method::POST, AT).json(&json!({"name": name, "plan": plan, "quotas": object(quotas)}))
        }
        Command::Show { name } => server.request_at(Method::GET, &format!("{AT}/{name}")),
        Command::Archive { name } => server.request_at(Method::POST, &format!("{AT}/{name}/archive")),
        Command::Unarchive { name } => server.request_at(Method::POST, &format!("{AT}/{name}/unarchive")),
        Command::Delete { name, confirm } => server.request_at(Method::DELETE, &format!("{AT}/{name}")).query(&[("confirm", confirm)]),
        Command::Plan { name, plan, none: _ } => server.request_at(Method::PATCH, &format!("{AT}/{name}")).json(&json!({ "plan": plan })),
        Command::Quota { name, quotas } => {
            server.request_at(Method::PATCH, &format!("{AT}/{name}")).json(&json!({ "quotas": object(quotas) }))
        }
    };
    print(&server, request, session).await
}

fn row(workspace: &Workspace) -> Vec<String> {
    let plan = workspace.plan.clone().unwrap_or_else(|| "-".to_owned());
    vec![workspace.name.clone(), workspace.status.clone(), plan, workspace.created_at.clone()]
}

async fn print(server: &Server, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(workspace) = answers::read::<Workspace>(server, request, session).await? else { return Ok(()) };
    let own =
        if workspace.overrides.is_empty() { String::new() } else { workspace.overrides.keys().cloned().collect::<Vec<_>>().join(" ") };
    let facts = [
        ("workspace", workspace.name),
        ("id", workspace.id),
        ("status", format!("{} since {}", workspace.status, workspace.status_since)),
        ("created", workspace.created_at),
        ("plan", workspace.plan.unwrap_or_else(|| "none".to_owned())),
        ("limits", shown(&workspace.quotas)),
        ("its own", own),
    ];
    answers::facts(&facts, session);
    Ok(())
}
