//! Patterns of paths, and prefixes of keys.

use std::{fmt, str::FromStr, sync::Arc};

use super::{InvalidGrant, text::as_text};
use crate::{auth, path::ScriptPath};

/// Bytes of a pattern.
const PATTERN_BYTES_MAX: usize = 512;
/// Bytes of a prefix; a key has as many.
const PREFIX_BYTES_MAX: usize = 1_024;

/// A pattern of paths: `*` stands for any characters, `/` among them. A path is the pattern of itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPattern(Arc<str>);

as_text!(PathPattern);

impl PathPattern {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every path that is like `other` is like it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        auth::matches(&self.0, &other.0)
    }

    /// Whether a text may be like both. Of two that have a `*`, beginning and end decide: what is between finds its place in the other's.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (own, other) = (self.as_str(), other.as_str());
        if !own.contains('*') || !other.contains('*') {
            return auth::matches(own, other) || auth::matches(other, own);
        }
        let starts = [own, other].map(|pattern| pattern.split('*').next().unwrap_or_default());
        let ends = [own, other].map(|pattern| pattern.rsplit('*').next().unwrap_or_default());
        (starts[0].starts_with(starts[1]) || starts[1].starts_with(starts[0])) && (ends[0].ends_with(ends[1]) || ends[1].ends_with(ends[0]))
    }

    /// As [`super::Grant::shared`].
    pub(super) fn shared(&self, other: &Self) -> Vec<Self> {
        match (self.overlaps(other), self.covers(other), other.covers(self)) {
            (false, ..) => Vec::new(),
            (true, true, _) => vec![other.clone()],
            (true, false, true) => vec![self.clone()],
            (true, false, false) => vec![self.clone(), other.clone()],
        }
    }
}

impl From<&ScriptPath> for PathPattern {
    fn from(path: &ScriptPath) -> Self {
        Self(path.as_str().into())
    }
}

impl FromStr for PathPattern {
    type Err = InvalidGrant;

    fn from_str(pattern: &str) -> Result<Self, InvalidGrant> {
        let invalid = |fault: &str| Err(InvalidGrant(format!("`{}` {fault}", shown(pattern))));
        if pattern.len() > PATTERN_BYTES_MAX {
            return invalid(&format!("has more than {PATTERN_BYTES_MAX} bytes"));
        }
        if !["f/", "u/", "*"].iter().any(|start| pattern.starts_with(start)) {
            return invalid("begins neither with `f/` nor with `u/`, as paths do, nor is it `*`");
        }
        let is_of_paths = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b'*');
        if pattern.split('/').any(|segment| matches!(segment, "" | "." | "..")) || !pattern.bytes().all(is_of_paths) {
            return invalid("is like no path");
        }
        Ok(Self(pattern.into()))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the keys of objects begin with: whole segments, each with a `/` behind it; `*` is the empty prefix, of all keys. Without a `/` at its end it
/// is a key, and covers nothing but itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPrefix(Arc<str>);

as_text!(KeyPrefix);

impl KeyPrefix {
    /// All keys.
    const ALL: &'static str = "*";

    /// Whether every key that begins with `other` begins with it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        &*self.0 == Self::ALL || self.0 == other.0 || (self.0.ends_with('/') && other.0.starts_with(&*self.0))
    }

    /// Whether the object at `key` is one of them.
    #[must_use]
    pub fn covers_key(&self, key: &str) -> bool {
        &*self.0 == Self::ALL || &*self.0 == key || (self.0.ends_with('/') && key.starts_with(&*self.0))
    }

    /// Whether all keys that begin with `prefix` are.
    #[must_use]
    pub fn covers_all(&self, prefix: &str) -> bool {
        &*self.0 == Self::ALL || (self.0.ends_with('/') && prefix.starts_with(&*self.0))
    }

    /// As [`super::Grant::shared`]. Of two prefixes one is in the other, or they have no key in common.
    pub(super) fn shared(&self, other: &Self) -> Vec<Self> {
        match (self.covers(other), other.covers(self)) {
            (true, _) => vec![other.clone()],
            (false, true) => vec![self.clone()],
            (false, false) => Vec::new(),
        }
    }

    /// What to ask for who needs the object at `key`: the folder that it is in, or the key itself if it is in none.
    #[must_use]
    pub fn for_key(key: &str) -> Self {
        Self::folder(key).or_else(|| key.parse().ok()).unwrap_or_else(Self::all)
    }

    /// What to ask for who needs all keys that begin with `prefix`.
    #[must_use]
    pub fn for_all(prefix: &str) -> Self {
        Self::folder(prefix).unwrap_or_else(Self::all)
    }

    /// The folder that a key or a prefix is in, or the next above that a prefix can name.
    fn folder(key: &str) -> Option<Self> {
        key.rmatch_indices('/').map(|(at, _)| &key[..=at]).flat_map(str::parse).next()
    }

    fn all() -> Self {
        Self(Self::ALL.into())
    }

    /// What keys begin with.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if &*self.0 == Self::ALL { "" } else { &self.0 }
    }
}

impl FromStr for KeyPrefix {
    type Err = InvalidGrant;

    fn from_str(prefix: &str) -> Result<Self, InvalidGrant> {
        let invalid = |fault: &str| Err(InvalidGrant(format!("`{}` {fault}", shown(prefix))));
        if prefix.len() > PREFIX_BYTES_MAX {
            return invalid(&format!("has more than {PREFIX_BYTES_MAX} bytes"));
        }
        if prefix == Self::ALL {
            return Ok(Self(prefix.into()));
        }
        let segments = prefix.strip_suffix('/').unwrap_or(prefix);
        if segments.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return invalid("has a segment that is empty, `.` or `..`; all keys are `*`");
        }
        // Keys may have a `*`; in a grant it would look as if it stood for others.
        if prefix.contains(|c: char| c.is_control() || matches!(c, '\\' | '*')) {
            return invalid("has a character that no key has, or a `*` beside others");
        }
        Ok(Self(prefix.into()))
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As much of a text as an error repeats.
fn shown(text: &str) -> &str {
    const BYTES_MAX: usize = 80;
    &text[..text.floor_char_boundary(BYTES_MAX)]
}
