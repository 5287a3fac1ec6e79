//! What a workspace may use: limits that hold for a minute, a day or at any time. A plan is a named set of them; a workspace names a plan, and may
//! have some of its own in their place. What is not limited is not counted.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The greatest limit that can be set: more is none.
pub const QUOTA_MAX: u64 = 1 << 62;

/// Characters of a plan's name.
pub const PLAN_NAME_MAX: usize = 64;

macro_rules! quotas {
    ($($(#[doc = $doc:literal])* $field:ident;)*) => {
        /// All limits; none is without limit. Unknown names are errors: a misspelt limit must not be silently ignored.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Quotas {
            $($(#[doc = $doc])* pub $field: Option<u64>,)*
        }

        impl Quotas {
            /// Names of all limits, in their order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($field),)*];

            /// The same with what each limits, in a sentence, behind a space.
            pub const DESCRIBED: &'static [(&'static str, &'static str)] = &[$((stringify!($field), concat!($($doc),*)),)*];

            /// Whether there is none at all, which is asked for every run.
            #[must_use]
            pub fn is_unlimited(&self) -> bool {
                $(self.$field.is_none())&&*
            }

            fn values(&self) -> Vec<(&'static str, Option<u64>)> {
                vec![$((stringify!($field), self.$field)),*]
            }
        }
    };
}

quotas! {
    /// Runs that are accepted in one minute of the clock.
    runs_per_minute;
    /// Runs that are accepted in one day, UTC.
    runs_per_day;
    /// Runs that execute at once, on all nodes together.
    running_runs;
    /// Fuel that attempts use in one day.
    fuel_per_day;
    /// Bytes of code, state, resources, variables and triggers; for who writes objects or databases of SQLite, of these too.
    stored_bytes;
    /// Paths at which something is deployed.
    scripts;
    /// Triggers that are configured, whatever their mode.
    triggers;
    /// Bytes that scripts send and receive in one day.
    outbound_bytes_per_day;
    /// Bytes that scripts log in one day.
    log_bytes_per_day;
    /// Bytes of arguments, events and results of runs in one day.
    run_bytes_per_day;
}

/// Limits of one workspace in the place of its plan's, by name; null is without limit.
pub type Overrides = Map<String, Value>;

/// The value that takes an override back, so that the plan's limit holds again.
const AS_THE_PLAN: &str = "plan";

/// Overrides with those of `patch` in their place; `"plan"` takes one back.
///
/// # Errors
/// If a name is unknown or its value is not possible.
pub fn patched(overrides: &Overrides, patch: &Overrides) -> Result<Overrides, InvalidQuotas> {
    let mut all = overrides.clone();
    for (name, limit) in patch {
        if limit.as_str() == Some(AS_THE_PLAN) && Quotas::NAMES.contains(&name.as_str()) {
            all.remove(name);
        } else {
            // One by one, so that what a newer release left there is no error of whoever sends something else.
            Quotas::parse(&Overrides::from_iter([(name.clone(), limit.clone())]))?;
            all.insert(name.clone(), limit.clone());
        }
    }
    Ok(all)
}

/// Why limits are not taken; for whoever sent them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidQuotas(pub String);

impl Quotas {
    /// From what was sent, by name; null is without limit.
    ///
    /// # Errors
    /// If a name is unknown or its value is not possible.
    pub fn parse(object: &Overrides) -> Result<Self, InvalidQuotas> {
        let quotas: Self = serde_json::from_value(Value::Object(object.clone())).map_err(|error| InvalidQuotas(error.to_string()))?;
        match quotas.values().into_iter().find(|(_, limit)| limit.is_some_and(|limit| limit > QUOTA_MAX)) {
            Some((name, _)) => Err(InvalidQuotas(format!("{name}: at most {QUOTA_MAX}, or null for no limit"))),
            None => Ok(quotas),
        }
    }

    /// These with those of `overrides` in their place.
    ///
    /// # Errors
    /// As [`Quotas::parse`].
    pub fn with(&self, overrides: &Overrides) -> Result<Self, InvalidQuotas> {
        let mut all: Overrides = self.values().into_iter().map(|(name, limit)| (name.to_owned(), Value::from(limit))).collect();
        all.extend(overrides.iter().map(|(name, limit)| (name.clone(), limit.clone())));
        Self::parse(&all)
    }

    /// From what was stored, perhaps by a newer release whose further limits mean nothing here.
    ///
    /// # Errors
    /// If it is not an object of limits.
    pub fn stored(plan: Option<&str>, overrides: &str) -> serde_json::Result<Self> {
        let mut all = plan.map(serde_json::from_str::<Overrides>).transpose()?.unwrap_or_default();
        all.extend(serde_json::from_str::<Overrides>(overrides)?);
        all.retain(|name, _| Self::NAMES.contains(&name.as_str()));
        serde_json::from_value(Value::Object(all))
    }
}

/// Whether `name` can be that of a workspace or of a plan: it is part of URLs.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_of_names = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=PLAN_NAME_MAX).contains(&name.len())
        && name.bytes().all(is_of_names)
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

/// What [`is_name`] asks for, in words.
pub const NAME_RULE: &str = "1 to 64 of the letters a-z, digits, `-` and `_`, and a letter or a digit first";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Overrides {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn overrides_take_the_place_of_a_plans() {
        let plan = Quotas::parse(&object(json!({"runs_per_day": 100, "scripts": 5}))).unwrap();
        let check = |overrides: Value, expected: Value| {
            assert_eq!(plan.with(&object(overrides)).unwrap(), Quotas::parse(&object(expected)).unwrap());
        };
        check(json!({}), json!({"runs_per_day": 100, "scripts": 5}));
        check(json!({"scripts": 7}), json!({"runs_per_day": 100, "scripts": 7}));
        check(json!({"scripts": null, "triggers": 0}), json!({"runs_per_day": 100, "triggers": 0}));
        for bad in [json!({"runs_per_dai": 1}), json!({"scripts": -1}), json!({"scripts": "5"}), json!({"scripts": QUOTA_MAX + 1})] {
            assert!(plan.with(&object(bad.clone())).is_err(), "{bad}");
        }
        assert!(Quotas::default().is_unlimited() && !plan.is_unlimited());
    }

    #[test]
    fn overrides_are_patched_by_name() {
        let before = object(json!({"scripts": 5, "of_the_future": "x"}));
        let check = |patch: Value, expected: Value| assert_eq!(patched(&before, &object(patch)).unwrap(), object(expected));
        check(json!({}), json!({"scripts": 5, "of_the_future": "x"}));
        check(json!({"scripts": "plan", "triggers": null}), json!({"triggers": null, "of_the_future": "x"}));
        for bad in [json!({"scripts": "none"}), json!({"of_the_future": 1}), json!({"of_the_future": "plan"})] {
            assert!(patched(&before, &object(bad.clone())).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_stored_is_read_without_what_is_not_known() {
        let stored = Quotas::stored(Some(r#"{"scripts": 5, "runs_per_day": 9, "of_the_future": "x"}"#), r#"{"scripts": null}"#).unwrap();
        assert_eq!(stored, Quotas { runs_per_day: Some(9), ..Quotas::default() });
        assert_eq!(Quotas::stored(None, "{}").unwrap(), Quotas::default());
        assert!(Quotas::stored(Some("[]"), "{}").is_err());
    }

    #[test]
    fn names() {
        for good in ["a", "0", "acme-corp_2", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "_a", "A", "a b", "a/b", "ä", "a.b", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
