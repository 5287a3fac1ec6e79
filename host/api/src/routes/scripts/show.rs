//! `GET /api/w/{workspace}/scripts/{path}`

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{
    JsonText, Manifest, ScriptPath,
    auth::{Action, Domain},
    version::{Deployment, Entry, ProgramSpec, Selector, Version},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::not_deployed;
use crate::{app::App, auth::Caller, problem::Problem, request::url::ScriptRef};

/// A script in one version.
#[derive(Serialize, ToSchema)]
pub(crate) struct Script {
    path: String,
    number: i64,
    /// Digest of the version.
    version: String,
    language: &'static str,
    description: Option<String>,
    /// None for a component.
    source: Option<String>,
    /// Digest of the component, if one was uploaded.
    component: Option<String>,
    #[schema(value_type = Object)]
    manifest: Manifest,
    /// JSON Schema of the arguments.
    #[schema(value_type = Object)]
    schema: JsonText,
    has_preprocessor: bool,
    /// Of a component, what of its exports is called: `script`, `http`, `command` or `function`.
    entry: Option<&'static str>,
    /// The function, where it is one.
    export: Option<String>,
    created_at: String,
    created_by: String,
}

/// Shows a script: the newest version, or the one that `@number` or `@digest` names.
#[utoipa::path(get, path = "/api/w/{workspace}/scripts/{path}", tag = "scripts",
    params(("workspace" = String, Path), ("path" = String, Path, description = "with `@number` or `@digest` for a version")),
    responses((status = 200, body = Script)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller, target: ScriptRef) -> Result<Json<Script>, Problem> {
    let (deployment, version) = find(&app, &caller, &target.path, target.selector).await?;
    let (component, entry) = match &version.program {
        ProgramSpec::Hosted(_) | ProgramSpec::Identity => (None, None),
        ProgramSpec::Component { component, entry, .. } => (Some(component.to_string()), Some(entry)),
    };
    let export = entry.and_then(|entry| if let Entry::Function { export } = entry { Some(export.clone()) } else { None });
    Ok(Json(Script {
        path: deployment.path.to_string(),
        number: deployment.number,
        version: version.digest.to_string(),
        language: version.language.name(),
        has_preprocessor: version.program.has_preprocessor(),
        entry: entry.map(Entry::name),
        export,
        description: version.manifest.description.clone(),
        source: version.source,
        component,
        manifest: version.manifest,
        schema: version.schema,
        created_at: deployment.created_at.to_string(),
        created_by: deployment.created_by.to_string(),
    }))
}

/// A version that the caller may read.
pub(super) async fn find(app: &App, caller: &Caller, path: &ScriptPath, selector: Selector) -> Result<(Deployment, Version), Problem> {
    caller.must(Domain::Scripts, Action::Read, path.as_str())?;
    app.store.scripts.find(caller.workspace.id, path, selector).await?.ok_or_else(|| not_deployed(path))
}
