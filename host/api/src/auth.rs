//! Who calls, and in which workspace. `Authorization: Bearer` or `?token=`; the first wins. People's sessions: see [`crate::sessions`].
//!
//! A workspace that is not there and one that the token does not belong to are answered alike.

use std::{borrow::Cow, sync::Arc};

use axum::extract::FromRequestParts;
use http::{HeaderMap, Uri, header, request::Parts};
use percent_encoding::percent_decode_str;
use sandmill_model::{
    Code,
    auth::{Action, Domain, Principal, TokenHash},
};
use sandmill_store::{users::Carrier, workspaces::Workspace};

use crate::{
    app::App,
    on_behalf::OnBehalf,
    problem::Problem,
    request::url,
    sessions::{self, Person},
};

/// Bytes of a token; ours have 55, an operator may choose another.
const TOKEN_BYTES_MAX: usize = 256;

fn unauthorized(detail: &str) -> Problem {
    Problem::new(Code::Unauthorized, detail)
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

impl App {
    /// The principal of a request's token, from memory if it was seen a moment ago.
    pub(crate) async fn principal(&self, headers: &HeaderMap, uri: &Uri) -> Result<Arc<Principal>, Problem> {
        if let Some(secret) = sessions::in_header(headers) {
            return Ok(self.person(secret, Carrier::Header).await?.outside());
        }
        let unknown = || unauthorized("the token is not valid; it may have been revoked");
        let hash = TokenHash::of(&presented(headers, uri)?);
        let now = self.clock.now();
        if let Some(principal) = self.tokens.get(&hash, now) {
            return Ok(principal);
        }
        if self.unknown_tokens.get(&hash, now).is_some() {
            return Err(unknown());
        }
        match self.store.tokens.by_hash(hash).await? {
            Some(principal) => {
                let principal = Arc::new(principal);
                self.tokens.put(hash, Arc::clone(&principal), now);
                Ok(principal)
            }
            None => {
                self.unknown_tokens.put(hash, (), now);
                Err(unknown())
            }
        }
    }

    /// The workspace called `name`, if `principal` belongs to it.
    pub(crate) async fn workspace(&self, name: &str, principal: &Principal) -> Result<Workspace, Problem> {
        let now = self.clock.now();
        let found = match self.workspaces.get(name, now) {
            Some(workspace) => Some(workspace),
            None => {
                let found = self.store.workspaces.by_name(name).await?;
                if let Some(workspace) = &found {
                    self.workspaces.put(Arc::clone(&workspace.name), workspace.clone(), now);
                }
                found
            }
        };
        found.filter(|workspace| principal.workspace.is_none_or(|own| own == workspace.id)).ok_or_else(no_workspace)
    }
}

/// The same for a workspace that is not there and for one of others.
pub(crate) fn no_workspace() -> Problem {
    Problem::new(Code::NotFound, "there is no such workspace, or the token does not belong to it")
}

/// Whoever calls, outside of any workspace.
pub(crate) struct Authenticated(pub(crate) Arc<Principal>);

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        match app.person_by_cookie(parts).await? {
            Some(person) => Ok(Self(person.outside())),
            None => app.principal(&parts.headers, &parts.uri).await.map(Self),
        }
    }
}

/// Whoever calls, and the workspace that the URL names.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Arc<Principal>,
    pub(crate) workspace: Workspace,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        match app.person_by_cookie(parts).await? {
            Some(person) => Self::of_person(&person, parts, url::workspace(parts), app).await,
            None => Self::of(parts, url::workspace(parts), app).await,
        }
    }
}

impl Caller {
    /// Whoever sends a request about the workspace of that name, cookies aside; the request is from then on served on its behalf.
    ///
    /// # Errors
    /// If nobody is known by the token, or they know of no such workspace.
    pub(crate) async fn of(parts: &Parts, workspace: &str, app: &App) -> Result<Self, Problem> {
        if let Some(secret) = sessions::in_header(&parts.headers) {
            let person = app.person(secret, Carrier::Header).await?;
            return Self::of_person(&person, parts, workspace, app).await;
        }
        let principal = app.principal(&parts.headers, &parts.uri).await?;
        let workspace = app.workspace(workspace, &principal).await?;
        OnBehalf::note(&parts.extensions, workspace.id);
        Ok(Self { principal, workspace })
    }

    async fn of_person(person: &Person, parts: &Parts, workspace: &str, app: &App) -> Result<Self, Problem> {
        let (principal, workspace) = app.within(person, workspace).await?;
        OnBehalf::note(&parts.extensions, workspace.id);
        Ok(Self { principal, workspace })
    }

    pub(crate) fn may(&self, domain: Domain, action: Action, path: Option<&str>) -> bool {
        self.principal.may(self.workspace.id, domain, action, path)
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
