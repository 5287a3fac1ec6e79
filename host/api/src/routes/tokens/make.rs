//! What is asked for in a new token, checked: it gets nothing that whoever asks does not have.

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    Code, ScriptPath, Timestamp, WorkspaceId,
    auth::{Access, Action, Principal, Scope, TokenKind},
    path::SEGMENT_BYTES_MAX,
};
use sandmill_store::tokens::{LABEL_CHARS_MAX, SCOPE_BYTES_MAX, SCOPES_MAX};

use super::{TokenRequest, widened};
use crate::problem::Problem;

/// The longest time that can be said in seconds: a hundred years.
const EXPIRES_IN_S_MAX: u64 = 100 * 366 * 24 * 3600;

pub(super) struct Checked {
    pub(super) kind: TokenKind,
    pub(super) access: Access,
    pub(super) scopes: Vec<Scope>,
    pub(super) label: String,
    pub(super) identity: Arc<str>,
    pub(super) expires_at: Option<Timestamp>,
}

pub(super) fn check(request: TokenRequest, principal: &Principal, of: Option<WorkspaceId>, now: Timestamp) -> Result<Checked, Problem> {
    let TokenRequest { label, scopes, start, read_only, identity, expires_at, expires_in_s } = request;
    if label.chars().count() > LABEL_CHARS_MAX || label.chars().any(char::is_control) {
        return Err(wrong(format!("`label` has up to {LABEL_CHARS_MAX} characters, none of them a control character")));
    }
    let access = if read_only { Access::ReadOnly } else { Access::Full };
    let (kind, scopes) = match (start, scopes) {
        (Some(_), Some(_)) => return Err(wrong("`start` or `scopes`, not both: a token with `start` has no other scope")),
        (Some(_), None) if read_only => return Err(wrong("a token that starts something does not only read")),
        (Some(_), None) if of.is_none() => return Err(wrong("a token that starts what is at one path belongs to a workspace")),
        (Some(path), None) => {
            let path = path.parse::<ScriptPath>().map_err(|error| Problem::new(Code::InvalidPath, format!("`start`: {error}")))?;
            (TokenKind::Start, vec![Scope::starts(&path)])
        }
        (None, Some(scopes)) => (TokenKind::User, parse(&scopes)?),
        (None, None) => (TokenKind::User, all_of(principal)?),
    };
    if !principal.includes(&scopes) {
        return Err(widened());
    }
    let identity = acts_as(identity, principal)?;
    Ok(Checked { kind, access, scopes, label, identity, expires_at: expiry(expires_at.as_deref(), expires_in_s, now)? })
}

/// Nobody makes a token for somebody else but whoever may do everything to the installation.
fn acts_as(identity: Option<String>, principal: &Principal) -> Result<Arc<str>, Problem> {
    let Some(identity) = identity.filter(|identity| **identity != *principal.identity) else { return Ok(Arc::clone(&principal.identity)) };
    if !principal.may_instance(Action::Write) {
        return Err(Problem::new(
            Code::Forbidden,
            "a token for another identity is made by a token of the installation with instance:write",
        ));
    }
    let name = identity.strip_prefix("u/").unwrap_or_default();
    let is_name = (1..=SEGMENT_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        && !matches!(name, "." | "..");
    if is_name {
        Ok(identity.into())
    } else {
        Err(wrong(format!("`identity` is u/ and a name of up to {SEGMENT_BYTES_MAX} letters, digits, `_`, `.` or `-`")))
    }
}

/// All that whoever asks has, if a token can have so much: people may have a scope for each path that is lent to them.
fn all_of(principal: &Principal) -> Result<Vec<Scope>, Problem> {
    let fits = |scopes: &&[Scope]| scopes.len() <= SCOPES_MAX && scopes.iter().all(|scope| scope.to_string().len() <= SCOPE_BYTES_MAX);
    let scopes = principal.scopes.one_list().filter(fits).map(<[Scope]>::to_vec);
    scopes.ok_or_else(|| wrong("you have more scopes than a token can have: say in `scopes` which it is to have"))
}

/// Scopes as they are written; each is checked against what whoever asks has elsewhere.
pub(in crate::routes) fn parse(scopes: &[String]) -> Result<Vec<Scope>, Problem> {
    if scopes.is_empty() || scopes.len() > SCOPES_MAX {
        return Err(wrong(format!("`scopes` has 1 to {SCOPES_MAX} entries")));
    }
    let scope = |text: &String| {
        if text.len() > SCOPE_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(wrong(format!("a scope has up to {SCOPE_BYTES_MAX} bytes, none of them a control character")));
        }
        text.parse::<Scope>().map_err(|error| wrong(format!("`scopes`: {error}")))
    };
    scopes.iter().map(scope).collect()
}

fn expiry(at: Option<&str>, in_s: Option<u64>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    match (at, in_s) {
        (Some(_), Some(_)) => Err(wrong("`expires_at` or `expires_in_s`, not both")),
        (None, None) => Ok(None),
        (None, Some(seconds @ 1..=EXPIRES_IN_S_MAX)) => Ok(Some(now.plus(Duration::from_secs(seconds)))),
        (None, Some(_)) => Err(wrong(format!("`expires_in_s` is 1 to {EXPIRES_IN_S_MAX}"))),
        (Some(at), None) => match at.parse::<Timestamp>() {
            Ok(at) if at > now => Ok(Some(at)),
            Ok(_) => Err(wrong("`expires_at` is over")),
            Err(error) => Err(wrong(format!("`expires_at`: {error}"))),
        },
    }
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(Code::BadRequest, detail)
}
