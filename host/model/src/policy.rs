//! How a script wants its runs dispatched: in which order, where, how many at once, and what happens when one fails.
//!
//! [`DispatchRequest`] is what a manifest says; [`Policy`] is what it comes to for one run.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    clock::Timestamp,
    outcome::{Outcome, OutcomeKind},
    path::ScriptPath,
    predicate::{Predicate, check_pointer},
    rate::{Rate, RateLimit},
};

/// Priorities are from minus this to this; the greater goes first.
pub const PRIORITY_MAX: i32 = 1000;
/// Tries that a policy may ask for.
pub const ATTEMPTS_MAX: u32 = 100;
/// The longest pause between two tries.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(24 * 3600);
/// Tries of a run that fails through no fault of its own, where the manifest says nothing.
const HOST_FAULT_ATTEMPTS: u32 = 3;
/// Characters of a tag.
const TAG_CHARACTERS_MAX: usize = 64;
/// Bytes of the value that a key is made of; a longer one is taken by its digest.
const KEY_VALUE_BYTES_MAX: usize = 256;
/// The longest time that a run may take, all its tries and pauses together.
const RUN_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// How the pause grows from one try to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    Constant,
    /// Doubles.
    #[default]
    Exponential,
}

/// When a failed attempt is followed by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Tries in all, the first included.
    pub attempts: u32,
    /// Before the second try.
    pub delay_ms: u64,
    pub backoff: Backoff,
    pub delay_max_ms: u64,
    /// Up to this much of a pause is added to it by chance, so that what failed together does not come back together. Per cent. No pause is
    /// longer than `delay_max_ms`.
    pub jitter_percent: u8,
    /// Outcomes that are tried again. A run whose node died is always tried again, without counting here.
    #[schemars(with = "Vec<String>")]
    pub outcomes: Vec<OutcomeKind>,
    /// If given, an `error` is tried again only where it fits: `/name`, `/message`, `/details/…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_if: Option<Predicate>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            delay_ms: 1_000,
            backoff: Backoff::default(),
            delay_max_ms: 300_000,
            jitter_percent: 20,
            outcomes: vec![OutcomeKind::Error, OutcomeKind::Timeout, OutcomeKind::HostFault],
            retry_if: None,
        }
    }
}

impl Retry {
    /// What holds where a manifest says nothing: only our own faults are tried again.
    fn unasked() -> Self {
        Self { attempts: HOST_FAULT_ATTEMPTS, outcomes: vec![OutcomeKind::HostFault], ..Self::default() }
    }

    /// # Errors
    /// What is wrong with it, for its author.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(1..=ATTEMPTS_MAX).contains(&self.attempts) {
            return Err(format!("retry.attempts is from 1 to {ATTEMPTS_MAX}"));
        }
        let longest_ms = u64::try_from(RETRY_DELAY_MAX.as_millis()).unwrap_or(u64::MAX);
        if self.delay_ms > longest_ms || self.delay_max_ms > longest_ms {
            return Err(format!("retry.delay_ms and retry.delay_max_ms are at most {longest_ms}"));
        }
        if self.jitter_percent > 100 {
            return Err("retry.jitter_percent is at most 100".to_owned());
        }
        if let Some(never) = self.outcomes.iter().find(|kind| !can_be_retried(**kind)) {
            return Err(format!("retry.outcomes: `{}` is never tried again", never.name()));
        }
        self.retry_if.as_ref().map_or(Ok(()), Predicate::check).map_err(|fault| format!("retry.retry_if: {fault}"))
    }

    fn wants(&self, outcome: &Outcome) -> bool {
        if !self.outcomes.contains(&outcome.kind) {
            return false;
        }
        match (&self.retry_if, &outcome.error) {
            (Some(predicate), Some(error)) if outcome.kind == OutcomeKind::Error => {
                serde_json::to_value(error).is_ok_and(|error| predicate.fits(&error))
            }
            _ => true,
        }
    }

    /// The pause after attempt number `attempt`. `chance` is from 0 to 65,535.
    fn delay(&self, attempt: u32, chance: u16) -> Duration {
        let base_ms = match self.backoff {
            Backoff::Constant => self.delay_ms,
            Backoff::Exponential => self.delay_ms.saturating_mul(1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX)),
        };
        let base_ms = u128::from(base_ms.min(self.delay_max_ms));
        let jitter_max_ms = base_ms * u128::from(self.jitter_percent) / 100;
        // At the cap it spreads below it.
        let least_ms = base_ms.min(u128::from(self.delay_max_ms).saturating_sub(jitter_max_ms));
        let delay_ms = least_ms + jitter_max_ms * u128::from(chance) / u128::from(u16::MAX);
        Duration::from_millis(u64::try_from(delay_ms).unwrap_or(self.delay_max_ms))
    }
}

