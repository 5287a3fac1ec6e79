//! `GET /api/w/{workspace}/trigger-kinds`: what triggers there can be, from the registry.

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{
    auth::{Action, Domain},
    trigger::{KindInfo, TriggerOptions},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{app::App, auth::Caller, problem::Problem};

/// All kinds, and what they have in common.
#[derive(Serialize, ToSchema)]
pub(crate) struct KindList {
    items: Vec<KindBody>,
    /// JSON Schema of `options`, which all triggers have.
    #[schema(value_type = Object)]
    options: Value,
    /// Always null: these are all.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct KindBody {
    name: &'static str,
    /// One sentence.
    summary: &'static str,
    /// JSON Schema of its config.
    #[schema(value_type = Object)]
    config: Value,
    /// JSON Schema of what its `preprocessor(event)` gets beside what all events have.
    #[schema(value_type = Object)]
    event: Value,
    /// Names of the resource types that its config refers to.
    resource_types: Vec<&'static str>,
    /// First segment of its URLs; null: it has none.
    prefix: Option<&'static str>,
    /// Whether a node listens to each of its triggers.
    listens: bool,
    /// Whether several may listen to one trigger at once: then `options.listeners` may be more than 1.
    is_shared: bool,
    /// Whether every script has one by itself: one that is put says on which other terms.
    is_of_every_script: bool,
}

impl From<&KindInfo> for KindBody {
    fn from(info: &KindInfo) -> Self {
        Self {
            name: info.name,
            summary: info.summary,
            config: info.config.clone(),
            event: info.event.clone(),
            resource_types: info.resource_types.iter().map(|kind| kind.name).collect(),
            prefix: info.prefix,
            listens: info.listens,
            is_shared: info.is_shared,
            is_of_every_script: info.is_of_every_script,
        }
    }
}

/// Lists the kinds of trigger, each with the schema of its config.
#[utoipa::path(get, path = "/api/w/{workspace}/trigger-kinds", tag = "triggers", params(("workspace" = String, Path)),
    responses((status = 200, body = KindList)))]
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<KindList>, Problem> {
    caller.must_somewhere(Domain::Triggers, Action::Read)?;
    let items = app.kinds.all().iter().map(|kind| KindBody::from(&*kind.info)).collect();
    Ok(Json(KindList { items, options: TriggerOptions::schema(), next: None }))
}
