//! `POST /api/w/{workspace}/held-runs/{path}`: runs that a trigger in mode held has accepted are let go, or discarded.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use sandmill_model::{
    Code, RunId, ScriptPath,
    auth::{Action, Domain},
    code::Refusal,
};
use sandmill_store::queue::Cancelled;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    find,
    many::{self, ALL_MAX, ManyReceipt, Meant, PAGE},
};
use crate::{
    app::App,
    audit::Facts,
    auth::Caller,
    problem::Problem,
    request::{body::JsonBody, paging, url::WholePath},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HeldAction {
    /// It goes into the queue.
    Release,
    /// It is cancelled.
    Discard,
}

/// `ids`, or `all`. Which runs are held is told by `GET …/runs?status=held`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeldRequest {
    action: HeldAction,
    /// At most 200.
    ids: Option<Vec<String>>,
    #[serde(default)]
    all: bool,
    /// `next` of the answer before.
    cursor: Option<String>,
}

impl HeldAction {
    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Discard => "discard",
        }
    }

    /// What somebody must be allowed to do: with the trigger, and with each of its runs.
    const fn needs(self) -> Action {
        match self {
            Self::Release => Action::Start,
            Self::Discard => Action::Cancel,
        }
    }
}

/// Lets runs go that a trigger holds, or discards them; a thousand at most in one request.
#[utoipa::path(post, path = "/api/w/{workspace}/held-runs/{path}", tag = "triggers",
    params(("workspace" = String, Path), ("path" = String, Path)), request_body = HeldRequest,
    responses((status = 200, body = ManyReceipt)))]
pub(crate) async fn act(
    State(app): State<Arc<App>>,
    caller: Caller,
    WholePath(path): WholePath,
    JsonBody(request): JsonBody<HeldRequest>,
) -> Result<(Extension<Facts>, Json<ManyReceipt>), Problem> {
    let HeldRequest { action, ids, all, cursor } = request;
    find(&app, &caller, &path, action.needs()).await?;
    let (ids, next) = match Meant::of(ids, all)? {
        Meant::These(ids) => (ids, None),
        Meant::All => every(&app, &caller, &path, paging::decode(cursor.as_deref())?).await?,
    };
    caller.must_still_be(&app).await?;
    let (app, caller, path) = (&app, &caller, &path);
    let receipt = many::each(app, caller, ids, |run| steer(app, caller, (path, run), action)).await.going_on_at(next);
    Ok((Extension(receipt.facts(action.name())), Json(receipt)))
}

/// As many as one request is about, of those behind `after`, and where to go on.
async fn every(app: &App, caller: &Caller, path: &ScriptPath, mut after: Option<RunId>) -> Result<(Vec<RunId>, Option<String>), Problem> {
    let mut ids = Vec::new();
    loop {
        let page = app.store.triggers.held(caller.workspace.id, path, after, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        after = page.last().copied().or(after);
        ids.extend(page);
        if is_last {
            return Ok((ids, None));
        }
        if ids.len() + PAGE as usize > ALL_MAX {
            return Ok((ids, after.map(paging::encode)));
        }
    }
}

async fn steer(app: &App, caller: &Caller, (path, run): (&ScriptPath, RunId), action: HeldAction) -> Result<(), Refusal> {
    let workspace = caller.workspace.id;
    // A trigger is not the way to another's runs.
    let held = app.store.triggers.held(workspace, path, Some(run.before()), 1).await.map_err(|error| unread(&error))?;
    if held.first() != Some(&run) {
        return Err(not_held());
    }
    // It may be of a script that the trigger started before.
    let record = app.dispatch.record(workspace, run).await?.ok_or_else(not_held)?;
    let of = record.summary.path.as_str();
    if !caller.may(Domain::Runs, action.needs(), Some(of)) {
        return Err(Refusal::new(Code::Forbidden, format!("the token lacks the scope runs:{}:{of}", action.needs().name())));
    }
    match action {
        HeldAction::Release => app.dispatch.release(workspace, run).await,
        HeldAction::Discard => match app.dispatch.cancel(workspace, run).await? {
            Cancelled::AtOnce | Cancelled::Requested => Ok(()),
            Cancelled::TooLate => Err(not_held()),
        },
    }
}

/// The same for one that never was and for one of another trigger.
fn not_held() -> Refusal {
    Refusal::new(Code::NotFound, "this trigger holds no such run")
}

fn unread(error: &sandmill_store::StoreError) -> Refusal {
    tracing::error!(%error, "what a trigger holds cannot be read");
    Refusal::new(Code::Unavailable, "the database cannot be reached at present; try again")
}
