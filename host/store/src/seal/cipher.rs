//! One key of the AEAD.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sandmill_model::random;
use zeroize::Zeroizing;

pub(super) const KEY_BYTES: usize = 32;
/// Long enough to be random for as many texts as there will ever be.
const NONCE_BYTES: usize = 24;

/// Wiped when it is let go.
pub(super) struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    pub(super) fn random() -> Self {
        Self(Zeroizing::new(random::bytes()))
    }

    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Nonce and ciphertext.
    pub(super) fn seal(&self, plain: &[u8], bound: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_BYTES] = random::bytes();
        let sealed = self.cipher()?.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: bound }).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    pub(super) fn open(&self, sealed: &[u8], bound: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let plain = self.cipher()?.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: bound });
        plain.ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> Option<XChaCha20Poly1305> {
        XChaCha20Poly1305::new_from_slice(self.as_bytes()).ok()
    }
}
