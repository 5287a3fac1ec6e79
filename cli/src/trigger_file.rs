//! `NAME.trigger.toml`: a trigger on disk, beside the script that it starts.

use std::path::{Path, PathBuf};

use sandmill_model::{
    ScriptPath,
    trigger::{Mode, TriggerOptions},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{error::CliError, files::read_settings};

/// How the names of such files end.
const END: &str = ".trigger.toml";

/// What a file says. Where it is put, its own path says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TriggerFile {
    pub(crate) kind: String,
    /// Left out: the script beside it.
    target: Option<ScriptPath>,
    /// Left out: as it is on the server; a new one is on.
    mode: Option<Mode>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    options: TriggerOptions,
    /// Settings of the kind.
    #[serde(default)]
    config: toml::Table,
}

/// Whether a file is a trigger, by its name.
pub(crate) fn is_trigger(file: &Path) -> bool {
    name(file).is_some()
}

/// `hello` of `hello.trigger.toml`.
fn name(file: &Path) -> Option<&str> {
    file.file_name()?.to_str()?.strip_suffix(END).filter(|name| !name.is_empty() && !name.starts_with('.'))
}

/// The file without its end: what a script beside it is called, but for its extension.
pub(crate) fn stem(file: &Path) -> PathBuf {
    name(file).map_or_else(|| file.to_owned(), |name| file.with_file_name(name))
}

/// As a script of its name would be called: with an extension, because what follows the last point of a name is taken for one.
pub(crate) fn as_script(file: &Path) -> PathBuf {
    let mut name = stem(file).into_os_string();
    name.push(".toml");
    name.into()
}

/// The file of the trigger beside a script.
pub(crate) fn beside(script: &Path) -> PathBuf {
    // Not `with_extension` twice: a name may have points of its own.
    let name = script.file_stem().unwrap_or_default().to_string_lossy();
    script.with_file_name(format!("{name}{END}"))
}

impl TriggerFile {
    pub(crate) fn load(file: &Path) -> Result<Self, CliError> {
        let wrong = |fault: &dyn std::fmt::Display| CliError::input(format!("{}: {fault}", file.display()));
        let text = read_settings(file).map_err(|error| wrong(&error))?;
        let trigger: Self = toml::from_str(&text).map_err(|error| wrong(&error))?;
        trigger.options.check().map_err(|fault| wrong(&format!("[options]: {fault}")))?;
        Ok(trigger)
    }

    /// The settings of the kind as JSON.
    pub(crate) fn config(&self) -> Value {
        object(&self.config)
    }

    /// As the API takes it. `script` is the path of the script beside it.
    ///
    /// # Errors
    /// If nothing says what it starts.
    pub(crate) fn body(&self, file: &Path, script: Option<&ScriptPath>) -> Result<Value, CliError> {
        let target = self.target.as_ref().or(script).ok_or_else(|| {
            CliError::input(format!("{}: there is no script beside it: say what it starts with target = \"f/…\"", file.display()))
        })?;
        let options = serde_json::to_value(&self.options).map_err(|error| CliError::input(error.to_string()))?;
        let mut body = json!({
            "kind": self.kind,
            "target": target.as_str(),
            "description": self.description,
            "options": options,
            "config": self.config(),
        });
        if let Some(mode) = self.mode {
            body["mode"] = mode.name().into();
        }
        Ok(body)
    }
}

fn object(table: &toml::Table) -> Value {
    Value::Object(table.iter().map(|(name, value)| (name.clone(), as_json(value))).collect::<Map<_, _>>())
}

/// Dates and times are texts, as JSON has none; what is no number is null.
fn as_json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(is_so) => (*is_so).into(),
        toml::Value::Datetime(at) => at.to_string().into(),
        toml::Value::Array(items) => items.iter().map(as_json).collect(),
        toml::Value::Table(table) => object(table),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load(text: &str) -> Result<TriggerFile, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hello.trigger.toml");
        fs::write(&file, text).unwrap();
        TriggerFile::load(&file).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn names_say_what_is_a_trigger_and_of_which_script() {
        for (file, expected) in [
            ("a/hello.trigger.toml", Some("a/hello")),
            ("a/hello.world.trigger.toml", Some("a/hello.world")),
            ("a/.trigger.toml", None),
            ("a/.hidden.trigger.toml", None),
            ("a/hello.toml", None),
            ("a/trigger.toml", None),
        ] {
            let file = Path::new(file);
            assert_eq!(is_trigger(file).then(|| stem(file)), expected.map(PathBuf::from), "{file:?}");
        }
        assert_eq!(as_script(Path::new("a/hello.world.trigger.toml")), Path::new("a/hello.world.toml"));
        assert_eq!(beside(Path::new("a/hello.world.ts")), Path::new("a/hello.world.trigger.toml"));
    }

    #[test]
    fn a_file_is_read_as_the_api_takes_it() {
        let text = r#"
            kind = "probe"
            description = "each night"

            [options]
            priority = 3
            retry = { attempts = 2 }

            [config]
            at = 2026-01-31T12:00:00Z
            servers = ["a", "b"]
            password = "$var:f/demo/password"
            tls = { strict = true, factor = 1.5, count = 7 }
        "#;
        let trigger = load(text).unwrap();
        let script: ScriptPath = "f/demo/hello".parse().unwrap();
        let body = trigger.body(Path::new("x"), Some(&script)).unwrap();
        assert_eq!((&body["kind"], &body["target"], &body["options"]["priority"]), (&json!("probe"), &json!("f/demo/hello"), &json!(3)));
        assert!(body.get("mode").is_none(), "as it is on the server");
        let config = json!({
            "at": "2026-01-31T12:00:00Z", "servers": ["a", "b"], "password": "$var:f/demo/password", "tls": {"strict": true, "factor": 1.5, "count": 7},
        });
        assert_eq!(body["config"], config);

        let elsewhere = load("kind = \"probe\"\ntarget = \"f/demo/other\"\nmode = \"held\"").unwrap();
        let body = elsewhere.body(Path::new("x"), Some(&script)).unwrap();
        assert_eq!((&body["target"], &body["mode"]), (&json!("f/demo/other"), &json!("held")));
        assert!(load("kind = \"probe\"").unwrap().body(Path::new("x"), None).is_err());
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, fault) in [
            ("", "kind"),
            ("kind = \"probe\"\nmodes = \"on\"", "modes"),
            ("kind = \"probe\"\nmode = \"of\"", "capture"),
            ("kind = \"probe\"\ntarget = \"demo\"", "target"),
            ("kind = \"probe\"\n[options]\npriorities = 1", "priorities"),
            ("kind = \"probe\"\n[options]\npriority = 1001", "priority"),
            ("kind = ", "hello.trigger.toml"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(fault), "{text}: {error}");
        }
    }
}
