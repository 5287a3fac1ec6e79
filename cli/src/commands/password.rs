//! `sandmill password`

use std::io::IsTerminal;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::secret;
use crate::{
    Session,
    client::Server,
    error::CliError,
    profile::{self, Profile},
};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {}

/// The session in the place of all that have ended. Not `Debug`: it has a secret.
#[derive(Deserialize)]
struct Opened {
    user: String,
    token: Option<String>,
}

pub(crate) async fn execute(session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    if !server.is_session() {
        return Err(CliError::input("a token has no password: log in as a user first, with `sandmill login URL --user NAME`"));
    }
    let [old, new] = ask()?;
    let request = server.request_at(Method::PUT, "api/auth/password").json(&json!({"old": old, "new": new}));
    let Opened { user, token } = server.read(request).await?;
    let token = token.ok_or_else(|| CliError::Unreachable("the server opened a session without a token".to_owned()))?;
    // One that was given goes back to whoever gave it; it is shown once.
    let is_given = session.globals.token.is_some();
    if !is_given {
        save(&token)?;
    }
    if session.console.is_json() {
        session.console.json(&if is_given { json!({"user": user, "token": token}) } else { json!({ "user": user }) });
        return Ok(());
    }
    if is_given {
        session.console.say(&token);
    }
    session.console.note(&format!("the password of {user} is another now; all other sessions have ended"));
    Ok(())
}

/// The old and the new password. Whoever types is asked for the new one twice.
fn ask() -> Result<[String; 2], CliError> {
    let [old, new] = secret::ask_two("old password", "new password")?;
    if std::io::stdin().is_terminal() && secret::ask("new password again")? != new {
        return Err(CliError::input("the new password was not the same both times; nothing is changed"));
    }
    Ok([old, new])
}

/// In the place of the session that `login` saved.
fn save(token: &str) -> Result<(), CliError> {
    let gone = || CliError::input("the password is changed, but the login is gone meanwhile: log in again");
    let file = profile::location().ok_or_else(gone)?;
    let saved = Profile::load(&file)?.ok_or_else(gone)?;
    Profile { token: token.to_owned(), ..saved }.save(&file)
}
