//! `PUT /api/w/{workspace}/scripts/{path}`

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use sandmill_model::{
    Digest, JsonText, Language, Manifest, ScriptPath, Timestamp,
    auth::{Action, Domain},
    build::BuildRequest,
    version::{Deployment, ProgramSpec, Selector, Version, version_digest},
};
use sandmill_store::scripts::NewDeployment;
use serde::Serialize;
use utoipa::ToSchema;

use super::submission::{SourceSubmission, Submission};
use crate::{
    app::App,
    auth::Caller,
    kept,
    problem::{Diagnostic, Problem},
    request::url::WholePath,
    routes::grants,
};

/// What a path points at now.
#[derive(Serialize, ToSchema)]
pub(crate) struct Deployed {
    path: String,
    /// Counts the path's deployments: `path@number` names this one.
    number: i64,
    /// Digest of the version.
    version: String,
    language: &'static str,
    /// JSON Schema of the arguments.
    #[schema(value_type = Object)]
    schema: JsonText,
    warnings: Vec<Diagnostic>,
    /// What the manifest asks for and nobody has given: it is denied when it is used. See `/api/w/{workspace}/grants/{path}`.
    missing: Vec<String>,
    created_at: String,
}

/// Deploys source or a component: builds it and points the path at the new version.
///
/// Source comes as JSON, a component as `application/wasm` with its manifest (JSON) in the header `Sandmill-Manifest` or in `?manifest=`.
/// Deploying what the path points at already changes nothing and answers 200, unless it has a `run_as` and somebody else deployed it. What the
/// manifest asks for works once it is given, see `/api/w/{workspace}/grants/{path}`; what was given before stays, but for what whoever deploys
/// could not give. An `error_handler` needs `runs:start` of
/// its path, a `run_as` `identities:start` of what it names and a place on its list.
#[utoipa::path(put, path = "/api/w/{workspace}/scripts/{path}", tag = "scripts",
    params(("workspace" = String, Path), ("path" = String, Path, description = "`f/<folder>/<name>` or `u/<user>/<name>`"),
        ("Sandmill-Manifest" = Option<String>, Header, description = "With a component: its manifest, JSON"),
        ("manifest" = Option<String>, Query, description = "With a component: the same, where no header can be set"),
        ("file_name" = Option<String>, Query, description = "With a component: the name that it had")),
    request_body(content((SourceSubmission = "application/json"), (Vec<u8> = "application/wasm"))),
    responses((status = 201, description = "Deployed", body = Deployed), (status = 200, description = "Unchanged", body = Deployed)))]
