//! How a trigger fares.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What a seat's listener is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatState {
    /// No node has it.
    #[default]
    Free,
    /// It connects.
    Starting,
    Listening,
    /// It failed and tries again.
    BackingOff,
    /// What is configured cannot work; it is tried at long pauses, and when it is changed.
    Misconfigured,
    /// The queue has no room; it takes nothing for a while.
    Paused,
}

impl SeatState {
    pub const ALL: [Self; 6] = [Self::Free, Self::Starting, Self::Listening, Self::BackingOff, Self::Misconfigured, Self::Paused];

    /// As it is stored.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::Free => 0,
            Self::Starting => 1,
            Self::Listening => 2,
            Self::BackingOff => 3,
            Self::Misconfigured => 4,
            Self::Paused => 5,
        }
    }

    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

/// How one seat of a trigger fares, as its listener said last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatStatus {
    pub state: SeatState,
    pub since: Timestamp,
    /// The last one, also after it was overcome.
    pub error: Option<String>,
    pub error_at: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    pub next_try_at: Option<Timestamp>,
    pub last_event_at: Option<Timestamp>,
    /// Events that were acknowledged since the trigger was made.
    pub events: u64,
    /// See [`Host::lag`](super::Host::lag).
    pub lag_events: Option<u64>,
    /// Since when it does not hear although it is to, but for moments between failures; none: it hears.
    pub failing_since: Option<Timestamp>,
    /// When its alert went out for this failure.
    pub alerted_at: Option<Timestamp>,
}
