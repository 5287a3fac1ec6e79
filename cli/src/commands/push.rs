//! `sandmill push FILE|DIR|oci://… [--path …]`

mod artifact;
mod triggers;
mod upload;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use reqwest::{Method, header};
use sandmill_model::{Grant, Language, ScriptPath};
use serde_json::{json, value::RawValue};

use self::upload::Parcel;
use crate::{
    Session, bundle,
    client::{Deployed, Instance, Server},
    commands::{
        answers, build,
        grants::{self, Choice},
    },
    error::{CliError, Exit},
    files::ScriptFile,
    project::{Entry, Project, TriggerEntry},
    render::Severity,
};

const MANIFEST_HEADER: &str = "sandmill-manifest";
pub(crate) const NOBODY: &str = "the server does not say who this token belongs to";

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// A script (.ts, .js), a component (.wasm), a trigger (.trigger.toml), a folder with a sandmill.toml, or a component in a registry,
    /// e.g. `oci://registry.example.com/team/hello:1.2.0`
    #[arg(value_name = "FILE|DIR|oci://REFERENCE")]
    what: PathBuf,
    /// Where to deploy a single file [default: where sandmill.toml says, else u/<me>/<stem>]
    #[arg(long)]
    path: Option<ScriptPath>,
    /// Give the script what its manifest asks for, e.g. `runs:f/demo/*`, or `all` of it; you must be allowed to do that yourself
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<Choice>,
    /// Of a component with several functions of its own: which to call, e.g. `area` or `acme:shapes/ops#area`
    #[arg(long, value_name = "FUNCTION")]
    export: Option<String>,
    /// Deploy what is there, without building a project that has [build]
    #[arg(long)]
    no_build: bool,
    #[command(flatten)]
    tools: build::Tools,
    #[command(flatten)]
    bundler: bundle::Bundler,
    #[command(flatten)]
    artifact: artifact::ArtifactOptions,
}

pub(crate) async fn execute(options: Options, session: &mut Session<'_>) -> Result<(), CliError> {
    if let Some(reference) = artifact::reference(&options.what)? {
        return artifact::execute(&reference, options, session).await;
    }
    options.artifact.refuse()?;
    if let Some(file) = triggers::alone(&options.what) {
        return triggers::execute(file, options.path, session).await;
    }
    let is_folder = options.what.is_dir();
    if is_folder && options.path.is_some() {
        return Err(CliError::input("--path is for a single file; a folder's paths are in its sandmill.toml"));
    }
    if is_folder && options.export.is_some() {
        return Err(CliError::input("--export is for a single component; in a folder it is `export` in the manifest beside each"));
    }
    if !options.no_build {
        build::before_use(&options.what, &options.tools, session)?;
    }
    if is_folder {
        let project = Project::open(&options.what)?;
        let entries = project.entries()?;
        let triggers = project.triggers(&entries)?;
        let server = Server::of(&session.globals)?;
        return push_all(&server, (entries, triggers), &options, session).await;
    }
    // The file first: what is wrong with it needs no server to be said.
    let mut script = ScriptFile::load(&options.what, &options.bundler).await?;
    script.choose(options.export)?;
    let known = match options.path {
        Some(path) => Some(path),
        None => Project::around(&options.what)?.map(|project| project.path_of(&options.what)).transpose()?.flatten(),
    };
    let server = Server::of(&session.globals)?;
    let path = match known {
        Some(path) => path,
        None => own_path(&server, &options.what).await?,
    };
    push(&server, Pushed { script: &script, path: &path, grants: &options.grants, artifact: None }, session).await?;
    triggers::of_script(&server, &options.what, &path, session).await
}

