//! Lines of a run's log.

use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, json::JsonText};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// The `log` interface, `console` among its users.
    Log,
    Stdout,
    Stderr,
    /// `output.write`: partial results.
    Output,
    /// `output.progress`.
    Progress,
    /// The host itself: a limit that was met, a line that was cut.
    Host,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    pub at: Timestamp,
    pub level: LogLevel,
    pub stream: LogStream,
    pub message: String,
    /// A JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<JsonText>,
}

/// Where an entry stands in the log of a run. In the order in which things happened, over all attempts, and never given twice: what a
/// follower has seen and what it has not is one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition(i64);

impl LogPosition {
    /// Before everything.
    pub const START: Self = Self(0);
    /// Behind everything: the greatest number that JavaScript holds exactly.
    pub const END: Self = Self((1 << 53) - 1);
    const ENTRY_BITS: u32 = 32;

    /// That of an entry, from 0, of what was logged when the run was begun for the time `begun`, from 1.
    #[must_use]
    pub const fn of(begun: u32, entry: u32) -> Self {
        Self(((begun as i64) << Self::ENTRY_BITS) | entry as i64)
    }

    #[must_use]
    pub const fn begun(self) -> u32 {
        (self.0 >> Self::ENTRY_BITS) as u32
    }

    #[must_use]
    pub const fn entry(self) -> u32 {
        (self.0 & (u32::MAX as i64)) as u32
    }

    /// So many entries later in the same attempt.
    #[must_use]
    pub fn plus(self, entries: usize) -> Self {
        Self::of(self.begun(), self.entry().saturating_add(u32::try_from(entries).unwrap_or(u32::MAX)))
    }

    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// None for a number outside of [`Self::START`] to [`Self::END`].
    #[must_use]
    pub const fn from_number(number: i64) -> Option<Self> {
        if Self::START.0 <= number && number <= Self::END.0 { Some(Self(number)) } else { None }
    }
}

impl LogEntry {
    /// What the entry counts against the log limit.
    #[must_use]
    pub fn charge_bytes(&self) -> usize {
        /// Time, level and stream.
        const OVERHEAD_BYTES: usize = 32;
        OVERHEAD_BYTES + self.message.len() + self.fields.as_ref().map_or(0, |fields| fields.as_str().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_in_the_order_of_events() {
        let positions = [(1, 0), (1, 1), (1, u32::MAX), (2, 0), (2, 7)].map(|(begun, entry)| LogPosition::of(begun, entry));
        assert!(positions.is_sorted() && positions[0] > LogPosition::START && positions[4] < LogPosition::END);
        for position in positions {
            assert_eq!(LogPosition::of(position.begun(), position.entry()), position);
            assert_eq!(LogPosition::from_number(position.number()), Some(position));
        }
        assert_eq!(LogPosition::of(2, 7).plus(3), LogPosition::of(2, 10));
        assert_eq!(LogPosition::of(2, 7).plus(usize::MAX), LogPosition::of(2, u32::MAX), "never into the next attempt");
        assert_eq!(LogPosition::from_number(-1), None);
        assert_eq!(LogPosition::from_number(LogPosition::END.number() + 1), None);
    }
}
