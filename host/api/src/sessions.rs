//! People who are logged in. A session's secret comes in a cookie, which browsers add by themselves and which changes nothing without a
//! second token that other sites cannot know; or in `Authorization: Bearer`, for programs. One that was given as a cookie is no good in a
//! header, nor the other way round. Endpoints of trigger kinds never look at cookies.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, request::Parts};
use sandmill_model::{
    Code, Digest, Timestamp, TokenId,
    auth::{Principal, Scope, Scopes, SharedScopes, TokenHash, new_token},
    people::Name,
    recent::Moment,
};
use sandmill_store::{
    users::{Carrier, NewSession, OpenSession, Session, User, Which},
    workspaces::Workspace,
};
use subtle::ConstantTimeEq;

use crate::{
    ClientAddress,
    app::{App, Within},
    auth::{BELIEVED, guesser, no_workspace},
    problem::Problem,
};

/// `__Host-`: a browser takes it only with `Secure`, for this host alone and for all of it.
pub(crate) const COOKIE: &str = "__Host-sandmill";
/// On every request with a cookie that is not a `GET` or `HEAD`.
pub(crate) const CSRF: HeaderName = HeaderName::from_static("x-sandmill-csrf");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// How secrets of sessions begin; tokens begin with `sm_`.
const PREFIX: &str = "ss_";
/// Bytes of a secret; ours have 55.
const SECRET_BYTES_MAX: usize = 64;
/// A session that is used lives on, and that is written down no more often.
const PROLONGED_EVERY: Duration = Duration::from_secs(5 * 60);

const HOUR: Duration = Duration::from_secs(3600);

/// How long a session lives without being used.
const fn idle(carrier: Carrier) -> Duration {
    match carrier {
        Carrier::Cookie => HOUR.saturating_mul(12),
        Carrier::Header => HOUR.saturating_mul(14 * 24),
    }
}

/// How long it lives in any case.
const fn lifetime(carrier: Carrier) -> Duration {
    match carrier {
        Carrier::Cookie => HOUR.saturating_mul(7 * 24),
        Carrier::Header => HOUR.saturating_mul(30 * 24),
    }
}

/// When a session was last used, to [`PROLONGED_EVERY`].
pub(crate) fn used_at(session: &OpenSession) -> Timestamp {
    let idle = i64::try_from(idle(session.carrier).as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(session.idle_until.micros().saturating_sub(idle))
}

/// A user who is logged in.
pub(crate) struct Person {
    pub(crate) session: Session,
    hash: TokenHash,
}

impl Person {
    /// As whom they act outside of any workspace: there only who administers the installation may do anything.
    pub(crate) fn outside(&self) -> Arc<Principal> {
        let User { name, is_instance_admin, .. } = &self.session.user;
        let scopes: Scopes = if *is_instance_admin { [Scope::all()].into() } else { Scopes::default() };
        Arc::new(Principal { token: self.session.id, workspace: None, identity: name.identity(), scopes })
    }

    fn is_good(&self, carrier: Carrier, now: Timestamp) -> bool {
        let Session { carrier: own, idle_until, expires_at, .. } = &self.session;
        *own == carrier && *idle_until > now && *expires_at > now
    }
}

/// A session that was just opened.
pub(crate) struct Opened {
    pub(crate) id: TokenId,
    pub(crate) secret: String,
    pub(crate) expires_at: Timestamp,
}

impl Opened {
    /// `Set-Cookie`
    ///
    /// # Errors
    /// `internal`
    pub(crate) fn cookie(&self) -> Result<HeaderValue, Problem> {
        cookie(&self.secret, lifetime(Carrier::Cookie))
    }

    /// What the header [`CSRF`] must hold.
    pub(crate) fn csrf(&self) -> String {
        csrf(&self.secret)
    }
}

/// `Set-Cookie` that takes the cookie away.
pub(crate) fn no_cookie() -> Result<HeaderValue, Problem> {
    cookie("", Duration::ZERO)
}

fn cookie(value: &str, max_age: Duration) -> Result<HeaderValue, Problem> {
    let text = format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={}", max_age.as_secs());
    HeaderValue::from_str(&text).map_err(|error| Problem::internal(error.to_string()))
}

/// Follows from the secret, so it is bound to the session, and says nothing of it.
pub(crate) fn csrf(secret: &str) -> String {
    Digest::of_parts(&[b"sandmill-csrf", secret.as_bytes()]).hex()
}

/// The secret of a session in `Authorization: Bearer`.
pub(crate) fn in_header(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some(secret.trim()).filter(|secret| scheme.eq_ignore_ascii_case("bearer") && is_secret(secret))
}

/// The secret of a session in a cookie, unless the request shows something else.
pub(crate) fn in_cookie<'a>(headers: &'a HeaderMap, uri: &Uri) -> Option<&'a str> {
    let has_token = uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("token=")));
    if headers.contains_key(header::AUTHORIZATION) || has_token {
        return None;
    }
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|cookies| cookies.to_str().ok());
    let mut values = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    values.next().filter(|secret| is_secret(secret))
}

