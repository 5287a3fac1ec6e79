//! Keyed digests (HMAC-SHA256): whoever has a digest and not the key cannot find out by trial what it is of.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Of all parts, each with its length before it. None only if the key is of no use.
pub(super) fn digest(key: &[u8], parts: &[&[u8]]) -> Option<[u8; 32]> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    Some(mac.finalize().into_bytes().into())
}
