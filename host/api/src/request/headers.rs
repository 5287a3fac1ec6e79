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

/// What a script wrote must not run as a page of this host name.
pub(crate) fn sandbox(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
