//! Stored endpoints, described together as one OpenAPI document. Knows no kind: each brings what it takes.

use serde_json::{Map, Value, json};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// One stored trigger.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// Its path, and that of its script.
    pub trigger: &'a str,
    pub target: &'a str,
    pub description: &'a str,
    /// What [`Endpoint::described`](super::Endpoint::described) said.
    pub paths: &'a Value,
    /// JSON Schema of what the script takes, if it is to be told and is that of the body: of a script without a preprocessor.
    pub arguments: Option<&'a Value>,
}

/// An OpenAPI 3.1 document; `server` is the URL in front of the paths.
#[must_use]
pub fn document<'a>(title: &str, server: &str, triggers: impl IntoIterator<Item = Described<'a>>) -> Value {
    let (mut paths, mut schemes) = (Map::new(), Map::new());
    for described in triggers {
        for (path, item) in members(described.paths, "/paths") {
            let methods = METHODS.iter().filter_map(|method| item.get(method).map(|operation| (*method, operation)));
            for (method, operation) in methods {
                add(&mut paths, (path, method), completed(operation, &described));
            }
        }
        schemes.extend(members(described.paths, "/components/securitySchemes").map(|(name, scheme)| (name.clone(), scheme.clone())));
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "servers": [{"url": server}],
        "paths": paths,
        "components": {"securitySchemes": schemes},
    })
}

fn members<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    value.pointer(pointer).and_then(Value::as_object).into_iter().flatten()
}

fn completed(operation: &Value, described: &Described<'_>) -> Value {
    let Described { trigger, target, description, paths: _, arguments } = *described;
    let mut members = operation.as_object().cloned().unwrap_or_default();
    let summary = description.lines().next().filter(|line| !line.is_empty()).unwrap_or(trigger);
    members.insert("summary".to_owned(), json!(summary));
    if !description.is_empty() {
        members.insert("description".to_owned(), json!(description));
    }
    members.insert("x-trigger".to_owned(), json!(trigger));
    members.insert("x-script".to_owned(), json!(target));
    let mut operation = Value::Object(members);
    if let (Some(schema), Some(slot)) = (arguments, operation.pointer_mut("/requestBody/content/application~1json/schema")) {
        *slot = schema.clone();
    }
    operation
}

/// Paths that differ in nothing but names of parameters are one in OpenAPI: the names are those of the first. If the method is taken there, which only a
/// path that goes on behind its parameter can do, other names make it another.
fn add(paths: &mut Map<String, Value>, (path, method): (&str, &str), mut operation: Value) {
    let shape = shape(path);
    let is_free = |known: &String| self::shape(known) == shape && paths.get(known).is_some_and(|item| item.get(method).is_none());
    let known = paths.keys().find(|known| is_free(known)).cloned();
    let key = known.unwrap_or_else(|| {
        let mut key = path.to_owned();
        while paths.contains_key(&key) {
            key = key.replace('}', "_}");
        }
        key
    });
    rename(&mut operation, &key);
    if let Some(item) = paths.entry(key).or_insert_with(|| json!({})).as_object_mut() {
        item.insert(method.to_owned(), operation);
    }
}

/// `/users/{}`.
fn shape(path: &str) -> String {
    path.split('{').enumerate().fold(String::new(), |shape, (at, part)| match (at, part.split_once('}')) {
        (0, _) | (_, None) => shape + part,
        (_, Some((_, behind))) => shape + "{}" + behind,
    })
}

/// Gives parameters of the path the names that they have in `path`.
fn rename(operation: &mut Value, path: &str) {
    let names = path.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name);
    let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else { return };
    for (parameter, name) in parameters.iter_mut().filter(|parameter| parameter["in"] == "path").zip(names) {
        if let Some(slot) = parameter.get_mut("name") {
            *slot = json!(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(path: &str, method: &str, names: &[&str]) -> Value {
        let parameters: Vec<Value> = names.iter().map(|name| json!({"name": name, "in": "path"})).collect();
        let operation = json!({"parameters": parameters, "requestBody": {"content": {"application/json": {"schema": {}}}}});
        json!({"paths": {path: {method: operation}}, "components": {"securitySchemes": {"token": {"type": "http"}}}})
    }

    #[test]
    fn all_are_in_one_document() {
        let (list, get, change, rest) = (
            paths("/users", "get", &[]),
            paths("/users/{id}", "get", &["id"]),
            paths("/users/{user}", "put", &["user"]),
            paths("/users/{rest}", "get", &["rest"]),
        );
        let arguments = json!({"type": "object", "required": ["name"]});
        let described = |trigger, paths, arguments| Described { trigger, target: "f/t/s", description: "", paths, arguments };
        let all = [
            described("f/t/list", &list, None),
            described("f/t/get", &get, None),
            described("f/t/change", &change, Some(&arguments)),
            described("f/t/rest", &rest, None),
        ];
        let document = document("w", "https://example.com/r/w", all);
        assert_eq!(document["servers"], json!([{"url": "https://example.com/r/w"}]));
        let trigger = |path: &str, method: &str| document["paths"][path][method]["x-trigger"].as_str().unwrap_or("-").to_owned();
        assert_eq!(trigger("/users", "get"), "f/t/list");
        assert_eq!((trigger("/users/{id}", "get"), trigger("/users/{id}", "put")), ("f/t/get".to_owned(), "f/t/change".to_owned()));
        assert_eq!(trigger("/users/{rest}", "get"), "f/t/rest", "the method was taken");
        let change = &document["paths"]["/users/{id}"]["put"];
        assert_eq!(change["parameters"][0]["name"], "id", "one path has one name for its parameter");
        assert_eq!(change["requestBody"]["content"]["application/json"]["schema"], arguments);
        assert_eq!(change["summary"], "f/t/change");
        assert_eq!(document["components"]["securitySchemes"], json!({"token": {"type": "http"}}));
        assert_eq!(document["paths"].as_object().unwrap().len(), 3);
    }

    #[test]
    fn nothing_is_lost_under_one_name() {
        let (one, rest) = (paths("/f/{x}", "get", &["x"]), paths("/f/{x}", "get", &["x"]));
        let all = [("f/t/one", &one), ("f/t/rest", &rest)];
        let all =
            all.map(|(trigger, paths)| Described { trigger, target: "f/t/s", description: "Files.\nAll of them.", paths, arguments: None });
        let document = document("w", "/r/w", all);
        assert_eq!(document["paths"]["/f/{x}"]["get"]["x-trigger"], "f/t/one");
        let other = &document["paths"]["/f/{x_}"]["get"];
        assert_eq!((&other["x-trigger"], &other["parameters"][0]["name"]), (&json!("f/t/rest"), &json!("x_")));
        assert_eq!((&other["summary"], &other["description"]), (&json!("Files."), &json!("Files.\nAll of them.")));
    }
}
