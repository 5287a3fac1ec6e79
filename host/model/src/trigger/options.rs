//! What all triggers have in common beside their target and their kind's own config.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    digest::Digest,
    path::ScriptPath,
    policy::{PRIORITY_MAX, Policy, Retry, check_tag, key_name},
    predicate::{Predicate, check_pointer},
    rate::RateLimit,
    run_as::RunAs,
};

/// Predicates of one filter.
const PREDICATES_MAX: usize = 32;
/// Rates of one trigger.
const RATES_MAX: usize = 4;
/// Events of one batch.
const BATCH_EVENTS_MAX: u32 = 1_000;
/// The longest time that an event may wait for its batch: what it came from waits for its acknowledgement meanwhile.
const BATCH_WAIT_MAX: Duration = Duration::from_secs(60);
/// The longest time for which a repetition is known.
const DEDUP_WINDOW_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// Listeners of one trigger.
const LISTENERS_MAX: u32 = 16;
/// Bytes of a dedup or ordering key of an event; a longer one is taken by its digest.
pub const KEY_BYTES_MAX: usize = 512;
/// Time after which an alert may go out.
const ALERT_AFTER_MAX: Duration = Duration::from_secs(31 * 24 * 3600);

/// What becomes of a trigger's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Each starts a run.
    #[default]
    On,
    /// Nobody listens; requests are answered as if the trigger were not there.
    Off,
    /// Each becomes a run that waits for its release, or is discarded.
    Held,
    /// They are kept to be looked at and replayed, and no run starts.
    Capture,
}

impl Mode {
    pub const ALL: [Self; 4] = [Self::On, Self::Off, Self::Held, Self::Capture];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Held => "held",
            Self::Capture => "capture",
        }
    }

    /// As it is stored.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::On => 0,
            Self::Off => 1,
            Self::Held => 2,
            Self::Capture => 3,
        }
    }

    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.code() == code)
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// Which events start runs: those that fit all of `all`, one at least of `any` if there are any, and none of `none`. Pointers point into what
/// `preprocessor(event)` would get: `/body/action`, `/headers/x-github-event`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<Predicate>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any: Vec<Predicate>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub none: Vec<Predicate>,
}

impl Filter {
    fn check(&self) -> Result<(), String> {
        if self.all.len() + self.any.len() + self.none.len() > PREDICATES_MAX {
            return Err(format!("a filter has at most {PREDICATES_MAX} predicates"));
        }
        self.all.iter().chain(&self.any).chain(&self.none).try_for_each(Predicate::check)
    }

    /// `event` is what `preprocessor(event)` would get.
    #[must_use]
    pub fn fits(&self, event: &Value) -> bool {
        self.all.iter().all(|one| one.fits(event))
            && (self.any.is_empty() || self.any.iter().any(|one| one.fits(event)))
            && !self.none.iter().any(|one| one.fits(event))
    }
}

/// Several events start one run: `{"events": […]}`, each as `preprocessor(event)` would get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    pub events_max: u32,
    /// So long after its first event a batch that is not full starts.
    pub wait_ms: u64,
}

/// How a repetition is known. Without `key`, by what the source itself has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dedup {
    /// JSON pointer into what `preprocessor(event)` would get. An event that has nothing there is no repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// For how long it is known; a day where nothing is said. 0: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<u64>,
}

/// Who hears of it when a trigger does not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// How long it may fail before. A failure is over once it has listened for as long without another, or for a minute.
    pub after_ms: u64,
    /// Script that is started with `{trigger, kind, workspace, state, error, failing_since}`, once for each failure, and once more when it is overcome.
    #[schemars(with = "String")]
    pub script: ScriptPath,
}

