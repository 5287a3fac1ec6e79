//! `sandmill triggers kinds`: what the server's registry says.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Session,
    client::Server,
    commands::answers,
    error::CliError,
    render::{clean, clean_line, table},
};

#[derive(Debug, Deserialize)]
struct Kinds {
    items: Vec<Kind>,
    options: Value,
}

#[derive(Debug, Deserialize)]
struct Kind {
    name: String,
    summary: String,
    config: Value,
    event: Value,
    resource_types: Vec<String>,
    prefix: Option<String>,
}

pub(super) async fn execute(server: &Server, name: Option<&str>, session: &mut Session<'_>) -> Result<(), CliError> {
    let request = server.request(Method::GET, "trigger-kinds");
    let Some(kinds) = answers::read::<Kinds>(server, request, session).await? else { return Ok(()) };
    let Some(name) = name else {
        let row = |kind: &Kind| {
            let at = kind.prefix.as_ref().map_or_else(|| "-".to_owned(), |prefix| format!("/{prefix}/"));
            [kind.name.clone(), at, kind.summary.clone()].iter().map(|cell| clean_line(cell)).collect()
        };
        let rows: Vec<Vec<String>> = kinds.items.iter().map(row).collect();
        session.console.say(&table(&["KIND", "URLS", "WHAT IT IS"], &rows));
        return Ok(());
    };
    let kind = kinds.items.into_iter().find(|kind| kind.name == name);
    let kind =
        kind.ok_or_else(|| CliError::input(format!("{name:?} is no kind that this server has; `sandmill triggers kinds` lists them")))?;
    let facts = [("kind", kind.name), ("what it is", kind.summary), ("refers to", kind.resource_types.join(", "))];
    answers::facts(&facts, session);
    for (what, schema) in [("config", &kind.config), ("options", &kinds.options), ("event", &kind.event)] {
        session.console.say(&format!("\n{what} {}", clean(&serde_json::to_string_pretty(schema).unwrap_or_default())));
    }
    Ok(())
}
