//! `sandmill scripts list | show | download`

use std::{fs, path::PathBuf};

use clap::Subcommand;
use reqwest::Method;
use sandmill_model::version::Selector;

use super::answers::{self, PathPageOptions};
use crate::{
    Session,
    client::{Script, Server},
    error::CliError,
    render::clean,
};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List scripts in the order of their paths
    List {
        #[command(flatten)]
        page: PathPageOptions,
    },
    /// Show a script: version, arguments, source
    Show {
        /// Path, with @N for a version
        #[arg(value_parser = target)]
        path: String,
    },
    /// Download a script as a WebAssembly component
    Download {
        /// Path, with @N for a version
        #[arg(value_name = "PATH[@VERSION]", value_parser = target)]
        path: String,
        /// Replace imports that it does not need, so that another host can run it
        #[arg(long)]
        standalone: bool,
        /// Where to write it [default: <name>.wasm]
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
}

fn target(text: &str) -> Result<String, String> {
    Selector::split(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { page } => {
            let request = server.request(Method::GET, "scripts").query(&page.query());
            answers::list(&server, request, session, (&["SCRIPT", "LANGUAGE", "BY", "DESCRIPTION"], row)).await
        }
        Command::Show { path } => show(&server, &path, session).await,
        Command::Download { path, standalone, output } => {
            let form = if standalone { Form::Standalone } else { Form::AsItRuns };
            download(&server, &path, form, output, session).await
        }
    }
}

fn row(script: &Script) -> Vec<String> {
    let description = script.description.clone().unwrap_or_default();
    vec![format!("{}@{}", script.path, script.number), script.language.clone(), script.created_by.clone(), description]
}

async fn show(server: &Server, path: &str, session: &mut Session<'_>) -> Result<(), CliError> {
    let request = server.request(Method::GET, &format!("scripts/{path}"));
    let Some(script) = answers::read::<Script>(server, request, session).await? else { return Ok(()) };
    let facts = [
        ("script", format!("{}@{}", script.path, script.number)),
        ("version", script.version),
        ("language", script.language),
        ("deployed", format!("{} by {}", script.created_at, script.created_by)),
    ];
    answers::facts(&facts, session);
    let paint = session.console.paint();
    let schema = script.schema.as_ref().map(|schema| serde_json::to_string_pretty(schema).unwrap_or_default()).unwrap_or_default();
    session.console.say(&format!("\n{}\n{}", paint.bold("arguments"), clean(&schema)));
    if let Some(source) = script.source {
        session.console.say(&format!("\n{}\n{}", paint.bold("source"), clean(&source)));
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    AsItRuns,
    Standalone,
}

async fn download(server: &Server, path: &str, form: Form, output: Option<PathBuf>, session: &mut Session<'_>) -> Result<(), CliError> {
    let mut request = server.request(Method::GET, &format!("programs/{path}"));
    if form == Form::Standalone {
        request = request.query(&[("form", "standalone")]);
    }
    let bytes = server.bytes(request).await?;
    let file = output.unwrap_or_else(|| PathBuf::from(format!("{}.wasm", name(path))));
    if file.as_os_str() == "-" {
        session.console.write(&bytes);
        return Ok(());
    }
    fs::write(&file, &bytes).map_err(|error| CliError::input(format!("cannot write {}: {error}", file.display())))?;
    if session.console.is_json() {
        session.console.json(&serde_json::json!({"file": file, "bytes": bytes.len()}));
    } else {
        session.console.say(&format!("{} ({} bytes)", file.display(), bytes.len()));
    }
    Ok(())
}

/// The last segment, without the version.
fn name(path: &str) -> &str {
    let path = path.split('@').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_are_named_after_the_script() {
        assert_eq!(name("f/demo/hello@3"), "hello");
        assert_eq!(name("f/demo/hello"), "hello");
        assert!(target("f/demo/hello@0").is_err() && target("hello").is_err());
    }
}
