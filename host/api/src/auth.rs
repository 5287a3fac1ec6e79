//! Who calls, and in which workspace. `Authorization: Bearer` or `?token=`; the first wins. People's sessions: see [`crate::sessions`].
//!
//! A workspace that is not there and one that the token does not belong to are answered alike.

mod memory;
pub(crate) mod runs;

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};

use axum::extract::{FromRequestParts, MatchedPath};
use http::{HeaderMap, Method, Uri, header, request::Parts};
use percent_encoding::percent_decode_str;
use sandmill_model::{
    Code, Timestamp, TokenId,
    auth::{Action, Domain, Principal, TokenHash},
    quota::is_name,
    recent::Moment,
};
use sandmill_store::{
    users::Carrier,
    workspaces::{Status, Workspace},
};
use tokio::sync::SemaphorePermit;

pub(crate) use self::memory::{BELIEVED, Memory};
use self::memory::{LookUp, Remembered};
use crate::{
    ClientAddress,
    app::App,
    audit::{LOOKS, STARTS},
    on_behalf::OnBehalf,
    problem::Problem,
    request::{room::Whose, url},
    sessions::{self, Person},
};

/// Bytes of a token; ours have 55, an operator may choose another.
const TOKEN_BYTES_MAX: usize = 256;
/// When a token was used is kept to this time.
const USES_APART: Duration = Duration::from_secs(60);

/// What may be ended in a workspace that is archived.
const CANCELS: [&str; 2] = ["/api/w/{workspace}/runs/cancel", "/api/w/{workspace}/runs/{id}/cancel"];

fn unauthorized(detail: &str) -> Problem {
    Problem::new(Code::Unauthorized, detail)
}

fn too_many_failures(wait: Duration) -> Problem {
    Problem::new(Code::TooManyRequests, "too many requests with tokens that are not valid came from this address").retry_after(wait)
}

/// A token that was looked up.
#[derive(Clone)]
pub(crate) struct Found {
    principal: Arc<Principal>,
    expires_at: Option<Timestamp>,
}

/// The token that a request shows.
fn presented<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Result<Cow<'a, str>, Problem> {
    let token = match headers.get(header::AUTHORIZATION) {
        Some(value) => bearer(value.as_bytes()).ok_or_else(|| unauthorized("`Authorization` must be `Bearer <token>`"))?,
        None => {
            in_query(uri).ok_or_else(|| unauthorized("send `Authorization: Bearer <token>`, or `?token=` where no header can be set"))?
        }
    };
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return Err(unauthorized("the token is not valid"));
    }
    Ok(token)
}

fn bearer(value: &[u8]) -> Option<Cow<'_, str>> {
    const SCHEME: &str = "bearer ";
    let text = std::str::from_utf8(value).ok()?;
    let scheme = text.get(..SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| Cow::Borrowed(text[SCHEME.len()..].trim()))
}

fn in_query(uri: &Uri) -> Option<Cow<'_, str>> {
    let token = uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))?;
    percent_decode_str(token).decode_utf8().ok()
}

/// Whose guess a token or a session would be.
pub(crate) fn guesser(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ClientAddress>().map(ClientAddress::network)
}

impl App {
    /// The principal of a request's token, or of a session in a header, from memory if it was seen a moment ago. Too many of one address
    /// that are not valid are 429; one that was valid when it was last looked up is looked up whatever others do behind the same address.
    pub(crate) async fn principal(&self, parts: &Parts) -> Result<Arc<Principal>, Problem> {
        self.known(parts).await.map(|(principal, _)| principal)
    }

    /// Whoever a request is from outside of any workspace, and by what they are known; cookies aside.
    async fn known(&self, parts: &Parts) -> Result<(Arc<Principal>, Shown), Problem> {
        if let Some(secret) = sessions::in_header(&parts.headers) {
            let person = self.person(parts, secret, Carrier::Header).await?;
            return Ok((person.outside(), Shown::Session(person)));
        }
        let token = TokenHash::of(&presented(&parts.headers, &parts.uri)?);
        Ok((self.authenticated(parts, token).await?, Shown::Token(token)))
    }

