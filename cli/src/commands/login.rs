//! `sandmill login URL --token T [--workspace W]`

use reqwest::Method;
use serde_json::json;

use crate::{
    Session,
    client::{Instance, Server, parse_url},
    error::CliError,
    profile::{self, Profile},
};

const DEFAULT_WORKSPACE: &str = "default";

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Address of the server, e.g. `http://127.0.0.1:8000` or `https://sandmill.example.org`
    url: String,
}

pub(crate) async fn execute(options: Options, session: &mut Session<'_>) -> Result<(), CliError> {
    let globals = &session.globals;
    let token = globals
        .token
        .clone()
        .ok_or_else(|| CliError::input("login needs --token; the first start of a server writes one to DATA/admin-token"))?;
    let workspace = globals.workspace.clone().unwrap_or_else(|| DEFAULT_WORKSPACE.to_owned());
    let url = parse_url(&options.url)?;
    let server = Server::new(url.clone(), token.clone(), workspace.clone(), globals.ca.as_deref())?;
    let instance: Instance = server.read(server.request_at(Method::GET, "api/instance/version")).await?;
    let file =
        profile::location().ok_or_else(|| CliError::input("there is no home folder to save the login in; set HOME or XDG_CONFIG_HOME"))?;
    let profile = Profile { server: url.as_str().trim_end_matches('/').to_owned(), token, workspace };
    profile.save(&file)?;
    if session.console.is_json() {
        session.console.json(&json!({"server": profile.server, "workspace": profile.workspace, "identity": instance.identity}));
    } else {
        let whom = instance.identity.map(|identity| format!(" as {identity}")).unwrap_or_default();
        session.console.say(&format!("logged in to {} (workspace {}){whom}", profile.server, profile.workspace));
    }
    Ok(())
}
