//! What tokens are for, and what their scopes come to.

use std::collections::BTreeSet;

use super::{Action, Domain, Principal, Scope, matches};

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// For whoever it was made by.
    User,
    /// May start what is at one path, and nothing else: for addresses that are given to others.
    Start,
    /// For one run, as long as it lasts.
    Run,
}

impl TokenKind {
    pub const ALL: [Self; 3] = [Self::User, Self::Start, Self::Run];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Start => "start",
            Self::Run => "run",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Whether a token may change anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Access {
    /// As its scopes say.
    #[default]
    Full,
    /// Whatever its scopes say, it reads.
    ReadOnly,
}

impl Scope {
    /// The one scope of a token that starts what is at `path`.
    #[must_use]
    pub fn starts(path: &crate::ScriptPath) -> Self {
        Self::on(Domain::Runs, Action::Start, path.as_str())
    }

    /// What both cover, as one scope; none where there is nothing, or where it cannot be said in one: of two globs neither of which is like
    /// the other nothing is shared.
    #[must_use]
    pub fn shared(&self, other: &Self) -> Option<Self> {
        fn narrower<T: Copy + PartialEq>(own: Option<T>, other: Option<T>) -> Option<Option<T>> {
            match (own, other) {
                (Some(own), Some(other)) => (own == other).then_some(Some(own)),
                (own, other) => Some(own.or(other)),
            }
        }
        let (domain, action) = (narrower(self.domain, other.domain)?, narrower(self.action, other.action)?);
        let glob = match (&self.glob, &other.glob) {
            (Some(own), Some(other)) if matches(own, other) => Some(other.clone()),
            (Some(own), Some(other)) if matches(other, own) => Some(own.clone()),
            (Some(_), Some(_)) => return None,
            (own, other) => own.clone().or_else(|| other.clone()),
        };
        let except = match (&self.except, &other.except) {
            (Some(own), Some(other)) if own != other => {
                let mut starts: Vec<Box<str>> = own.iter().chain(other.iter()).cloned().collect();
                starts.sort_unstable();
                starts.dedup();
                Some(starts.into())
            }
            // Of thousands of scopes all may leave out the same, which is kept once.
            (own, other) => own.clone().or_else(|| other.clone()),
        };
        Some(Self { domain, action, glob, except })
    }

    /// What of it is reading, if anything is.
    fn reading(self) -> Option<Self> {
        self.action.is_none_or(|action| action == Action::Read).then_some(Self { action: Some(Action::Read), ..self })
    }

