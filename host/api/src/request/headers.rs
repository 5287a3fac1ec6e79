//! Headers of our own, and those that keep a script's answer in its place.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// On every answer that a run gave.
pub(crate) const RUN_ID: HeaderName = HeaderName::from_static("sandmill-run-id");
/// Taken from the caller if it is sane, else made here; on every response.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// On the answer to a repetition of a request with an `Idempotency-Key`.
pub(crate) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The manifest of an uploaded component: JSON.
pub(crate) const MANIFEST: HeaderName = HeaderName::from_static("sandmill-manifest");

/// A browser that has seen this asks by TLS only, for a year.
const ONLY_SECURE: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// Nothing of the API is a page, nor a part of one.
const NO_PAGE: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What every answer of the API says to browsers, and every problem wherever it arose.
pub(crate) fn guard(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    // Beside the one that a result has: browsers obey both.
    headers.append(header::CONTENT_SECURITY_POLICY, NO_PAGE);
    // What a token may see is for no cache; a handler may know better.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// The answer went over TLS, and so should everything after it.
pub(crate) fn only_secure(headers: &mut HeaderMap) {
    headers.insert(header::STRICT_TRANSPORT_SECURITY, ONLY_SECURE);
}

/// What a script wrote must not run as a page of this host name.
pub(crate) fn sandbox(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
