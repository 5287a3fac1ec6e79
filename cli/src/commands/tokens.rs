//! `sandmill tokens create | list | show | revoke | rotate`

use clap::Subcommand;
use reqwest::{Method, RequestBuilder};
use sandmill_model::{ScriptPath, Timestamp, TokenId, auth::Scope};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::{self, PageOptions};
use crate::{Session, client::Server, error::CliError, render::clean_line};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Whose tokens are meant.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Place {
    /// Those of the installation, which are good in every workspace, instead of the workspace's
    #[arg(long)]
    instance: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token; its secret is printed, and never shown again
    Create(CreateOptions),
    /// List tokens without their secrets, oldest first
    List {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show a token without its secret
    Show {
        id: TokenId,
        #[command(flatten)]
        place: Place,
    },
    /// Revoke a token: within a second no node knows it any more
    Revoke {
        id: TokenId,
        #[command(flatten)]
        place: Place,
    },
    /// Give a token a new secret, which is printed, and never shown again
    Rotate {
        id: TokenId,
        /// Seconds for which the old secret stays good, too
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        overlap_s: u64,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CreateOptions {
    /// What it is for
    #[arg(long, default_value = "")]
    label: String,
    /// What it may, e.g. `runs:start:f/billing/*`; several times for more. By default all that the token may that asks
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scope>,
    /// It may start the script at this path and do nothing else
    #[arg(long, value_name = "PATH", conflicts_with_all = ["scopes", "read_only", "instance"])]
    start: Option<ScriptPath>,
    /// Whatever its scopes say, it may change nothing
    #[arg(long)]
    read_only: bool,
    /// Whom it stands for, e.g. `u/bob`; by default whoever asks. For another one a token of the installation is needed
    #[arg(long = "as", value_name = "IDENTITY")]
    identity: Option<String>,
    /// When it expires, e.g. `2026-01-31T12:00:00Z`; by default never
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
    /// In how many days it expires
    #[arg(long, value_name = "DAYS", conflicts_with = "expires_at", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    expires_in_days: Option<u64>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Deserialize)]
struct Token {
    id: String,
    prefix: String,
    label: String,
    kind: String,
    scopes: Vec<String>,
    read_only: bool,
    identity: String,
    created_at: String,
    created_by: Option<String>,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    old_secret_until: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Secret {
    secret: String,
    token: Token,
}

impl Place {
    fn request(self, server: &Server, method: Method, rest: &str) -> RequestBuilder {
        let below = format!("tokens{rest}");
        if self.instance { server.request_at(method, &format!("api/instance/{below}")) } else { server.request(method, &below) }
    }
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::Create(options) => {
            let request = options.place.request(&server, Method::POST, "").json(&body(&options));
            print_secret(&server, request, session).await
        }
        Command::List { place, page } => {
            let request = place.request(&server, Method::GET, "").query(&page.query());
            answers::list(&server, request, session, (&["TOKEN", "SECRET", "KIND", "AS", "EXPIRES", "USED", "LABEL"], row)).await
        }
        Command::Show { id, place } => {
            let request = place.request(&server, Method::GET, &format!("/{id}"));
            let Some(token) = answers::read::<Token>(&server, request, session).await? else { return Ok(()) };
            print(token, session);
            Ok(())
        }
        Command::Revoke { id, place } => {
            server.send(place.request(&server, Method::DELETE, &format!("/{id}"))).await?;
            if session.console.is_json() {
                session.console.json(&json!({"revoked": id}));
            } else {
                session.console.say(&format!("{id} revoked"));
            }
            Ok(())
        }
        Command::Rotate { id, overlap_s, place } => {
            let request = place.request(&server, Method::POST, &format!("/{id}/rotate")).json(&json!({"overlap_s": overlap_s}));
            print_secret(&server, request, session).await
        }
    }
}

/// What is not said is left out.
fn body(options: &CreateOptions) -> Value {
    const DAY_S: u64 = 24 * 3600;
    let mut body = json!({"label": options.label, "read_only": options.read_only});
    let scopes: Vec<String> = options.scopes.iter().map(ToString::to_string).collect();
    let parts = [
        ("scopes", (!scopes.is_empty()).then(|| json!(scopes))),
        ("start", options.start.as_ref().map(|path| json!(path.as_str()))),
        ("identity", options.identity.as_ref().map(|identity| json!(identity))),
        ("expires_at", options.expires_at.map(|at| json!(at.to_string()))),
        ("expires_in_s", options.expires_in_days.map(|days| json!(days * DAY_S))),
    ];
    for (name, value) in parts {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    body
}

fn row(token: &Token) -> Vec<String> {
    let secret = if token.prefix.is_empty() { "-".to_owned() } else { format!("{}…", token.prefix) };
    let (expires, used) = (or_never(token.expires_at.as_ref()), or_never(token.last_used_at.as_ref()));
    vec![token.id.clone(), secret, kind(token), token.identity.clone(), expires, used, token.label.clone()]
}

fn or_never(at: Option<&String>) -> String {
    at.map_or_else(|| "never".to_owned(), Clone::clone)
}

fn kind(token: &Token) -> String {
    if token.read_only { format!("{}, reads", token.kind) } else { token.kind.clone() }
}

fn print(token: Token, session: &mut Session<'_>) {
    let facts = [
        ("token", token.id.clone()),
        ("secret", if token.prefix.is_empty() { String::new() } else { format!("{}…", token.prefix) }),
        ("label", token.label.clone()),
        ("kind", kind(&token)),
        ("scopes", token.scopes.join(", ")),
        ("as", token.identity),
        ("created", token.created_by.map_or_else(|| token.created_at.clone(), |by| format!("{} by {by}", token.created_at))),
        ("expires", or_never(token.expires_at.as_ref())),
        ("used", or_never(token.last_used_at.as_ref())),
        ("old secret", token.old_secret_until.map(|at| format!("good until {at}")).unwrap_or_default()),
    ];
    answers::facts(&facts, session);
}

/// The secret alone is on stdout, so that a command can take it from there.
async fn print_secret(server: &Server, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(Secret { secret, token }) = answers::read::<Secret>(server, request, session).await? else { return Ok(()) };
    session.console.say(&clean_line(&secret));
    let expires = token.expires_at.map(|at| format!(" until {at}")).unwrap_or_default();
    session.console.note(&format!("{} is good{expires}; its secret is not shown again", clean_line(&token.id)));
    Ok(())
}