fn is_secret(text: &str) -> bool {
    text.starts_with(PREFIX) && text.len() <= SECRET_BYTES_MAX
}

/// Whether a request shows a session, good or not.
pub(crate) fn is_shown(headers: &HeaderMap, uri: &Uri) -> bool {
    in_header(headers).is_some() || in_cookie(headers, uri).is_some()
}

/// Refuses what a browser sends for another site, whatever it shows.
///
/// # Errors
/// `forbidden`
pub(crate) fn check_site(parts: &Parts) -> Result<(), Problem> {
    let Parts { headers, uri, extensions, .. } = parts;
    // Where we know that it came by TLS, a page that did not is another site: somebody on the way may have written it.
    let must_be_secure = extensions.get::<ClientAddress>().is_some_and(|client| client.is_secure);
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let is_own = match (text(FETCH_SITE), text(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        // An older browser. Whoever is none sends neither.
        (None, Some(origin)) => {
            let own = text(header::HOST).or_else(|| uri.authority().map(http::uri::Authority::as_str));
            origin.split_once("://").is_some_and(|(scheme, host)| Some(host) == own && (scheme == "https" || !must_be_secure))
        }
        (None, None) => true,
    };
    if is_own { Ok(()) } else { Err(Problem::new(Code::Forbidden, "a page of another site sent this")) }
}

/// Refuses what another site could have made a browser send.
fn check_csrf(parts: &Parts, secret: &str) -> Result<(), Problem> {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    check_site(parts)?;
    let shown = parts.headers.get(CSRF).and_then(|shown| shown.to_str().ok()).unwrap_or_default();
    if is_right_secret(shown, &csrf(secret)) {
        return Ok(());
    }
    let how = format!("a request with the cookie {COOKIE} needs the header {CSRF} with what `GET /api/auth/me` says");
    Err(Problem::new(Code::Forbidden, how))
}

/// Whether two secrets are equal: how long it takes says nothing but their lengths, which everybody knows.
pub(crate) fn is_right_secret(shown: &str, right: &str) -> bool {
    shown.as_bytes().ct_eq(right.as_bytes()).into()
}

pub(crate) fn ended() -> Problem {
    Problem::new(Code::Unauthorized, "the session has ended; log in again")
}

impl App {
    /// The person whose session's cookie a request shows; none if it shows none.
    ///
    /// # Errors
    /// `unauthorized` if the session has ended, `forbidden` if another site may have sent the request.
    pub(crate) async fn person_by_cookie(&self, parts: &Parts) -> Result<Option<Arc<Person>>, Problem> {
        let Some(secret) = in_cookie(&parts.headers, &parts.uri) else { return Ok(None) };
        check_csrf(parts, secret)?;
        self.person(parts, secret, Carrier::Cookie).await.map(Some)
    }

    /// The person of a session that `parts` show. What is not good counts as a token that is not valid does.
    ///
    /// # Errors
    /// `unauthorized` if there is none, or it has ended; `too_many_requests`.
    pub(crate) async fn person(&self, parts: &Parts, secret: &str, carrier: Carrier) -> Result<Arc<Person>, Problem> {
        let (hash, now) = (TokenHash::of(secret), self.clock.now());
        if let Some(known) = self.people.get_within(&hash, now, self.dispatch.believed(BELIEVED)) {
            return known.filter(|person| person.is_good(carrier, now)).ok_or_else(ended);
        }
        // One that was good when it was last looked up is no guess.
        let was_good = self.people.last(&hash).flatten().is_some();
        let network = guesser(parts).filter(|_| !was_good);
        let _place = self.place_of_guess(network).await?;
        // Whoever had a place before may have looked up the same.
        let (now, believed) = (self.clock.now(), self.dispatch.believed(BELIEVED));
        let found = match self.people.get_within(&hash, now, believed) {
            Some(known) => known,
            None if self.unknown_tokens.get(&hash, now).is_some() => None,
            None => self.look_for(hash, now, believed).await?,
        };
        let Some(person) = found else {
            self.has_failed(network)?;
            return Err(ended());
        };
        Some(person).filter(|person| person.is_good(carrier, now)).ok_or_else(ended)
    }

    /// By a look-up that began within `believed`: one for all who need it at the same time.
    async fn look_for(&self, hash: TokenHash, now: Timestamp, believed: Duration) -> Result<Option<Arc<Person>>, Problem> {
        let began = self.people.moment();
        self.session_look_ups.join((hash, began.number()), believed, || self.find_person(hash, began, now)).await
    }

    async fn find_person(&self, hash: TokenHash, began: Moment, now: Timestamp) -> Result<Option<Arc<Person>>, Problem> {
        if let Some(session) = self.store.sessions.find(hash, now).await? {
            return self.remember(Person { session, hash }, began, now).await.map(Some);
        }
        // Those that never were must not push out those that are.
        if self.people.last(&hash).is_some() {
            self.people.put(hash, None, now);
        }
        self.unknown_tokens.put(hash, (), now);
        Ok(None)
    }

    /// Whether a person who came as `principal` would come as the same now, by what was looked up within `believed`. Whoever may less than
    /// then, or more, has to come again.
    pub(crate) async fn is_same(&self, person: &Person, principal: &Principal, workspace: &Workspace, believed: Duration) -> bool {
        let Some(present) = self.present(person, believed).await else { return false };
        match self.standing(&present, workspace, believed).await {
            Ok(Some(present)) => *present == *principal,
            Ok(None) | Err(_) => false,
        }
    }

    /// The same of a person who came to no workspace.
    pub(crate) async fn is_same_outside(&self, person: &Person, principal: &Principal, believed: Duration) -> bool {
        self.present(person, believed).await.is_some_and(|present| *present.outside() == *principal)
    }

    /// A person as they are now; none if the session has ended, or cannot be looked up.
    async fn present(&self, person: &Person, believed: Duration) -> Option<Arc<Person>> {
        let (now, believed) = (self.clock.now(), self.dispatch.believed(believed));
        let found = match self.people.get_within(&person.hash, now, believed) {
            Some(known) => Ok(known),
            None => self.look_for(person.hash, now, believed).await,
        };
        found.ok().flatten().filter(|present| present.is_good(person.session.carrier, now))
    }

    /// Writes down that a session is used, if that is due.
    async fn remember(&self, mut person: Person, began: Moment, now: Timestamp) -> Result<Arc<Person>, Problem> {
        let idle = idle(person.session.carrier);
        if now.plus(idle).since(person.session.idle_until) > PROLONGED_EVERY {
            self.store.sessions.prolong(person.hash, now, idle).await?;
            person.session.idle_until = now.plus(idle);
        }
        let person = Arc::new(person);
        self.people.put_of(began, person.hash, Some(Arc::clone(&person)), now);
        Ok(person)
    }

    /// As whom a person acts in the workspace called `name`.
    ///
    /// # Errors
    /// `not_found` if there is none, or they are no member of it.
    pub(crate) async fn within(&self, person: &Person, name: &str) -> Result<(Arc<Principal>, Workspace), Problem> {
        let found = self.workspace(name, &person.outside()).await;
        // Whether it is there or not: who is no member has no business there.
        let denied = |problem: Problem| match problem.code() {
            Code::NotFound if !person.session.user.is_instance_admin => problem.denied(),
            _ => problem,
        };
        let workspace = found.map_err(denied)?;
        let principal = self.standing(person, &workspace, BELIEVED).await?.ok_or_else(|| no_workspace().denied())?;
        Ok((principal, workspace))
    }

    /// As whom a person acts in a workspace, by what was looked up within `believed`; none: they are no member of it.
    async fn standing(&self, person: &Person, workspace: &Workspace, believed: Duration) -> Result<Option<Arc<Principal>>, Problem> {
        let User { name: user, is_instance_admin, .. } = &person.session.user;
        if *is_instance_admin {
            return Ok(Some(person.outside()));
        }
        let identity = user.identity();
        let (key, now, believed) = ((workspace.id, Arc::clone(&identity)), self.clock.now(), self.dispatch.believed(believed));
        // Of all sessions of theirs alike.
        let scopes = match self.members.get_within(&key, now, believed) {
            Some(known) => known,
            None => {
                let began = self.members.moment();
                let look_up = || self.find_standing(key.clone(), user, began, now);
                // One for all who need it at the same time.
                self.member_look_ups.join((key.clone(), began.number()), believed, look_up).await?
            }
        };
        Ok(scopes
            .map(|scopes| Arc::new(Principal { token: person.session.id, workspace: Some(workspace.id), identity, scopes: scopes.into() })))
    }

    async fn find_standing(&self, key: Within, user: &Name, began: Moment, now: Timestamp) -> Result<Option<SharedScopes>, Problem> {
        let standing = self.store.members.standing(key.0, user).await?;
        let scopes = standing.map(|standing| SharedScopes::from(standing.scopes(user)));
        self.members.put_of(began, key, scopes.clone(), now);
        Ok(scopes)
    }

    /// Opens a session; `password` is the PHC string of the one that was shown. None if meanwhile it is another, or the user was disabled.
    pub(crate) async fn open_session(&self, user: &User, password: Option<String>, carrier: Carrier) -> Result<Option<Opened>, Problem> {
        // Never one that the browser came with: whoever put it there would know it.
        let secret = new_token().replacen("sm_", PREFIX, 1);
        let now = self.clock.now();
        let expires_at = now.plus(lifetime(carrier));
        let id = TokenId::new(now);
        let new = NewSession {
            hash: TokenHash::of(&secret),
            id,
            user: user.name.clone(),
            password,
            carrier,
            now,
            idle_until: now.plus(idle(carrier)),
            expires_at,
        };
        let is_open = self.store.sessions.open(new).await?;
        Ok(is_open.then_some(Opened { id, secret, expires_at }))
    }

    /// Ends a session; here it is over at once, on other nodes once they hear of it, within a second in any case.
    pub(crate) async fn end_session(&self, secret: &str) -> Result<(), Problem> {
        let hash = TokenHash::of(secret);
        let user = match self.people.last(&hash).flatten() {
            Some(person) => Some(person.session.user.name.clone()),
            None => self.store.sessions.find(hash, self.clock.now()).await?.map(|session| session.user.name),
        };
        self.store.sessions.end(hash).await?;
        // Whatever is known of it: no look-up that began before is joined or believed.
        self.people.outdate(|known, _| *known == hash);
        if let Some(user) = user {
            self.outdate_people(vec![user]);
        }
        self.people.put(hash, None, self.clock.now());
        Ok(())
    }

    /// Ends sessions of a user and tells how many there were; here they are over at once, on other nodes once they hear of it, within a second in
    /// any case.
    pub(crate) async fn end_sessions(&self, user: Name, which: Which) -> Result<usize, Problem> {
        let ended = self.store.sessions.end_of(user.clone(), which).await?;
        // Who was looking one up meanwhile must not bring it back.
        self.outdate_people(vec![user]);
        let now = self.clock.now();
        for hash in &ended {
            self.people.put(*hash, None, now);
        }
        Ok(ended.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn secrets_come_in_a_cookie_or_a_header() {
        let uri: Uri = "/api/x".parse().unwrap();
        for (given, header, cookie) in [
            (&[("authorization", "Bearer ss_a")][..], Some("ss_a"), None),
            (&[("authorization", "bearer  ss_a"), ("cookie", "__Host-sandmill=ss_b")], Some("ss_a"), None),
            (&[("authorization", "Bearer sm_a"), ("cookie", "__Host-sandmill=ss_b")], None, None),
            (&[("cookie", "a=b; __Host-sandmill=ss_b; c=d")], None, Some("ss_b")),
            (&[("cookie", "a=b"), ("cookie", "__Host-sandmill=ss_b")], None, Some("ss_b")),
            (&[("cookie", "__Host-sandmill2=ss_b; x__Host-sandmill=ss_b; sandmill=ss_b")], None, None),
            (&[("cookie", "__Host-sandmill=sm_b")], None, None),
            (&[("cookie", "__Host-sandmill=")], None, None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!((in_header(&headers), in_cookie(&headers, &uri)), (header, cookie), "{given:?}");
        }
        let cookie = headers(&[("cookie", "__Host-sandmill=ss_b")]);
        assert_eq!(in_cookie(&cookie, &"/api/x?a=1&token=sm_a".parse().unwrap()), None);
    }

    /// A request, by TLS or not.
    fn parts(method: &Method, given: &[(&'static str, &str)], is_secure: bool) -> Parts {
        let mut parts = http::Request::builder().method(method).uri("/api/x").body(()).unwrap().into_parts().0;
        parts.headers = headers(given);
        parts.extensions.insert(ClientAddress { address: std::net::Ipv4Addr::LOCALHOST.into(), is_secure });
        parts
    }

    #[test]
    fn a_page_that_did_not_come_by_tls_is_another_site() {
        let check = |origin: &str, is_secure: bool| {
            check_site(&parts(&Method::POST, &[("origin", origin), ("host", "own.test")], is_secure)).is_ok()
        };
        assert!(check("https://own.test", true) && check("https://own.test", false) && check("http://own.test", false));
        assert!(!check("http://own.test", true) && !check("https://own.test:8443", true) && !check("own.test", true));
    }

    #[test]
    fn other_sites_change_nothing() {
        let right = csrf("ss_a");
        for (given, is_fine) in [
            (&[("x-sandmill-csrf", &*right)][..], true),
            (&[("x-sandmill-csrf", &*right), ("sec-fetch-site", "same-origin"), ("origin", "null")], true),
            (&[("x-sandmill-csrf", &*right), ("sec-fetch-site", "same-site")], false),
            (&[("x-sandmill-csrf", &*right), ("sec-fetch-site", "cross-site")], false),
            (&[("x-sandmill-csrf", &*right), ("sec-fetch-site", "none")], false),
            (&[("x-sandmill-csrf", &*right), ("origin", "https://own.test:8443"), ("host", "own.test:8443")], true),
            (&[("x-sandmill-csrf", &*right), ("origin", "https://own.test"), ("host", "own.test:8443")], false),
            (&[("x-sandmill-csrf", &*right), ("origin", "null"), ("host", "own.test")], false),
            (&[("x-sandmill-csrf", &*csrf("ss_b"))], false),
            (&[("x-sandmill-csrf", "")], false),
            (&[], false),
        ] {
            assert_eq!(check_csrf(&parts(&Method::POST, given, true), "ss_a").is_ok(), is_fine, "{given:?}");
            assert!(check_csrf(&parts(&Method::GET, given, true), "ss_a").is_ok(), "{given:?}");
        }
    }

    #[test]
    fn a_cookie_is_for_this_host_alone() {
        let at = Timestamp::from_micros(0);
        let opened = Opened { id: TokenId::new(at), secret: "ss_a".to_owned(), expires_at: at };
        let expected = "__Host-sandmill=ss_a; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=604800";
        assert_eq!(opened.cookie().unwrap(), expected);
        assert!(no_cookie().unwrap().to_str().unwrap().contains("=; Path=/;"));
        assert!(opened.csrf().len() == 64 && !opened.csrf().contains("ss_a"));
    }
}
