//! Signatures of Twilio and Mandrill: over the URL that they called and what is in the form, names in order, without anything between.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Request, Uri, header::CONTENT_TYPE};
use percent_encoding::percent_decode_str;
use sandmill_model::{Code, code::Refusal, trigger::ConfigError};
use sha2::{Digest as _, Sha256};

use super::mac;
use crate::route::auth::unauthorized;

/// Fields of one form; real ones have some dozens.
const PAIRS_MAX: usize = 1000;
/// Parameter of the URL with the digest of a body that is no form.
const BODY_DIGEST: &str = "bodySHA256";

/// What the provider was given.
pub(super) struct PublicUrl {
    text: String,
    /// The path is that of the request.
    is_origin: bool,
}

impl PublicUrl {
    pub(super) fn of(text: &str) -> Result<Self, ConfigError> {
        let fault = || ConfigError::new("/auth/public_url", "it is like `https://hooks.example.com`, perhaps with a path, without a query");
        let (scheme, rest) = text.split_once("://").ok_or_else(fault)?;
        let is_url = matches!(scheme, "http" | "https") && !rest.contains(['?', '#', '@']);
        if !is_url || !text.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty())) {
            return Err(fault());
        }
        Ok(Self { text: text.to_owned(), is_origin: !rest.contains('/') })
    }

    /// As it was called.
    fn of_request(&self, uri: &Uri) -> String {
        let path = if self.is_origin { uri.path() } else { "" };
        match uri.query() {
            None => format!("{}{path}", self.text),
            Some(query) => format!("{}{path}?{query}", self.text),
        }
    }
}

/// The text that was signed.
///
/// # Errors
/// If the body is of a form that is not signed.
pub(super) fn message(url: &PublicUrl, request: &Request<Bytes>) -> Result<Vec<u8>, Refusal> {
    let mut message = url.of_request(request.uri()).into_bytes();
    let body = request.body();
    if is_form(request) {
        for (name, value) in sorted(body)? {
            message.extend_from_slice(name.as_bytes());
            message.extend_from_slice(value.as_bytes());
        }
    } else if !body.is_empty() {
        // Nothing of such a body is signed but its digest, which is in the URL.
        let said = request.uri().query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix(BODY_DIGEST)?.strip_prefix('='));
        let digest = mac::hex(Sha256::digest(body).as_slice());
        if said.is_none_or(|said| !said.eq_ignore_ascii_case(&digest)) {
            return Err(unauthorized("the body is not signed: it is no form, and its digest is not in the URL"));
        }
    }
    Ok(message)
}

fn is_form(request: &Request<Bytes>) -> bool {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Name and value.
type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// By name, then by value; what is there twice counts once.
fn sorted(body: &Bytes) -> Result<Vec<Pair<'_>>, Refusal> {
    let unreadable = || Refusal::new(Code::BadRequest, format!("the form is not UTF-8, or has more than {PAIRS_MAX} fields"));
    let text = std::str::from_utf8(body).map_err(|_| unreadable())?;
    let mut pairs = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == PAIRS_MAX {
            return Err(unreadable());
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decoded(name).ok_or_else(unreadable)?, decoded(value).ok_or_else(unreadable)?));
    }
    pairs.sort_unstable();
    pairs.dedup();
    Ok(pairs)
}

fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Some(Cow::Owned(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned()));
    }
    percent_decode_str(text).decode_utf8().ok()
}
