//! Logins by another's word: what the API needs of whoever speaks OpenID Connect, and what the operator says of it.
//!
//! A login under way is in the browser alone: a cookie has a secret, and what the provider is shown of it follows from the whole cookie. So
//! nothing is kept for those who begin and never come back, any node can take whoever does, and whoever comes with another cookie, with
//! none, or with one that was changed has another state than the provider gives back.

mod goal;

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use sandmill_model::{BoxFuture, Digest, Timestamp, people::Name, random, role::Role};

pub(crate) use self::goal::{Command, Goal, challenge};
use crate::{problem::Problem, sessions::is_right_secret};

/// Of a login that is under way. `Lax`: the browser comes back from another site.
const COOKIE: &str = "__Host-sandmill-login";
/// How long a login may take.
const LOGIN_LIMIT: Duration = Duration::from_secs(600);
/// Bytes of the cookie: a secret, a time, and such a place in base64.
const COOKIE_BYTES_MAX: usize = 2048;
/// Bytes of a name that is made of what a provider says; a number may come after it.
const NAME_BYTES_MAX: usize = 60;

/// What a provider is shown of a login, in hexadecimal; another for each. Not `Debug`: they are secrets.
#[derive(Clone)]
pub struct Secrets {
    pub state: String,
    pub nonce: String,
    /// For PKCE; 64 characters.
    pub verifier: String,
}

/// What a provider says of somebody, after all was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assertion {
    /// At most 255 bytes.
    pub subject: String,
    /// Only if the provider says that it is verified.
    pub email: Option<String>,
    pub username: Option<String>,
    pub display_name: Option<String>,
    /// None: there is no such claim.
    pub groups: Option<Vec<String>>,
}

/// Why nobody is logged in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAsserted {
    /// The provider cannot be reached, or says what makes no sense: the text is for the log.
    #[error("{0}")]
    Unavailable(String),
    /// As many logins as may are under way.
    #[error("too many logins at once")]
    Busy,
    /// What the provider says does not hold; the text is for whoever logs in and has no secrets.
    #[error("{0}")]
    Refused(String),
}

/// Whoever speaks with the provider.
pub trait Provider: Send + Sync + 'static {
    fn issuer(&self) -> Arc<str>;

    /// Where the browser is to be sent.
    fn begin(&self, secrets: Secrets) -> BoxFuture<'_, Result<String, NotAsserted>>;

    /// Exchanges the code that the browser came back with.
    fn finish(&self, code: String, secrets: Secrets) -> BoxFuture<'_, Result<Assertion, NotAsserted>>;
}

/// Members of a group have a role in a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRole {
    pub group: String,
    pub workspace: Arc<str>,
    pub role: Role,
}

#[derive(Clone)]
pub struct SingleSignOn {
    pub provider: Arc<dyn Provider>,
    /// Whether whoever the provider knows becomes a user.
    pub allows_signup: bool,
    /// Empty: groups say nothing of roles.
    pub roles: Vec<GroupRole>,
}

impl SingleSignOn {
    /// What the groups of somebody give: of several roles in one workspace the greatest. None: nothing is said of roles at all.
    pub(crate) fn given(&self, groups: Option<&[String]>) -> Option<Vec<(Arc<str>, Role)>> {
        if self.roles.is_empty() {
            return None;
        }
        // A provider that names no groups says that there are none: whoever was taken out of the last one must not keep its roles.
        let groups = groups.unwrap_or_default();
        let mut given: Vec<(Arc<str>, Role)> = Vec::new();
        for GroupRole { workspace, role, .. } in self.roles.iter().filter(|role| groups.contains(&role.group)) {
            match given.iter_mut().find(|(name, _)| name == workspace) {
                Some((_, present)) if rank(*role) < rank(*present) => *present = *role,
                Some(_) => {}
                None => given.push((Arc::clone(workspace), *role)),
            }
        }
        Some(given)
    }
}

/// The least is the greatest role.
fn rank(role: Role) -> Option<usize> {
    Role::ALL.iter().position(|other| *other == role)
}

