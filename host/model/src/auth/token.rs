//! What tokens are for, and what their scopes come to.

use super::{Action, Domain, Principal, Scope};

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
    /// Whether it may start what is at one path at most, and do nothing else.
    #[must_use]
    pub fn only_starts_one(&self) -> bool {
        self.scopes.lists().any(|list| matches!(list, [scope] if scope.starts_one()))
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
