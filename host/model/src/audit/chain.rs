//! Checking a chain: entry by entry, in order, from a link that is known.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::Entry;
use crate::Digest;

/// An entry by its number and hash, written `N:<64 hex digits>`: whoever has noted one knows all entries up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub number: u64,
    pub hash: Digest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry is named by its number and hash, N:<64 hex digits>")]
pub struct InvalidLink;

impl Link {
    /// Before the first entry.
    pub const START: Self = Self { number: 0, hash: Digest::from_bytes([0; 32]) };
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash.hex())
    }
}

impl FromStr for Link {
    type Err = InvalidLink;

    fn from_str(text: &str) -> Result<Self, InvalidLink> {
        let (number, hash) = text.split_once(':').ok_or(InvalidLink)?;
        let hash = hash.strip_prefix("sha256:").unwrap_or(hash);
        let hash = format!("sha256:{hash}").parse().map_err(|_| InvalidLink)?;
        Ok(Self { number: number.parse().map_err(|_| InvalidLink)?, hash })
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What is wrong with a chain, by the number of the entry where it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("entry {0} was changed: its hash is not that of what it says")]
    Changed(u64),
    #[error("entry {0} does not follow the one before it: one of the two was put in the place of another")]
    Replaced(u64),
    #[error("entries {from} to {to} are missing")]
    Missing { from: u64, to: u64 },
    #[error("entry {0} is not in its place, or is there twice")]
    Misplaced(u64),
    #[error("entry {0} is of another chain")]
    Foreign(u64),
    #[error("entry {0} is not the one that was noted: it, or one before it, was put in the place of another")]
    NotAsNoted(u64),
    #[error("entries after {last} are missing: there were {noted} at least")]
    CutOff { last: u64, noted: u64 },
}

/// Follows a chain.
pub struct Verifier {
    last: Link,
    /// The workspace of the first entry, or nil: all others are of the same.
    chain: Option<Uuid>,
    noted: Vec<Link>,
}

impl Verifier {
    /// From behind `start`, which is taken as it is. `noted` are entries that somebody remembers; those before the start say nothing.
    #[must_use]
    pub fn new(start: Link, noted: impl IntoIterator<Item = Link>) -> Self {
        Self { last: start, chain: None, noted: noted.into_iter().collect() }
    }

    /// The last entry that was found to be right.
    #[must_use]
    pub const fn last(&self) -> Link {
        self.last
    }

    /// # Errors
    /// What is wrong with this entry, or missing before it.
    pub fn add(&mut self, entry: &Entry) -> Result<(), Broken> {
        self.check_noted()?;
        let expected = self.last.number + 1;
        if entry.number > expected {
            return Err(Broken::Missing { from: expected, to: entry.number - 1 });
        }
        if entry.number < expected {
            return Err(Broken::Misplaced(entry.number));
        }
        if entry.computed() != entry.hash {
            return Err(Broken::Changed(entry.number));
        }
        if entry.previous != self.last.hash {
            return Err(Broken::Replaced(entry.number));
        }
        let chain = entry.record.workspace.map_or(Uuid::nil(), |workspace| workspace.0);
        if *self.chain.get_or_insert(chain) != chain {
            return Err(Broken::Foreign(entry.number));
        }
        self.last = entry.link();
        self.check_noted()
    }

    /// There are no more entries.
    ///
    /// # Errors
    /// If the entry that was noted, or one before it, is missing.
    pub fn finish(&self) -> Result<(), Broken> {
        self.check_noted()?;
        match self.noted.iter().find(|noted| noted.number > self.last.number) {
            Some(noted) => Err(Broken::CutOff { last: self.last.number, noted: noted.number }),
            None => Ok(()),
        }
    }

    fn check_noted(&self) -> Result<(), Broken> {
        match self.noted.iter().find(|noted| noted.number == self.last.number && noted.hash != self.last.hash) {
            Some(noted) => Err(Broken::NotAsNoted(noted.number)),
            None => Ok(()),
        }
    }
}
