//! The secret key of the cache's digests: made at the first start, readable by nobody else.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use hmac::{Hmac, KeyInit};
use sandmill_model::random;
use sha2::Sha256;

const FILE: &str = "key";
/// A block of SHA-256.
const KEY_BYTES: usize = 64;

pub(super) struct Key([u8; KEY_BYTES]);

impl Key {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        if let Some(key) = Self::read(&path)? {
            return Ok(key);
        }
        // Written apart and linked into place: of two processes that start together both get the same key, and none half of one.
        let temporary = dir.join(format!("{:032x}.{}", u128::from_be_bytes(random::bytes()), super::TEMPORARY_EXTENSION));
        let key: [u8; KEY_BYTES] = random::bytes();
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?.write_all(&key)?;
        let linked = fs::hard_link(&temporary, &path);
        fs::remove_file(&temporary)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Self::read(&path)?.ok_or_else(|| io::Error::other("the key of the code cache cannot be kept")),
        }
    }

    /// None if there is no key or a broken one, which is removed: files written under it will be found to be wrong.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => match <[u8; KEY_BYTES]>::try_from(bytes) {
                Ok(key) => Ok(Some(Self(key))),
                Err(_) => fs::remove_file(path).map(|()| None),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn mac(&self) -> Hmac<Sha256> {
        <Hmac<Sha256> as KeyInit>::new(&self.0.into())
    }
}
