//! Instance keys: the active one wraps, all of them unwrap.

use base64::{Engine, engine::general_purpose::STANDARD};
use sandmill_model::Digest;
use zeroize::Zeroizing;

use super::cipher::{KEY_BYTES, Key};

/// Keys in one file.
const KEYS_MAX: usize = 16;
/// Characters of an id.
const ID_CHARS: usize = 16;

/// One instance key, and the name by which the database knows it.
pub(super) struct InstanceKey {
    id: String,
    key: Key,
}

impl InstanceKey {
    pub(super) fn random() -> Self {
        Self::of(Key::random())
    }

    fn of(key: Key) -> Self {
        // A key is random, so nobody finds it by its digest.
        let id: String = Digest::of_parts(&[b"sandmill-instance-key", key.as_bytes()]).hex().chars().take(ID_CHARS).collect();
        Self { id, key }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    /// As it is kept in a file.
    pub(super) fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.key.as_bytes()))
    }
}

/// At least one key; the first is active.
pub(super) struct Ring(Vec<InstanceKey>);

impl Ring {
    pub(super) fn of(first: InstanceKey) -> Self {
        Self(vec![first])
    }

    /// Keys in base64, one in a line or, for an environment's sake, with spaces between; empty lines and those that start with `#` are passed over.
    ///
    /// # Errors
    /// What is wrong. No part of a key is repeated.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.starts_with('#'));
        for (number, key) in lines.flat_map(|(number, line)| line.split_whitespace().map(move |key| (number, key))) {
            let bytes = STANDARD.decode(key).map(Zeroizing::new).map_err(|_| format!("line {number} is not base64"))?;
            let key = Key::from_slice(&bytes).ok_or_else(|| {
                format!("line {number} has {} bytes, and a key has {KEY_BYTES}: `openssl rand -base64 32` makes one", bytes.len())
            })?;
            keys.push(InstanceKey::of(key));
        }
        match keys.len() {
            0 => Err("there is no key in it".to_owned()),
            1..=KEYS_MAX => Ok(Self(keys)),
            _ => Err(format!("there are more than {KEYS_MAX} keys in it")),
        }
    }

    pub(super) fn active(&self) -> &InstanceKey {
        &self.0[0]
    }

    pub(super) fn find(&self, id: &str) -> Option<&InstanceKey> {
        self.0.iter().find(|key| key.id == id)
    }
}
