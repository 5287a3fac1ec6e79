//! `GET /api/w/{workspace}/route-description`: the HTTP of a workspace's own, as its triggers say it.

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{
    auth::{Action, Domain},
    trigger::Kinds,
};
use sandmill_store::triggers::Trigger;
use serde_json::{Map, Value, json};

use crate::{app::App, auth::Caller, problem::Problem};

/// Describes the URLs that triggers of the workspace take, as OpenAPI 3.1: of those triggers that the token may read.
#[utoipa::path(get, path = "/api/w/{workspace}/route-description", tag = "triggers", params(("workspace" = String, Path)),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Value>, Problem> {
    caller.must_somewhere(Domain::Triggers, Action::Read)?;
    let found = app.store.triggers.endpoints(caller.workspace.id).await?;
    let readable = found.into_iter().map(|(trigger, _)| trigger);
    let readable = readable.filter(|trigger| caller.may(Domain::Triggers, Action::Read, Some(trigger.path.as_str())));
    Ok(Json(describe(&app.kinds, &caller.workspace.name, readable)))
}

/// What each says of itself, together. Configs are read as they are stored: nothing that they refer to gets into a description.
fn describe(kinds: &Kinds, workspace: &str, triggers: impl Iterator<Item = Trigger>) -> Value {
    let (mut paths, mut schemes, mut undescribed) = (Map::new(), Map::new(), Vec::new());
    for trigger in triggers {
        let Some(endpoint) = kinds.find(&trigger.kind).and_then(|kind| kind.endpoint.as_ref()) else { continue };
        let Ok(configured) = endpoint.configure(&trigger.config) else {
            undescribed.push(trigger.path.to_string());
            continue;
        };
        let Some(mut own) = configured.described() else { continue };
        if let Some(Value::Object(own)) = own.pointer_mut("/components/securitySchemes").map(Value::take) {
            schemes.extend(own);
        }
        let Some(Value::Object(items)) = own.get_mut("paths").map(Value::take) else { continue };
        for (path, item) in items {
            let path = format!("/{}/{workspace}{path}", endpoint.prefix());
            let Value::Object(item) = item else { continue };
            // Another trigger may take another method there.
            let there = paths.entry(path).or_insert_with(|| Value::Object(Map::new()));
            if let Some(there) = there.as_object_mut() {
                there.extend(item.into_iter().map(|each| of(&trigger, each)));
            }
        }
    }
    let mut description = json!({
        "openapi": "3.1.0",
        "info": {"title": workspace, "version": "1"},
        "paths": paths,
        "components": {"securitySchemes": schemes},
    });
    if !undescribed.is_empty() {
        // Their configs make sense only with what they refer to.
        description["x-sandmill-undescribed"] = json!(undescribed);
    }
    description
}

/// An operation with what the trigger says of itself, where its kind says nothing else.
fn of(trigger: &Trigger, (method, mut operation): (String, Value)) -> (String, Value) {
    if let Some(operation) = operation.as_object_mut() {
        if !trigger.description.is_empty() {
            operation.entry("description").or_insert_with(|| trigger.description.as_str().into());
        }
        operation.entry("operationId").or_insert_with(|| format!("{method} {}", trigger.path).into());
        operation.entry("x-sandmill-script").or_insert_with(|| trigger.target.as_str().into());
    }
    (method, operation)
}
