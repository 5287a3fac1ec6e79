//! Keyed digests of what was signed, and their comparison.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq as _;

use super::config::{Algorithm, Encoding, SecretForm};

/// The HMAC of all parts, one after another. None only if the key is of no use.
pub(super) fn tag(algorithm: Algorithm, key: &[u8], parts: &[&[u8]]) -> Option<Vec<u8>> {
    match algorithm {
        Algorithm::Sha1 => of::<Hmac<Sha1>>(key, parts),
        Algorithm::Sha256 => of::<Hmac<Sha256>>(key, parts),
        Algorithm::Sha512 => of::<Hmac<Sha512>>(key, parts),
    }
}

fn of<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Option<Vec<u8>> {
    let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac.finalize().into_bytes().as_slice().to_vec())
}

/// In a time that tells nothing of where they differ.
pub(super) fn are_equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// What somebody showed; none: it is not written so.
pub(super) fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => unhex(text),
        Encoding::Base64 => STANDARD.decode(text).ok(),
    }
}

/// None: it is not written so.
pub(super) fn key(form: SecretForm, secret: &str) -> Option<Vec<u8>> {
    match form {
        SecretForm::Text => Some(secret.as_bytes().to_vec()),
        SecretForm::Hex => unhex(secret),
        SecretForm::Base64 => STANDARD.decode(secret).ok(),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}
