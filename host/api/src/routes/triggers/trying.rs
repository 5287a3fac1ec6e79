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
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    body::{invalid, read_config},
    find,
    put::drafted,
};
use crate::{app::App, auth::Caller, problem::Problem, request::secret::SecretBody};

/// Instants that one preview tells.
const INSTANTS_MAX: u32 = 100;
/// Where nothing is said.
const INSTANTS_DEFAULT: u32 = 10;
/// How a config refers to a resource and to a variable.
const REFERENCES: [(&str, Domain); 2] = [("$res:", Domain::Resources), ("$var:", Domain::Variables)];

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
                Some(config) => Draft { config: read_config(Some(config))?, ..draft },
                None => draft,
            });
        };
        caller.must(Domain::Triggers, action, path.as_str())?;
        Ok(Draft {
            target: path.clone(),
            path,
            kind: kind.into(),
            config: read_config(config)?,
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

/// Tells the next instants of a trigger whose kind knows them, as it is or as it is sent.
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
    // What is there was checked when it was put, against the rights of whoever answers for it.
    let is_own = config.is_some();
    let draft = Asked::of(&path, kind, config)?.draft(&app, &caller, Action::Read).await?;
    if is_own {
        must_read_references(&caller, &draft.config)?;
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let instants = app.dispatch.preview_trigger(&caller.workspace, &draft, after, limit).await?;
    Ok(Json(PreviewBody { instants: instants.iter().map(ToString::to_string).collect() }))
}

/// Instants tell something of what they were made of: nobody learns so what they may not read.
fn must_read_references(caller: &Caller, config: &JsonText) -> Result<(), Problem> {
    let config: Value = config.read().map_err(|error| invalid(&format!("`config`: {error}")))?;
    for (domain, path) in references(&config) {
        caller.must(domain, Action::Read, path)?;
    }
    Ok(())
}

/// What a config refers to: texts that are references as a whole, without the pointers behind them.
fn references(config: &Value) -> Vec<(Domain, &str)> {
    let (mut found, mut open) = (Vec::new(), vec![config]);
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => {
                let reference = REFERENCES.iter().find_map(|(start, domain)| Some((*domain, text.strip_prefix(*start)?)));
                found.extend(reference.map(|(domain, rest)| (domain, rest.split_once('#').map_or(rest, |(path, _)| path))));
            }
            Value::Array(items) => open.extend(items),
            Value::Object(members) => open.extend(members.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_found_wherever_they_stand() {
        let config = json!({
            "a": "$res:f/a/b", "b": ["x", {"c": "$var:f/c/d"}], "d": "$res:f/e/f#/password", "e": " $var:f/no/no", "f": "x$res:f/no/no", "g": 7,
        });
        let mut found: Vec<(&str, &str)> = references(&config).into_iter().map(|(domain, path)| (domain.name(), path)).collect();
        found.sort_unstable();
        assert_eq!(found, [("resources", "f/a/b"), ("resources", "f/e/f"), ("variables", "f/c/d")]);
    }
}
