//! What one run may use. Units are last in each name; the defaults are the documented ones.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MIB: u64 = 1024 * 1024;

/// Bytes of a key of a script's state.
pub const STATE_KEY_BYTES_MAX: usize = 512;
/// Bytes of the text of one value of a script's state.
pub const STATE_VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Runs that stand above each other, each started by the one above it; the first that nobody's run started is not counted.
pub const CHILD_DEPTH_MAX: u32 = 16;
/// Runs that one attempt starts at most, and for which it waits at once.
pub const CHILDREN_MAX: usize = 1_000;
/// Bytes of the key by which a run knows a child again.
pub const CHILD_KEY_BYTES_MAX: usize = 255;

/// How long a start may be put off: any day of a year is near enough.
pub const START_DELAY_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Limits of one run of a script, capped by its workspace's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Metered instructions, roughly.
    pub fuel: u64,
    /// Linear memory and tables together.
    pub memory_bytes: u64,
    /// From the start of the attempt to its end, waits included.
    pub wall_ms: u64,
    pub log_bytes: u64,
    pub result_bytes: u64,
    pub arguments_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 40_000_000_000,
            memory_bytes: 256 * MIB,
            wall_ms: 60_000,
            log_bytes: MIB,
            result_bytes: 8 * MIB,
            arguments_bytes: 8 * MIB,
        }
    }
}

impl Limits {
    /// The most that any script may ask for on an installation that sets nothing else.
    pub const CEILING: Self = Self {
        fuel: 40_000_000_000_000,
        memory_bytes: 4096 * MIB,
        wall_ms: 24 * 3_600_000,
        log_bytes: 64 * MIB,
        result_bytes: 64 * MIB,
        arguments_bytes: 64 * MIB,
    };
}

/// What a manifest may say of limits: any of them; the rest are the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments_bytes: Option<u64>,
}

impl LimitsRequest {
    /// Defaults where nothing was asked, never above `ceiling`.
    #[must_use]
    pub fn resolve(&self, ceiling: &Limits) -> Limits {
        let default = Limits::default();
        let pick = |asked: Option<u64>, default: u64, ceiling: u64| asked.unwrap_or(default).min(ceiling);
        Limits {
            fuel: pick(self.fuel, default.fuel, ceiling.fuel),
            memory_bytes: pick(self.memory_bytes, default.memory_bytes, ceiling.memory_bytes),
            wall_ms: pick(self.wall_ms, default.wall_ms, ceiling.wall_ms),
            log_bytes: pick(self.log_bytes, default.log_bytes, ceiling.log_bytes),
            result_bytes: pick(self.result_bytes, default.result_bytes, ceiling.result_bytes),
            arguments_bytes: pick(self.arguments_bytes, default.arguments_bytes, ceiling.arguments_bytes),
        }
    }
}
