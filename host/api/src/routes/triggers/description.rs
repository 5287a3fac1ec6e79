//! `GET /api/w/{workspace}/route-description`: the HTTP of a workspace's own, as its triggers say it.

use std::{collections::BTreeMap, sync::Arc};

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
    let (mut paths, mut schemes, mut undescribed) = (Paths::default(), Map::new(), Vec::new());
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
        let mut has_place = true;
        for (path, item) in items {
            let path = format!("/{}/{workspace}{path}", endpoint.prefix());
            let Value::Object(item) = item else { continue };
            for operation in item {
                has_place &= paths.put(&path, of(&trigger, operation));
            }
        }
        if !has_place {
            undescribed.push(trigger.path.to_string());
        }
    }
    let mut description = json!({
        "openapi": "3.1.0",
        "info": {"title": workspace, "version": "1"},
        "paths": paths.items,
        "components": {"securitySchemes": schemes},
    });
    if !undescribed.is_empty() {
        // Their configs make sense only with what they refer to, or OpenAPI cannot tell their path from another's.
        description["x-sandmill-undescribed"] = json!(undescribed);
    }
    description
}

/// Those that differ in nothing but the names of their parameters are one for OpenAPI: several triggers may take one method each there.
#[derive(Default)]
struct Paths {
    items: Map<String, Value>,
    /// How each was written first, by what it is without names.
    written: BTreeMap<String, String>,
}

impl Paths {
    /// False: the method has its operation there already. A parameter and a rest are written alike.
    fn put(&mut self, path: &str, (method, mut operation): (String, Value)) -> bool {
        let written = self.written.entry(without_names(path)).or_insert_with(|| path.to_owned());
        if written != path {
            rename(&mut operation, &names(path).zip(names(written)).collect());
        }
        let item = self.items.entry(written.as_str()).or_insert_with(|| Value::Object(Map::new()));
        match item.as_object_mut() {
            Some(item) if !item.contains_key(&method) => item.insert(method, operation).is_none(),
            _ => false,
        }
    }
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

fn without_names(path: &str) -> String {
    let between: Vec<&str> = path.split('{').map(|part| part.split_once('}').map_or(part, |(_, rest)| rest)).collect();
    between.join("{}")
}

/// Calls the parameters of its path as others call them.
fn rename(operation: &mut Value, called: &BTreeMap<&str, &str>) {
    let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else { return };
    for parameter in parameters.iter_mut().filter(|parameter| parameter["in"] == "path") {
        let name = parameter["name"].as_str().and_then(|name| called.get(name)).map(|name| Value::from(*name));
        if let Some(name) = name {
            parameter["name"] = name;
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_there_once_whatever_its_parameters_are_called() {
        let operation = |method: &str, names: &[&str]| {
            let parameters: Vec<Value> = names.iter().map(|name| json!({"name": name, "in": "path"})).collect();
            (method.to_owned(), json!({ "parameters": parameters }))
        };
        let mut paths = Paths::default();
        assert!(paths.put("/users/{id}/of/{group}", operation("get", &["id", "group"])));
        assert!(paths.put("/users/{group}/of/{user}", operation("put", &["group", "user"])));
        assert!(!paths.put("/users/{a}/of/{b}", operation("get", &["a", "b"])), "whoever was first stays");
        assert!(paths.put("/users/{id}", operation("get", &["id"])));
        assert!(paths.put("/users", operation("get", &[])));
        let described = json!({"parameters": [{"name": "id", "in": "path"}, {"name": "group", "in": "path"}]});
        assert_eq!(
            Value::Object(paths.items),
            json!({
                "/users": {"get": {"parameters": []}},
                "/users/{id}": {"get": {"parameters": [{"name": "id", "in": "path"}]}},
                "/users/{id}/of/{group}": {"get": described, "put": described},
            })
        );
    }
}
