//! `sandmill whoami`

use reqwest::Method;
use serde::Deserialize;

use super::answers;
use crate::{
    Session,
    client::{Instance, Server},
    error::CliError,
};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {}

#[derive(Debug, Deserialize)]
struct Me {
    identity: String,
    email: Option<String>,
    display_name: String,
    is_instance_admin: bool,
    workspaces: Vec<Membership>,
    expires_at: String,
}

#[derive(Debug, Deserialize)]
struct Membership {
    workspace: String,
    role: String,
}

pub(crate) async fn execute(session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    if !server.is_session() {
        // A token acts as somebody, and is nobody who is logged in.
        let request = server.request_at(Method::GET, "api/instance/version");
        let Some(instance) = answers::read::<Instance>(&server, request, session).await? else { return Ok(()) };
        answers::facts(&[("identity", instance.identity.unwrap_or_default()), ("by", "a token".to_owned())], session);
        return Ok(());
    }
    let request = server.request_at(Method::GET, "api/auth/me");
    let Some(me) = answers::read::<Me>(&server, request, session).await? else { return Ok(()) };
    answers::facts(&facts(me), session);
    Ok(())
}

fn facts(me: Me) -> [(&'static str, String); 6] {
    let workspaces: Vec<String> = me.workspaces.iter().map(|each| format!("{} ({})", each.workspace, each.role)).collect();
    [
        ("identity", me.identity),
        ("rights", if me.is_instance_admin { "instance admin".to_owned() } else { String::new() }),
        ("e-mail", me.email.unwrap_or_default()),
        ("name", me.display_name),
        ("workspaces", workspaces.join(", ")),
        ("until", me.expires_at),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_shown() {
        let me = r#"{"user":"ann","identity":"u/ann","email":null,"display_name":"Ann","is_instance_admin":false,"has_password":true,
            "workspaces":[{"workspace":"a","role":"viewer"},{"workspace":"b","role":"admin"}],"csrf":null,"expires_at":"later"}"#;
        let facts = facts(serde_json::from_str(me).unwrap()).map(|(_, value)| value);
        assert_eq!(facts, ["u/ann", "", "", "Ann", "a (viewer), b (admin)", "later"]);
    }
}