/// What another try could change.
const fn can_be_retried(kind: OutcomeKind) -> bool {
    !matches!(
        kind,
        OutcomeKind::Ok
            | OutcomeKind::Skipped
            | OutcomeKind::InvalidArguments
            | OutcomeKind::Cancelled
            | OutcomeKind::Lost
            | OutcomeKind::Poisoned
    )
}

/// How many runs of a script may execute at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    pub limit: u32,
    /// If given, the limit holds for each value at this JSON pointer into the arguments, not for the script as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What a manifest says of dispatch; all of it may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DispatchRequest {
    /// From -1000 to 1000; of what is due, the greater goes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Only nodes that serve this tag run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The longest time from acceptance to the end, all tries and pauses together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub concurrency: Vec<Concurrency>,
    /// JSON pointer into the arguments: runs with equal values there execute one after another, in the order of their acceptance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_key: Option<String>,
    /// How often it may start; what comes faster is put off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate: Vec<RateLimit>,
    /// Path of a script that is started when a run has failed for good; else the workspace's is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub error_handler: Option<ScriptPath>,
}

/// Concurrency limits of one script, and rates.
const CONCURRENCY_MAX: usize = 4;

impl DispatchRequest {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// # Errors
    /// What is wrong with it, for the script's author.
    pub fn check(&self) -> Result<(), String> {
        if self.priority.is_some_and(|priority| priority.abs() > PRIORITY_MAX) {
            return Err(format!("priority is from -{PRIORITY_MAX} to {PRIORITY_MAX}"));
        }
        if let Some(tag) = &self.tag {
            check_tag(tag)?;
        }
        if self.run_ms.is_some_and(|ms| ms == 0 || Duration::from_millis(ms) > RUN_TIME_MAX) {
            return Err(format!("run_ms is from 1 to {}", RUN_TIME_MAX.as_millis()));
        }
        if let Some(retry) = &self.retry {
            retry.check()?;
        }
        if self.concurrency.len() > CONCURRENCY_MAX {
            return Err(format!("a script has at most {CONCURRENCY_MAX} concurrency limits"));
        }
        for limit in &self.concurrency {
            if limit.limit == 0 {
                return Err("a concurrency limit is at least 1".to_owned());
            }
            limit.key.as_deref().map_or(Ok(()), check_pointer).map_err(|fault| format!("concurrency.key: {fault}"))?;
        }
        for (index, limit) in self.concurrency.iter().enumerate() {
            // It would wait for itself.
            if self.concurrency[..index].iter().any(|other| other.key == limit.key) {
                return Err("two concurrency limits have the same `key`; one of them is enough".to_owned());
            }
        }
        if self.rate.len() > CONCURRENCY_MAX {
            return Err(format!("a script has at most {CONCURRENCY_MAX} rates"));
        }
        self.rate.iter().try_for_each(RateLimit::check)?;
        self.ordering_key.as_deref().map_or(Ok(()), check_pointer).map_err(|fault| format!("ordering_key: {fault}"))
    }

    /// Whether [`DispatchRequest::policy`] looks at the arguments.
    #[must_use]
    pub fn needs_arguments(&self) -> bool {
        !self.concurrency.is_empty() || self.ordering_key.is_some() || self.rate.iter().any(|rate| rate.key.is_some())
    }

