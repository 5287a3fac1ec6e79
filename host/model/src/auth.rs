//! Who is calling and what they may do.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    ids::{TokenId, WorkspaceId},
};

mod scopes;
mod token;

pub use scopes::Scopes;
pub use token::{Access, TokenKind, effective, shown_prefix};

/// What a scope is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    Scripts,
    Runs,
    /// Resources, and their types.
    Resources,
    Variables,
    /// Objects under their keys.
    Blobs,
    /// Triggers that are configured. To start is to let go what they hold or have kept, to cancel is to discard it.
    Triggers,
    /// People of a workspace, their groups and invitations; with a path, who may use what is there.
    Members,
    /// As whom runs act: `s/NAME`, `g/NAME`, `u/NAME`. To write is to make service accounts, to start is to have runs act so.
    Identities,
    /// API tokens. They have no paths.
    Tokens,
    /// The audit log, which is only read.
    Audit,
    /// The installation itself.
    Instance,
}

impl Domain {
    const ALL: [Self; 11] = [
        Self::Scripts,
        Self::Runs,
        Self::Resources,
        Self::Variables,
        Self::Blobs,
        Self::Triggers,
        Self::Members,
        Self::Identities,
        Self::Tokens,
        Self::Audit,
        Self::Instance,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scripts => "scripts",
            Self::Runs => "runs",
            Self::Resources => "resources",
            Self::Variables => "variables",
            Self::Blobs => "blobs",
            Self::Triggers => "triggers",
            Self::Members => "members",
            Self::Identities => "identities",
            Self::Tokens => "tokens",
            Self::Audit => "audit",
            Self::Instance => "instance",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Read,
    Write,
    Start,
    Cancel,
}

impl Action {
    const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Start, Self::Cancel];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Start => "start",
            Self::Cancel => "cancel",
        }
    }
}

