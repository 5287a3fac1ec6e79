//! `GET /api/w/{workspace}/route-description`: the HTTP of a workspace's own, as its triggers say it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use sandmill_model::{
    JsonText, ScriptPath,
    auth::{Action, Domain},
    trigger::{DynEndpoint, Kinds},
};
use sandmill_store::triggers::Trigger;
use serde_json::{Map, Value, json};

use crate::{app::App, auth::Caller, problem::Problem};

/// Triggers that are read at once.
const PAGE: u32 = 100;
/// In the place of what a config refers to: what it stands for may have to be text, hexadecimal or base64, and this is all of them.
const STAND_IN: &str = "5a17d41150d35c2b";

/// Describes the URLs that triggers of the workspace take, as OpenAPI 3.1: of those triggers that the token may read.
#[utoipa::path(get, path = "/api/w/{workspace}/route-description", tag = "triggers", params(("workspace" = String, Path)),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Value>, Problem> {
    caller.must_somewhere(Domain::Triggers, Action::Read)?;
    let mut document = Document::default();
    let mut after: Option<ScriptPath> = None;
    loop {
        let page = app.store.triggers.endpoints(caller.workspace.id, after.as_ref(), PAGE).await?;
        for (trigger, _) in &page {
            if caller.may(Domain::Triggers, Action::Read, Some(trigger.path.as_str())) {
                document.put(&app.kinds, &caller.workspace.name, trigger);
            }
        }
        if page.len() < PAGE as usize {
            return Ok(Json(document.whole(&caller.workspace.name)));
        }
        after = page.last().map(|(trigger, _)| trigger.path.clone());
    }
}

/// What each says of itself, together. Configs are read as they are stored: nothing that they refer to gets into a description.
#[derive(Default)]
struct Document {
    paths: Paths,
    schemes: Map<String, Value>,
    undescribed: Vec<String>,
}

impl Document {
    fn put(&mut self, kinds: &Kinds, workspace: &str, trigger: &Trigger) {
        let Some(endpoint) = kinds.find(&trigger.kind).and_then(|kind| kind.endpoint.as_ref()) else { return };
        match described(&**endpoint, &trigger.config) {
            Described::As(own) => {
                if !self.put_own(&format!("/{}/{workspace}", endpoint.prefix()), trigger, own) {
                    self.undescribed.push(trigger.path.to_string());
                }
            }
            Described::Not => self.undescribed.push(trigger.path.to_string()),
            Described::Nothing => {}
        }
    }

    /// False: something else has its place.
    fn put_own(&mut self, below: &str, trigger: &Trigger, mut own: Value) -> bool {
        if let Some(Value::Object(own)) = own.pointer_mut("/components/securitySchemes").map(Value::take) {
            self.schemes.extend(own);
        }
        let Some(Value::Object(items)) = own.get_mut("paths").map(Value::take) else { return true };
        let mut has_place = true;
        for (path, item) in items {
            let path = format!("{below}{path}");
            let Value::Object(item) = item else { continue };
            for operation in item {
                has_place &= self.paths.put(&path, of(trigger, operation));
            }
        }
        has_place
    }

    fn whole(self, workspace: &str) -> Value {
        let mut description = json!({
            "openapi": "3.1.0",
            "info": {"title": workspace, "version": "1"},
            "paths": self.paths.items,
            "components": {"securitySchemes": self.schemes},
        });
        if !self.undescribed.is_empty() {
            // Their configs make sense only with what they refer to, or OpenAPI cannot tell their path from another's.
            description["x-sandmill-undescribed"] = json!(self.undescribed);
        }
        description
    }
}

enum Described {
    As(Value),
    /// It depends on what its config refers to.
    Not,
    /// Its kind says nothing of it.
    Nothing,
}

/// With something else in the place of what the config refers to: most refer to secrets, of which no description tells.
fn described(endpoint: &dyn DynEndpoint, config: &JsonText) -> Described {
    let Some(config) = without_references(config) else { return Described::Not };
    let Ok(configured) = endpoint.configure(&config) else { return Described::Not };
    match configured.described() {
        None => Described::Nothing,
        Some(own) if own.to_string().contains(STAND_IN) => Described::Not,
        Some(own) => Described::As(own),
    }
}

fn without_references(config: &JsonText) -> Option<JsonText> {
    let mut whole: Value = config.read().ok()?;
    stand_in(&mut whole);
    Some(JsonText::trusted(whole.to_string()))
}

fn stand_in(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with("$res:") || text.starts_with("$var:") => STAND_IN.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(stand_in),
        Value::Object(fields) => fields.values_mut().for_each(stand_in),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
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
    fn what_is_referred_to_is_not_described() {
        let without = |config: &str| without_references(&JsonText::trusted(config)).unwrap().as_str().to_owned();
        let stood_in = format!(r#"{{"a":["{STAND_IN}",{{"b":"{STAND_IN}"}}],"c":"costs $5"}}"#);
        assert_eq!(without(r#"{"a": ["$var:f/a/x", {"b": "\u0024res:f/a/y#/z"}], "c": "costs $5"}"#), stood_in);
        assert_eq!(STAND_IN.len() % 4, 0, "it is base64");
        assert!(STAND_IN.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

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