    /// Rates with the same key count apart: ten in a second and a hundred in a minute.
    fn rate_name(&self, index: usize, name: String) -> String {
        let before = self.rate[..index].iter().filter(|other| other.key == self.rate[index].key).count();
        if before == 0 { name } else { format!("{name} #{before}") }
    }

    /// The policy of one run of the script at `path` with `arguments`, which is null where nobody has to read them. Its time begins at `due_at`.
    #[must_use]
    pub fn policy(&self, path: &str, arguments: &Value, due_at: Timestamp) -> Policy {
        let mut keys = Vec::new();
        // In this order: what waits for its turn holds no place of those that could run.
        if let Some(pointer) = &self.ordering_key
            && let Some(value) = arguments.pointer(pointer)
        {
            keys.push(Key::ordering(path, pointer, value));
        }
        let (by_value, of_script): (Vec<_>, Vec<_>) = self.concurrency.iter().partition(|limit| limit.key.is_some());
        let name = |what: &str, key: &Option<String>| match key {
            None => format!("{what} {path}"),
            Some(pointer) => key_name(path, what, pointer, arguments.pointer(pointer).unwrap_or(&Value::Null)),
        };
        for limit in by_value.into_iter().chain(of_script) {
            keys.push(Key { name: name("limit", &limit.key), limit: limit.limit });
        }
        Policy {
            priority: self.priority.unwrap_or(0),
            tag: self.tag.as_deref().unwrap_or_default().into(),
            retry: self.retry.clone(),
            ends_by: self.run_ms.map(|ms| due_at.plus(Duration::from_millis(ms))),
            keys,
            rates: self.rate.iter().enumerate().map(|(index, rate)| rate.named(self.rate_name(index, name("rate", &rate.key)))).collect(),
            error_handler: self.error_handler.clone(),
        }
    }
}

/// # Errors
/// What is wrong with a tag, for whoever chose it.
pub fn check_tag(tag: &str) -> Result<(), String> {
    let sane = (1..=TAG_CHARACTERS_MAX).contains(&tag.len())
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if sane { Ok(()) } else { Err(format!("a tag has 1 to {TAG_CHARACTERS_MAX} letters, digits, `-`, `_` or `.`")) }
}

pub(crate) fn key_name(path: &str, what: &str, pointer: &str, value: &Value) -> String {
    let text = value.to_string();
    let value = if text.len() > KEY_VALUE_BYTES_MAX { crate::Digest::of(text.as_bytes()).to_string() } else { text };
    format!("{what} {path} {pointer} {value}")
}

/// What the names of ordering keys begin with.
const ORDER: &str = "order";

/// Something that at most `limit` runs of a workspace hold at once; a run has it from the moment that it may execute to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub name: String,
    pub limit: u32,
}

impl Key {
    /// One run of the script at `path` at a time for each `value` of `source`, which says where it is from.
    #[must_use]
    pub fn ordering(path: &str, source: &str, value: &Value) -> Self {
        Self { name: key_name(path, ORDER, source, value), limit: 1 }
    }

    /// Whether it keeps an order; these come first among the keys of a run.
    #[must_use]
    pub fn is_ordering(&self) -> bool {
        self.name.strip_prefix(ORDER).is_some_and(|rest| rest.starts_with(' '))
    }
}

/// How one run is dispatched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub priority: i32,
    /// Empty: any node.
    pub tag: Arc<str>,
    pub retry: Option<Retry>,
    /// Past it the run is over, whatever it is at.
    pub ends_by: Option<Timestamp>,
    /// Taken in this order.
    pub keys: Vec<Key>,
    /// Each attempt takes its place in all of them.
    pub rates: Vec<Rate>,
    /// Started with the failure where a run has failed for good.
    pub error_handler: Option<ScriptPath>,
}