/// Goes on after a fault, so that one push shows them all. The exit code is the worst one's.
async fn push_all(
    server: &Server,
    (entries, triggers): (Vec<Entry>, Vec<TriggerEntry>),
    options: &Options,
    session: &mut Session<'_>,
) -> Result<(), CliError> {
    let mut worst: Option<Exit> = None;
    for Entry { file, path } in entries {
        let done = match ScriptFile::load(&file, &options.bundler).await {
            Ok(script) => {
                let pushed = Pushed { script: &script, path: &path, grants: &options.grants, artifact: None };
                push(server, pushed, session).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            session.console.error(&error);
            worst = worst.max(Some(error.exit()));
            if matches!(error, CliError::Unreachable(_)) {
                return Err(CliError::Said(Exit::Server));
            }
        }
    }
    // After all scripts: a trigger may start any of them.
    for trigger in &triggers {
        if let Err(error) = triggers::of_project(server, trigger, session).await {
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
    let me = identity(server).await?.ok_or_else(|| ask(NOBODY.to_owned()))?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    // An identity is the path prefix of what belongs to it.
    format!("{me}/{stem}").parse().map_err(|error| ask(format!("{me}/{stem} is no path: {error}")))
}

/// Whom the token belongs to, e.g. `u/ann`; none if the server does not say.
pub(crate) async fn identity(server: &Server) -> Result<Option<String>, CliError> {
    let instance: Instance = server.read(server.request_at(Method::GET, "api/instance/version")).await?;
    Ok(instance.identity)
}

/// Deploys a script and says nothing of it.
pub(crate) async fn deploy(server: &Server, script: &ScriptFile, path: &ScriptPath) -> Result<Deployed, CliError> {
    let Parcel { request, body, .. } = parcel(server, script, path)?;
    server.read(request.body(body)).await
}

/// A script on its way.
struct Pushed<'a> {
    script: &'a ScriptFile,
    path: &'a ScriptPath,
    /// What of the manifest's wishes is granted with it.
    grants: &'a [Choice],
    /// What it was pulled as, by its digest.
    artifact: Option<&'a str>,
}

async fn push(server: &Server, pushed: Pushed<'_>, session: &mut Session<'_>) -> Result<(), CliError> {
    let Pushed { script, path, grants, artifact } = pushed;
    let asked: Vec<Grant> = script.manifest.grants.iter().collect();
    let given = grants::chosen(grants, &asked)?;
    let body = upload::send(server, parcel(server, script, path)?, session).await?;
    let deployed: Deployed = server.parsed(&body)?;
    session.console.diagnostics(Severity::Warning, &deployed.warnings);
    if session.console.is_json() {
        match artifact {
            Some(artifact) => session.console.say(&with_artifact(server.parsed(&body)?, artifact)?),
            None => answers::say_as_it_came(&body, session),
        }
    } else {
        session.console.say(&format!("{}@{}", deployed.path, deployed.number));
        if let Some(artifact) = artifact {
            session.console.say(&format!("from {artifact}"));
        }
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

/// The server's answer, every digit as it was, and where the component came from.
fn with_artifact(mut answer: BTreeMap<String, Box<RawValue>>, artifact: &str) -> Result<String, CliError> {
    let failed = |error: serde_json::Error| CliError::input(error.to_string());
    answer.insert("artifact".to_owned(), serde_json::value::to_raw_value(artifact).map_err(failed)?);
    serde_json::to_string(&answer).map_err(failed)
}

fn parcel(server: &Server, script: &ScriptFile, path: &ScriptPath) -> Result<Parcel, CliError> {
    let request = server.request(Method::PUT, &format!("scripts/{path}"));
    let name = script.file_name();
    if script.language == Language::Component {
        let manifest = serde_json::to_string(&script.manifest).map_err(|error| CliError::input(error.to_string()))?;
        let manifest =
            header::HeaderValue::from_bytes(manifest.as_bytes()).map_err(|error| CliError::input(format!("the manifest: {error}")))?;
        let request = request.query(&[("file_name", name.as_str())]);
        let request = request.header(header::CONTENT_TYPE, "application/wasm").header(MANIFEST_HEADER, manifest);
        return Ok(Parcel { request, name, body: script.source.clone() });
    }
    let source =
        std::str::from_utf8(&script.source).map_err(|error| CliError::input(format!("{} is not UTF-8: {error}", script.file.display())))?;
    let submission = json!({
        "language": script.language.name(),
        "source": source,
        "manifest": script.manifest,
        "file_name": name,
    });
    let request = request.header(header::CONTENT_TYPE, "application/json");
    Ok(Parcel { request, name, body: submission.to_string().into_bytes() })
}
