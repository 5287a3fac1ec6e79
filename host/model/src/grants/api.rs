//! Grants of requests to the platform's own API.

use std::{fmt, str::FromStr};

use super::{InvalidGrant, Need, text::as_text};
use crate::auth::{Action, Domain, Scope, matches};

/// Bytes of a grant's text.
const GRANT_BYTES_MAX: usize = 512;
/// What is at paths. Nothing else is ever for a run: it makes no tokens, and says of nobody what they may.
const DOMAINS: [Domain; 5] = [Domain::Scripts, Domain::Runs, Domain::Resources, Domain::Variables, Domain::Blobs];
const ACTIONS: [Action; 4] = [Action::Read, Action::Write, Action::Start, Action::Cancel];

/// A scope of tokens that names a domain of what is at paths, one action, and paths: `runs:start:f/demo/*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiGrant {
    domain: Domain,
    action: Action,
    glob: Box<str>,
}

as_text!(ApiGrant);

impl ApiGrant {
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::on(self.domain, self.action, &self.glob)
    }

    /// Whether it allows all that `other` does.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // As their scopes include each other, which would have to be made first: lists of grants are compared with each other as a whole.
        self.domain == other.domain && self.action == other.action && (self.glob == other.glob || matches(&self.glob, &other.glob))
    }

    /// As [`super::Grant::shared`]; of two whose patterns cross nothing is said to be shared, and nothing works.
    pub(super) fn shared(&self, other: &Self) -> Vec<Self> {
        if self.covers(other) {
            vec![other.clone()]
        } else if other.covers(self) {
            vec![self.clone()]
        } else {
            Vec::new()
        }
    }

    /// What whoever grants it must be allowed to do.
    pub(super) fn need(&self) -> Need {
        Need { domain: self.domain, action: self.action, on: self.glob.to_string() }
    }
}

impl FromStr for ApiGrant {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        let invalid = |fault: &str| InvalidGrant(format!("it {fault}; it is written domain:action:path-glob, e.g. runs:start:f/demo/*"));
        if text.len() > GRANT_BYTES_MAX {
            return Err(invalid(&format!("has more than {GRANT_BYTES_MAX} bytes")));
        }
        let mut parts = text.splitn(3, ':');
        let (domain, action, glob) = (parts.next(), parts.next(), parts.next());
        let domain = DOMAINS.into_iter().find(|known| Some(known.name()) == domain);
        let domain = domain.ok_or_else(|| invalid("names none of scripts, runs, resources, variables and blobs"))?;
        let action = ACTIONS.into_iter().find(|known| Some(known.name()) == action);
        let action = action.ok_or_else(|| invalid("names none of read, write, start and cancel"))?;
        let glob = glob.filter(|glob| !glob.is_empty()).ok_or_else(|| invalid("does not say of which paths; `*` is all"))?;
        if glob.contains(|char: char| char == '!' || char.is_whitespace() || char.is_control()) {
            return Err(invalid("has characters in its paths that none have"));
        }
        Ok(Self { domain, action, glob: glob.into() })
    }
}

impl fmt::Display for ApiGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.domain.name(), self.action.name(), self.glob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_grant_of_the_api() {
        for good in ["runs:start:f/demo/*", "scripts:write:f/demo/a", "blobs:read:reports/*", "variables:read:*"] {
            let grant: ApiGrant = good.parse().unwrap();
            assert_eq!((grant.to_string().as_str(), grant.scope().to_string().as_str()), (good, good));
        }
        let long = format!("runs:start:f/{}", "x".repeat(GRANT_BYTES_MAX));
        for (bad, fault) in [
            ("", "names none of scripts"),
            ("*:*:*", "names none of scripts"),
            ("tokens:write:*", "names none of scripts"),
            ("members:write:f/demo/*", "names none of scripts"),
            ("identities:start:*", "names none of scripts"),
            ("instance:read:*", "names none of scripts"),
            ("audit:read:*", "names none of scripts"),
            ("runs", "names none of read"),
            ("runs:*:f/demo/*", "names none of read"),
            ("runs:start", "of which paths"),
            ("runs:start:", "of which paths"),
            ("runs:start:f/*!f/b/", "characters"),
            ("runs:start:f/a b", "characters"),
            ("runs:start:f/a\0", "characters"),
            (&long, "more than 512"),
        ] {
            let error = bad.parse::<ApiGrant>().unwrap_err().to_string();
            assert!(error.contains(fault), "{bad}: {error}");
        }
    }

    #[test]
    fn the_narrower_one_is_shared() {
        let check = |own: &str, other: &str, expected: &[&str]| {
            let (own, other): (ApiGrant, ApiGrant) = (own.parse().unwrap(), other.parse().unwrap());
            let shared: Vec<String> = own.shared(&other).iter().map(ToString::to_string).collect();
            assert_eq!(shared, expected, "{own} {other}");
        };
        check("runs:start:f/*", "runs:start:f/a/*", &["runs:start:f/a/*"]);
        check("runs:start:f/a/b", "runs:start:f/a/*", &["runs:start:f/a/b"]);
        check("runs:start:f/a/b", "runs:read:f/a/*", &[]);
        check("runs:start:f/a/b", "scripts:start:f/a/*", &[]);
        check("runs:start:f/a*", "runs:start:f/*b", &[]);
    }

    #[test]
    fn grants_cover_what_their_scopes_include() {
        let globs = ["*", "**", "f/*", "f/a*", "f/a/*", "f/*/b", "f/a/b", "f/*a*b", "u/ann/*"];
        let grants: Vec<ApiGrant> = ["runs:start", "runs:read", "scripts:read"]
            .iter()
            .flat_map(|kind| globs.iter().map(move |glob| format!("{kind}:{glob}").parse::<ApiGrant>().unwrap()))
            .collect();
        for own in &grants {
            assert!(own.covers(own), "{own}");
            for other in &grants {
                assert_eq!(own.covers(other), own.scope().includes(&other.scope()), "{own} {other}");
            }
        }
    }
}
