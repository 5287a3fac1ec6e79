//! Secrets at rest: sealed with a data key of their workspace, which an instance key wraps. Both by XChaCha20-Poly1305, with random nonces.
//!
//! A sealed text says its version and the number of its data key; where it belongs (workspace, kind of row, path) is bound to it, so that it
//! does not open in another place. Instance keys are in no database: see [`KeySource`].

mod cipher;
mod instance;
mod keyed;
mod ring;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use sandmill_model::{Digest, Timestamp, WorkspaceId};
use zeroize::Zeroizing;

use crate::StoreError;
use cipher::Key;
pub use instance::KeySource;
use instance::Loaded;
use ring::Ring;

/// What a store needs to keep secrets.
#[derive(Clone, Debug)]
pub struct Sealing {
    pub source: KeySource,
    pub now: Timestamp,
}

/// The form of sealed texts and wrapped keys that this release writes and reads.
const VERSION: u8 = 1;
/// Version and number of the data key, before the nonce.
const HEAD_BYTES: usize = 5;

/// What kind of row a sealed text belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealedKind {
    Resource,
    Variable,
}

/// Where a sealed text belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) workspace: WorkspaceId,
    pub(crate) kind: SealedKind,
    pub(crate) path: &'a str,
}

impl Place<'_> {
    /// What is bound to a sealed text. Only the last part has no fixed length.
    fn bound(&self, number: u32) -> Vec<u8> {
        let kind = match self.kind {
            SealedKind::Resource => b'r',
            SealedKind::Variable => b'v',
        };
        let parts: [&[u8]; 6] =
            [b"sandmill row\0", &[VERSION], &number.to_be_bytes(), self.workspace.0.as_bytes(), &[kind], self.path.as_bytes()];
        parts.concat()
    }
}

/// What is bound to a wrapped data key.
fn bound_to_key(workspace: WorkspaceId, number: u32) -> Vec<u8> {
    let parts: [&[u8]; 4] = [b"sandmill data key\0", &[VERSION], workspace.0.as_bytes(), &number.to_be_bytes()];
    parts.concat()
}

/// A workspace's key.
pub(crate) struct DataKey {
    pub(crate) number: u32,
    key: Key,
}

impl DataKey {
    pub(crate) fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(&self.number.to_be_bytes());
        sealed.extend(
            self.key.seal(plain, &place.bound(self.number)).ok_or_else(|| StoreError::Other("nothing could be sealed".to_owned()))?,
        );
        Ok(sealed)
    }

    pub(crate) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let broken =
            || StoreError::Corrupt(format!("the secret of {} does not open with its key: the row is not as it was written", place.path));
        let (head, rest) = sealed.split_at_checked(HEAD_BYTES).ok_or_else(broken)?;
        let [version, number @ ..] = head else { return Err(broken()) };
        if *version != VERSION {
            return Err(StoreError::Corrupt(format!(
                "the secret of {} is sealed in form {version}, which this release does not know",
                place.path
            )));
        }
        if *number != self.number.to_be_bytes() {
            return Err(broken());
        }
        self.key.open(rest, &place.bound(self.number)).ok_or_else(broken)
    }
}

/// A data key as the database has it.
#[derive(Clone, Debug)]
pub(crate) struct Wrapped {
    pub(crate) workspace: WorkspaceId,
    pub(crate) number: u32,
    /// Id of the instance key.
    pub(crate) by: String,
    pub(crate) bytes: Vec<u8>,
}

/// The instance keys of a store that is open.
pub(crate) struct Seals {
    source: KeySource,
    ring: RwLock<Arc<Ring>>,
}

impl Seals {
    /// Reads the keys; where none are and `needed` is empty, makes the first. Returns whether it did.
    pub(crate) fn load(source: KeySource, needed: &BTreeSet<String>) -> Result<(Self, bool), StoreError> {
        let Loaded { ring, is_new } = source.load(needed)?;
        let this = Self { source, ring: RwLock::new(Arc::new(ring)) };
        this.check(needed)?;
        Ok((this, is_new))
    }

    /// # Errors
    /// Which of the `needed` keys is missing, and what to do.
    pub(crate) fn check(&self, needed: &BTreeSet<String>) -> Result<(), StoreError> {
        self.source.require(&self.ring(), needed)
    }

    /// Takes back the making of the first key: another node was there before.
    pub(crate) fn forget_new(&self) {
        self.source.forget_new();
    }

    /// Reads the keys again; those that are in use stay unless all `needed` ones are among the new.
    pub(crate) fn reload(&self, needed: &BTreeSet<String>) -> Result<(), StoreError> {
        let ring = self.source.read()?;
        self.source.require(&ring, needed)?;
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }

    /// Id of the instance key that wraps what is new.
    pub(crate) fn active(&self) -> String {
        self.ring().active().id().to_owned()
    }

    /// A new data key, and as it is stored.
    pub(crate) fn new_key(&self, workspace: WorkspaceId, number: u32) -> Result<Wrapped, StoreError> {
        let ring = self.ring();
        let key = Key::random();
        let wrapped = ring.active().key().seal(key.as_bytes(), &bound_to_key(workspace, number));
        let wrapped = wrapped.ok_or_else(|| StoreError::Other("no key could be wrapped".to_owned()))?;
        let bytes = [&[VERSION], wrapped.as_slice()].concat();
        Ok(Wrapped { workspace, number, by: ring.active().id().to_owned(), bytes })
    }

    pub(crate) fn unwrap(&self, wrapped: &Wrapped) -> Result<DataKey, StoreError> {
        let needed = BTreeSet::from([wrapped.by.clone()]);
        if self.check(&needed).is_err() {
            // Another node may have rotated to a key that was put into the file since.
            self.reload(&needed)?;
        }
        let ring = self.ring();
        let broken = || StoreError::Corrupt(format!("a workspace's key does not open with the instance key {}", wrapped.by));
        let instance = ring.find(&wrapped.by).ok_or_else(broken)?;
        let sealed = wrapped.bytes.strip_prefix(&[VERSION]).ok_or_else(broken)?;
        let plain = instance.key().open(sealed, &bound_to_key(wrapped.workspace, wrapped.number)).ok_or_else(broken)?;
        Ok(DataKey { number: wrapped.number, key: Key::from_slice(&plain).ok_or_else(broken)? })
    }

    /// A digest of a secret, by a key that is made of the active instance key: of the same secret in another place, or under another
    /// instance key, it is another. Written `hmac-sha256:<id of the instance key>:<64 hex digits>`.
    pub(crate) fn keyed_digest(&self, place: Place<'_>, secret: &[&[u8]]) -> Option<String> {
        let ring = self.ring();
        let instance = ring.active();
        let key = Zeroizing::new(keyed::digest(instance.key().as_bytes(), &[b"sandmill audit digests".as_slice()])?);
        let bound = place.bound(0);
        let parts = [&[bound.as_slice()], secret].concat();
        let digest = Digest::from_bytes(keyed::digest(key.as_slice(), &parts)?);
        Some(format!("hmac-sha256:{}:{}", instance.id(), digest.hex()))
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }
}
