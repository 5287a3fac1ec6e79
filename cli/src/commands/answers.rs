//! Answers of the server as commands print them: as they came where JSON is asked for, else as text.

use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{
    Session,
    client::{Page, Server},
    error::CliError,
    render::{clean_line, table},
};

/// Which part of a list.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PageOptions {
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Where the page starts: `next` of the one before
    #[arg(long)]
    cursor: Option<String>,
}

impl PageOptions {
    pub(super) fn query(self) -> Vec<(&'static str, String)> {
        let mut query = vec![("limit", self.limit.to_string())];
        query.extend(self.cursor.map(|cursor| ("cursor", cursor)));
        query
    }
}

/// Which part of a list of things that have paths.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PathPageOptions {
    /// Only paths that start so, e.g. `f/demo/`
    #[arg(long)]
    prefix: Option<String>,
    #[command(flatten)]
    page: PageOptions,
}

impl PathPageOptions {
    pub(super) fn query(self) -> Vec<(&'static str, String)> {
        let mut query = self.page.query();
        query.extend(self.prefix.map(|prefix| ("prefix", prefix)));
        query
    }
}

/// The answer; none if it was printed as it came.
pub(super) async fn read<T: DeserializeOwned>(
    server: &Server,
    request: RequestBuilder,
    session: &mut Session<'_>,
) -> Result<Option<T>, CliError> {
    if session.console.is_json() {
        say_as_it_came(&server.bytes(request).await?, session);
        return Ok(None);
    }
    server.read(request).await.map(Some)
}

/// The server's own JSON.
pub(super) fn say_as_it_came(body: &[u8], session: &mut Session<'_>) {
    session.console.say(String::from_utf8_lossy(body).trim_end());
}

/// A page of a list as a table.
pub(super) async fn list<T: DeserializeOwned>(
    server: &Server,
    request: RequestBuilder,
    session: &mut Session<'_>,
    (headings, row): (&[&str], impl Fn(&T) -> Vec<String>),
) -> Result<(), CliError> {
    let Some(page) = read::<Page<T>>(server, request, session).await? else { return Ok(()) };
    let rows: Vec<Vec<String>> = page.items.iter().map(|item| row(item).iter().map(|cell| clean_line(cell)).collect()).collect();
    session.console.say(&table(headings, &rows));
    if let Some(next) = page.next {
        session.console.progress(&format!("more: --cursor {next}"));
    }
    Ok(())
}

/// Names and values, one in a line, as far as there are values.
pub(super) fn facts(facts: &[(&str, String)], session: &mut Session<'_>) {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let paint = session.console.paint();
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        session.console.say(&format!("{} {}", paint.dim(&format!("{name:width$}")), clean_line(value)));
    }
}

/// Deletes what is at `at`, which people call `name`.
pub(super) async fn delete(server: &Server, at: &str, name: &str, session: &mut Session<'_>) -> Result<(), CliError> {
    server.send(server.request(Method::DELETE, at)).await?;
    if session.console.is_json() {
        session.console.json(&json!({"deleted": name}));
    } else {
        session.console.say(&format!("{name} deleted"));
    }
    Ok(())
}
