//! What kinds that speak HTTP share: reading a query and a body, metadata of a request, a script's answer as a response.

pub(crate) mod body;
pub(crate) mod cloud_event;
pub(crate) mod fields;
mod form;
pub(crate) mod metadata;
pub(crate) mod multipart;
mod parameters;
pub(crate) mod query;
pub(crate) mod response;

/// Appends `text` as a JSON string.
pub(crate) fn push_json_string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else if let Ok(quoted) = serde_json::to_vec(text) {
        out.extend_from_slice(&quoted);
    }
}

/// `bytes` that were written as JSON here, as text.
pub(crate) fn json_text(bytes: Vec<u8>) -> sandmill_model::JsonText {
    // Every writer here appends whole strings, so the fallback is never taken; it is there because nothing may panic.
    String::from_utf8(bytes).map_or_else(|_| sandmill_model::JsonText::empty_object(), sandmill_model::JsonText::trusted)
}
