//! `POST /api/w/{workspace}/trigger-probes` and `…/trigger-previews`: whether a trigger would work, and when, before it is put or as it is.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::StatusCode;
use sandmill_dispatch::Draft;
use sandmill_model::{
    Code, JsonText, ScriptPath, Timestamp,
    auth::{Action, Domain},
    path::InvalidPath,
    trigger::{Mode, TriggerOptions},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{find, put::drafted};
use crate::{app::App, auth::Caller, problem::Problem, request::secret::SecretBody};

/// Instants that one preview tells.
const INSTANTS_MAX: u32 = 100;
/// Where nothing is said.
const INSTANTS_DEFAULT: u32 = 10;

/// Not `Debug`: a config may have secrets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProbeRequest {
    /// Where the trigger is, or is to be.
    path: String,
    /// Left out: as the trigger that is there.
    kind: Option<String>,
    /// Left out with the kind: as the trigger that is there has it.
    #[schema(value_type = Option<Object>)]
    config: Option<JsonText>,
}

/// Not `Debug`: a config may have secrets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewRequest {
    /// Where the trigger is, or is to be.
    path: String,
    /// Left out: as the trigger that is there.
    kind: Option<String>,
    /// Left out with the kind: as the trigger that is there has it.
    #[schema(value_type = Option<Object>)]
    config: Option<JsonText>,
    /// From when on; now if it is left out.
    after: Option<String>,
    /// 1 to 100; 10 if left out.
    limit: Option<u32>,
}

/// What comes next.
#[derive(Serialize, ToSchema)]
pub(crate) struct PreviewBody {
    /// In their order. Empty for kinds that cannot tell.
    instants: Vec<String>,
}

/// A trigger that somebody asks about.
struct Asked {
    path: ScriptPath,
    kind: Option<String>,
    config: Option<JsonText>,
}

impl Asked {
    fn of(path: &str, kind: Option<String>, config: Option<JsonText>) -> Result<Self, Problem> {
        let path = path.parse().map_err(|error: InvalidPath| Problem::new(Code::InvalidPath, error.to_string()))?;
        Ok(Self { path, kind, config })
    }

    /// With what is there in the place of what was left out; `action` is what the caller must be allowed to do with it.
    async fn draft(self, app: &App, caller: &Caller, action: Action) -> Result<Draft, Problem> {
        let Self { path, kind, config } = self;
        let Some(kind) = kind else {
            let draft = drafted(&find(app, caller, &path, action).await?);
            return Ok(match config {
                Some(config) => Draft { config, ..draft },
                None => draft,
            });
        };
        caller.must(Domain::Triggers, action, path.as_str())?;
        Ok(Draft {
            target: path.clone(),
            path,
            kind: kind.into(),
            config: config.unwrap_or_else(JsonText::empty_object),
            options: TriggerOptions::default(),
            mode: Mode::On,
            description: String::new(),
            over: None,
        })
    }
}

/// Tests the connection of a trigger, as it is or as it is sent. Nothing changes at its source, and no event is taken.
#[utoipa::path(post, path = "/api/w/{workspace}/trigger-probes", tag = "triggers", params(("workspace" = String, Path)),
    request_body = ProbeRequest, responses((status = 204, description = "It could listen")))]
pub(crate) async fn probe(
    State(app): State<Arc<App>>,
    caller: Caller,
    SecretBody(request): SecretBody<ProbeRequest>,
) -> Result<StatusCode, Problem> {
    let ProbeRequest { path, kind, config } = request;
    let draft = Asked::of(&path, kind, config)?.draft(&app, &caller, Action::Write).await?;
    app.dispatch.probe_trigger(&caller.principal, &caller.workspace, &draft).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells the next instants of a trigger whose kind knows them, as it is or as it is sent. What its config refers to is not read for it.
#[utoipa::path(post, path = "/api/w/{workspace}/trigger-previews", tag = "triggers", params(("workspace" = String, Path)),
    request_body = PreviewRequest, responses((status = 200, body = PreviewBody)))]
pub(crate) async fn preview(
    State(app): State<Arc<App>>,
    caller: Caller,
    SecretBody(request): SecretBody<PreviewRequest>,
) -> Result<Json<PreviewBody>, Problem> {
    let PreviewRequest { path, kind, config, after, limit } = request;
    let after = match after.as_deref().map(str::parse::<Timestamp>) {
        None => app.clock.now(),
        Some(Ok(after)) => after,
        Some(Err(error)) => return Err(Problem::new(Code::BadRequest, format!("`after`: {error}"))),
    };
    let limit = limit.unwrap_or(INSTANTS_DEFAULT);
    if !(1..=INSTANTS_MAX).contains(&limit) {
        return Err(Problem::new(Code::BadRequest, format!("`limit` is 1 to {INSTANTS_MAX}")));
    }
    let draft = Asked::of(&path, kind, config)?.draft(&app, &caller, Action::Read).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let instants = app.dispatch.preview_trigger(&caller.workspace, &draft, after, limit).await?;
    Ok(Json(PreviewBody { instants: instants.iter().map(ToString::to_string).collect() }))
}