/// All of it may be left out. What the script's manifest says of dispatch holds where this says nothing; concurrency is the script's alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TriggerOptions {
    /// From -1000 to 1000; of what is due, the greater goes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Only nodes that serve this tag run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Path of a script that is started when a run of this trigger has failed for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub error_handler: Option<ScriptPath>,
    /// As whom its runs act, instead of whoever set it up: `s/NAME`, `g/NAME` or `u/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub run_as: Option<RunAs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// How often its runs may start; what comes faster is put off. A key points into what `preprocessor(event)` would get.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate: Vec<RateLimit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// JSON pointer into what `preprocessor(event)` would get: runs of this trigger with equal values there execute one after another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedup: Option<Dedup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<Alert>,
    /// Bytes of an event's payload; never more than the script takes or the server reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_bytes_max: Option<u64>,
    /// How many listen at once, on as many nodes as there are, where the kind can: 1 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listeners: Option<u32>,
}

/// What is at a pointer, as JSON, so that `"1"` is not `1`; what is long by its digest. Nothing and null are nothing.
fn text_at(event: &Value, pointer: &str) -> Option<String> {
    let found = event.pointer(pointer).filter(|value| !value.is_null())?;
    Some(short_key(found.to_string()))
}

/// A key as it is stored: one that is long, or that not every database can hold, by its digest.
#[must_use]
pub fn short_key(text: String) -> String {
    if text.len() > KEY_BYTES_MAX || text.contains('\0') { Digest::of(text.as_bytes()).to_string() } else { text }
}

fn within(name: &str, value_ms: u64, least_ms: u64, most: Duration) -> Result<(), String> {
    if value_ms < least_ms || Duration::from_millis(value_ms) > most {
        return Err(format!("{name} is from {least_ms} to {}", most.as_millis()));
    }
    Ok(())
}