    /// Whether the token or the session that was valid when a request began is so still. One that shows none, and one that needed none, was
    /// let in without.
    pub(crate) async fn still_valid(&self, parts: &Parts) -> Result<(), Problem> {
        if parts.extensions.get::<NeedsNobody>().is_some() {
            return Ok(());
        }
        if let Some(token) = runs::in_header(&parts.headers) {
            return self.must_go_on(token);
        }
        let person = if let Some(secret) = sessions::in_header(&parts.headers) {
            self.person(parts, secret, Carrier::Header).await?
        } else if let Ok(token) = presented(&parts.headers, &parts.uri) {
            return self.authenticated(parts, TokenHash::of(&token)).await.map(drop);
        } else if let Some(secret) = sessions::in_cookie(&parts.headers, &parts.uri) {
            self.person(parts, secret, Carrier::Cookie).await?
        } else {
            return Ok(());
        };
        if parts.uri.path().starts_with("/api/w/") {
            self.within(&person, url::workspace(parts)).await?;
        }
        Ok(())
    }

    /// Whether a caller is who they were when they came, by what was looked up within `believed`. What cannot be looked up is not.
    pub(crate) async fn is_as_before(&self, caller: &Caller, believed: Duration) -> bool {
        match &caller.shown {
            Shown::Token(hash) => self.is_valid(*hash, believed).await,
            Shown::Run(token) => self.is_same_run(token, &caller.principal, believed).await,
            Shown::Session(person) => self.is_same(person, &caller.principal, &caller.workspace, believed).await,
            Shown::Nothing => true,
        }
    }

    /// The same of whoever came to no workspace.
    pub(crate) async fn is_as_before_outside(&self, Authenticated(principal, shown): &Authenticated, believed: Duration) -> bool {
        match shown {
            Shown::Token(hash) => self.is_valid(*hash, believed).await,
            // Runs come to their workspace alone, and so do those who are let in there without being known.
            Shown::Run(_) | Shown::Nothing => false,
            Shown::Session(person) => self.is_same_outside(person, principal, believed).await,
        }
    }

    /// Whether a token is valid, by what was looked up within `believed`. What cannot be looked up is not.
    async fn is_valid(&self, hash: TokenHash, believed: Duration) -> bool {
        let (now, believed) = (self.clock.now(), self.dispatch.believed(believed));
        match self.tokens.get(&hash, now, believed) {
            Remembered::Valid(_) => true,
            Remembered::LookUp(look_up) => matches!(self.look_up(hash, now, look_up, believed).await, Ok(Some(_))),
        }
    }

    async fn authenticated(&self, parts: &Parts, hash: TokenHash) -> Result<Arc<Principal>, Problem> {
        let unknown = || unauthorized("the token is not valid; it may have expired, or have been revoked");
        let network = match self.tokens.get(&hash, self.clock.now(), self.dispatch.believed(BELIEVED)) {
            Remembered::Valid(principal) => return Ok(principal),
            Remembered::LookUp(look_up) => guesser(parts).filter(|_| !look_up.was_valid),
        };
        let _place = self.place_of_guess(network).await?;
        // Whoever had a place before may have looked up the same.
        let (now, believed) = (self.clock.now(), self.dispatch.believed(BELIEVED));
        let found = match self.tokens.get(&hash, now, believed) {
            Remembered::Valid(principal) => return Ok(principal),
            Remembered::LookUp(_) if self.unknown_tokens.get(&hash, now).is_some() => None,
            Remembered::LookUp(look_up) => self.look_up(hash, now, look_up, believed).await?,
        };
        match found {
            Some(principal) => Ok(principal),
            None => {
                self.has_failed(network)?;
                Err(unknown())
            }
        }
    }

