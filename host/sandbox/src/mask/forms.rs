//! The forms that a secret takes on its way through text, but for those that are taken off before it is looked for: [`super::views`].

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

use super::SECRET_BYTES_MIN;

/// All of them, each once. Those that say less than the shortest secret are left out.
pub(super) fn of(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.to_vec(), hex(secret, b"0123456789abcdef"), hex(secret, b"0123456789ABCDEF")];
    if let Ok(text) = std::str::from_utf8(secret) {
        forms.push(escaped(text));
    }
    for skipped in 0..3 {
        forms.push(base64(&STANDARD_NO_PAD, secret, skipped));
        forms.push(base64(&URL_SAFE_NO_PAD, secret, skipped));
    }
    forms.retain(|form| form.len() >= SECRET_BYTES_MIN);
    forms.sort_unstable();
    forms.dedup();
    forms
}

fn hex(secret: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    secret.iter().flat_map(|byte| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]).collect()
}

/// As in a string of JSON, without the quotes.
fn escaped(text: &str) -> Vec<u8> {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.as_bytes()[1..quoted.len() - 1].to_vec()
}

/// What base64 is made of the secret where it begins at the second, first or third of three bytes; without the digits that also stand for what is around it.
fn base64(engine: &impl Engine, secret: &[u8], skipped: usize) -> Vec<u8> {
    let mut whole = secret.get(skipped..).unwrap_or_default();
    whole = &whole[..whole.len() / 3 * 3];
    engine.encode(whole).into_bytes()
}