impl Assertion {
    /// A name for a new user, of what the provider says.
    pub(crate) fn name(&self) -> Option<Name> {
        let local = self.email.as_deref().and_then(|email| email.split('@').next());
        let wanted = [self.username.as_deref().and_then(|name| name.split('@').next()), local];
        let names = wanted.into_iter().flatten().filter_map(plain);
        // A subject may look like anything, and its hash like nobody's name.
        let of_subject = format!("user-{}", &Digest::of(self.subject.as_bytes()).hex()[..12]);
        names.chain(Name::of_user(&of_subject).ok()).next()
    }
}

fn plain(text: &str) -> Option<Name> {
    let allowed =
        |char: char| if char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-') { char.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(allowed).take(NAME_BYTES_MAX).collect();
    Name::of_user(name.trim_matches(['-', '.'])).ok()
}

/// A login that is under way. Not `Debug`: it has a secret.
#[cfg_attr(test, derive(Debug))]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    cookie: String,
}

impl Pending {
    pub(crate) fn begin(goal: &Goal, now: Timestamp) -> Self {
        let secret = Digest::of(&random::bytes::<32>()).hex();
        Self { cookie: format!("{secret}.{}.{}", now.millis() / 1000, URL_SAFE_NO_PAD.encode(goal.text())) }
    }

    /// The one of this browser, if `state` is its own and it did not begin too long ago.
    pub(crate) fn of(headers: &HeaderMap, state: &str, now: Timestamp) -> Option<Self> {
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|cookies| cookies.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split(';'));
        let cookie = pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))?;
        let pending = Self { cookie: Some(cookie).filter(|cookie| cookie.len() <= COOKIE_BYTES_MAX)?.to_owned() };
        let is_own = is_right_secret(state, &pending.secrets().state);
        let began_s: i64 = pending.cookie.split('.').nth(1)?.parse().ok()?;
        let began = Timestamp::from_micros(began_s.checked_mul(1_000_000)?);
        let is_young = now.since(began) <= LOGIN_LIMIT && began.since(now) <= LOGIN_LIMIT;
        (is_own && is_young && pending.goal().is_some()).then_some(pending)
    }

    pub(crate) fn secrets(&self) -> Secrets {
        let of = |what: &[u8]| Digest::of_parts(&[b"sandmill-single-sign-on", what, self.cookie.as_bytes()]).hex();
        Secrets { state: of(b"state"), nonce: of(b"nonce"), verifier: of(b"verifier") }
    }

    pub(crate) fn goal(&self) -> Option<Goal> {
        let encoded = self.cookie.split('.').nth(2)?;
        Goal::read(&String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?)
    }

    /// `Set-Cookie`
    pub(crate) fn set(&self) -> Result<HeaderValue, Problem> {
        cookie(&self.cookie, LOGIN_LIMIT)
    }

    /// `Set-Cookie` that takes it away.
    pub(crate) fn unset() -> Result<HeaderValue, Problem> {
        cookie("", Duration::ZERO)
    }
}