impl TriggerOptions {
    /// JSON Schema, for forms and docs.
    #[must_use]
    pub fn schema() -> Value {
        Value::from(schemars::schema_for!(Self))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether somebody must read the event to know what becomes of it.
    #[must_use]
    pub fn reads_events(&self) -> bool {
        self.filter.is_some()
            || self.ordering_key.is_some()
            || self.rate.iter().any(|rate| rate.key.is_some())
            || self.dedup.as_ref().is_some_and(|dedup| dedup.key.is_some())
    }

    /// Whether runs are dispatched otherwise than their script's manifest says.
    #[must_use]
    pub fn amends(&self) -> bool {
        self.priority.is_some() || self.tag.is_some() || self.retry.is_some() || self.error_handler.is_some() || !self.rate.is_empty()
    }

    /// Puts what is said here in the place of what the manifest says. Rates come beside those of the script, which holds its own for all who
    /// start it. `trigger` names it in keys, and `event` is what `preprocessor(event)` would get, null where nobody reads it.
    pub fn amend(&self, policy: &mut Policy, trigger: &str, event: &Value) {
        policy.priority = self.priority.unwrap_or(policy.priority);
        if let Some(tag) = &self.tag {
            policy.tag = tag.as_str().into();
        }
        policy.retry = self.retry.clone().or(policy.retry.take());
        policy.error_handler = self.error_handler.clone().or(policy.error_handler.take());
        for (index, rate) in self.rate.iter().enumerate() {
            let name = match &rate.key {
                None => format!("rate trigger {trigger}"),
                Some(pointer) => key_name(&format!("trigger {trigger}"), "rate", pointer, event.pointer(pointer).unwrap_or(&Value::Null)),
            };
            // Rates with the same key count apart: ten in a second and a hundred in a minute.
            let before = self.rate[..index].iter().filter(|other| other.key == rate.key).count();
            policy.rates.push(rate.named(if before == 0 { name } else { format!("{name} #{before}") }));
        }
    }

    /// The dedup key that `event` has by these options; none: it is no repetition. Null is nothing: else all events that lack it were one.
    #[must_use]
    pub fn dedup_key(&self, event: &Value) -> Option<String> {
        self.dedup.as_ref()?.key.as_ref().and_then(|pointer| text_at(event, pointer))
    }

    /// The ordering key that `event` has by these options.
    #[must_use]
    pub fn ordering_key_of(&self, event: &Value) -> Option<String> {
        self.ordering_key.as_ref().and_then(|pointer| text_at(event, pointer))
    }

    /// # Errors
    /// What is wrong with it, for its author.
    pub fn check(&self) -> Result<(), String> {
        if self.priority.is_some_and(|priority| !(-PRIORITY_MAX..=PRIORITY_MAX).contains(&priority)) {
            return Err(format!("priority is from -{PRIORITY_MAX} to {PRIORITY_MAX}"));
        }
        self.tag.as_deref().map_or(Ok(()), check_tag)?;
        self.retry.as_ref().map_or(Ok(()), Retry::check)?;
        self.filter.as_ref().map_or(Ok(()), Filter::check).map_err(|fault| format!("filter: {fault}"))?;
        if self.rate.len() > RATES_MAX {
            return Err(format!("a trigger has at most {RATES_MAX} rates"));
        }
        self.rate.iter().try_for_each(RateLimit::check)?;
        if let Some(Batch { events_max, wait_ms }) = self.batch {
            if !(1..=BATCH_EVENTS_MAX).contains(&events_max) {
                return Err(format!("batch.events_max is from 1 to {BATCH_EVENTS_MAX}"));
            }
            within("batch.wait_ms", wait_ms, 1, BATCH_WAIT_MAX)?;
            if self.ordering_key.is_some() || self.rate.iter().any(|rate| rate.key.is_some()) {
                return Err("a batch has events of many keys: leave out `ordering_key` and keys of rates".to_owned());
            }
        }
        self.ordering_key.as_deref().map_or(Ok(()), check_pointer).map_err(|fault| format!("ordering_key: {fault}"))?;
        self.check_rest()
    }

    fn check_rest(&self) -> Result<(), String> {
        if let Some(dedup) = &self.dedup {
            dedup.key.as_deref().map_or(Ok(()), check_pointer).map_err(|fault| format!("dedup.key: {fault}"))?;
            within("dedup.window_ms", dedup.window_ms.unwrap_or(0), 0, DEDUP_WINDOW_MAX)?;
        }
        if let Some(alert) = &self.alert {
            within("alert.after_ms", alert.after_ms, 1_000, ALERT_AFTER_MAX)?;
        }
        if self.payload_bytes_max == Some(0) {
            return Err("payload_bytes_max is at least 1".to_owned());
        }
        if self.listeners.is_some_and(|listeners| !(1..=LISTENERS_MAX).contains(&listeners)) {
            return Err(format!("listeners is from 1 to {LISTENERS_MAX}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(value: Value) -> TriggerOptions {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn wrong_options_are_told() {
        for (wrong, expected) in [
            (json!({"priority": 1001}), "priority"),
            (json!({"tag": "a b"}), "tag"),
            (json!({"retry": {"attempts": 0}}), "retry.attempts"),
            (json!({"filter": {"all": [{"pointer": "x", "operator": "exists"}]}}), "JSON pointer"),
            (json!({"rate": [{"limit": 0, "per_ms": 1}]}), "rate.limit"),
            (json!({"batch": {"events_max": 0, "wait_ms": 10}}), "batch.events_max"),
            (json!({"batch": {"events_max": 2, "wait_ms": 60_001}}), "batch.wait_ms"),
            (json!({"batch": {"events_max": 2, "wait_ms": 10}, "ordering_key": "/a"}), "many keys"),
            (json!({"ordering_key": "a"}), "ordering_key"),
            (json!({"dedup": {"key": "a"}}), "dedup.key"),
            (json!({"alert": {"after_ms": 1, "script": "f/a/b"}}), "alert.after_ms"),
            (json!({"payload_bytes_max": 0}), "payload_bytes_max"),
            (json!({"listeners": 17}), "listeners"),
        ] {
            assert!(options(wrong.clone()).check().unwrap_err().contains(expected), "{wrong}");
        }
        assert!(serde_json::from_value::<TriggerOptions>(json!({"modes": "on"})).is_err());
        assert_eq!(options(json!({})).check(), Ok(()));
        assert!(options(json!({})).is_empty());
    }

    #[test]
    fn filters() {
        let filter: Filter = serde_json::from_value(json!({
            "all": [{"pointer": "/body/a", "operator": "equals", "value": 1}],
            "any": [{"pointer": "/kind", "operator": "equals", "value": "x"}, {"pointer": "/kind", "operator": "equals", "value": "y"}],
            "none": [{"pointer": "/body/skip", "operator": "exists"}],
        }))
        .unwrap();
        for (event, fits) in [
            (json!({"kind": "x", "body": {"a": 1}}), true),
            (json!({"kind": "z", "body": {"a": 1}}), false),
            (json!({"kind": "y", "body": {"a": 2}}), false),
            (json!({"kind": "y", "body": {"a": 1, "skip": null}}), false),
        ] {
            assert_eq!(filter.fits(&event), fits, "{event}");
        }
        assert!(Filter::default().fits(&json!(null)));
    }

    #[test]
    fn a_trigger_goes_before_the_manifest_and_keeps_its_rates() {
        let options = options(json!({
            "priority": 7, "tag": "gpu", "retry": {"attempts": 2}, "error_handler": "f/a/handler",
            "rate": [{"limit": 1, "per_ms": 10}, {"limit": 9, "per_ms": 1000}, {"limit": 1, "per_ms": 10, "key": "/body/id"}],
        }));
        let own = crate::rate::Rate { name: "rate f/a/b".to_owned(), interval_us: 1, burst: 1 };
        let mut policy = Policy { priority: 3, rates: vec![own], error_handler: Some("f/a/other".parse().unwrap()), ..Policy::default() };
        assert!(options.amends() && !TriggerOptions::default().amends());
        options.amend(&mut policy, "test f/a/t", &json!({"body": {"id": "x"}}));
        assert_eq!((policy.priority, &*policy.tag, policy.retry.as_ref().map(|retry| retry.attempts)), (7, "gpu", Some(2)));
        assert_eq!(policy.error_handler, Some("f/a/handler".parse().unwrap()));
        let names: Vec<&str> = policy.rates.iter().map(|rate| rate.name.as_str()).collect();
        assert_eq!(
            names,
            ["rate f/a/b", "rate trigger test f/a/t", "rate trigger test f/a/t #1", "rate trigger test f/a/t /body/id \"x\""]
        );
        let before = policy.clone();
        TriggerOptions::default().amend(&mut policy, "test f/a/t", &Value::Null);
        assert_eq!(policy, before, "what is not said stays");
    }

    #[test]
    fn keys_are_of_what_is_there() {
        let options = options(json!({"dedup": {"key": "/body/id"}, "ordering_key": "/body/of"}));
        let keys = |body: Value| {
            let event = json!({ "body": body });
            (options.dedup_key(&event), options.ordering_key_of(&event))
        };
        assert_eq!(keys(json!({"id": "1", "of": 1})), (Some("\"1\"".to_owned()), Some("1".to_owned())));
        assert_eq!(keys(json!({"id": null})), (None, None), "null is nothing, or all events without it were one");
        let (long, _) = keys(json!({"id": "x".repeat(10_000)}));
        assert!(long.is_some_and(|key| key.len() <= KEY_BYTES_MAX));
        assert_eq!(TriggerOptions::default().dedup_key(&json!({"body": {"id": 1}})), None);
        assert_ne!(short_key("a\0".to_owned()), "a\0");
    }

    #[test]
    fn modes_are_read_back() {
        for mode in Mode::ALL {
            assert_eq!((Mode::from_code(mode.code()), Mode::from_name(mode.name())), (Some(mode), Some(mode)));
        }
    }
}
