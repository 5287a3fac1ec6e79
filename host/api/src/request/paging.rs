//! Lists in pages: `?limit=` and an opaque `?cursor=`, which is the last page's `next`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sandmill_model::Code;

use crate::problem::Problem;

/// Entries in a page if the caller does not say.
const LIMIT_DEFAULT: u32 = 50;
/// Entries in a page.
pub(crate) const LIMIT_MAX: u32 = 200;

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
