//! `sandmill users list | show | create | change | password`

use clap::Subcommand;
use reqwest::{Method, RequestBuilder};
use sandmill_model::people::Name;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    answers::{self, PageOptions},
    secret,
};
use crate::{Session, client::Server, error::CliError};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List the users of the installation in the order of their names
    List {
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show a user
    Show { name: Name },
    /// Make a user; the password is asked for, or read from stdin
    Create(CreateOptions),
    /// Change a user
    Change(ChangeOptions),
    /// Give a user another password, asked for or read from stdin; all their sessions end
    Password { name: Name },
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CreateOptions {
    /// Letters in lower case, digits, `_`, `.` and `-`
    name: Name,
    /// To log in with instead of the name
    #[arg(long)]
    email: Option<String>,
    #[arg(long, default_value = "")]
    display_name: String,
    /// May do everything, in every workspace
    #[arg(long)]
    instance_admin: bool,
    /// Nobody logs in with a password
    #[arg(long)]
    no_password: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ChangeOptions {
    name: Name,
    /// Empty: none
    #[arg(long)]
    email: Option<String>,
    #[arg(long)]
    display_name: Option<String>,
    /// Whether the user may do everything, in every workspace
    #[arg(long)]
    instance_admin: Option<bool>,
    /// Whether the user is kept from logging in; all their sessions end
    #[arg(long)]
    disabled: Option<bool>,
    /// Who it is to the identity provider, its `sub`: whoever that is logs in as this user. Empty: nobody
    #[arg(long)]
    oidc_subject: Option<String>,
}

#[derive(Debug, Deserialize)]
struct User {
    name: String,
    email: Option<String>,
    display_name: String,
    is_instance_admin: bool,
    is_disabled: bool,
    has_password: bool,
    oidc_subject: Option<String>,
    created_at: String,
    created_by: String,
}

const PATH: &str = "api/instance/users";

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { page } => {
            let request = server.request_at(Method::GET, PATH).query(&page.query());
            let row =
                |user: &User| vec![user.name.clone(), rights(user), user.email.clone().unwrap_or_default(), user.display_name.clone()];
            answers::list(&server, request, session, (&["USER", "RIGHTS", "E-MAIL", "NAME"], row)).await
        }
        Command::Show { name } => print(&server, server.request_at(Method::GET, &format!("{PATH}/{name}")), session).await,
        Command::Create(options) => {
            let CreateOptions { name, email, display_name, instance_admin, no_password } = options;
            let password = if no_password { None } else { Some(secret::ask(&format!("password of {name}"))?) };
            let body = json!({
                "name": name.as_str(), "email": email, "display_name": display_name, "password": password,
                "is_instance_admin": instance_admin,
            });
            print(&server, server.request_at(Method::POST, PATH).json(&body), session).await
        }
        Command::Change(options) => {
            let path = format!("{PATH}/{}", options.name);
            print(&server, server.request_at(Method::PATCH, &path).json(&changes(options)), session).await
        }
        Command::Password { name } => {
            let password = secret::ask(&format!("new password of {name}"))?;
            let request = server.request_at(Method::PATCH, &format!("{PATH}/{name}"));
            print(&server, request.json(&json!({ "password": password })), session).await
        }
    }
}

/// What is to be changed, and nothing else.
fn changes(options: ChangeOptions) -> Value {
    let or_none = |text: String| if text.is_empty() { Value::Null } else { text.into() };
    let email = options.email.map(or_none);
    let all = [
        ("email", email),
        ("display_name", options.display_name.map(Value::from)),
        ("is_instance_admin", options.instance_admin.map(Value::from)),
        ("is_disabled", options.disabled.map(Value::from)),
        ("oidc_subject", options.oidc_subject.map(or_none)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
}

fn rights(user: &User) -> String {
    match (user.is_disabled, user.is_instance_admin) {
        (true, _) => "disabled",
        (false, true) => "instance admin",
        (false, false) => "user",
    }
    .to_owned()
}

async fn print(server: &Server, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(user) = answers::read::<User>(server, request, session).await? else { return Ok(()) };
    let rights = rights(&user);
    let facts = [
        ("user", user.name),
        ("rights", rights),
        ("e-mail", user.email.unwrap_or_default()),
        ("name", user.display_name),
        ("password", if user.has_password { "set" } else { "none" }.to_owned()),
        ("oidc", user.oidc_subject.unwrap_or_default()),
        ("made", format!("{} by {}", user.created_at, user.created_by)),
    ];
    answers::facts(&facts, session);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_changes() {
        let options = ChangeOptions {
            name: "ann".parse().unwrap(),
            email: None,
            display_name: None,
            instance_admin: None,
            disabled: None,
            oidc_subject: None,
        };
        assert_eq!(changes(options.clone()), json!({}));
        assert_eq!(changes(ChangeOptions { email: Some(String::new()), ..options.clone() }), json!({"email": null}));
        assert_eq!(changes(ChangeOptions { oidc_subject: Some("1".to_owned()), ..options.clone() }), json!({"oidc_subject": "1"}));
        assert_eq!(changes(ChangeOptions { disabled: Some(false), ..options }), json!({"is_disabled": false}));
    }
}
