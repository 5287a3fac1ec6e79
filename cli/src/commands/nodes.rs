//! `sandmill nodes list`

use clap::Subcommand;
use reqwest::Method;

use crate::{
    Session,
    client::{Node, Page, Server},
    error::CliError,
    render::{clean_line, table},
};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List the nodes of the installation: what each is for, and how busy it is
    List,
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List => list(&server, session).await,
    }
}

async fn list(server: &Server, session: &mut Session<'_>) -> Result<(), CliError> {
    let request = server.request_at(Method::GET, "api/instance/nodes");
    if session.console.is_json() {
        let body = server.bytes(request).await?;
        session.console.say(String::from_utf8_lossy(&body).trim_end());
        return Ok(());
    }
    let page: Page<Node> = server.read(request).await?;
    let rows: Vec<Vec<String>> = page.items.iter().map(row).collect();
    session.console.say(&table(&["NODE", "ROLES", "TAGS", "RUNNING", "SLOTS", "RELEASE", "SEEN"], &rows));
    Ok(())
}

fn row(node: &Node) -> Vec<String> {
    let names = |names: &[String]| if names.is_empty() { "-".to_owned() } else { names.join(",") };
    let (running, slots) = (node.running.to_string(), node.slots.to_string());
    [node.name.clone(), names(&node.roles), names(&node.tags), running, slots, node.release.clone(), node.seen_at.clone()]
        .iter()
        .map(|cell| clean_line(cell))
        .collect()
}