fn cookie(value: &str, max_age: Duration) -> Result<HeaderValue, Problem> {
    let text = format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={}", max_age.as_secs());
    HeaderValue::from_str(&text).map_err(|error| Problem::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_760_000_000_000_000 + seconds * 1_000_000)
    }

    fn headers(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())])
    }

    fn sent(pending: &Pending) -> String {
        pending.set().unwrap().to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    #[test]
    fn a_login_belongs_to_its_browser_and_ends() {
        let runs = Goal::page("/runs").unwrap();
        let (own, other) = (Pending::begin(&runs, at(0)), Pending::begin(&runs, at(0)));
        let state = own.secrets().state;
        assert!(own.secrets().verifier.len() == 64 && own.secrets().nonce != state && other.secrets().state != state);
        let found = |cookie: &str, now| Pending::of(&headers(cookie), &state, now);
        let cookie = sent(&own);
        assert_eq!(found(&format!("a=b; {cookie}; c=d"), at(600)), Some(own.clone()));
        assert_eq!(own.goal(), Some(runs));
        assert_eq!(found(&cookie, at(601)), None, "it has taken too long");
        assert_eq!(found(&sent(&other), at(1)), None, "the cookie of another browser");
        assert_eq!(found("a=b", at(1)), None);
        assert_eq!(found(&cookie.replace("1760000000", "1760000300"), at(700)), None, "another time");
        let elsewhere = URL_SAFE_NO_PAD.encode("/else");
        assert_eq!(found(&cookie.replace(&URL_SAFE_NO_PAD.encode("/runs"), &elsewhere), at(1)), None, "another place");
        assert_eq!(Pending::of(&headers(&cookie), &other.secrets().state, at(1)), None, "the state of another login");
        for broken in ["__Host-sandmill-login=", "__Host-sandmill-login=a", "__Host-sandmill-login=a.b.c", "__Host-sandmill-login=a.1.!"] {
            let state = Pending { cookie: broken.split_once('=').unwrap().1.to_owned() }.secrets().state;
            assert_eq!(Pending::of(&headers(broken), &state, at(1)), None, "{broken}");
        }
        // Whoever makes the cookie up, state and all, is still sent nowhere else.
        let forged = Pending { cookie: format!("a.1760000000.{}", URL_SAFE_NO_PAD.encode("//evil.test")) };
        assert_eq!(Pending::of(&headers(&sent(&forged)), &forged.secrets().state, at(1)), None);
    }

    #[test]
    fn names_are_made_of_what_the_provider_says() {
        let check = |username: Option<&str>, email: Option<&str>, expected: &str| {
            let [username, email] = [username, email].map(|text| text.map(str::to_owned));
            let assertion = Assertion { subject: "1".to_owned(), username, email, ..Assertion::default() };
            assert_eq!(assertion.name().unwrap().as_str(), expected);
        };
        check(Some("Ann.Lee"), Some("x@a.test"), "ann.lee");
        check(Some("ann@a.test"), None, "ann");
        check(None, Some("ann+test@a.test"), "ann-test");
        // Nobody becomes the operator.
        check(Some("admin"), Some("boss@a.test"), "boss");
        check(Some("../.."), None, "user-6b86b273ff34");
        check(Some("日本"), None, "user-6b86b273ff34");
        check(Some(&"x".repeat(100)), None, &"x".repeat(60));
    }

    struct Nobody;

    impl Provider for Nobody {
        fn issuer(&self) -> Arc<str> {
            "https://id.test".into()
        }

        fn begin(&self, _: Secrets) -> BoxFuture<'_, Result<String, NotAsserted>> {
            Box::pin(async { Err(NotAsserted::Busy) })
        }

        fn finish(&self, _: String, _: Secrets) -> BoxFuture<'_, Result<Assertion, NotAsserted>> {
            Box::pin(async { Err(NotAsserted::Busy) })
        }
    }

    #[test]
    fn the_greatest_role_of_all_groups_counts() {
        let role = |group: &str, workspace: &str, role| GroupRole { group: group.to_owned(), workspace: workspace.into(), role };
        let roles = vec![role("a", "one", Role::Viewer), role("b", "one", Role::Developer), role("b", "two", Role::Operator)];
        let sign_on = |roles| SingleSignOn { provider: Arc::new(Nobody), allows_signup: false, roles };
        let groups = ["b".to_owned(), "a".to_owned(), "c".to_owned()];
        let expected: Vec<(Arc<str>, Role)> = vec![("one".into(), Role::Developer), ("two".into(), Role::Operator)];
        assert_eq!(sign_on(roles.clone()).given(Some(&groups)), Some(expected));
        assert_eq!(sign_on(roles.clone()).given(Some(&groups[2..])), Some(Vec::new()));
        assert_eq!(sign_on(roles).given(None), Some(Vec::new()));
        assert_eq!(sign_on(Vec::new()).given(Some(&groups)), None);
    }
}
