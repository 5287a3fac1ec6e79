//! `sandmill sessions list | end`

use clap::Subcommand;
use reqwest::Method;
use sandmill_model::{TokenId, people::Name};
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
    /// List where you are logged in, the newest first; `*` is this session
    List {
        /// Where somebody else is; for who administers the installation
        #[arg(long)]
        user: Option<Name>,
        #[command(flatten)]
        page: PageOptions,
    },
    /// End sessions
    End(EndOptions),
}

#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct EndOptions {
    /// One of your own
    id: Option<TokenId>,
    /// All of your own but this one
    #[arg(long)]
    others: bool,
    /// All of a user, who can log in again; for who administers the installation
    #[arg(long)]
    user: Option<Name>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    carrier: String,
    created_at: String,
    used_at: String,
    expires_at: String,
    is_current: bool,
}

/// Where one's own are.
const OWN: &str = "api/auth/sessions";

fn of_user(name: &Name) -> String {
    format!("api/instance/users/{name}/sessions")
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { user, page } => {
            let at = user.as_ref().map_or_else(|| OWN.to_owned(), of_user);
            let row = |each: &Listed| {
                let id = if each.is_current { format!("{} *", each.id) } else { each.id.clone() };
                vec![id, each.carrier.clone(), each.created_at.clone(), each.used_at.clone(), each.expires_at.clone()]
            };
            let request = server.request_at(Method::GET, &at).query(&page.query());
            answers::list(&server, request, session, (&["SESSION", "BY", "BEGAN", "USED", "UNTIL"], row)).await
        }
        Command::End(EndOptions { id, user, others: _ }) => {
            let (at, what) = match (id, user) {
                (Some(id), _) => (format!("{OWN}/{id}"), format!("session {id}")),
                (None, Some(user)) => (of_user(&user), format!("all sessions of {user}")),
                (None, None) => (OWN.to_owned(), "all other sessions".to_owned()),
            };
            server.send(server.request_at(Method::DELETE, &at)).await?;
            if session.console.is_json() {
                session.console.json(&json!({ "ended": what }));
            } else {
                session.console.say(&format!("{what} ended"));
            }
            Ok(())
        }
    }
}
