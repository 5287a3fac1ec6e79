//! `sandmill push FILE|DIR [--path …]`

use std::path::{Path, PathBuf};

use reqwest::{Method, RequestBuilder, header};
use sandmill_model::{Grant, Language, ScriptPath};
use serde_json::json;

use crate::{
    Session,
    client::{Deployed, Instance, Server},
    commands::{
        answers,
        grants::{self, Choice},
    },
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
    /// Give the script what its manifest asks for, e.g. `runs:f/demo/*`, or `all` of it; you must be allowed to do that yourself
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<Choice>,
}

pub(crate) async fn execute(options: Options, session: &mut Session<'_>) -> Result<(), CliError> {
    let is_folder = options.what.is_dir();
    if is_folder && options.path.is_some() {
        return Err(CliError::input("--path is for a single file; a folder's paths are in its sandmill.toml"));
    }
    if is_folder {
        let entries = Project::open(&options.what)?.entries()?;
        let server = Server::of(&session.globals)?;
        return push_all(&server, entries, &options.grants, session).await;
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
    push(&server, Pushed { script: &script, path: &path, grants: &options.grants }, session).await
}

/// Goes on after a fault, so that one push shows them all. The exit code is the worst one's.
async fn push_all(server: &Server, entries: Vec<Entry>, grants: &[Choice], session: &mut Session<'_>) -> Result<(), CliError> {
    let mut worst: Option<Exit> = None;
    for Entry { file, path } in entries {
        let done = match ScriptFile::read(&file) {
            Ok(script) => push(server, Pushed { script: &script, path: &path, grants }, session).await,
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

/// A script on its way.
struct Pushed<'a> {
    script: &'a ScriptFile,
    path: &'a ScriptPath,
    /// What of the manifest's wishes is granted with it.
    grants: &'a [Choice],
}

async fn push(server: &Server, pushed: Pushed<'_>, session: &mut Session<'_>) -> Result<(), CliError> {
    let Pushed { script, path, grants } = pushed;
    let asked: Vec<Grant> = script.manifest.grants.iter().collect();
    let given = grants::chosen(grants, &asked)?;
    let body = server.bytes(request(server, script, path)?).await?;
    let deployed: Deployed = server.parsed(&body)?;
    session.console.diagnostics(Severity::Warning, &deployed.warnings);
    if session.console.is_json() {
        answers::say_as_it_came(&body, session);
    } else {
        session.console.say(&format!("{}@{}", deployed.path, deployed.number));
    }
    // After it, not before: what is given works for the newest deployment and those to come, and so for nothing that others deployed here.
    let missing = if given.is_empty() { deployed.missing } else { grants::give(server, path, &given).await?.missing };
    ask_for_missing(server, path, &missing, session).await
}

/// Shows what is asked for and was not given; whoever sits there can give it at once.
async fn ask_for_missing(server: &Server, path: &ScriptPath, missing: &[String], session: &mut Session<'_>) -> Result<(), CliError> {
    if missing.is_empty() || session.console.is_json() {
        return Ok(());
    }
    grants::say_missing(path, missing, session);
    if session.console.agrees("Give it now?") {
        let missing: Vec<Grant> = missing.iter().filter_map(|grant| grant.parse().ok()).collect();
        grants::give(server, path, &missing).await?;
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
