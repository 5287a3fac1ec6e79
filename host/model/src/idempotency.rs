//! The header field by which a caller says that a request is a repetition (draft-ietf-httpapi-idempotency-key-header).

use http::HeaderMap;

use crate::code::{Code, Refusal};

/// Characters of an `Idempotency-Key`.
pub const KEY_CHARACTERS_MAX: usize = 255;

/// The key that a request shows.
///
/// # Errors
/// `bad_request` for one that is empty, too long or not visible ASCII.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().map(str::trim).filter(|key| !key.is_empty() && key.len() <= KEY_CHARACTERS_MAX);
    match key {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Refusal::new(Code::BadRequest, format!("an `Idempotency-Key` has 1 to {KEY_CHARACTERS_MAX} visible ASCII characters"))),
    }
}