impl Policy {
    /// How long to wait before the next try of a run that ended so after `tries`; none if it is over. Attempts whose node died are no
    /// tries. `chance` is from 0 to 65,535.
    #[must_use]
    pub fn next_try(&self, outcome: &Outcome, tries: u32, now: Timestamp, chance: u16) -> Option<Duration> {
        let unasked;
        let retry = match &self.retry {
            Some(retry) => retry,
            None if outcome.kind == OutcomeKind::HostFault => {
                unasked = Retry::unasked();
                &unasked
            }
            None => return None,
        };
        if tries >= retry.attempts || !retry.wants(outcome) {
            return None;
        }
        let delay = retry.delay(tries, chance);
        (self.ends_by.is_none_or(|end| now.plus(delay) < end)).then_some(delay)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{outcome::RunError, predicate::Operator};

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    fn failed(kind: OutcomeKind, name: &str) -> Outcome {
        Outcome::failed(kind, RunError::new(name, "…"))
    }

    fn delays(policy: &Policy, outcome: &Outcome, chance: u16) -> Vec<u64> {
        (1..)
            .map_while(|attempt| policy.next_try(outcome, attempt, NOW, chance))
            .map(|delay| u64::try_from(delay.as_millis()).unwrap())
            .collect()
    }

    #[test]
    fn pauses_grow_and_are_capped() {
        let retry = Retry { attempts: 6, delay_max_ms: 5_000, ..Retry::default() };
        let policy = Policy { retry: Some(retry.clone()), ..Policy::default() };
        assert_eq!(delays(&policy, &failed(OutcomeKind::Error, "E"), 0), [1000, 2000, 4000, 4000, 4000]);
        assert_eq!(delays(&policy, &failed(OutcomeKind::Error, "E"), u16::MAX), [1200, 2400, 4800, 5000, 5000]);
        let constant = Policy { retry: Some(Retry { backoff: Backoff::Constant, ..retry.clone() }), ..Policy::default() };
        assert_eq!(delays(&constant, &failed(OutcomeKind::Timeout, "timeout"), 0), [1000; 5]);
        let long = Policy { retry: Some(Retry { attempts: 100, delay_max_ms: 7, ..retry }), ..Policy::default() };
        assert_eq!(delays(&long, &failed(OutcomeKind::Error, "E"), u16::MAX), [7; 99], "no shift overflows");
    }

    #[test]
    fn equal_limits_are_refused_and_equal_rates_count_apart() {
        let request = |value: Value| serde_json::from_value::<DispatchRequest>(value).unwrap();
        for (concurrency, fits) in [
            (json!([{"limit": 1}, {"limit": 1}]), false),
            (json!([{"limit": 1, "key": "/a"}, {"limit": 9, "key": "/a"}]), false),
            (json!([{"limit": 1}, {"limit": 1, "key": "/a"}, {"limit": 1, "key": "/b"}]), true),
        ] {
            assert_eq!(request(json!({"concurrency": concurrency})).check().is_ok(), fits, "{concurrency}");
        }
        let rates = request(
            json!({"rate": [{"limit": 1, "per_ms": 1000}, {"limit": 10, "per_ms": 60000}, {"limit": 1, "per_ms": 1000, "key": "/a"}]}),
        );
        rates.check().unwrap();
        let policy = rates.policy("f/a/b", &json!({"a": 1}), NOW);
        let names: std::collections::HashSet<_> = policy.rates.iter().map(|rate| &rate.name).collect();
        assert_eq!(names.len(), 3, "{names:?}");
    }

    #[test]
    fn only_what_was_asked_is_tried_again() {
        let unasked = Policy::default();
        assert_eq!(delays(&unasked, &failed(OutcomeKind::Error, "E"), 0), [] as [u64; 0]);
        assert_eq!(delays(&unasked, &failed(OutcomeKind::HostFault, "host_fault"), 0), [1000, 2000]);
        let retry_if = Predicate { pointer: "/name".into(), operator: Operator::Equals, value: json!("RateLimited") };
        let policy = Policy { retry: Some(Retry { retry_if: Some(retry_if), ..Retry::default() }), ..Policy::default() };
        assert_eq!(delays(&policy, &failed(OutcomeKind::Error, "TypeError"), 0).len(), 0);
        assert_eq!(delays(&policy, &failed(OutcomeKind::Error, "RateLimited"), 0).len(), 2);
        assert_eq!(delays(&policy, &failed(OutcomeKind::Timeout, "timeout"), 0).len(), 2, "the predicate is about errors");
        assert_eq!(delays(&policy, &failed(OutcomeKind::OutOfFuel, "out_of_fuel"), 0).len(), 0);
    }

    #[test]
    fn the_end_of_the_run_counts() {
        let policy = Policy { retry: Some(Retry { attempts: 2, ..Retry::default() }), ..Policy::default() };
        let error = failed(OutcomeKind::Error, "E");
        assert_eq!(policy.next_try(&error, 1, NOW, 0), Some(Duration::from_secs(1)));
        assert_eq!(policy.next_try(&error, 2, NOW, 0), None);
        let short = Policy { ends_by: Some(NOW.plus(Duration::from_millis(500))), ..policy };
        assert_eq!(short.next_try(&error, 1, NOW, 0), None, "the next try would come too late");
    }

    #[test]
    fn keys_are_of_the_script_and_the_value() {
        let request = DispatchRequest {
            concurrency: vec![Concurrency { limit: 5, key: None }, Concurrency { limit: 2, key: Some("/customer".into()) }],
            ordering_key: Some("/order/id".into()),
            ..DispatchRequest::default()
        };
        let policy = request.policy("f/a/b", &json!({"customer": "x y", "order": {"id": 7}}), NOW);
        let names: Vec<_> = policy.keys.iter().map(|key| (key.name.as_str(), key.limit)).collect();
        assert_eq!(names, [("order f/a/b /order/id 7", 1), ("limit f/a/b /customer \"x y\"", 2), ("limit f/a/b", 5)]);
        let none = request.policy("f/a/b", &json!({}), NOW);
        assert_eq!(none.keys.len(), 2, "what has no ordering key waits for nobody");
        let long = request.policy("f/a/b", &json!({"customer": "x".repeat(10_000)}), NOW);
        assert!(long.keys[0].name.len() < 200);
        let ordering: Vec<_> = policy.keys.iter().map(Key::is_ordering).collect();
        assert_eq!(ordering, [true, false, false]);
    }

    #[test]
    fn rates_are_of_the_script_or_the_value() {
        let request: DispatchRequest = serde_json::from_value(json!({
            "rate": [{"limit": 10, "per_ms": 1000}, {"limit": 1, "per_ms": 1000, "key": "/customer"}],
            "error_handler": "f/ops/failed",
        }))
        .unwrap();
        assert!(request.needs_arguments() && request.check().is_ok());
        let policy = request.policy("f/a/b", &json!({"customer": 7}), NOW);
        let rates: Vec<_> = policy.rates.iter().map(|rate| (rate.name.as_str(), rate.interval_us)).collect();
        assert_eq!(rates, [("rate f/a/b", 100_000), ("rate f/a/b /customer 7", 1_000_000)]);
        assert_eq!(policy.error_handler.unwrap().as_str(), "f/ops/failed");
        assert!(serde_json::from_value::<DispatchRequest>(json!({"error_handler": "../x"})).is_err());
    }

    #[test]
    fn wrong_requests_are_told() {
        let wrong = |text: Value| {
            serde_json::from_value::<DispatchRequest>(text)
                .map_err(|error| error.to_string())
                .and_then(|request| request.check())
                .unwrap_err()
        };
        assert!(wrong(json!({"priority": 1001})).contains("priority"));
        assert!(wrong(json!({"tag": "a b"})).contains("tag"));
        assert!(wrong(json!({"run_ms": 0})).contains("run_ms"));
        assert!(wrong(json!({"retry": {"attempts": 0}})).contains("retry.attempts"));
        assert!(wrong(json!({"retry": {"attempt": 1}})).contains("attempt"));
        assert!(wrong(json!({"retry": {"outcomes": ["cancelled"]}})).contains("never tried again"));
        assert!(wrong(json!({"retry": {"outcomes": ["nonsense"]}})).contains("nonsense"));
        assert!(wrong(json!({"concurrency": [{"limit": 0}]})).contains("at least 1"));
        assert!(wrong(json!({"ordering_key": "customer"})).contains("JSON pointer"));
    }
}