    /// Whether it covers the start of what is at one path, and nothing else.
    fn starts_one(&self) -> bool {
        self.domain == Some(Domain::Runs)
            && self.action == Some(Action::Start)
            && self.glob.as_ref().is_some_and(|path| !path.contains('*'))
            && self.except.is_none()
    }
}

impl Principal {
    /// Whether it may start what is at one path, and do nothing else.
    #[must_use]
    pub fn only_starts_one(&self) -> bool {
        matches!(&*self.scopes, [scope] if scope.starts_one())
    }
}

/// The scopes that a token has in fact, of those that are written down for it.
#[must_use]
pub fn effective(kind: TokenKind, access: Access, scopes: Vec<Scope>) -> Vec<Scope> {
    let scopes: Vec<Scope> = match kind {
        TokenKind::Start => scopes.into_iter().filter(Scope::starts_one).take(1).collect(),
        TokenKind::User | TokenKind::Run => scopes,
    };
    match access {
        Access::Full => scopes,
        Access::ReadOnly => scopes.into_iter().filter_map(Scope::reading).collect(),
    }
}

/// What somebody with the scopes `own` may do by a token that is bounded by `bounds`, too; always in the same order.
#[must_use]
pub fn bounded(own: &[Scope], bounds: &[Scope]) -> Vec<Scope> {
    let shared: BTreeSet<Scope> = bounds.iter().flat_map(|bound| own.iter().filter_map(move |scope| scope.shared(bound))).collect();
    shared.into_iter().collect()
}

/// The characters of a new token by which it is recognised in lists; enough is left that nobody can guess.
#[must_use]
pub fn shown_prefix(token: &str) -> &str {
    const SHOWN: usize = 7;
    token.get(..SHOWN).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::new_token;

    fn check(kind: TokenKind, access: Access, scopes: &[&str], expected: &[&str]) {
        let scopes = scopes.iter().map(|scope| scope.parse().unwrap()).collect();
        let found: Vec<String> = effective(kind, access, scopes).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_only_reads_has_no_other_action() {
        let all = ["*:*", "runs:start:f/a", "runs:read:f/a", "scripts:*:f/*!f/b/", "tokens:write", "instance:*"];
        check(TokenKind::User, Access::ReadOnly, &all, &["*:read", "runs:read:f/a", "scripts:read:f/*!f/b/", "instance:read"]);
        check(TokenKind::User, Access::Full, &all, &all);
        check(TokenKind::Start, Access::ReadOnly, &["runs:start:f/a/b"], &[]);
    }

    #[test]
    fn what_starts_one_path_does_nothing_else() {
        let path: crate::ScriptPath = "f/a/b".parse().unwrap();
        assert_eq!(Scope::starts(&path).to_string(), "runs:start:f/a/b");
        check(
            TokenKind::Start,
            Access::Full,
            &["*:*", "runs:start", "runs:start:f/*", "runs:read:f/a/b", "runs:start:f/a/b!f/c/", "runs:start:f/a/b"],
            &["runs:start:f/a/b"],
        );
        check(TokenKind::Start, Access::Full, &["runs:start:f/a/b", "runs:start:f/a/c"], &["runs:start:f/a/b"]);
    }

    #[test]
    fn what_two_scopes_share() {
        let check = |own: &str, other: &str, expected: Option<&str>| {
            let (own, other): (Scope, Scope) = (own.parse().unwrap(), other.parse().unwrap());
            for shared in [own.shared(&other), other.shared(&own)] {
                assert_eq!(shared.as_ref().map(ToString::to_string).as_deref(), expected, "{own} {other}");
                assert!(shared.is_none_or(|shared| own.includes(&shared) && other.includes(&shared)), "{own} {other}");
            }
        };
        check("*:*", "runs:start:f/a/*", Some("runs:start:f/a/*"));
        check("runs:*", "*:read:f/a", Some("runs:read:f/a"));
        check("runs:start:f/*!f/b/", "runs:start:f/a/*", Some("runs:start:f/a/*!f/b/"));
        check("runs:start:f/*!f/b/", "runs:start:*!u/", Some("runs:start:f/*!f/b/!u/"));
        check("runs:start:f/*", "runs:read:f/*", None);
        check("runs:start", "scripts:start", None);
        check("runs:start:f/a/*", "runs:start:f/b/*", None);
        check("runs:start:f/a*", "runs:start:f/*b", None);
    }

    /// By what is bounded nothing may be done that either set does not allow.
    #[test]
    fn what_is_bounded_is_in_both_sets() {
        let scopes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Scope>>();
        let own = scopes(&["runs:start:f/*!f/closed/", "runs:read:f/*", "runs:start:u/ann/*", "scripts:read:f/open/*"]);
        let bounds = scopes(&["runs:start:*", "runs:read:f/open/*", "scripts:write:f/open/*"]);
        let both = bounded(&own, &bounds);
        for action in [Action::Read, Action::Write, Action::Start] {
            for domain in [Domain::Runs, Domain::Scripts] {
                for path in ["f/open/x", "f/closed/x", "u/ann/x", "u/bob/x"] {
                    let any = |scopes: &[Scope]| scopes.iter().any(|scope| scope.covers(domain, action, Some(path)));
                    assert_eq!(any(&both), any(&own) && any(&bounds), "{domain:?} {action:?} {path}");
                }
            }
        }
        assert!(bounded(&own, &[]).is_empty() && bounded(&[], &bounds).is_empty());
    }

    #[test]
    fn little_of_a_token_is_shown() {
        let token = new_token();
        assert!(token.starts_with(shown_prefix(&token)) && shown_prefix(&token).len() == 7);
        assert_eq!(shown_prefix("short"), "");
    }

    #[test]
    fn kinds_have_names() {
        for kind in TokenKind::ALL {
            assert_eq!(TokenKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(TokenKind::from_name("admin"), None);
    }
}
