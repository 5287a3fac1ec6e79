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
    let Some(rotation) = answers::read(&server, request, session).await? else { return Ok(()) };
    let Rotation { workspaces, resealed, wrapped_by } = rotation;
    session.console.say(&format!("{workspaces} workspaces have new keys, wrapped by instance key {}", clean_line(&wrapped_by)));
    session.console.say(&format!("{resealed} secrets sealed anew"));
    Ok(())
}
