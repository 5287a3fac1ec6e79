//! `sandmill dead-letters list | replay | discard`

use clap::Subcommand;
use reqwest::Method;
use sandmill_model::RunId;
use serde_json::{Value, json};

use super::{
    filter::Filter,
    runs::{Page, list, steer, steer_many, which},
};
use crate::{Session, client::Server, error::CliError};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List runs that failed for good, newest first
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        page: Page,
    },
    /// Start one again with its event as it came, or all that fit
    Replay {
        id: Option<RunId>,
        #[command(flatten)]
        filter: Filter,
        /// All of them
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Forget one, or all that fit; their runs stay in history
    Discard {
        id: Option<RunId>,
        #[command(flatten)]
        filter: Filter,
        /// All of them
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { filter, page } => list(&server, "dead-letters", filter, page, session).await,
        Command::Replay { id, filter, all } => match which(id, &filter, all)? {
            Some(id) => steer(&server, &format!("dead-letters/{id}/replay"), &Value::Null, session).await,
            None => steer_many(&server, "dead-letters/replay", json!({"filter": filter.object()}), session).await,
        },
        Command::Discard { id, filter, all } => match which(id, &filter, all)? {
            Some(id) => {
                server.send(server.request(Method::DELETE, &format!("dead-letters/{id}"))).await?;
                session.console.progress(&format!("{id} is discarded"));
                Ok(())
            }
            None => steer_many(&server, "dead-letters/discard", json!({"filter": filter.object()}), session).await,
        },
    }
}
