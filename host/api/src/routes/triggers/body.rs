//! Triggers as they are shown, and as they are put.

use std::collections::BTreeMap;

use sandmill_dispatch::Draft;
use sandmill_model::{
    Code, JsonText, ScriptPath,
    path::InvalidPath,
    trigger::{Mode, TriggerOptions},
};
use sandmill_store::triggers::Trigger;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

use crate::problem::Problem;

/// A trigger.
#[derive(Serialize, ToSchema)]
#[schema(as = Trigger)]
pub(crate) struct TriggerBody {
    path: String,
    kind: String,
    /// Path of the script that its events start.
    target: String,
    /// `on`, `off`, `held` or `capture`.
    mode: &'static str,
    description: String,
    /// As it was put, with references in the place of what they refer to.
    #[schema(value_type = Object)]
    config: JsonText,
    #[schema(value_type = Object)]
    options: Value,
    /// By whose right its events start runs: of whoever changed it last.
    answered_by: String,
    /// Grows with each change.
    revision: i64,
    created_at: String,
    updated_at: String,
    updated_by: String,
}

impl From<Trigger> for TriggerBody {
    fn from(trigger: Trigger) -> Self {
        let Trigger { path, kind, target, config, options, mode, description, answered_by, revision, .. } = trigger;
        Self {
            path: path.to_string(),
            kind: kind.to_string(),
            target: target.to_string(),
            mode: mode.name(),
            description,
            config,
            options: serde_json::to_value(&*options).unwrap_or_default(),
            answered_by: answered_by.to_string(),
            revision,
            created_at: trigger.created_at.to_string(),
            updated_at: trigger.updated_at.to_string(),
            updated_by: trigger.updated_by.to_string(),
        }
    }
}

/// Not `Debug`: a config may have secrets, although it should refer to them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TriggerRequest {
    /// Name of a kind; a trigger keeps it.
    kind: String,
    /// Path of the script that its events start. The token must be allowed to start it.
    target: String,
    /// Settings of the kind. A text that is as a whole `$res:PATH`, `$res:PATH#/POINTER` or `$var:PATH` stands for that resource, a part of it, or that
    /// variable, which the token must be allowed to read.
    #[schema(value_type = Option<Object>)]
    config: Option<JsonText>,
    /// What all kinds have in common: retries, filter, batch and so on.
    #[schema(value_type = Option<Object>)]
    options: Option<JsonText>,
    /// `on`, `off`, `held` or `capture`. Left out: as it was; a new one is on.
    mode: Option<String>,
    #[serde(default)]
    description: String,
    /// Only over this revision; 0: only where there is none. Left out: in the place of what is there.
    revision: Option<i64>,
}

impl TriggerRequest {
    /// What it says of the trigger at `path`, where `present` is. Dispatch checks the rest.
    ///
    /// # Errors
    /// `invalid_path`, `bad_request`, `invalid_trigger`.
    pub(super) fn read(self, path: ScriptPath, present: Option<&Trigger>) -> Result<Draft, Problem> {
        let Self { kind, target, config, options, mode, description, revision } = self;
        let there = present.map_or(0, |trigger| trigger.revision);
        Ok(Draft {
            path,
            kind: kind.into(),
            target: read_target(&target)?,
            config: config.unwrap_or_else(JsonText::empty_object),
            options: read_options(options.as_ref())?,
            // What it was must be so still, or somebody who switches it off meanwhile would switch it off in vain.
            over: revision.or_else(|| mode.is_none().then_some(there)),
            mode: match mode {
                Some(name) => read_mode(&name)?,
                None => present.map_or(Mode::On, |trigger| trigger.mode),
            },
            description,
        })
    }
}

fn invalid(what: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidTrigger, what)
}

pub(super) fn read_target(target: &str) -> Result<ScriptPath, Problem> {
    target.parse().map_err(|error: InvalidPath| Problem::new(Code::InvalidPath, format!("`target`: {error}")))
}

pub(super) fn read_mode(name: &str) -> Result<Mode, Problem> {
    Mode::from_name(name)
        .ok_or_else(|| Problem::new(Code::BadRequest, format!("`mode` is one of {}", Mode::ALL.map(Mode::name).join(", "))))
}

