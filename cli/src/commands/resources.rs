//! `sandmill resources list | show | put | delete`

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::{Method, RequestBuilder};
use sandmill_model::{ScriptPath, TypeName};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    answers::{self, PathPageOptions},
    secret,
};
use crate::{Session, client::Server, error::CliError, render::clean};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List resources in the order of their paths
    List {
        #[command(flatten)]
        page: PathPageOptions,
    },
    /// Show a resource: what is not secret, and which secrets are set
    Show { path: ScriptPath },
    /// Put a resource at a path, in the place of what is there
    Put(PutOptions),
    /// Delete a resource
    Delete { path: ScriptPath },
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PutOptions {
    path: ScriptPath,
    /// `-`: read the value from stdin
    #[arg(value_name = "-", value_parser = ["-"])]
    stdin: Option<String>,
    /// Its type, e.g. `postgresql`; see `sandmill resource-types list`
    #[arg(long = "type", value_name = "TYPE")]
    kind: TypeName,
    /// The value, a JSON object. Other users of this machine see what is on a command line: use --secret, --file or `-` for secrets
    #[arg(long, value_name = "JSON", conflicts_with_all = ["file", "stdin"])]
    value: Option<String>,
    /// Read the value from a file
    #[arg(long, conflicts_with = "stdin")]
    file: Option<PathBuf>,
    /// One field; the value is JSON if it parses as such, else a string
    #[arg(long = "field", value_name = "NAME=VALUE")]
    fields: Vec<String>,
    /// A secret field, asked for, or taken from SANDMILL_SECRET_<NAME>; `basic/password` is within `basic`. What is not named stays
    #[arg(long = "secret", value_name = "NAME")]
    secrets: Vec<String>,
    /// What it is for
    #[arg(long, default_value = "")]
    description: String,
    /// For the type `sqlite`: the resource that the name of the database belongs to, where that is another. Takes writing there
    #[arg(long, value_name = "PATH")]
    shares: Option<ScriptPath>,
}

#[derive(Debug, Deserialize)]
struct Item {
    path: String,
    r#type: String,
    description: String,
    updated_by: String,
}

#[derive(Debug, Deserialize)]
struct Resource {
    path: String,
    r#type: String,
    description: String,
    fields: Value,
    secrets: Vec<String>,
    updated_at: String,
    updated_by: String,
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { page } => {
            let request = server.request(Method::GET, "resources").query(&page.query());
            let row = |item: &Item| vec![item.path.clone(), item.r#type.clone(), item.updated_by.clone(), item.description.clone()];
            answers::list(&server, request, session, (&["RESOURCE", "TYPE", "BY", "DESCRIPTION"], row)).await
        }
        Command::Show { path } => print(&server, server.request(Method::GET, &format!("resources/{path}")), session).await,
        Command::Put(options) => {
            let value = value(&options)?;
            let mut body = json!({"type": options.kind.as_str(), "value": value, "description": options.description});
            if let Some(shares) = &options.shares {
                body["shares"] = Value::from(shares.as_str());
            }
            let request = server.request(Method::PUT, &format!("resources/{}", options.path)).json(&body);
            print(&server, request, session).await
        }
        Command::Delete { path } => answers::delete(&server, &format!("resources/{path}"), path.as_str(), session).await,
    }
}

/// The value that the options make together.
fn value(options: &PutOptions) -> Result<Value, CliError> {
    let text = match (&options.value, &options.file, &options.stdin) {
        (Some(text), _, _) => text.clone(),
        (None, Some(file), _) => secret::read(file)?,
        (None, None, Some(_)) => secret::read("-".as_ref())?,
        (None, None, None) => "{}".to_owned(),
    };
    // Not the parser's own words: they may repeat a part of a secret.
    let value = serde_json::from_str::<Value>(&text)
        .map_err(|error| CliError::input(format!("the value is not JSON: see line {} column {}", error.line(), error.column())))?;
    let Value::Object(mut value) = value else { return Err(CliError::input("the value is not a JSON object")) };
    for pair in &options.fields {
        let Some((name, text)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(CliError::input(format!("--field {pair:?} is not of the form name=value")));
        };
        set(&mut value, name, serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))?;
    }
    for name in &options.secrets {
        let name = name.trim_start_matches('/');
        set(&mut value, name, Value::from(secret::field(&format!("/{name}"))?))?;
    }
    Ok(Value::Object(value))
}

/// Sets a field, which may be within others: `basic/password`.
fn set(object: &mut Map<String, Value>, name: &str, leaf: Value) -> Result<(), CliError> {
    let Some((first, rest)) = name.split_once('/') else {
        object.insert(name.to_owned(), leaf);
        return Ok(());
    };
    let inner = object.entry(first).or_insert_with(|| Value::Object(Map::new()));
    let inner = inner.as_object_mut().ok_or_else(|| CliError::input(format!("`{first}` is not an object, so it has no `{rest}`")))?;
    set(inner, rest, leaf)
}

async fn print(server: &Server, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(resource) = answers::read::<Resource>(server, request, session).await? else { return Ok(()) };
    let secrets = if resource.secrets.is_empty() { "none".to_owned() } else { resource.secrets.join(", ") };
    let facts = [
        ("resource", resource.path),
        ("type", resource.r#type),
        ("description", resource.description),
        ("secrets", secrets),
        ("updated", format!("{} by {}", resource.updated_at, resource.updated_by)),
    ];
    answers::facts(&facts, session);
    session.console.say(&format!("\n{}", clean(&serde_json::to_string_pretty(&resource.fields).unwrap_or_default())));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_put_where_their_names_say() {
        let options = |value: Option<&str>, fields: &[&str]| PutOptions {
            path: "f/a/b".parse().unwrap(),
            stdin: None,
            kind: "http".parse().unwrap(),
            value: value.map(str::to_owned),
            file: None,
            fields: fields.iter().map(ToString::to_string).collect(),
            secrets: Vec::new(),
            description: String::new(),
            shares: None,
        };
        let made = value(&options(Some(r#"{"origin": "https://a.test", "n": 1}"#), &["n=2", "basic/username=ann", "text=a=b", "on=true"]))
            .unwrap();
        assert_eq!(made, json!({"origin": "https://a.test", "n": 2, "basic": {"username": "ann"}, "text": "a=b", "on": true}));
        assert_eq!(value(&options(None, &[])).unwrap(), json!({}));
        for (text, fields) in
            [(Some("[1]"), &[][..]), (Some("{\"hunter2\""), &[]), (None, &["x"]), (None, &["=x"]), (Some("{\"a\":1}"), &["a/b=1"])]
        {
            match value(&options(text, fields)) {
                Err(CliError::Input(why)) => assert!(!why.contains("hunter2"), "{why}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
