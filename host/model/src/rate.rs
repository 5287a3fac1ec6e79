//! How often runs may start.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::predicate::check_pointer;

/// The longest time that a rate may be given for.
const PERIOD_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// Starts that a rate may allow in its time.
const LIMIT_MAX: u32 = 1_000_000;

/// At most so many attempts of a script start in so much time. What comes faster is put off, not refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    pub limit: u32,
    pub per_ms: u64,
    /// How many may start at once after a pause. With 1, the default, they are spread evenly; with more, up to `limit + burst` start
    /// within the time after a pause.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub burst: u32,
    /// If given, the rate holds for each value at this JSON pointer into the arguments, not for the script as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
const fn is_one(burst: &u32) -> bool {
    *burst == 1
}

impl RateLimit {
    /// # Errors
    /// What is wrong with it, for the script's author.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(1..=LIMIT_MAX).contains(&self.limit) {
            return Err(format!("rate.limit is from 1 to {LIMIT_MAX}"));
        }
        if self.per_ms == 0 || Duration::from_millis(self.per_ms) > PERIOD_MAX {
            return Err(format!("rate.per_ms is from 1 to {}", PERIOD_MAX.as_millis()));
        }
        if !(1..=self.limit).contains(&self.burst) {
            return Err("rate.burst is from 1 to rate.limit".to_owned());
        }
        self.key.as_deref().map_or(Ok(()), check_pointer).map_err(|fault| format!("rate.key: {fault}"))
    }

    pub(crate) fn named(&self, name: String) -> Rate {
        let interval_us = (u128::from(self.per_ms) * 1000 / u128::from(self.limit)).max(1);
        Rate { name, interval_us: i64::try_from(interval_us).unwrap_or(i64::MAX), burst: self.burst }
    }
}

/// A rate that a run has to keep to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub name: String,
    /// Between two starts, in microseconds.
    pub interval_us: i64,
    pub burst: u32,
}

impl Rate {
    /// How long before its own place in the row a run may start.
    #[must_use]
    pub fn lead_us(&self) -> i64 {
        self.interval_us.saturating_mul(i64::from(self.burst) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_rates_are_told() {
        let fine = RateLimit { limit: 100, per_ms: 60_000, burst: 10, key: Some("/customer".to_owned()) };
        assert_eq!(fine.check(), Ok(()));
        assert_eq!(fine.named("x".to_owned()), Rate { name: "x".to_owned(), interval_us: 600_000, burst: 10 });
        for (wrong, expected) in [
            (RateLimit { limit: 0, ..fine.clone() }, "rate.limit"),
            (RateLimit { per_ms: 0, ..fine.clone() }, "rate.per_ms"),
            (RateLimit { per_ms: u64::MAX, ..fine.clone() }, "rate.per_ms"),
            (RateLimit { burst: 0, ..fine.clone() }, "rate.burst"),
            (RateLimit { burst: 101, ..fine.clone() }, "rate.burst"),
            (RateLimit { key: Some("customer".to_owned()), ..fine.clone() }, "JSON pointer"),
        ] {
            assert!(wrong.check().unwrap_err().contains(expected), "{wrong:?}");
        }
        let read: RateLimit = serde_json::from_str(r#"{"limit": 5, "per_ms": 1000}"#).unwrap();
        assert_eq!(read.burst, 1);
    }
}