fn read_options(options: Option<&JsonText>) -> Result<TriggerOptions, Problem> {
    let Some(options) = options else { return Ok(TriggerOptions::default()) };
    // The parser alone would take an array for an object.
    if !options.is_object() {
        return Err(invalid("/options: it is a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_str(options.as_str());
    // It says which key is wrong, as the parser alone does not.
    serde_path_to_error::deserialize(&mut reader).map_err(|error| invalid(format!("/options: {error}")))
}

/// Names of what is not as it was, for the audit log. No values: some may be secret.
pub(super) fn changed(before: Option<&Trigger>, after: &Trigger) -> Value {
    let mut names: Vec<String> = Vec::new();
    let plain = |trigger: &Trigger| {
        let Trigger { kind, target, mode, description, answered_by, .. } = trigger;
        [
            ("kind", kind.to_string()),
            ("target", target.to_string()),
            ("mode", mode.name().to_owned()),
            ("description", description.clone()),
            ("answered_by", answered_by.to_string()),
        ]
    };
    let present = before.map(plain);
    for (index, (name, value)) in plain(after).into_iter().enumerate() {
        let old = present.as_ref().map(|present| present[index].1.as_str());
        if old.unwrap_or_default() != value {
            names.push(name.to_owned());
        }
    }
    let config = |trigger: &Trigger| members(trigger.config.as_str());
    let options = |trigger: &Trigger| members(&serde_json::to_string(&*trigger.options).unwrap_or_default());
    names.extend(differing("config", &before.map(config).unwrap_or_default(), &config(after)));
    names.extend(differing("options", &before.map(options).unwrap_or_default(), &options(after)));
    serde_json::json!({ "changed": names })
}

type Members = BTreeMap<String, Box<RawValue>>;

/// Those of the object itself, as they are written.
fn members(object: &str) -> Members {
    serde_json::from_str(object).unwrap_or_default()
}

fn differing(within: &str, before: &Members, after: &Members) -> Vec<String> {
    let text = |members: &Members, name: &str| members.get(name).map(|value| value.get().to_owned());
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| text(before, name) != text(after, name));
    names.into_iter().map(|name| format!("{within}.{name}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sandmill_model::{Timestamp, TriggerId, WorkspaceId};
    use serde_json::json;

    use super::*;

    fn trigger(config: &str, options: Value) -> Trigger {
        let at = Timestamp::from_micros(0);
        Trigger {
            workspace: WorkspaceId::new(at),
            path: "f/a/b".parse().unwrap(),
            id: TriggerId::new(at),
            kind: "probe".into(),
            target: "f/a/b".parse().unwrap(),
            config: JsonText::trusted(config),
            options: Arc::new(serde_json::from_value(options).unwrap()),
            mode: Mode::On,
            description: String::new(),
            answered_by: "u/ann".into(),
            revision: 7,
            created_at: at,
            updated_at: at,
            updated_by: "u/ann".into(),
        }
    }

    #[test]
    fn names_of_what_changed_are_told_and_no_values() {
        let before = trigger(r#"{"url":"a","secret":"hunter2","same":[1]}"#, json!({"priority": 1, "tag": "x"}));
        let mut after = trigger(r#"{"url":"b","password":"hunter3","same":[1]}"#, json!({"priority": 2, "tag": "x"}));
        after.mode = Mode::Off;
        after.answered_by = "u/bob".into();
        let told = changed(Some(&before), &after);
        assert_eq!(told, json!({"changed": ["mode", "answered_by", "config.password", "config.secret", "config.url", "options.priority"]}));
        let made = changed(None, &before).to_string();
        assert!(made.contains("\"kind\"") && made.contains("config.secret") && !made.contains("hunter"), "{made}");
        assert_eq!(changed(Some(&before), &before), json!({"changed": []}));
    }

    fn read(body: Value, present: Option<&Trigger>) -> Result<Draft, String> {
        let request: TriggerRequest = serde_json::from_str(&body.to_string()).map_err(|error| error.to_string())?;
        request.read("f/a/b".parse().unwrap(), present).map_err(|problem| format!("{problem:?}"))
    }

    #[test]
    fn what_is_left_out_is_plain_but_the_mode() {
        let mut present = trigger("{}", json!({}));
        present.mode = Mode::Off;
        let body = json!({"kind": "probe", "target": "f/a/b"});
        let draft = read(body.clone(), Some(&present)).unwrap();
        assert_eq!(
            (draft.mode, draft.over, draft.config.as_str()),
            (Mode::Off, Some(7), "{}"),
            "nobody switches on what is off by leaving it out"
        );
        let draft = read(body, None).unwrap();
        assert_eq!((draft.mode, draft.over), (Mode::On, Some(0)));
        let draft = read(json!({"kind": "probe", "target": "f/a/b", "mode": "held"}), Some(&present)).unwrap();
        assert_eq!((draft.mode, draft.over), (Mode::Held, None));
        let draft = read(json!({"kind": "probe", "target": "f/a/b", "mode": "on", "revision": 3}), Some(&present)).unwrap();
        assert_eq!(draft.over, Some(3));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (member, value, fault) in [
            ("target", json!("f/a"), "target"),
            ("mode", json!("of"), "capture"),
            ("options", json!([]), "options"),
            ("options", json!({"batch": {"events_max": "x", "wait_ms": 1}}), "batch.events_max"),
            ("options", json!({"retries": 1}), "retries"),
            ("modes", json!("on"), "modes"),
        ] {
            let mut body = json!({"kind": "probe", "target": "f/a/b"});
            body[member] = value;
            let error = read(body, None).unwrap_err();
            assert!(error.contains(fault), "{member}: {error}");
        }
    }
}
