//! `sandmill members list | put | remove | invite | invitations | withdraw | accept`

use clap::Subcommand;
use reqwest::Method;
use sandmill_model::people::Name;
use serde::Deserialize;
use serde_json::json;

use super::{
    answers::{self, PageOptions},
    secret,
};
use crate::{Session, client::Server, error::CliError};

/// What members can be.
const ROLES: [&str; 4] = ["admin", "developer", "operator", "viewer"];

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List the members of the workspace in the order of their names
    List {
        #[command(flatten)]
        page: PageOptions,
    },
    /// Give a member another role; who administers the installation makes any user a member so
    Put {
        name: Name,
        #[arg(long, value_parser = ROLES)]
        role: String,
    },
    /// Take a member out of the workspace
    Remove { name: Name },
    /// Invite somebody; what is printed is shown once, and whoever has it can accept it, once
    Invite {
        /// What they become
        #[arg(long, value_parser = ROLES)]
        role: String,
        /// For how long it is good
        #[arg(long, default_value_t = 72, value_parser = clap::value_parser!(u32).range(1..=720))]
        hours: u32,
    },
    /// List invitations, the newest first
    Invitations {
        #[command(flatten)]
        page: PageOptions,
    },
    /// Withdraw an invitation
    Withdraw { id: String },
    /// Accept an invitation as who is logged in; it is asked for, or read from stdin
    Accept,
}

#[derive(Debug, Deserialize)]
struct Member {
    user: String,
    display_name: String,
    role: String,
    is_disabled: bool,
}

#[derive(Debug, Deserialize)]
struct Invitation {
    id: String,
    role: String,
    created_by: String,
    expires_at: String,
    used_by: Option<String>,
}

#[derive(Deserialize)]
struct NewInvitation {
    invitation: String,
    expires_at: String,
}

#[derive(Debug, Deserialize)]
struct Accepted {
    user: String,
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { page } => {
            let request = server.request(Method::GET, "members").query(&page.query());
            let row = |member: &Member| {
                let role = if member.is_disabled { format!("{} (disabled)", member.role) } else { member.role.clone() };
                vec![member.user.clone(), role, member.display_name.clone()]
            };
            answers::list(&server, request, session, (&["USER", "ROLE", "NAME"], row)).await
        }
        Command::Put { name, role } => {
            let request = server.request(Method::PUT, &format!("members/{name}")).json(&json!({ "role": role }));
            let Some(member) = answers::read::<Member>(&server, request, session).await? else { return Ok(()) };
            answers::facts(&[("user", member.user), ("role", member.role)], session);
            Ok(())
        }
        Command::Remove { name } => answers::delete(&server, &format!("members/{name}"), &format!("u/{name}"), session).await,
        Command::Invite { role, hours } => {
            let request = server.request(Method::POST, "invitations").json(&json!({"role": role, "hours": hours}));
            let Some(new) = answers::read::<NewInvitation>(&server, request, session).await? else { return Ok(()) };
            session.console.say(&new.invitation);
            session.console.note(&format!("good once, until {}: sandmill login URL --user NAME --invited", new.expires_at));
            Ok(())
        }
        Command::Invitations { page } => {
            let request = server.request(Method::GET, "invitations").query(&page.query());
            let row = |each: &Invitation| {
                let used_by = each.used_by.clone().unwrap_or_default();
                vec![each.id.clone(), each.role.clone(), each.created_by.clone(), each.expires_at.clone(), used_by]
            };
            answers::list(&server, request, session, (&["INVITATION", "ROLE", "BY", "UNTIL", "USED BY"], row)).await
        }
        Command::Withdraw { id } => {
            if id.contains(['/', '?', '#', '%', '.']) {
                return Err(CliError::input(format!("{id:?} is no id of an invitation")));
            }
            answers::delete(&server, &format!("invitations/{id}"), &id, session).await
        }
        Command::Accept => {
            if !server.is_session() {
                let how =
                    "a token is no member: log in as a user first, with `sandmill login URL --user NAME`, or as a new one, with --invited";
                return Err(CliError::input(how));
            }
            let body = json!({"invitation": secret::ask("invitation")?});
            let request = server.request_at(Method::POST, "api/auth/invitation").json(&body);
            let Some(accepted) = answers::read::<Accepted>(&server, request, session).await? else { return Ok(()) };
            session.console.say(&format!("{} is a member now; `sandmill whoami` tells of which workspaces", accepted.user));
            Ok(())
        }
    }
}
