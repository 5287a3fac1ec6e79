//! Identifiers. All are UUIDv7: their order is their age, and history is partitioned by it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{clock::Timestamp, random};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id whose time part is `now`.
            pub fn new(now: Timestamp) -> Self {
                Self(v7(now))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.as_hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id! {
    /// A tenant. Immutable, unlike the workspace's name.
    WorkspaceId
}
id! {
    /// One accepted request to execute a version.
    RunId
}
impl RunId {
    /// Greater than that of any run.
    pub const MAX: Self = Self(Uuid::max());

    /// Less or equal to the id of every run that was accepted at `at` or later, greater than those of earlier ones.
    #[must_use]
    pub fn first_of(at: Timestamp) -> Self {
        Self(v7_with(at, [0; 16]))
    }

    /// Less or equal to the id of every run that was accepted in the same second as this one: it says that much of it and no more.
    #[must_use]
    pub fn to_the_second(self) -> Self {
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&self.0.as_bytes()[..6]);
        let seconds = i64::try_from(u64::from_be_bytes(millis) / 1000).unwrap_or(0);
        Self::first_of(Timestamp::from_micros(seconds * 1_000_000))
    }

    /// The greatest of those that are less: what follows it in a list begins with this one.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(Uuid::from_u128(self.0.as_u128().saturating_sub(1)))
    }
}

id! {
    /// One API token.
    TokenId
}
impl TokenId {
    /// Of whoever shows none: a trigger that starts runs of its own.
    pub const NONE: Self = Self(Uuid::nil());
}
id! {
    /// One life of one node that listens to others.
    ListenerId
}
id! {
    /// One entry of the audit log.
    AuditId
}

id! {
    /// One trigger that is configured. Immutable, unlike what it does; a later one at the same path has another.
    TriggerId
}
id! {
    /// An event of a trigger that started no run.
    TriggerEventId
}

id! {
    /// One HTTP request, in logs and problem details.
    RequestId
}

fn v7(now: Timestamp) -> Uuid {
    v7_with(now, random::bytes())
}

fn v7_with(now: Timestamp, mut bytes: [u8; 16]) -> Uuid {
    let micros = u64::try_from(now.micros()).unwrap_or(0);
    bytes[..6].copy_from_slice(&(micros / 1000).to_be_bytes()[2..]);
    // RFC 9562, method 3: the sub-millisecond part goes into the 12 bits after the version, so ids of one millisecond still sort by age.
    let fraction = u16::try_from((micros % 1000) * 4096 / 1000).unwrap_or(0);
    bytes[6] = 0x70 | u8::try_from(fraction >> 8).unwrap_or(0);
    bytes[7] = fraction.to_be_bytes()[1];
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_v7_and_sort_by_time_below_the_millisecond() {
        let mut last = RunId::new(Timestamp::from_micros(1_700_000_000_000_000));
        assert_eq!(last.0.get_version_num(), 7);
        for step in 1..2000 {
            let next = RunId::new(Timestamp::from_micros(1_700_000_000_000_000 + step * 7));
            assert!(next > last, "{next} after {last}");
            last = next;
        }
        assert_eq!(last.to_string().parse::<RunId>().unwrap(), last);
    }

    #[test]
    fn a_second_begins_before_all_that_is_in_it() {
        for micros in [0, 1, 999_999, 1_700_000_000_000_000, 1_700_000_000_999_999] {
            let id = RunId::new(Timestamp::from_micros(micros));
            let second = id.to_the_second();
            assert!(second <= id && second == RunId::first_of(Timestamp::from_micros(micros / 1_000_000 * 1_000_000)), "{micros}");
            assert_eq!(second.to_the_second(), second);
            assert!(id.before() < id && id.before().0.as_u128() + 1 == id.0.as_u128(), "{micros}");
        }
    }

    #[test]
    fn the_first_of_a_time_is_between_those_before_and_those_since() {
        for micros in (1_700_000_000_000_000..1_700_000_000_003_000).step_by(7) {
            let (at, before) = (Timestamp::from_micros(micros), Timestamp::from_micros(micros - 1));
            assert!(RunId::new(before) < RunId::first_of(at) && RunId::first_of(at) <= RunId::new(at), "{micros}");
        }
    }
}