    /// Lets look up what `network` shows, which may be a guess: not if too many of its guesses were wrong, and few at once of all.
    ///
    /// # Errors
    /// `too_many_requests`
    pub(crate) async fn place_of_guess(&self, network: Option<IpAddr>) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        let Some(network) = network else { return Ok(None) };
        let check = || self.failures.check(&network, self.clock.now()).map_err(too_many_failures);
        check()?;
        let place = self.guesses.acquire().await.map_err(|error| Problem::internal(error.to_string()))?;
        // Others of it may have been wrong meanwhile: so no more are looked up than may be wrong, and those that have a place.
        check()?;
        Ok(Some(place))
    }

    /// What `network` showed is no good, as was found. What is our own fault is none of its failures, nor is what nobody knows yet.
    ///
    /// # Errors
    /// `too_many_requests`
    pub(crate) fn has_failed(&self, network: Option<IpAddr>) -> Result<(), Problem> {
        network.map_or(Ok(()), |network| self.failures.take(network, self.clock.now()).map_err(too_many_failures))
    }

    /// The principal of a token, by a look-up that began within `believed`: one for all who need it at the same time.
    async fn look_up(
        &self,
        hash: TokenHash,
        now: Timestamp,
        look_up: LookUp,
        believed: Duration,
    ) -> Result<Option<Arc<Principal>>, Problem> {
        let key = (hash, look_up.moment());
        let found = self.token_look_ups.join(key, believed, || self.ask_for(hash, now, look_up)).await?;
        Ok(found.filter(|found| found.expires_at.is_none_or(|at| at > now)).map(|found| found.principal))
    }

    async fn ask_for(&self, hash: TokenHash, now: Timestamp, look_up: LookUp) -> Result<Option<Found>, Problem> {
        let known = self.store.tokens.by_hash(hash).await?;
        let Some(known) = known.filter(|known| known.expires_at.is_none_or(|at| at > now)) else {
            self.tokens.forget_secret(&hash);
            self.unknown_tokens.put(hash, (), now);
            return Ok(None);
        };
        if known.last_used_at.is_none_or(|at| now.since(at) >= USES_APART) {
            self.store.tokens.note_use(known.principal.token, now);
        }
        let principal = Arc::new(known.principal.clone());
        self.tokens.put(hash, &known, Arc::clone(&principal), look_up);
        Ok(Some(Found { principal, expires_at: known.expires_at }))
    }

    /// By a look-up that began within `believed`: one for all who need it at the same time.
    async fn look_for_workspace(&self, name: &str, now: Timestamp, believed: Duration) -> Result<Option<Workspace>, Problem> {
        let began = (self.workspaces.moment(), self.unknown_workspaces.moment());
        // None can be called so, and the name may be too long to be kept beside others.
        if !is_name(name) {
            return self.find_workspace(name, began, now).await;
        }
        // Neither ever goes back, so no other two have this sum.
        let key: (Arc<str>, u64) = (name.into(), began.0.number() + began.1.number());
        self.workspace_look_ups.join(key, believed, || self.find_workspace(name, began, now)).await
    }

    async fn find_workspace(
        &self,
        name: &str,
        (began, began_without): (Moment, Moment),
        now: Timestamp,
    ) -> Result<Option<Workspace>, Problem> {
        let found = self.store.workspaces.by_name(name).await?;
        match &found {
            Some(workspace) => self.workspaces.put_of(began, Arc::clone(&workspace.name), workspace.clone(), now),
            None if is_name(name) => self.unknown_workspaces.put_of(began_without, name.into(), (), now),
            // None can ever be called so, and the name may be long.
            None => {}
        }
        Ok(found)
    }

    /// The workspace called `name`, whoever asks.
    pub(crate) async fn workspace_called(&self, name: &str) -> Result<Option<Workspace>, Problem> {
        let now = self.clock.now();
        let believed = self.dispatch.believed(BELIEVED);
        let found = match self.workspaces.get_within(name, now, believed) {
            Some(workspace) => Some(workspace),
            // As soon as one of others: how long it takes must not tell which of them is there.
            None if self.unknown_workspaces.get_within(name, now, believed).is_some() => None,
            None => self.look_for_workspace(name, now, believed).await?,
        };
        Ok(found.filter(|workspace| workspace.status != Status::Deleting))
    }

    /// The same, if `principal` belongs to it.
    pub(crate) async fn workspace(&self, name: &str, principal: &Principal) -> Result<Workspace, Problem> {
        self.workspace_called(name).await?.filter(|workspace| principal.workspace.is_none_or(|own| own == workspace.id)).ok_or_else(|| {
            let problem = no_workspace();
            // Whether it is there or not: who has a token of a workspace has no business in any other.
            if principal.workspace.is_some() { problem.denied() } else { problem }
        })
    }
}

