//! `PUT` and `DELETE /api/w/{workspace}/triggers/{path}`, and `POST …/trigger-mode/{path}`: what changes a trigger. Dispatch checks and keeps it.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use http::StatusCode;
use sandmill_dispatch::Draft;
use sandmill_model::{
    Code, ScriptPath,
    auth::{Action, Domain},
    trigger::Mode,
};
use sandmill_store::triggers::Trigger;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    body::{TriggerBody, TriggerRequest, changed, read_mode},
    find,
};
use crate::{
    app::App,
    audit::Facts,
    auth::Caller,
    kept,
    problem::Problem,
    request::{body::JsonBody, secret::SecretBody, url::WholePath},
    routes::resources::not_there,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModeRequest {
    /// `on`, `off`, `held` or `capture`.
    mode: String,
}

/// What a trigger is at now.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModeBody {
    path: String,
    mode: &'static str,
    revision: i64,
}

/// Puts a trigger at a path, in the place of what is there.
/// Whoever does so answers for its runs from then on: they must be allowed to start the script, and to read what its config refers to. What says on which
/// terms a script's own URL starts it takes the right to write the script, too.
#[utoipa::path(put, path = "/api/w/{workspace}/triggers/{path}", tag = "triggers",
    params(("workspace" = String, Path), ("path" = String, Path)), request_body = TriggerRequest,
    responses((status = 200, body = TriggerBody)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    WholePath(path): WholePath,
    SecretBody(request): SecretBody<TriggerRequest>,
) -> Result<(Extension<Facts>, Json<TriggerBody>), Problem> {
    caller.must(Domain::Triggers, Action::Write, path.as_str())?;
    let present = app.store.triggers.find(caller.workspace.id, &path).await?;
    let draft = request.read(path, present.as_ref())?;
    may_start(&caller, &draft.target)?;
    may_set_terms(&app, &caller, &draft)?;
    kept::must_have_room_for(&app, &caller, draft.config.as_str().len()).await?;
    let (facts, trigger) = keep(&app, &caller, present.as_ref(), draft).await?;
    Ok((facts, Json(trigger.into())))
}

/// Says what becomes of a trigger's events from now on.
/// Whoever does so answers for its runs, as if they had put it; to switch it off takes no right to what it starts or refers to.
#[utoipa::path(post, path = "/api/w/{workspace}/trigger-mode/{path}", tag = "triggers",
    params(("workspace" = String, Path), ("path" = String, Path)), request_body = ModeRequest,
    responses((status = 200, body = ModeBody)))]
pub(crate) async fn mode(
    State(app): State<Arc<App>>,
    caller: Caller,
    WholePath(path): WholePath,
    JsonBody(request): JsonBody<ModeRequest>,
) -> Result<(Extension<Facts>, Json<ModeBody>), Problem> {
    let present = find(&app, &caller, &path, Action::Write).await?;
    let (facts, trigger) = match read_mode(&request.mode)? {
        Mode::Off => {
            let trigger = app.dispatch.switch_trigger_off(&caller.principal, &caller.workspace, &present).await?;
            (facts(Some(&present), &trigger), trigger)
        }
        mode => {
            may_start(&caller, &present.target)?;
            // Not over what somebody else puts at this moment.
            let draft = Draft { mode, over: Some(present.revision), ..drafted(&present) };
            may_set_terms(&app, &caller, &draft)?;
            keep(&app, &caller, Some(&present), draft).await?
        }
    };
    // Whoever may write need not be allowed to read what is there.
    Ok((facts, Json(ModeBody { path: trigger.path.to_string(), mode: trigger.mode.name(), revision: trigger.revision })))
}

/// Deletes a trigger, and what it has kept of its events. Its runs go on.
#[utoipa::path(delete, path = "/api/w/{workspace}/triggers/{path}", tag = "triggers",
    params(("workspace" = String, Path), ("path" = String, Path)), responses((status = 204, description = "It is deleted")))]
pub(crate) async fn delete(State(app): State<Arc<App>>, caller: Caller, WholePath(path): WholePath) -> Result<StatusCode, Problem> {
    caller.must(Domain::Triggers, Action::Write, path.as_str())?;
    match app.dispatch.delete_trigger(caller.workspace.id, &path).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(refusal) if refusal.code == Code::NotFound => Err(not_there("trigger", &path)),
        Err(refusal) => Err(refusal.into()),
    }
}

async fn keep(app: &App, caller: &Caller, present: Option<&Trigger>, draft: Draft) -> Result<(Extension<Facts>, Trigger), Problem> {
    let trigger = app.dispatch.put_trigger(&caller.principal, &caller.workspace, draft).await?;
    Ok((facts(present, &trigger), trigger))
}

/// What the audit log tells.
fn facts(present: Option<&Trigger>, trigger: &Trigger) -> Extension<Facts> {
    Extension(Facts { after: changed(present, trigger), ..Facts::default() })
}

/// The same as it is.
pub(super) fn drafted(trigger: &Trigger) -> Draft {
    Draft {
        path: trigger.path.clone(),
        kind: Arc::clone(&trigger.kind),
        target: trigger.target.clone(),
        config: trigger.config.clone(),
        options: (*trigger.options).clone(),
        mode: trigger.mode,
        description: trigger.description.clone(),
        over: None,
    }
}

/// What a script has of its own is its writer's: on other terms, whoever may start it could switch off what others call, or keep what they send.
fn may_set_terms(app: &App, caller: &Caller, draft: &Draft) -> Result<(), Problem> {
    let is_of_script = app.kinds.find(&draft.kind).is_some_and(|kind| kind.info.is_of_every_script);
    if !is_of_script || caller.may(Domain::Scripts, Action::Write, Some(draft.target.as_str())) {
        return Ok(());
    }
    let what = format!(
        "whoever says on which terms a script's own URL starts it may write the script: the token lacks the scope scripts:write:{}",
        draft.target
    );
    Err(Problem::new(Code::Forbidden, what))
}

/// Nobody has events start what they may not start.
pub(super) fn may_start(caller: &Caller, target: &ScriptPath) -> Result<(), Problem> {
    if caller.may(Domain::Runs, Action::Start, Some(target.as_str())) {
        return Ok(());
    }
    let what =
        format!("whoever sets a trigger up, or lets its events go, may start its script: the token lacks the scope runs:start:{target}");
    Err(Problem::new(Code::Forbidden, what))
}
