//! `sandmill dead-letters list | replay | discard`

use clap::Subcommand;
use reqwest::Method;
use sandmill_model::RunId;
use serde_json::json;

use super::{
    answers::PageOptions,
    filter::Filter,
    runs::{list, steer, steer_many, which},
};
use crate::{Session, client::Server, error::CliError};

/// What becomes of a letter that nobody wants.
const DISCARDED: &str = "discarded";

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
        page: PageOptions,
    },
    /// Start one again with its event as it came, or all that fit
    Replay {
        /// Id of the run that failed; without one, conditions or `--all`
        id: Option<RunId>,
        #[command(flatten)]
        filter: Filter,
        /// All of them
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Forget one, or all that fit; their runs stay in history
    Discard {
        /// Id of the run that failed; without one, conditions or `--all`
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
        Command::List { filter, page } => list(&server, "dead-letters", &filter, page, session).await,
        Command::Replay { id, filter, all } => match which(id, &filter, all)? {
            Some(id) => steer(&server, server.request(Method::POST, &format!("dead-letters/{id}/replay")), session).await,
            None => steer_many(&server, "dead-letters/replay", json!({"filter": filter.object()}), session).await,
        },
        Command::Discard { id, filter, all } => match which(id, &filter, all)? {
            Some(id) => {
                server.send(server.request(Method::DELETE, &format!("dead-letters/{id}"))).await?;
                if session.console.is_json() {
                    session.console.json(&json!({"run_id": id, "status": DISCARDED}));
                } else {
                    session.console.say(&format!("{id} {DISCARDED}"));
                }
                Ok(())
            }
            None => steer_many(&server, "dead-letters/discard", json!({"filter": filter.object()}), session).await,
        },
    }
}
