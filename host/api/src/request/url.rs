//! What a URL under `/api/w/{workspace}/{resource}/…` means. Read from the raw text: an encoded `/` must not make two segments of one.

use axum::extract::FromRequestParts;
use http::request::Parts;
use sandmill_model::{
    Code, RunId, ScriptPath, TokenId, TypeName,
    people::{InvalidPerson, Name},
    resource_type::InvalidName,
    version::Selector,
};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Everything after `n` segments, with their slashes.
fn after(path: &str, n: usize) -> &str {
    path.splitn(n + 2, '/').nth(n + 1).unwrap_or_default()
}

/// `/api/w/{workspace}/{this}/…`
pub(crate) fn resource(parts: &Parts) -> &str {
    after(parts.uri.path(), 3).split('/').next().unwrap_or_default()
}

/// `/api/w/{this}/…`
pub(crate) fn workspace(parts: &Parts) -> &str {
    after(parts.uri.path(), 2).split('/').next().unwrap_or_default()
}

/// `/api/w/{workspace}/{resource}/{this, to the end}`
fn tail(parts: &Parts) -> &str {
    after(parts.uri.path(), 4)
}

/// `/api/instance/{resource}/{this}/…`
pub(crate) struct InstanceName(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for InstanceName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(after(parts.uri.path(), 3).split('/').next().unwrap_or_default().to_owned()))
    }
}

/// The path of a script, with or without a version: always the last part of a URL.
pub(crate) struct ScriptRef {
    pub(crate) path: ScriptPath,
    pub(crate) selector: Selector,
}

impl<S: Sync> FromRequestParts<S> for ScriptRef {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let (path, selector) = Selector::from_url(tail(parts)).map_err(|error| Problem::new(Code::InvalidPath, error.to_string()))?;
        Ok(Self { path, selector })
    }
}

/// The path of a script as a whole: where a version would make no sense.
pub(crate) struct WholePath(pub(crate) ScriptPath);

impl<S: Sync> FromRequestParts<S> for WholePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ScriptRef { path, selector } = ScriptRef::from_request_parts(parts, state).await?;
        match selector {
            Selector::Newest => Ok(Self(path)),
            Selector::Number(_) | Selector::Digest(_) => {
                Err(Problem::new(Code::InvalidPath, "no version can be named here: leave out `@…`"))
            }
        }
    }
}

/// `/api/w/{workspace}/resource-types/{this}`
pub(crate) struct TypeRef(pub(crate) TypeName);

impl<S: Sync> FromRequestParts<S> for TypeRef {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        tail(parts).parse().map(Self).map_err(|error: InvalidName| Problem::new(Code::InvalidPath, error.to_string()))
    }
}

/// `/api/w/{workspace}/{resource}/{this}`: the name of a user, a group or a folder.
pub(crate) struct NameRef(pub(crate) Name);

impl<S: Sync> FromRequestParts<S> for NameRef {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        name(tail(parts)).map(Self)
    }
}

/// `/api/instance/users/{this}/…`
pub(crate) struct UserRef(pub(crate) Name);

impl<S: Sync> FromRequestParts<S> for UserRef {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        name(after(parts.uri.path(), 3).split('/').next().unwrap_or_default()).map(Self)
    }
}

fn name(text: &str) -> Result<Name, Problem> {
    text.parse().map_err(|error: InvalidPerson| Problem::new(Code::InvalidPath, error.to_string()))
}

/// `/api/w/{workspace}/runs/{this}/…`
pub(crate) struct RunRef(pub(crate) RunId);

impl<S: Sync> FromRequestParts<S> for RunRef {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let id = tail(parts).split('/').next().unwrap_or_default();
        id.parse().map(Self).map_err(|_| no_run())
    }
}

/// `/api/w/{workspace}/tokens/{this}/…` and `/api/instance/tokens/{this}/…`
pub(crate) struct TokenRef(pub(crate) TokenId);

impl<S: Sync> FromRequestParts<S> for TokenRef {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let path = parts.uri.path();
        let tail = if path.starts_with("/api/instance/") { after(path, 3) } else { after(path, 4) };
        let id = tail.split('/').next().unwrap_or_default();
        id.parse().map(Self).map_err(|_| no_token())
    }
}

/// `/api/auth/sessions/{this}`
pub(crate) struct SessionRef(pub(crate) TokenId);

impl<S: Sync> FromRequestParts<S> for SessionRef {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        after(parts.uri.path(), 3).parse().map(Self).map_err(|_| no_session())
    }
}

/// The same for a session that never was, for one that has ended and for one of somebody else.
pub(crate) fn no_session() -> Problem {
    Problem::new(Code::NotFound, "you have no such session")
}

/// The same for a token that never was, for one that was revoked and for one of another workspace.
pub(crate) fn no_token() -> Problem {
    Problem::new(Code::NotFound, "there is no such token here")
}

/// The same for a run that never was and for one of another workspace.
pub(crate) fn no_run() -> Problem {
    Problem::new(Code::NotFound, "there is no such run in this workspace")
}

/// `/api/w/{workspace}/{resource}/{this}`
pub(crate) fn last(parts: &Parts) -> &str {
    tail(parts)
}

/// The part of a URL after `?`. Keys that are not known are left alone: `token` is among them.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            // The rejection's own text may repeat a value, and a token may be among them.
            Err(_) => Err(Problem::new(Code::BadRequest, "the query has a value of the wrong form")),
        }
    }
}
