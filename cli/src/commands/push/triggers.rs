//! Triggers that are pushed: those of a folder, the one beside a script, or one alone.

use std::path::{Path, PathBuf};

use reqwest::Method;
use sandmill_model::ScriptPath;
use serde::Deserialize;

use super::own_path;
use crate::{
    Session,
    client::Server,
    commands::answers,
    error::CliError,
    project::{Project, TriggerEntry},
    trigger_file::{TriggerFile, as_script, beside, is_trigger, stem},
};

#[derive(Debug, Deserialize)]
struct Put {
    path: String,
    kind: String,
    target: String,
    mode: String,
}

/// The file of a trigger that is pushed by itself.
pub(super) fn alone(what: &Path) -> Option<&Path> {
    Some(what).filter(|file| is_trigger(file) && !file.is_dir())
}

/// Puts the trigger of one file.
pub(super) async fn execute(file: &Path, path: Option<ScriptPath>, session: &mut Session<'_>) -> Result<(), CliError> {
    // The file first: what is wrong with it needs no server to be said.
    let trigger = TriggerFile::load(file)?;
    let project = Project::around(file)?;
    let server = Server::of(&session.globals)?;
    let known = match (path, &project) {
        (Some(path), _) => Some(path),
        (None, Some(project)) => project.path_of_trigger(file)?,
        (None, None) => None,
    };
    let path = match known {
        Some(path) => path,
        None => own_path(&server, &as_script(file)).await?,
    };
    let script = match (script_beside(file)?, &project) {
        (Some(script), Some(project)) => project.path_of(&script)?,
        // Where a script goes that no project speaks of, only whoever pushes it knows.
        _ => None,
    };
    put(&server, (&path, &trigger.body(file, script.as_ref())?), session).await
}

/// The trigger beside a script that was pushed, if there is one, at the same path.
pub(super) async fn of_script(server: &Server, script: &Path, path: &ScriptPath, session: &mut Session<'_>) -> Result<(), CliError> {
    let file = beside(script);
    if !file.exists() {
        return Ok(());
    }
    let trigger = TriggerFile::load(&file)?;
    put(server, (path, &trigger.body(&file, Some(path))?), session).await
}

/// One of a project.
pub(super) async fn of_project(server: &Server, entry: &TriggerEntry, session: &mut Session<'_>) -> Result<(), CliError> {
    let trigger = TriggerFile::load(&entry.file)?;
    put(server, (&entry.path, &trigger.body(&entry.file, entry.script.as_ref())?), session).await
}

async fn put(server: &Server, (path, body): (&ScriptPath, &serde_json::Value), session: &mut Session<'_>) -> Result<(), CliError> {
    let request = server.request(Method::PUT, &format!("triggers/{path}")).json(body);
    let Some(put) = answers::read::<Put>(server, request, session).await? else { return Ok(()) };
    let Put { path, kind, target, mode } = put;
    session.console.say(&format!("{path} {kind} {mode}: starts {target}"));
    Ok(())
}

/// The script that has the same name in the same folder.
fn script_beside(file: &Path) -> Result<Option<PathBuf>, CliError> {
    let stem = stem(file);
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let scripts = crate::project::scripts_in(folder)?;
    Ok(scripts.into_iter().find(|script| script.with_extension("").file_name() == stem.file_name()))
}
