//! `sandmill keys rotate`

use clap::Subcommand;
use reqwest::Method;
use serde::Deserialize;

use super::answers;
use crate::{Session, client::Server, error::CliError, render::clean_line};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Read the instance keys again, and seal all secrets with new keys that the first of them wraps
    Rotate,
}

#[derive(Debug, Deserialize)]
struct Rotation {
    workspaces: u64,
    resealed: u64,
    wrapped_by: String,
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let Command::Rotate = command;
    let server = Server::of(&session.globals)?;
    let request = server.request_at(Method::POST, "api/instance/keys/rotate");
    let Some(rotation) = answers::read::<Rotation>(&server, request, session).await? else { return Ok(()) };
    for line in lines(&rotation) {
        session.console.say(&line);
    }
    Ok(())
}

fn lines(rotation: &Rotation) -> [String; 2] {
    let Rotation { workspaces, resealed, wrapped_by } = rotation;
    let have = if *workspaces == 1 { "workspace has" } else { "workspaces have" };
    let secrets = if *resealed == 1 { "secret" } else { "secrets" };
    [
        format!("{workspaces} {have} new keys, wrapped by instance key {}", clean_line(wrapped_by)),
        format!("{resealed} {secrets} sealed anew"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_many() {
        let lines = |workspaces, resealed| lines(&Rotation { workspaces, resealed, wrapped_by: "0a".to_owned() }).join("\n");
        assert_eq!(lines(1, 1), "1 workspace has new keys, wrapped by instance key 0a\n1 secret sealed anew");
        assert_eq!(lines(2, 0), "2 workspaces have new keys, wrapped by instance key 0a\n0 secrets sealed anew");
    }
}
