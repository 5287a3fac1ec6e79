//! What a script asks to be granted. Whoever deploys it grants that, and can grant no more than it may do itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    auth::{self, Action, Domain, Scope},
    path::ScriptPath,
};

/// Patterns of one kind of grant.
const PATTERNS_MAX: usize = 64;
/// Bytes of a pattern.
const PATTERN_BYTES_MAX: usize = 512;

/// What a manifest asks for; nothing else works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Paths of scripts that it may start runs of, e.g. `f/demo/*`; `*` stands for any characters, `/` among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
}

impl Grants {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// # Errors
    /// What is wrong with it, for the script's author.
    pub fn check(&self) -> Result<(), String> {
        if self.runs.len() > PATTERNS_MAX {
            return Err(format!("runs has at most {PATTERNS_MAX} patterns"));
        }
        self.runs.iter().try_for_each(|pattern| check_pattern(pattern).map_err(|fault| format!("runs: `{pattern}`: {fault}")))
    }

    /// Whether runs of the script at `path` may be started.
    #[must_use]
    pub fn covers_run(&self, path: &ScriptPath) -> bool {
        self.runs.iter().any(|pattern| auth::matches(pattern, path.as_str()))
    }

    /// The same as the scopes of a token that may do what is granted and nothing else.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        self.runs.iter().map(|pattern| Scope::on(Domain::Runs, Action::Start, pattern)).collect()
    }
}

fn check_pattern(pattern: &str) -> Result<(), String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("a pattern has at most {PATTERN_BYTES_MAX} bytes"));
    }
    if !["f/", "u/", "*"].iter().any(|start| pattern.starts_with(start)) {
        return Err("a pattern begins with `f/` or `u/`, as paths do, or is `*`".to_owned());
    }
    let is_of_paths = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b'*');
    if pattern.split('/').any(|segment| matches!(segment, "" | "." | "..")) || !pattern.bytes().all(is_of_paths) {
        return Err("no path is like it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(patterns: &[&str]) -> Grants {
        Grants { runs: patterns.iter().map(|pattern| (*pattern).to_owned()).collect() }
    }

    #[test]
    fn patterns_cover_what_they_say() {
        let covers = |patterns: &[&str], path: &str| grants(patterns).covers_run(&path.parse().unwrap());
        assert!(covers(&["f/demo/*"], "f/demo/a") && covers(&["f/demo/*"], "f/demo/a/b") && covers(&["*"], "u/ann/x"));
        assert!(covers(&["f/a/b", "f/c/d"], "f/c/d"));
        assert_eq!(grants(&["f/demo/*"]).scopes(), ["runs:start:f/demo/*".parse().unwrap()]);
        assert!(!covers(&["f/demo/*"], "f/demos/a") && !covers(&["f/demo/a"], "f/demo/ab") && !covers(&[], "f/demo/a"));
    }

    #[test]
    fn patterns_that_no_path_is_like_are_told() {
        assert_eq!(grants(&["f/demo/*", "f/*/x", "u/*", "*", "f/a/b.c-d_1"]).check(), Ok(()));
        for bad in ["", "demo/*", "f/../x", "f//x", "/f/a", "f/a b", "f/a/", "F/a", "f/ä/*", &format!("f/{}", "x".repeat(600))] {
            assert!(grants(&[bad]).check().is_err(), "{bad}");
        }
        assert!(grants(&["f/a/b"; PATTERNS_MAX]).check().is_ok());
        assert!(grants(&["f/a/b"; PATTERNS_MAX + 1]).check().is_err());
    }
}
