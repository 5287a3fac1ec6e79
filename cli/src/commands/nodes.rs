//! `sandmill nodes list`

use clap::Subcommand;
use reqwest::Method;

use super::answers;
use crate::{
    Session,
    client::{Node, Server},
    error::CliError,
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
        Command::List => {
            let request = server.request_at(Method::GET, "api/instance/nodes");
            answers::list(&server, request, session, (&["NODE", "ROLES", "TAGS", "RUNNING", "SLOTS", "RELEASE", "SEEN"], row)).await
        }
    }
}

fn row(node: &Node) -> Vec<String> {
    let names = |names: &[String]| if names.is_empty() { "-".to_owned() } else { names.join(",") };
    let (running, slots) = (node.running.to_string(), node.slots.to_string());
    vec![node.name.clone(), names(&node.roles), names(&node.tags), running, slots, node.release.clone(), node.seen_at.clone()]
}
