//! `sandmill settings show | set`

use clap::Subcommand;
use reqwest::{Method, RequestBuilder};
use sandmill_model::WorkspaceSettings;
use serde_json::{Map, Value};

use super::answers;
use crate::{Session, client::Server, error::CliError};

/// Where settings are, below the workspace.
const AT: &str = "settings";

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what is set for the workspace
    Show,
    /// Set something for the workspace; only who administers the installation may
    Set {
        /// E.g. `retention_days=90` or `error_handler=f/ops/failed`; `none` is as the installation says again
        #[arg(value_name = "NAME=VALUE", value_parser = read_setting, required = true)]
        settings: Vec<(String, Value)>,
    },
}

/// One that may be set so; others of the same command are looked at on their own.
fn read_setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("a setting is written name=value, e.g. retention_days=90")?;
    let value = match value {
        "none" => Value::Null,
        value => value.parse::<u64>().map_or_else(|_| Value::from(value), Value::from),
    };
    let patch = Map::from_iter([(name.to_owned(), value.clone())]);
    WorkspaceSettings::default().patched(&patch).map_err(|invalid| invalid.to_string())?;
    Ok((name.to_owned(), value))
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    let request = match command {
        Command::Show => server.request(Method::GET, AT),
        Command::Set { settings } => server.request(Method::PATCH, AT).json(&settings.into_iter().collect::<Map<_, _>>()),
    };
    print(&server, request, session).await
}

async fn print(server: &Server, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(settings) = answers::read::<Map<String, Value>>(server, request, session).await? else { return Ok(()) };
    let facts: Vec<(&str, String)> = settings.iter().map(|(name, value)| (name.as_str(), shown(value))).collect();
    answers::facts(&facts, session);
    Ok(())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read() {
        for (text, name, value) in [
            ("retention_days=90", "retention_days", json!(90)),
            ("audit_days=0", "audit_days", json!(0)),
            ("error_handler=f/ops/failed", "error_handler", json!("f/ops/failed")),
            ("error_handler=none", "error_handler", Value::Null),
        ] {
            assert_eq!(read_setting(text), Ok((name.to_owned(), value)), "{text}");
        }
        for bad in ["", "weight", "weight=", "weight=0", "weight=1.5", "wait=1", "error_handler=../x", "retention_days=-1"] {
            assert!(read_setting(bad).is_err(), "{bad}");
        }
    }
}
