//! `sandmill push FILE|DIR [--path …]`

use std::path::{Path, PathBuf};

use reqwest::{Method, RequestBuilder, header};
use sandmill_model::{Language, ScriptPath};
use serde_json::json;

use crate::{
    Session,
    client::{Deployed, Instance, Server},
    error::{CliError, Exit},
    files::ScriptFile,
    project::{Entry, Project},
    render::Severity,
};

const MANIFEST_HEADER: &str = "sandmill-manifest";

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// A script (.ts, .js), a component (.wasm), or a folder with a sandmill.toml
    #[arg(value_name = "FILE|DIR")]
    what: PathBuf,
    /// Where to deploy a single file [default: where sandmill.toml says, else u/<me>/<stem>]
    #[arg(long)]
    path: Option<ScriptPath>,
}

pub(crate) async fn execute(options: Options, session: &mut Session<'_>) -> Result<(), CliError> {
    let is_folder = options.what.is_dir();
    if is_folder && options.path.is_some() {
        return Err(CliError::input("--path is for a single file; a folder's paths are in its sandmill.toml"));
    }
    if is_folder {
        let entries = Project::open(&options.what)?.entries()?;
        let server = Server::of(&session.globals)?;
        return push_all(&server, entries, session).await;
    }
    // The file first: what is wrong with it needs no server to be said.
    let script = ScriptFile::read(&options.what)?;
    let known = match options.path {
        Some(path) => Some(path),
        None => Project::around(&options.what)?.map(|project| project.path_of(&options.what)).transpose()?.flatten(),
    };
    let server = Server::of(&session.globals)?;
    let path = match known {
        Some(path) => path,
        None => own_path(&server, &options.what).await?,
    };
    push(&server, &script, &path, session).await
}

/// Goes on after a fault, so that one push shows them all. The exit code is the worst one's.
async fn push_all(server: &Server, entries: Vec<Entry>, session: &mut Session<'_>) -> Result<(), CliError> {
    let mut worst: Option<Exit> = None;
    for Entry { file, path } in entries {
        let done = match ScriptFile::read(&file) {
            Ok(script) => push(server, &script, &path, session).await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            session.console.error(&error);
            worst = worst.max(Some(error.exit()));
            if matches!(error, CliError::Unreachable(_)) {
                break;
            }
        }
    }
    worst.map_or(Ok(()), |exit| Err(CliError::Said(exit)))
}

/// `u/<me>/<stem>`
async fn own_path(server: &Server, file: &Path) -> Result<ScriptPath, CliError> {
    let ask = |why: String| CliError::input(format!("{why}; say where it goes with --path f/<folder>/<name>"));
    let instance: Instance = server.read(server.request_at(Method::GET, "api/instance/version")).await?;
    let me = instance.identity.ok_or_else(|| ask("the server does not say who this token belongs to".to_owned()))?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    // An identity is the path prefix of what belongs to it.
    format!("{me}/{stem}").parse().map_err(|error| ask(format!("{me}/{stem} is no path: {error}")))
}

async fn push(server: &Server, script: &ScriptFile, path: &ScriptPath, session: &mut Session<'_>) -> Result<(), CliError> {
    let body = server.bytes(request(server, script, path)?).await?;
    let deployed: Deployed = serde_json::from_slice(&body)
        .map_err(|error| CliError::Unreachable(format!("the server answered something else than expected: {error}")))?;
    session.console.diagnostics(Severity::Warning, &deployed.warnings);
    if session.console.is_json() {
        let text = String::from_utf8_lossy(&body);
        session.console.say(text.trim_end());
    } else {
        session.console.say(&format!("{}@{}", deployed.path, deployed.number));
    }
    Ok(())
}

fn request(server: &Server, script: &ScriptFile, path: &ScriptPath) -> Result<RequestBuilder, CliError> {
    let request = server.request(Method::PUT, &format!("scripts/{path}"));
    if script.language == Language::Component {
        let manifest = serde_json::to_string(&script.manifest).map_err(|error| CliError::input(error.to_string()))?;
        let manifest =
            header::HeaderValue::from_bytes(manifest.as_bytes()).map_err(|error| CliError::input(format!("the manifest: {error}")))?;
        let name = [("file_name", script.file_name())];
        return Ok(request
            .query(&name)
            .header(header::CONTENT_TYPE, "application/wasm")
            .header(MANIFEST_HEADER, manifest)
            .body(script.source.clone()));
    }
    let source =
        std::str::from_utf8(&script.source).map_err(|error| CliError::input(format!("{} is not UTF-8: {error}", script.file.display())))?;
    Ok(request.json(&json!({
        "language": script.language.name(),
        "source": source,
        "manifest": script.manifest,
        "file_name": script.file_name(),
    })))
}
