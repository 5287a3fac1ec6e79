//! `sandmill login URL --token T | --user NAME | --sso [--workspace W]`, and `sandmill logout`

mod sso;

use std::fs;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::secret;
use crate::{
    Session,
    client::{Instance, Server, is_session, parse_url},
    error::CliError,
    profile::{self, Profile},
};

const DEFAULT_WORKSPACE: &str = "default";
/// In the place of a token while there is none; the server does not look at it where people log in.
const NO_TOKEN: &str = "none";

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Address of the server, e.g. `http://127.0.0.1:8000` or `https://sandmill.example.org`
    url: String,
    /// Log in as a user, whatever token is given; the password is asked for, or read from stdin
    #[arg(long, value_name = "NAME|E-MAIL")]
    user: Option<String>,
    /// Log in by single sign-on, in a browser on this machine, whatever token is given
    #[arg(long, conflicts_with = "user")]
    sso: bool,
    /// Accept an invitation first: the user is made. It and the new password are asked for, or are the two lines of stdin
    #[arg(long, requires = "user")]
    invited: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub struct LogoutOptions {}

/// Not `Debug`: it has a secret.
#[derive(Deserialize)]
struct Opened {
    token: Option<String>,
}

pub(crate) async fn execute(options: Options, session: &mut Session<'_>) -> Result<(), CliError> {
    let globals = &session.globals;
    let workspace = globals.workspace.clone().unwrap_or_else(|| DEFAULT_WORKSPACE.to_owned());
    let url = parse_url(&options.url)?;
    let ca = globals.ca.as_deref();
    let token = match (&options.user, &globals.token) {
        _ if options.sso => {
            let nobody = Server::new(url.clone(), NO_TOKEN.to_owned(), workspace.clone(), ca)?;
            sso::open(&nobody, &url, &mut session.console).await?
        }
        (Some(user), _) => {
            let nobody = Server::new(url.clone(), NO_TOKEN.to_owned(), workspace.clone(), ca)?;
            open(&nobody, user, options.invited).await?
        }
        (None, Some(token)) => token.clone(),
        (None, None) => {
            let how = "login needs --user, --sso or --token; the first start of a server writes a token to DATA/admin-token";
            return Err(CliError::input(how));
        }
    };
    let server = Server::new(url.clone(), token.clone(), workspace.clone(), ca)?;
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

/// The token of a new session, which programs send as they send others.
async fn open(nobody: &Server, user: &str, is_invited: bool) -> Result<String, CliError> {
    let password = if is_invited {
        let [invitation, password] = secret::ask_two("invitation", "new password")?;
        let body = json!({"invitation": invitation, "user": user, "password": password});
        nobody.send(nobody.request_at(Method::POST, "api/auth/invitation").json(&body)).await?;
        password
    } else {
        secret::ask(&format!("password of {user}"))?
    };
    let body = json!({"user": user, "password": password, "carrier": "header"});
    let opened: Opened = nobody.read(nobody.request_at(Method::POST, "api/auth/login").json(&body)).await?;
    opened.token.ok_or_else(|| CliError::Unreachable("the server opened a session without a token".to_owned()))
}

/// Ends the session, if it is a person's, and forgets what `login` saved.
pub(crate) async fn log_out(session: &mut Session<'_>) -> Result<(), CliError> {
    let file = profile::location().ok_or_else(|| CliError::input("there is no home folder that a login could be saved in"))?;
    let Some(saved) = Profile::load(&file)? else { return Err(CliError::input("nobody is logged in")) };
    if is_session(&saved.token) {
        let ca = session.globals.ca.as_deref();
        let server = Server::new(parse_url(&saved.server)?, saved.token.clone(), saved.workspace.clone(), ca)?;
        match server.send(server.request_at(Method::POST, "api/auth/logout")).await {
            // It has ended already.
            Err(CliError::Problem(problem)) if problem.status == 401 => {}
            done => drop(done?),
        }
    }
    fs::remove_file(&file).map_err(|error| CliError::input(format!("cannot remove {}: {error}", file.display())))?;
    if session.console.is_json() {
        session.console.json(&json!({"server": saved.server}));
    } else {
        session.console.say(&format!("logged out of {}", saved.server));
    }
    Ok(())
}
