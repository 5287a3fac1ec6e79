//! What the operator sets for one workspace. What is not set is as the installation says.

use serde::{Deserialize, Serialize};

use crate::path::ScriptPath;

/// Days that ended runs can be kept at most, unless for ever.
pub const RETENTION_DAYS_MAX: u32 = 36_500;

/// The greatest weight of a workspace.
pub const WEIGHT_MAX: u32 = 100;

/// All that can be set, each with null where nothing was said. Unknown keys are errors: a misspelt limit must not be silently ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkspaceSettings {
    /// Days for which a run is kept after its end; 0: for ever.
    pub retention_days: Option<u32>,
    /// Its share of the slots, against those of others that have runs ready: 1 to 100, 1 where nothing is set.
    pub weight: Option<u32>,
    /// Runs that execute at once, on all nodes together; none: as many as there are slots.
    pub running_runs_max: Option<u32>,
    /// Runs that wait or execute; past it new ones are refused.
    pub backlog_max: Option<u64>,
    /// Script that is started when a run has failed for good, unless its own script names another.
    pub error_handler: Option<ScriptPath>,
    /// Days for which entries of the audit log are kept; 0: for ever; 365 where nothing is set.
    pub audit_days: Option<u32>,
}

/// Why settings are not taken; for whoever sent them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSettings(pub String);

/// Settings by name; null takes one back.
pub type Patch = serde_json::Map<String, serde_json::Value>;

impl WorkspaceSettings {
    fn check(&self) -> Result<(), InvalidSettings> {
        if self.retention_days.is_some_and(|days| days > RETENTION_DAYS_MAX) {
            return Err(InvalidSettings(format!("retention_days: at most {RETENTION_DAYS_MAX}, or 0 to keep runs for ever")));
        }
        if self.audit_days.is_some_and(|days| days > RETENTION_DAYS_MAX) {
            return Err(InvalidSettings(format!("audit_days: at most {RETENTION_DAYS_MAX}, or 0 to keep entries for ever")));
        }
        if self.weight.is_some_and(|weight| !(1..=WEIGHT_MAX).contains(&weight)) {
            return Err(InvalidSettings(format!("weight: 1 to {WEIGHT_MAX}")));
        }
        if self.running_runs_max == Some(0) || self.backlog_max == Some(0) {
            return Err(InvalidSettings("running_runs_max and backlog_max: at least 1".to_owned()));
        }
        Ok(())
    }

    /// These with the keys of `patch` in their place; null takes a setting back.
    ///
    /// # Errors
    /// If a key is unknown or its value is not possible.
    pub fn patched(&self, patch: &Patch) -> Result<Self, InvalidSettings> {
        let mut all = self.to_object();
        all.extend(patch.iter().map(|(key, value)| (key.clone(), value.clone())));
        let patched: Self = serde_json::from_value(all.into()).map_err(|error| InvalidSettings(error.to_string()))?;
        patched.check()?;
        Ok(patched)
    }

    fn to_object(&self) -> Patch {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(object)) => object,
            _ => Patch::new(),
        }
    }

    /// From what was stored, perhaps by a newer release whose further settings mean nothing here.
    ///
    /// # Errors
    /// If it is not an object of settings.
    pub fn stored(text: &str) -> serde_json::Result<Self> {
        let known = Self::default().to_object();
        let mut stored: Patch = serde_json::from_str(text)?;
        stored.retain(|key, _| known.contains_key(key));
        serde_json::from_value(stored.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_what_it_names() {
        let check = |before: Option<u32>, patch: serde_json::Value, expected: Option<Option<u32>>| {
            let before = WorkspaceSettings::default().patched(json!({"retention_days": before}).as_object().unwrap()).unwrap();
            let patched = before.patched(patch.as_object().unwrap());
            assert_eq!(patched.as_ref().ok().map(|after| after.retention_days), expected, "{patch} gave {patched:?}");
        };
        check(None, json!({"retention_days": 7}), Some(Some(7)));
        check(Some(7), json!({}), Some(Some(7)));
        check(Some(7), json!({"retention_days": null}), Some(None));
        check(Some(7), json!({"retention_days": 0}), Some(Some(0)));
        check(Some(7), json!({"retention_days": RETENTION_DAYS_MAX}), Some(Some(RETENTION_DAYS_MAX)));
        for bad in [json!(RETENTION_DAYS_MAX + 1), json!(-1), json!(1.5), json!("7"), json!([7])] {
            check(Some(7), json!({ "retention_days": bad }), None);
        }
        check(Some(7), json!({"retention_dayz": 7}), None);
        assert!(WorkspaceSettings::default().patched(json!({"audit_days": 0}).as_object().unwrap()).is_ok());
        check(None, json!({"audit_days": RETENTION_DAYS_MAX + 1}), None);
        for good in [json!({"weight": 100}), json!({"running_runs_max": 1}), json!({"backlog_max": 1}), json!({"error_handler": "f/a/b"})] {
            check(None, good, Some(None));
        }
        for bad in [json!({"weight": 0}), json!({"weight": 101}), json!({"running_runs_max": 0}), json!({"error_handler": "../b"})] {
            check(None, bad, None);
        }
    }

    #[test]
    fn what_a_newer_release_stored_is_passed_over() {
        let settings = WorkspaceSettings::stored(r#"{"retention_days": 3, "of_the_future": {"a": 1}}"#).unwrap();
        assert_eq!(settings.retention_days, Some(3));
        assert_eq!(WorkspaceSettings::stored("{}").unwrap(), WorkspaceSettings::default());
        for bad in ["", "[]", "7", r#"{"retention_days": "x"}"#] {
            assert!(WorkspaceSettings::stored(bad).is_err(), "{bad}");
        }
    }
}