/// The same for a workspace that is not there and for one of others.
pub(crate) fn no_workspace() -> Problem {
    Problem::new(Code::NotFound, "there is no such workspace, or the token does not belong to it")
}

/// By what somebody is known: what is looked at again where it may have ended since.
#[derive(Clone)]
pub(crate) enum Shown {
    Token(TokenHash),
    Session(Arc<Person>),
    /// The token of a run, as long as it lasts.
    Run(Arc<str>),
    /// An endpoint has let them in by itself, and they may do nothing else.
    Nothing,
}

impl Shown {
    /// The token by which `principal` makes others. A session is no token, and what is made in one outlives it. A run makes none.
    pub(crate) fn maker(&self, principal: &Principal) -> Option<TokenId> {
        match self {
            Self::Token(_) => Some(principal.token),
            Self::Session(_) | Self::Run(_) | Self::Nothing => None,
        }
    }
}

/// Among the extensions of a request that is answered whoever sends it: whether what it shows is valid says nothing.
#[derive(Clone, Copy)]
pub(crate) struct NeedsNobody;

/// Whoever calls, outside of any workspace, and by what they are known.
pub(crate) struct Authenticated(pub(crate) Arc<Principal>, pub(crate) Shown);

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let (principal, shown) = match app.person_by_cookie(parts).await? {
            Some(person) => (person.outside(), Shown::Session(person)),
            None => app.known(parts).await?,
        };
        Ok(Self(principal, shown))
    }
}

impl Authenticated {
    /// # Errors
    /// `forbidden`, unless the caller may do this to the installation itself.
    pub(crate) fn must(&self, action: Action) -> Result<(), Problem> {
        if self.0.may_instance(action) { Ok(()) } else { Err(forbidden(Domain::Instance, action, None)) }
    }
}

/// Whoever calls, and the workspace that the URL names.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Arc<Principal>,
    pub(crate) workspace: Workspace,
    pub(crate) shown: Shown,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let caller = if let Some(token) = runs::in_header(&parts.headers) {
            Self::of_run(parts, token, app).await?
        } else if let Some(person) = app.person_by_cookie(parts).await? {
            Self::of_person(person, parts, url::workspace(parts), app).await?
        } else {
            Self::of(parts, url::workspace(parts), app).await?
        };
        // A body is counted to the workspace; one of a GET is not read.
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            Whose::note(&mut parts.extensions, caller.workspace.id);
        }
        if caller.workspace.status == Status::Archived && changes(parts) {
            return Err(Problem::new(Code::WorkspaceArchived, "the workspace is archived: it can be read, and nothing in it is changed"));
        }
        Ok(caller)
    }
}

/// Whether a request would change what is archived. What executes or waits may end, a token can always be taken away, and what is started
/// dispatch refuses, run by run; all else changes something, whatever is added.
fn changes(parts: &Parts) -> bool {
    let pattern = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    match parts.method {
        Method::GET | Method::HEAD => false,
        Method::DELETE => url::resource(parts) != "tokens",
        Method::POST => !CANCELS.contains(&pattern) && !STARTS.contains(&pattern) && !LOOKS.contains(&pattern),
        _ => true,
    }
}

impl Caller {
    /// Whoever sends a request about the workspace of that name, cookies aside; the request is from then on served on its behalf.
    ///
    /// # Errors
    /// If nobody is known by the token or the session, or they know of no such workspace.
    pub(crate) async fn of(parts: &Parts, workspace: &str, app: &App) -> Result<Self, Problem> {
        if let Some(secret) = sessions::in_header(&parts.headers) {
            let person = app.person(parts, secret, Carrier::Header).await?;
            return Self::of_person(person, parts, workspace, app).await;
        }
        let token = TokenHash::of(&presented(&parts.headers, &parts.uri)?);
        let principal = app.authenticated(parts, token).await?;
        let workspace = app.workspace(workspace, &principal).await?;
        OnBehalf::note(&parts.extensions, workspace.id);
        Ok(Self { principal, workspace, shown: Shown::Token(token) })
    }

