//! Lists in pages: `?limit=` and an opaque `?cursor=`, which is the last page's `next`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sandmill_model::{
    BoxFuture, Code, ScriptPath,
    auth::{Action, Domain},
};
use sandmill_store::StoreError;
use serde::Deserialize;

use crate::{auth::Caller, problem::Problem};

/// Entries in a page if the caller does not say.
const LIMIT_DEFAULT: u32 = 50;
/// Entries in a page.
pub(crate) const LIMIT_MAX: u32 = 200;

/// Which page of a list.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CursorQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 if left out.
    limit: Option<u32>,
}

impl CursorQuery {
    /// What the page before ended with.
    pub(crate) fn after(&self) -> Result<Option<String>, Problem> {
        decode(self.cursor.as_deref())
    }

    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        limit(self.limit)
    }
}

/// Which page of a list of what is at paths.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PathQuery {
    /// Only those whose path starts so.
    pub(crate) prefix: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 if left out.
    limit: Option<u32>,
}

impl PathQuery {
    /// The page of what the caller may read, and where the next one starts. `read` gives up to so many entries after a path. A page ends with an entry that is
    /// shown, never with one of which the caller should not know.
    pub(crate) async fn page<'a, T>(
        &self,
        caller: &Caller,
        domain: Domain,
        path: impl Fn(&T) -> &ScriptPath,
        read: impl Fn(Option<ScriptPath>, u32) -> BoxFuture<'a, Result<Vec<T>, StoreError>>,
    ) -> Result<(Vec<T>, Option<String>), Problem> {
        let limit = limit(self.limit)?;
        // Most callers may read all that they look at.
        let mut looked_at = limit + 1;
        let mut after: Option<ScriptPath> = decode(self.cursor.as_deref())?;
        let mut shown: Vec<T> = Vec::new();
        loop {
            let found = read(after, looked_at).await?;
            let is_last = found.len() < looked_at as usize;
            looked_at = LIMIT_MAX;
            after = found.last().map(|last| path(last).clone());
            for each in found.into_iter().filter(|each| caller.may(domain, Action::Read, Some(path(each).as_str()))) {
                if shown.len() == limit as usize {
                    let next = shown.last().map(|last| encode(path(last)));
                    return Ok((shown, next));
                }
                shown.push(each);
            }
            if is_last {
                return Ok((shown, None));
            }
        }
    }
}

/// Which page of a list in the order of names.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct NameQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 if left out.
    limit: Option<u32>,
}

impl NameQuery {
    /// The name after which the page starts, and how many it has.
    pub(crate) fn read<K: std::str::FromStr>(&self) -> Result<(Option<K>, u32), Problem> {
        Ok((decode(self.cursor.as_deref())?, limit(self.limit)?))
    }
}

pub(crate) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked {
        None => Ok(LIMIT_DEFAULT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(_) => Err(Problem::new(Code::BadRequest, format!("`limit` is 1 to {LIMIT_MAX}"))),
    }
}

pub(crate) fn encode(key: impl std::fmt::Display) -> String {
    URL_SAFE_NO_PAD.encode(key.to_string())
}

pub(crate) fn decode<K: std::str::FromStr>(cursor: Option<&str>) -> Result<Option<K>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let key = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok());
    key.map(Some).ok_or_else(|| Problem::new(Code::BadRequest, "`cursor` is not one that a list gave as `next`"))
}

/// Cuts `entries`, of which one more than `limit` was read, and gives the next page's cursor.
pub(crate) fn cut<T>(entries: &mut Vec<T>, limit: u32, key: impl Fn(&T) -> String) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if entries.len() <= limit {
        return None;
    }
    entries.truncate(limit);
    entries.last().map(|last| encode(key(last)))
}
