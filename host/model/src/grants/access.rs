//! Reading, or writing too.

use std::{fmt, str::FromStr};

use super::{InvalidGrant, KeyPrefix, PathPattern, text::as_text};
use crate::auth::Action;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    Read,
    /// And read.
    Write,
}

impl Mode {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    pub(super) const fn action(self) -> Action {
        match self {
            Self::Read => Action::Read,
            Self::Write => Action::Write,
        }
    }
}

/// What may be done with what, as text `read f/demo/database`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access<T> {
    pub mode: Mode,
    pub of: T,
}

as_text!(Access<PathPattern>);
as_text!(Access<KeyPrefix>);

impl Access<PathPattern> {
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.mode >= other.mode && self.of.covers(&other.of)
    }

    /// As [`super::Grant::shared`].
    pub(super) fn shared(&self, other: &Self) -> Vec<Self> {
        Self::all(self.mode.min(other.mode), self.of.shared(&other.of))
    }
}

impl Access<KeyPrefix> {
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.mode >= other.mode && self.of.covers(&other.of)
    }

    /// As [`super::Grant::shared`].
    pub(super) fn shared(&self, other: &Self) -> Vec<Self> {
        Self::all(self.mode.min(other.mode), self.of.shared(&other.of))
    }
}

impl<T> Access<T> {
    fn all(mode: Mode, of: Vec<T>) -> Vec<Self> {
        of.into_iter().map(|of| Self { mode, of }).collect()
    }
}

impl<T: FromStr<Err = InvalidGrant>> FromStr for Access<T> {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        let (mode, of) = text.split_once(' ').unwrap_or((text, ""));
        let mode = match mode {
            "read" => Mode::Read,
            "write" => Mode::Write,
            _ => return Err(InvalidGrant("it begins with `read ` or `write `".to_owned())),
        };
        Ok(Self { mode, of: of.trim_start().parse()? })
    }
}

impl<T: fmt::Display> fmt::Display for Access<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.mode.name(), self.of)
    }
}