pub(crate) async fn deploy(
    State(app): State<Arc<App>>,
    caller: Caller,
    WholePath(path): WholePath,
    _: Permit,
    mut submission: Submission,
) -> Result<Response, Problem> {
    let _room = std::mem::take(&mut submission.room);
    if let Some(handler) = &submission.manifest.dispatch.error_handler {
        caller.must(Domain::Runs, Action::Start, handler.as_str())?;
    }
    // Also of what is there already: whoever puts it there again answers for it.
    if let Some(run_as) = &submission.manifest.run_as {
        app.dispatch.may_run_as(&caller.principal, caller.workspace.id, run_as).await?;
    }
    let digest = name(submission.language, submission.source.clone(), submission.manifest.clone()).await?;
    let present = app.store.scripts.find(caller.workspace.id, &path, Selector::Newest).await?;
    if present.is_none() {
        kept::must_have_room_for_a_script(&app, &caller).await?;
    }
    if let Some((deployment, version)) = present
        && version.digest == digest
        // As whom runs act is up to whoever deployed it: another who may use that puts themselves in their place.
        && (version.manifest.run_as.is_none() || deployment.created_by == caller.principal.identity)
    {
        let missing = grants::missing(&app, &caller, &path, &version.manifest.grants).await?;
        let said = Said { warnings: Vec::new(), missing };
        return Ok((StatusCode::OK, Json(Deployed::of(deployment, version.language, version.schema, said))).into_response());
    }

    kept::must_have_room_for(&app, &caller, submission.source.len()).await?;
    let now = app.clock.now();
    let (new, warnings) = build(&app, &Destination { caller: &caller, path: &path, now }, digest, submission).await?;
    caller.must_still_be(&app).await?;
    let (language, schema, asked) = (new.version.language, new.version.schema.clone(), new.version.manifest.grants.clone());
    if !asked.is_empty() {
        grants::hold_back(&app, &caller, &path, &asked).await?;
    }
    let deployment = app.store.scripts.deploy(new).await?;
    if !asked.is_empty() {
        // Once more: somebody may have given it in between, to what was there before.
        grants::hold_back(&app, &caller, &path, &asked).await?;
    }
    app.dispatch.deployed(caller.workspace.id, &path);
    tracing::info!(%path, number = deployment.number, version = %digest, workspace = &*caller.workspace.name, "deployed");

    // Somebody who deployed the same at the same moment may have been first.
    let status = if deployment.created_at == now { StatusCode::CREATED } else { StatusCode::OK };
    let location = location(&caller, &path, deployment.number);
    let said = Said { warnings, missing: grants::missing(&app, &caller, &path, &asked).await? };
    let mut response = (status, Json(Deployed::of(deployment, language, schema, said))).into_response();
    if let Ok(location) = HeaderValue::from_maybe_shared(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn build(
    app: &App,
    to: &Destination<'_>,
    digest: Digest,
    submission: Submission,
) -> Result<(NewDeployment, Vec<Diagnostic>), Problem> {
    let Submission { language, source, text, manifest, file_name, room: _ } = submission;
    let file_name = file_name.unwrap_or_else(|| format!("{}.{}", to.path.name(), language.extension()));
    let is_known = language == Language::Component && {
        let component = hashed({
            let source = source.clone();
            move || Digest::of(&source)
        });
        app.store.scripts.has_component(to.caller.workspace.id, component.await?).await?
    };
    let workspace = to.caller.workspace.id;
    let request = BuildRequest { workspace, file_name, language, source: source.clone(), manifest: manifest.clone(), is_known };
    let built = app.builder.build(request).await?;
    let component = match &built.program {
        ProgramSpec::Hosted(_) | ProgramSpec::Identity => None,
        ProgramSpec::Component { component, .. } => Some((*component, source)),
    };
    let version = Version { digest, language, source: text, manifest, schema: built.schema, program: built.program, created_at: to.now };
    let new = NewDeployment {
        workspace: to.caller.workspace.id,
        path: to.path.clone(),
        version,
        component,
        created_by: Arc::clone(&to.caller.principal.identity),
        now: to.now,
    };
    Ok((new, built.warnings.into_iter().map(Diagnostic::from).collect()))
}

/// Where and by whom something is deployed.
struct Destination<'a> {
    caller: &'a Caller,
    path: &'a ScriptPath,
    now: Timestamp,
}

fn location(caller: &Caller, path: &ScriptPath, number: i64) -> String {
    format!("/api/w/{}/scripts/{path}@{number}", caller.workspace.name)
}

/// The version's digest, off the threads that answer requests: a component may be large.
async fn name(language: Language, source: Bytes, manifest: Manifest) -> Result<Digest, Problem> {
    hashed(move || version_digest(language, &source, &manifest)).await?.map_err(|error| Problem::internal(error.to_string()))
}

async fn hashed<T: Send + 'static>(hash: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(hash).await.map_err(|error| Problem::internal(error.to_string()))
}

/// What whoever deploys is told beside.
struct Said {
    warnings: Vec<Diagnostic>,
    missing: Vec<String>,
}

impl Deployed {
    fn of(deployment: Deployment, language: Language, schema: JsonText, said: Said) -> Self {
        Self {
            path: deployment.path.to_string(),
            number: deployment.number,
            version: deployment.version.to_string(),
            language: language.name(),
            schema,
            warnings: said.warnings,
            missing: said.missing,
            created_at: deployment.created_at.to_string(),
        }
    }
}

/// That the caller may deploy here. An extractor, so that it is settled before a body of up to 64 MiB is read.
pub(crate) struct Permit;

impl axum::extract::FromRequestParts<Arc<App>> for Permit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut http::request::Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let WholePath(path) = WholePath::from_request_parts(parts, app).await?;
        caller.must(Domain::Scripts, Action::Write, path.as_str())?;
        Ok(Self)
    }
}
