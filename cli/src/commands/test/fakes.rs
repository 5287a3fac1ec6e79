//! What a case fakes of the world, and what its scripts are granted by that.

use std::collections::BTreeMap;

use sandmill_model::{
    Grant, Grants, JsonText, ScriptPath, TypeName,
    grants::{
        Access, HttpGrant, PathPattern,
        origin::{Origin, Scheme},
    },
};
use serde::Deserialize;
use serde_json::Value;

use crate::local::{FakeAnswer, FakeResource, LocalFakes};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Fakes {
    variables: BTreeMap<ScriptPath, String>,
    secrets: BTreeMap<ScriptPath, String>,
    resources: BTreeMap<ScriptPath, WrittenResource>,
    state: BTreeMap<String, Value>,
    runs: BTreeMap<ScriptPath, Value>,
    http: Vec<WrittenAnswer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenResource {
    r#type: String,
    value: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAnswer {
    request: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
}

const fn ok() -> u16 {
    200
}

/// # Errors
/// Which fake is not possible.
pub(super) fn read(fakes: Fakes) -> Result<LocalFakes, String> {
    let Fakes { variables, secrets, resources, state, runs, http } = fakes;
    if let Some(path) = variables.keys().find(|path| secrets.contains_key(*path)) {
        return Err(format!("{path} is a variable and a secret; it can be one of them"));
    }
    let text = |value: &Value| JsonText::trusted(value.to_string());
    let mut read = BTreeMap::new();
    for (path, resource) in resources {
        let name = resource.r#type;
        let kind = name.parse::<TypeName>().map_err(|error| format!("resource {path}: `{name}`: {error}"))?;
        if !resource.value.is_object() {
            return Err(format!("resource {path}: its value is an object of fields"));
        }
        read.insert(path, FakeResource { kind, value: text(&resource.value) });
    }
    let state = state.iter().map(|(key, value)| (key.clone(), text(value))).collect();
    let runs = runs.iter().map(|(path, value)| (path.clone(), text(value))).collect();
    let http = http.into_iter().map(answer).collect::<Result<Vec<_>, _>>()?;
    Ok(LocalFakes { variables, secrets, resources: read, state, runs, http })
}

fn answer(written: WrittenAnswer) -> Result<FakeAnswer, String> {
    let WrittenAnswer { request, status, mut headers, body } = written;
    let (method, origin, path) = target(&request).map_err(|fault| format!("http: {request:?}: {fault}"))?;
    if !(200..=599).contains(&status) {
        return Err(format!("http: {request:?}: {status} is no status of an answer; those are 200 to 599"));
    }
    let is_text = matches!(body, Value::String(_) | Value::Null);
    if !is_text && !headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
        headers.insert("content-type".to_owned(), "application/json".to_owned());
    }
    let body = match body {
        Value::Null => Vec::new(),
        Value::String(text) => text.into_bytes(),
        value => value.to_string().into_bytes(),
    };
    Ok(FakeAnswer { method, origin, path, status, headers, body })
}

/// `GET https://api.example.com/x?y=1`
fn target(request: &str) -> Result<(String, Origin, String), String> {
    let (method, url) = request.split_once(' ').ok_or("it is written as method and URL, e.g. GET https://api.example.com/users")?;
    let parts = url.trim().split_once("://").and_then(|(scheme, rest)| Some((Scheme::from_name(scheme)?, rest)));
    let (scheme, rest) = parts.ok_or("its URL begins with https:// or http://")?;
    let split = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split);
    let origin = Origin::of(scheme, authority).map_err(|error| error.to_string())?;
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((method.to_ascii_uppercase(), origin, path))
}

/// What a script is given of what it asks for: as much as is faked, the scripts at `paths`, and its objects, of which there are none.
pub(super) fn given(asked: &Grants, fakes: &LocalFakes, paths: &[ScriptPath]) -> Vec<Grant> {
    asked.iter().flat_map(|grant| of_grant(grant, fakes, paths)).collect()
}

fn of_grant(grant: Grant, fakes: &LocalFakes, paths: &[ScriptPath]) -> Vec<Grant> {
    match grant {
        Grant::Runs(pattern) => covered(&pattern, fakes.runs.keys().chain(paths)).map(Grant::Runs).collect(),
        Grant::Variables(pattern) => covered(&pattern, fakes.variables.keys().chain(fakes.secrets.keys())).map(Grant::Variables).collect(),
        Grant::Secrets(pattern) => covered(&pattern, fakes.secrets.keys()).map(Grant::Secrets).collect(),
        Grant::Resources(pattern) => covered(&pattern, fakes.resources.keys()).map(Grant::Resources).collect(),
        Grant::Sql(Access { mode, of }) => covered(&of, fakes.resources.keys()).map(|of| Grant::Sql(Access { mode, of })).collect(),
        Grant::Blob(access) => vec![Grant::Blob(access)],
        Grant::Http(http) => of_http(&http, fakes),
        // There are no API and no brokers without a server.
        Grant::Api(_) | Grant::Publish(_) => Vec::new(),
    }
}

fn covered<'a>(pattern: &PathPattern, paths: impl Iterator<Item = &'a ScriptPath>) -> impl Iterator<Item = PathPattern> {
    paths.map(PathPattern::from).filter(move |path| pattern.covers(path))
}

