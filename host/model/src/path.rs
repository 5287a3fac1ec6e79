//! Paths of scripts and flows: `[fu]/<owner>/<name>[/<name>…]`.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Segments in a path, the leading `f` or `u` included.
pub const SEGMENTS_MAX: usize = 8;
/// Bytes in one segment.
pub const SEGMENT_BYTES_MAX: usize = 64;

/// A checked path. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScriptPath(Arc<str>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; a path is f/<folder>/<name> or u/<user>/<name>: 3 to 8 segments of 1 to 64 letters, digits, `_`, `.` or `-`")]
pub struct InvalidPath {
    pub reason: &'static str,
}

impl ScriptPath {
    /// Where `sandmill run FILE` has the file, on a node that is there for this run alone.
    pub const LOCAL: &'static str = "u/local/script";

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_local(&self) -> bool {
        self.as_str() == Self::LOCAL
    }

    /// The last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl FromStr for ScriptPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let invalid = |reason| Err(InvalidPath { reason });
        let mut segments = 0;
        for segment in text.split('/') {
            segments += 1;
            if segment.is_empty() {
                return invalid("a segment is empty");
            }
            if segment.len() > SEGMENT_BYTES_MAX {
                return invalid("a segment is too long");
            }
            if segment == "." || segment == ".." {
                return invalid("a segment is `.` or `..`");
            }
            if !segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')) {
                return invalid("a segment has a character that is not allowed");
            }
            if segments == 1 && segment != "f" && segment != "u" {
                return invalid("the first segment must be `f` or `u`");
            }
            if segments > SEGMENTS_MAX {
                return invalid("there are too many segments");
            }
        }
        if segments < 3 {
            return invalid("there are too few segments");
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ScriptPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ScriptPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ScriptPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ScriptPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_grammar() {
        let long = format!("f/a/{}", "x".repeat(64));
        for good in ["f/demo/hello", "u/ann/x.y-z_1", "f/a/b/c/d/e/f/g", "f/a/...", &long] {
            assert_eq!(good.parse::<ScriptPath>().unwrap().as_str(), good);
        }
        let too_long = format!("f/a/{}", "x".repeat(65));
        for bad in [
            "",
            "f",
            "f/a",
            "x/a/b",
            "F/a/b",
            "/f/a/b",
            "f/a/b/",
            "f//b",
            "f/a/..",
            "f/./b",
            "f/a/b/c/d/e/f/g/h",
            "f/a/b c",
            "f/a/ü",
            "f/a/b%2f",
            "f/a/b@1",
            "f/a/b\0",
            &too_long,
        ] {
            assert!(bad.parse::<ScriptPath>().is_err(), "{bad:?}");
        }
    }
}