/// `{domain}:{action}[:{path glob}]`, `*` for any domain or action. In the glob `*` stands for any characters, `/` among them. What follows
/// a `!` behind the glob, which may be several times there, is the start of paths that it does not cover: `runs:read:f/*!f/billing/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    domain: Option<Domain>,
    action: Option<Action>,
    /// Many scopes of one person share it, and what follows.
    glob: Option<Arc<str>>,
    except: Option<Arc<[Box<str>]>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is written domain:action or domain:action:path-glob, e.g. runs:start:f/billing/*")]
pub struct InvalidScope;

impl Scope {
    /// Everything.
    #[must_use]
    pub const fn all() -> Self {
        Self { domain: None, action: None, glob: None, except: None }
    }

    /// `action` on the paths that are like `glob`.
    #[must_use]
    pub fn on(domain: Domain, action: Action, glob: &str) -> Self {
        Self::on_shared(domain, action, &glob.into())
    }

    /// The same, with a glob that other scopes have, too.
    #[must_use]
    pub fn on_shared(domain: Domain, action: Action, glob: &Arc<str>) -> Self {
        Self { domain: Some(domain), action: Some(action), glob: Some(Arc::clone(glob)), except: None }
    }

    /// The same without paths that start so. One without a glob covers from then on nothing that has no path.
    #[must_use]
    pub fn except(self, starts: &Arc<[Box<str>]>) -> Self {
        if starts.is_empty() {
            return Self { except: None, ..self };
        }
        Self { glob: self.glob.or_else(|| Some("*".into())), except: Some(Arc::clone(starts)), ..self }
    }

    /// Where its glob is kept.
    #[cfg(test)]
    pub(crate) fn glob_at(&self) -> Option<*const u8> {
        self.glob.as_ref().map(|glob| glob.as_ptr())
    }

    fn is_excepted(&self, path: &str) -> bool {
        self.excepted().any(|start| may_start_with(path, start))
    }

    /// The text of the paths that it covers, for [`reaches`]; none: all.
    fn reach(&self) -> Option<String> {
        match (self.glob.as_deref(), &self.except) {
            (None | Some("*"), None) => None,
            (glob, except) => Some(reach(glob.unwrap_or("*"), except.as_deref().unwrap_or_default())),
        }
    }

    /// Whether it covers `action` on `path`; a scope with a glob covers nothing that has no path. A glob in the place of the path is covered
    /// only if every path that is like it is.
    #[must_use]
    pub fn covers(&self, domain: Domain, action: Action, path: Option<&str>) -> bool {
        self.domain.is_none_or(|own| own == domain)
            && self.action.is_none_or(|own| own == action)
            && match (&self.glob, path) {
                (None, _) => true,
                (Some(glob), Some(path)) => matches(glob, path) && !self.is_excepted(path),
                (Some(_), None) => false,
            }
    }

    /// Whether it covers all that `other` does. No is said, too, where it cannot be seen at once.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let is_of_all = self.domain.is_none_or(|own| other.domain == Some(own)) && self.action.is_none_or(|own| other.action == Some(own));
        let reaches_all = match (&self.glob, &other.glob) {
            (None, _) => true,
            (Some(own), Some(glob)) => matches(own, glob) && self.excepted().all(|start| other.leaves_out(glob, start)),
            (Some(_), None) => false,
        };
        self == other || (is_of_all && reaches_all)
    }

    /// How paths start that it does not cover.
    fn excepted(&self) -> impl Iterator<Item = &str> {
        self.except.iter().flat_map(|starts| starts.iter()).map(|start| &**start)
    }

    /// Whether no path that starts so is covered by it, whose glob this is.
    fn leaves_out(&self, glob: &str, start: &str) -> bool {
        !may_start_with(glob, start) || self.excepted().any(|own| start.starts_with(own))
    }

    /// Whether it covers `action` on some path at least.
    #[must_use]
    pub fn concerns(&self, domain: Domain, action: Action) -> bool {
        self.domain.is_none_or(|own| own == domain) && self.action.is_none_or(|own| own == action)
    }
}

/// Whether `text` is like `glob`. Linear in pattern times text, whatever the pattern.
#[must_use]
pub fn matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut rest = rest;
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

fn reach(glob: &str, except: &[Box<str>]) -> String {
    std::iter::once(glob).chain(except.iter().map(|start| &**start)).collect::<Vec<_>>().join("!")
}

/// Whether `path`, or some path that is like it if it is a glob, starts so.
fn may_start_with(path: &str, start: &str) -> bool {
    match path.split_once('*') {
        None => path.starts_with(start),
        Some((certain, _)) => certain.starts_with(start) || start.starts_with(certain),
    }
}

/// A glob, and how paths start that are like it and not meant nevertheless; of a text as [`Principal::paths`] gives it.
pub fn parts_of_reach(reach: &str) -> (&str, impl Iterator<Item = &str>) {
    let mut parts = reach.split('!');
    (parts.next().unwrap_or_default(), parts)
}

/// Whether `path` is among those that a text of [`Principal::paths`] means.
#[must_use]
pub fn reaches(reach: &str, path: &str) -> bool {
    let (glob, mut except) = parts_of_reach(reach);
    matches(glob, path) && !except.any(|start| path.starts_with(start))
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let mut parts = text.splitn(3, ':');
        let domain = match parts.next().ok_or(InvalidScope)? {
            "*" => None,
            name => Some(Domain::ALL.into_iter().find(|domain| domain.name() == name).ok_or(InvalidScope)?),
        };
        let action = match parts.next().ok_or(InvalidScope)? {
            "*" => None,
            name => Some(Action::ALL.into_iter().find(|action| action.name() == name).ok_or(InvalidScope)?),
        };
        let Some(reach) = parts.next() else { return Ok(Self { domain, action, glob: None, except: None }) };
        let mut parts = reach.split('!').map(Box::<str>::from);
        let glob = parts.next();
        let except: Arc<[Box<str>]> = parts.collect();
        // A start is no glob: what looks like one would leave out less than it seems to.
        if glob.iter().chain(except.iter()).any(|part| part.is_empty()) || except.iter().any(|start| start.contains('*')) {
            return Err(InvalidScope);
        }
        Ok(Self { domain, action, glob: glob.map(Arc::from), except: (!except.is_empty()).then_some(except) })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.domain.map_or("*", Domain::name), self.action.map_or("*", Action::name))?;
        let except = self.except.as_deref().unwrap_or_default();
        self.glob.as_ref().map_or(Ok(()), |glob| write!(f, ":{}", reach(glob, except)))
    }
}

/// What one identity or token may: there may be thousands of it in use at once, which share it.
pub type SharedScopes = Arc<[Scope]>;

/// A caller that has shown a valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub token: TokenId,
    /// None: every workspace (an instance token).
    pub workspace: Option<WorkspaceId>,
    /// The identity that runs act as, e.g. `u/admin`.
    pub identity: Arc<str>,
    pub scopes: Scopes,
}

impl Principal {
    #[must_use]
    pub fn may(&self, workspace: WorkspaceId, domain: Domain, action: Action, path: Option<&str>) -> bool {
        self.workspace.is_none_or(|own| own == workspace) && self.scopes.covers(domain, action, path)
    }

    /// Whether `may` may be true for some path: whether a list is worth reading.
    #[must_use]
    pub fn may_somewhere(&self, workspace: WorkspaceId, domain: Domain, action: Action) -> bool {
        self.workspace.is_none_or(|own| own == workspace) && self.scopes.concerns(domain, action)
    }

    /// Lists of texts of paths, for [`reaches`]: `may` is true on those paths that some text of each list means. No list: on all.
    #[must_use]
    pub fn paths(&self, workspace: WorkspaceId, domain: Domain, action: Action) -> Vec<Vec<String>> {
        if self.workspace.is_some_and(|own| own != workspace) {
            return vec![Vec::new()];
        }
        self.scopes.paths(domain, action)
    }

    /// Whether all that `scopes` cover is covered by one of its own: what it may hand on.
    #[must_use]
    pub fn includes(&self, scopes: &[Scope]) -> bool {
        self.scopes.includes(scopes)
    }

    /// Whether it may do something in every workspace and on every path, which no workspace's token may.
    #[must_use]
    pub fn may_everywhere(&self, domain: Domain, action: Action) -> bool {
        self.workspace.is_none() && self.scopes.covers(domain, action, None)
    }

    /// Whether it may read the audit log of the installation, which no workspace's token may.
    #[must_use]
    pub fn may_audit_instance(&self) -> bool {
        self.may_everywhere(Domain::Audit, Action::Read)
    }

    /// Whether it may do something to the installation itself, which no workspace's token may.
    #[must_use]
    pub fn may_instance(&self, action: Action) -> bool {
        self.may_everywhere(Domain::Instance, action)
    }
}

/// A token's stored form: only this is kept, never the token.
///
/// A token is looked up by its hash, so nothing is ever compared with a secret. How long the look-up in a map or an index takes may tell how
/// much of a *hash* somebody has hit; but whoever sends tokens cannot choose their hashes bit by bit. To come closer to a stored one they would
/// have to find texts with given beginnings of SHA-256: each bit costs them twice as much as the one before, and tells them nothing of the
/// token that the hash is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(pub Digest);

impl TokenHash {
    /// Tokens carry 260 bits of randomness, so one pass of SHA-256 is enough: there is nothing to guess that a slow hash would make dear.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Digest::of_parts(&[b"sandmill-token", token.as_bytes()]))
    }
}

/// A new secret token, `sm_<52 characters>`.
#[must_use]
pub fn new_token() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bytes: [u8; 52] = crate::random::bytes();
    let secret: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    format!("sm_{secret}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_cover_what_they_say() {
        let check = |scope: &str, domain, action, path: Option<&str>, expected| {
            let parsed: Scope = scope.parse().unwrap();
            assert_eq!(parsed.to_string(), scope);
            assert_eq!(parsed.covers(domain, action, path), expected, "{scope} {path:?}");
        };
        check("*:*", Domain::Instance, Action::Write, None, true);
        check("runs:start:f/billing/*", Domain::Runs, Action::Start, Some("f/billing/a/b"), true);
        check("runs:start:f/billing/*", Domain::Runs, Action::Start, Some("f/billings/a"), false);
        check("runs:start:f/billing/*", Domain::Runs, Action::Read, Some("f/billing/a"), false);
        check("runs:start:f/billing/*", Domain::Runs, Action::Start, None, false);
        check("runs:start:f/a/b", Domain::Runs, Action::Start, Some("f/a/bc"), false);
        check("runs:*:f/*/b*c", Domain::Runs, Action::Read, Some("f/x/y/bzc"), true);
        check("runs:*:f/*/b*c", Domain::Runs, Action::Read, Some("f/x/y/bz"), false);
        check("resources:write:f/db/*", Domain::Resources, Action::Write, Some("f/db/main"), true);
        check("resources:write:f/db/*", Domain::Resources, Action::Write, None, false);
        check("resources:write", Domain::Variables, Action::Write, None, false);
        check("scripts:read", Domain::Runs, Action::Read, None, false);
        check("runs:start:f/billing/*", Domain::Runs, Action::Start, Some("f/billing/*/x*"), true);
        check("runs:start:f/billing/*", Domain::Runs, Action::Start, Some("f/*"), false);
        check("runs:start:f/*/a", Domain::Runs, Action::Start, Some("f/*"), false);
        check("runs:start:f/a", Domain::Runs, Action::Start, Some("f/*"), false);
        check("runs:read:f/*!f/b/!f/c/", Domain::Runs, Action::Read, Some("f/a/x"), true);
        check("runs:read:f/*!f/b/!f/c/", Domain::Runs, Action::Read, Some("f/c/x"), false);
        check("runs:read:f/*!f/b/!f/c/", Domain::Runs, Action::Read, Some("f/cd/x"), true);
        // Some of what these mean is excepted.
        check("runs:read:f/*!f/b/", Domain::Runs, Action::Read, Some("f/*"), false);
        check("runs:read:f/*!f/b/", Domain::Runs, Action::Read, Some("f/b/*"), false);
        check("runs:read:f/*!f/b/", Domain::Runs, Action::Read, Some("f/b*"), false);
        check("runs:read:f/*!f/b/", Domain::Runs, Action::Read, Some("f/a*"), true);
        for bad in ["", "runs", "runs:fly", "moon:read", "runs:start:", "runs:read:!f/b/", "runs:read:f/*!", "runs:read:f/*!f/*/x"] {
            assert_eq!(bad.parse::<Scope>(), Err(InvalidScope), "{bad}");
        }
    }

    #[test]
    fn scopes_include_what_is_narrower() {
        let check = |own: &str, other: &str, expected| {
            let (own, other): (Scope, Scope) = (own.parse().unwrap(), other.parse().unwrap());
            assert_eq!(own.includes(&other), expected, "{own} {other}");
        };
        for (own, other) in [
            ("*:*", "*:*"),
            ("*:*", "instance:write"),
            ("*:read", "runs:read:f/a/*"),
            ("runs:*", "runs:start"),
            ("runs:start", "runs:start:*"),
            ("runs:start:*", "runs:start:f/*"),
            ("runs:start:f/a/*", "runs:start:f/a/*"),
            ("runs:start:f/a/*", "runs:start:f/a/b*/c"),
            ("runs:start:f/*/x", "runs:start:f/a*/x"),
            ("runs:read:f/*!f/b/", "runs:read:f/*!f/b/"),
            ("runs:read:f/*!f/b/", "runs:read:f/*!f/c/!f/b/"),
            ("runs:read:f/*!f/b/c/", "runs:read:f/*!f/b/"),
            ("runs:read:f/*!f/b/", "runs:read:f/a*"),
            ("runs:read:f/*!f/b/", "runs:read:f/bb"),
            ("runs:read:f/*", "runs:read:f/*!f/b/"),
            ("runs:read", "runs:read:*!f/b/"),
            ("*:*:*!u/", "runs:read:f/*"),
        ] {
            check(own, other, true);
        }
        for (own, other) in [
            ("runs:*", "*:*"),
            ("runs:start", "runs:*"),
            ("*:start", "*:*"),
            ("runs:start:*", "runs:start"),
            ("runs:start:f/a/*", "runs:start:f/*"),
            ("runs:start:f/a", "runs:start:f/*"),
            ("runs:start:f/*/x", "runs:start:f/*"),
            ("runs:start:f/a*b", "runs:start:f/a*"),
            ("runs:start:f/a", "runs:start:f/a*"),
            ("scripts:read", "runs:read"),
            ("runs:read:f/*!f/b/", "runs:read:f/*"),
            ("runs:read:f/*!f/b/", "runs:read:f/b/c"),
            ("runs:read:f/*!f/b/", "runs:read:f/b*"),
            ("runs:read:f/*!f/b/", "runs:read:f/*!f/b/c/"),
            ("runs:read:f/*!f/b/!f/c/", "runs:read:f/*!f/b/"),
            ("runs:read:f/*!f/b/", "runs:read:*!f/b/"),
            ("runs:read:*!f/b/", "runs:read"),
            ("runs:read:f/*!f/b/", "*:read:f/a"),
        ] {
            check(own, other, false);
        }
    }

    /// What is said to be included is covered, path by path.
    #[test]
    fn nothing_wider_is_included() {
        let reaches = ["*", "f/*", "f/a*", "f/a/*", "f/a/x", "f/*/x", "u/*"];
        let starts = ["", "!f/", "!f/a", "!f/a/", "!f/a/x", "!u/!f/b", "!f/*"];
        let texts = reaches.iter().flat_map(|reach| starts.iter().map(move |start| format!("runs:read:{reach}{start}")));
        let scopes: Vec<Scope> = texts.filter_map(|text| text.parse().ok()).collect();
        assert_eq!(scopes.len(), reaches.len() * (starts.len() - 1), "a start is no glob");
        let paths = ["f", "f/", "f/a", "f/a/x", "f/a/x/x", "f/ab/x", "f/b/x", "u/a/x", "x"];
        for own in &scopes {
            assert!(own.includes(own));
            for other in scopes.iter().filter(|other| own.includes(other)) {
                for path in paths {
                    let covers = |scope: &Scope| scope.covers(Domain::Runs, Action::Read, Some(path));
                    assert!(covers(own) || !covers(other), "{own} includes {other}, which covers {path}");
                }
            }
        }
    }

    #[test]
    fn what_leaves_paths_out_is_of_paths() {
        let starts: Arc<[Box<str>]> = [Box::from("f/b/")].into();
        let scope = Scope::all().except(&starts);
        assert_eq!(scope.to_string(), "*:*:*!f/b/");
        assert!(!scope.covers(Domain::Instance, Action::Write, None) && !scope.includes(&Scope::all()) && Scope::all().includes(&scope));
        assert_eq!(Scope::all().except(&Arc::default()), Scope::all());
    }

    #[test]
    fn paths_are_those_of_all_scopes_that_concern_it() {
        let at = crate::clock::Timestamp::from_micros(0);
        let (own, other) = (WorkspaceId::new(at), WorkspaceId::new(at));
        let check = |scopes: &[&str], of: WorkspaceId, expected: Option<&[&str]>| {
            let scopes = scopes.iter().map(|scope| scope.parse().unwrap()).collect();
            let principal = Principal { token: TokenId::new(at), workspace: Some(own), identity: "u/ann".into(), scopes };
            let paths = principal.paths(of, Domain::Runs, Action::Read);
            let expected: Vec<Vec<&str>> = expected.into_iter().map(<[&str]>::to_vec).collect();
            assert_eq!(paths, expected);
        };
        check(&["runs:read:f/a/*", "runs:start:f/b", "*:*:u/x"], own, Some(&["f/a/*", "u/x"]));
        check(&["runs:read:f/a/*", "runs:read"], own, None);
        check(&["runs:read:*", "runs:read:f/a"], own, None);
        check(&["scripts:read"], own, Some(&[]));
        check(&["*:*"], other, Some(&[]));
        check(&["runs:read:f/*!f/b/", "runs:read:f/b/c"], own, Some(&["f/*!f/b/", "f/b/c"]));
    }

    #[test]
    fn a_reach_says_what_scopes_say() {
        for reach in ["f/*", "f/*!f/b/", "f/*!f/b/!f/c/", "f/b/c", "*!f/b/"] {
            let scope: Scope = format!("runs:read:{reach}").parse().unwrap();
            for path in ["f/a/x", "f/b/x", "f/b/c", "f/c/x", "u/b/x", "f/bb/x"] {
                assert_eq!(reaches(reach, path), scope.covers(Domain::Runs, Action::Read, Some(path)), "{reach} {path}");
            }
        }
    }

    #[test]
    fn tokens_are_long_and_differ() {
        let token = new_token();
        assert_eq!(token.len(), 55);
        assert_ne!(token, new_token());
        assert_ne!(TokenHash::of(&token), TokenHash::of("sm_"));
    }
}