/// The faked origins alone, so that a grant of many hosts lets nothing out.
fn of_http(asked: &HttpGrant, fakes: &LocalFakes) -> Vec<Grant> {
    if asked.resource().is_some_and(|resource| !fakes.resources.contains_key(resource)) {
        return Vec::new();
    }
    let with = asked.resource().map(|resource| format!(" with {resource}")).unwrap_or_default();
    let mut given: Vec<Grant> = Vec::new();
    for answer in &fakes.http {
        let path = answer.path.split('?').next().unwrap_or_default();
        if !asked.covers(&answer.method, &answer.origin, path) {
            continue;
        }
        let text = format!("{}://{}{with}", answer.origin.scheme.name(), answer.origin.authority());
        if let Ok(grant) = text.parse::<HttpGrant>().map(Grant::Http)
            && !given.contains(&grant)
        {
            given.push(grant);
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fakes(value: Value) -> Result<LocalFakes, String> {
        read(serde_json::from_value(value).map_err(|error| error.to_string())?)
    }

    fn texts(asked: &[&str], fakes: &LocalFakes, paths: &[&str]) -> Vec<String> {
        let asked: Grants = asked.iter().map(|grant| grant.parse::<Grant>().unwrap()).collect();
        let paths: Vec<ScriptPath> = paths.iter().map(|path| path.parse().unwrap()).collect();
        given(&asked, fakes, &paths).iter().map(Grant::to_string).collect()
    }

    #[test]
    fn what_is_faked_is_given_and_nothing_else() {
        let fakes = fakes(json!({
            "variables": {"f/demo/region": "eu"},
            "secrets": {"f/demo/key": "long enough"},
            "resources": {"f/demo/db": {"type": "sqlite", "value": {"name": "x"}}},
            "runs": {"f/demo/child": 1},
            "http": [
                {"request": "GET http://api.example.com:8080/x?y=1", "body": {"a": 1}},
                {"request": "GET https://api.example.com/issues", "body": []}
            ]
        }))
        .unwrap();
        for (asked, given) in [
            ("variables:f/demo/*", vec!["variables:f/demo/region", "variables:f/demo/key"]),
            ("variables:f/other/*", vec![]),
            ("secrets:f/demo/*", vec!["secrets:f/demo/key"]),
            ("resources:f/demo/db", vec!["resources:f/demo/db"]),
            ("sql:read *", vec!["sql:read f/demo/db"]),
            ("runs:f/demo/*", vec!["runs:f/demo/child", "runs:f/demo/other"]),
            ("blob:write reports/", vec!["blob:write reports/"]),
            ("http:GET http://*:8080", vec!["http:http://api.example.com:8080"]),
            ("http:POST http://*:8080", vec![]),
            ("http:https://*", vec!["http:https://api.example.com"]),
            ("http:https://*:8080", vec![]),
            ("http:http://api.example.com:8080 with f/demo/missing", vec![]),
            ("http:http://api.example.com:8080/x with f/demo/db", vec!["http:http://api.example.com:8080 with f/demo/db"]),
        ] {
            assert_eq!(texts(&[asked], &fakes, &["f/demo/other", "u/ann/x"]), given, "{asked}");
        }
    }

    #[test]
    fn requests() {
        let (method, origin, path) = target("get http://API.example.com/a?b=c#d").unwrap();
        assert_eq!((method.as_str(), origin.authority().as_str(), path.as_str()), ("GET", "api.example.com", "/a?b=c"));
        assert_eq!(target("GET http://a.example:81").unwrap().2, "/");
        assert_eq!(target("GET http://a.example:81?x=1").unwrap().2, "/?x=1");
        for (request, origin) in [
            ("GET https://a.example:443/", (Scheme::Https, "a.example")),
            ("GET http://a.example:443/", (Scheme::Http, "a.example:443")),
            ("GET http://127.0.0.1:80/", (Scheme::Http, "127.0.0.1")),
            ("GET https://[::1]:8443/", (Scheme::Https, "[::1]:8443")),
        ] {
            let (_, read, _) = target(request).unwrap();
            assert_eq!((read.scheme, read.authority().as_str()), origin, "{request}");
        }
        for bad in ["https://a.example", "GET a.example", "GET HTTPS://a.example/", "GET https:///x", "GET ftp://a/"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fakes_that_are_not_possible_are_told() {
        for (value, part) in [
            (json!({"variables": {"f/a/b": "x"}, "secrets": {"f/a/b": "y"}}), "f/a/b"),
            (json!({"resources": {"f/a/b": {"type": "S", "value": {}}}}), "`S`"),
            (json!({"resources": {"f/a/b": {"type": "sqlite", "value": 1}}}), "object"),
            (json!({"resources": {"x": {"type": "sqlite", "value": {}}}}), "path"),
            (json!({"http": [{"request": "GET http://a.example/", "status": 99}]}), "99"),
            (json!({"http": [{"request": "GET http://a.example/", "state": 1}]}), "state"),
        ] {
            let fault = fakes(value.clone()).err().unwrap_or_default();
            assert!(fault.contains(part), "{value}: {fault}");
        }
    }
}