    async fn of_person(person: Arc<Person>, parts: &Parts, workspace: &str, app: &App) -> Result<Self, Problem> {
        let (principal, workspace) = app.within(&person, workspace).await?;
        OnBehalf::note(&parts.extensions, workspace.id);
        Ok(Self { principal, workspace, shown: Shown::Session(person) })
    }

    /// After what takes long: whoever was shut out meanwhile does nothing more.
    ///
    /// # Errors
    /// `unauthorized`
    pub(crate) async fn must_still_be(&self, app: &App) -> Result<(), Problem> {
        if app.is_as_before(self, BELIEVED).await {
            return Ok(());
        }
        Err(unauthorized(match self.shown {
            Shown::Token(_) => "the token is no longer valid",
            Shown::Run(_) => "the run has ended, or may not what it might",
            Shown::Session(_) => "the session is over, or its user may not what they might",
            Shown::Nothing => "nobody is known",
        }))
    }

    /// False for those whom an endpoint let in by itself.
    pub(crate) fn is_known(&self) -> bool {
        !matches!(self.shown, Shown::Nothing)
    }

    pub(crate) fn may(&self, domain: Domain, action: Action, path: Option<&str>) -> bool {
        self.principal.may(self.workspace.id, domain, action, path)
    }

    /// # Errors
    /// `forbidden` unless the token may read the audit log of the workspace.
    pub(crate) fn must_audit(&self) -> Result<(), Problem> {
        if self.may(Domain::Audit, Action::Read, None) { Ok(()) } else { Err(forbidden(Domain::Audit, Action::Read, None)) }
    }

    /// # Errors
    /// `forbidden`, naming the scope that is missing.
    pub(crate) fn must(&self, domain: Domain, action: Action, path: &str) -> Result<(), Problem> {
        if self.may(domain, action, Some(path)) { Ok(()) } else { Err(forbidden(domain, action, Some(path))) }
    }

    /// For lists: their entries are then filtered one by one.
    ///
    /// # Errors
    /// `forbidden` if the token covers no path at all.
    pub(crate) fn must_somewhere(&self, domain: Domain, action: Action) -> Result<(), Problem> {
        if self.principal.may_somewhere(self.workspace.id, domain, action) { Ok(()) } else { Err(forbidden(domain, action, None)) }
    }
}

pub(crate) fn forbidden(domain: Domain, action: Action, path: Option<&str>) -> Problem {
    let path = path.map(|path| format!(":{path}")).unwrap_or_default();
    Problem::new(Code::Forbidden, format!("the token lacks the scope {}:{}{path}", domain.name(), action.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(authorization: Option<&str>, uri: &str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        let uri: Uri = uri.parse().unwrap();
        let token = presented(&headers, &uri);
        assert_eq!(token.ok().as_deref(), expected, "{authorization:?} {uri}");
    }

    #[test]
    fn tokens_come_in_the_header_or_the_query() {
        check(Some("Bearer sm_a"), "/", Some("sm_a"));
        check(Some("bearer  sm_a"), "/?token=sm_b", Some("sm_a"));
        check(None, "/?x=1&token=sm_b&y", Some("sm_b"));
        check(None, "/?token=sm%5Fb", Some("sm_b"));
        check(Some("Basic c20="), "/?token=sm_b", None);
        check(Some("Bearer"), "/", None);
        check(Some("Bearer "), "/", None);
        check(None, "/?xtoken=sm_b", None);
        check(None, "/?token=", None);
        check(None, "/?token=%FF", None);
        check(None, &format!("/?token={}", "x".repeat(TOKEN_BYTES_MAX + 1)), None);
    }
}
