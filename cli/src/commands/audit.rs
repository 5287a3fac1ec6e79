//! `sandmill audit list | export | verify`

mod verify;

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::{Method, RequestBuilder, header};
use sandmill_model::audit::{Entry, Link};

use super::answers::{self, PageOptions};
use crate::{Session, client::Server, error::CliError};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List who changed what and who was denied what, newest first
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        page: PageOptions,
        #[command(flatten)]
        chain: Chain,
    },
    /// Write all entries, as they are now, to stdout: a line of JSON each, oldest first
    Export {
        /// Only entries with greater numbers
        #[arg(long)]
        after: Option<u64>,
        #[command(flatten)]
        chain: Chain,
    },
    /// Check that no entry was changed, taken out or put in; exit code 1 if one was
    Verify {
        /// An entry that was noted earlier, as `N:HASH`: it must still be there, with all before it
        #[arg(long, value_name = "N:HASH")]
        head: Option<Link>,
        /// Check what `export` wrote, without any server; `-` is stdin
        #[arg(long, conflicts_with = "instance")]
        file: Option<PathBuf>,
        #[command(flatten)]
        chain: Chain,
    },
}

/// Whose entries.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Chain {
    /// Those of the installation instead of a workspace's
    #[arg(long)]
    instance: bool,
}

impl Chain {
    fn request(self, server: &Server, rest: &str) -> RequestBuilder {
        if self.instance {
            server.request_at(Method::GET, &format!("api/instance/audit{rest}"))
        } else {
            server.request(Method::GET, &format!("audit{rest}"))
        }
    }
}

/// Everything that is given must fit.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Filter {
    /// Only what this identity did, e.g. `u/ann`
    #[arg(long)]
    actor: Option<String>,
    /// Only this action, e.g. `variables.put`, or `variables.*`
    #[arg(long)]
    action: Option<String>,
    /// Only what was done to this, e.g. `f/demo/hello`, or `f/demo/*`
    #[arg(long)]
    target: Option<String>,
    /// Only what came out so
    #[arg(long, value_parser = ["done", "denied", "failed", "unknown"])]
    outcome: Option<String>,
    /// Only what was recorded then or later, e.g. `2026-01-31T12:00:00Z`
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only what was recorded before
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
}

impl Filter {
    fn query(self) -> Vec<(&'static str, String)> {
        let Self { actor, action, target, outcome, from, before } = self;
        let given = [("actor", actor), ("action", action), ("target", target), ("outcome", outcome), ("from", from), ("before", before)];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    match command {
        Command::List { filter, page, chain } => {
            let server = Server::of(&session.globals)?;
            let request = chain.request(&server, "").query(&filter.query()).query(&page.query());
            let headings = ["NUMBER", "AT", "ACTOR", "ACTION", "TARGET", "OUTCOME", "FROM"];
            answers::list(&server, request, session, (&headings, row)).await
        }
        Command::Export { after, chain } => {
            let server = Server::of(&session.globals)?;
            let after = after.map(|after| ("after", after.to_string()));
            let request = chain.request(&server, "/export").query(after.as_slice());
            let console = &mut session.console;
            server.stream(request.header(header::ACCEPT, "application/x-ndjson"), |bytes| console.write(bytes)).await
        }
        Command::Verify { head, file: Some(file), .. } => verify::file(&file, head, session),
        Command::Verify { head, file: None, chain } => {
            let server = Server::of(&session.globals)?;
            verify::server(&server, chain, head, session).await
        }
    }
}

fn row(entry: &Entry) -> Vec<String> {
    let record = &entry.record;
    let actor = record.actor.identity.as_deref().unwrap_or(record.actor.kind.name());
    let outcome = match record.attempts {
        1 => record.outcome.name().to_owned(),
        attempts => format!("{} ({attempts} times)", record.outcome.name()),
    };
    vec![
        entry.number.to_string(),
        entry.at.to_string(),
        actor.to_owned(),
        record.action.clone(),
        record.target.clone(),
        outcome,
        record.origin.address.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}
