//! Compiled code on disk. A file is named by whose it is, what it was compiled from and the engine that it was compiled for, carries a
//! keyed digest that is checked before the code is mapped, appears whole by a rename, and goes when the folder is full and
//! others were used later.
//!
//! The digest is HMAC-SHA-256: with the processor's SHA instructions it takes about 2 ms for the 3-4 MB of a JavaScript program,
//! and the crates are there already.

mod code;
mod index;
mod key;

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use hmac::{Hmac, Mac};
use sandmill_model::{Clock, Digest, Timestamp, WorkspaceId, random};
use sha2::Sha256;
use wasmtime::{Engine, component::Component};

use self::{index::Index, key::Key};
use crate::{Error, Options};

const MAC_BYTES: usize = 32;
const READ_BYTES: usize = 256 * 1024;
const EXTENSION: &str = "code";
const TEMPORARY_EXTENSION: &str = "tmp";

pub(crate) struct CodeCache {
    dir: PathBuf,
    key: Key,
    bytes_max: u64,
    index: Mutex<Index>,
    clock: Arc<dyn Clock>,
}

/// The component of compiled code from memory, for a build worker that is handed what another worker made. Whoever calls it
/// got the code from its own parent process, and from nobody else: it is run as it is.
///
/// # Errors
/// If the code was not made for this engine.
pub fn read_compiled(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    code::read(engine, compiled)
}

/// What code is for: an engine, and what stands for its version and configuration.
#[derive(Clone, Copy)]
pub(crate) struct For<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) compatibility_hash: u64,
}

/// What code is kept under.
#[derive(Clone, Copy)]
pub(crate) struct CodeKey {
    /// None: the host's own.
    pub(crate) owner: Option<WorkspaceId>,
    /// Of its owner and of what it was compiled from.
    pub(crate) digest: Digest,
}

/// How names of files begin whose code is a workspace's.
fn owned(owner: WorkspaceId) -> String {
    format!("{owner}-")
}

/// What a file turned out to be.
enum Found {
    Whole,
    Altered,
}

impl CodeCache {
    pub(crate) fn open(options: &Options) -> Result<Self, Error> {
        let dir = options.cache_dir.clone();
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.and_then(|()| fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))).map_err(|error| Error::cache(&dir, error))?;
        let key = Key::open(&dir).map_err(|error| Error::cache(&dir, error))?;
        let index = Index::scan(&dir).map_err(|error| Error::cache(&dir, error))?;
        let cache = Self { dir, key, bytes_max: options.cache_bytes_max, index: Mutex::new(index), clock: Arc::clone(&options.clock) };
        cache.make_room("");
        Ok(cache)
    }

    /// The code that was installed under `key`; none if there is none, or if it is not what was written.
    pub(crate) fn load(&self, target: For<'_>, key: &CodeKey) -> Result<Option<Component>, Error> {
        let name = Self::name(target, key);
        let path = self.dir.join(&name);
        let found = match File::open(&path).and_then(|file| self.check(file, target, key)) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.index().remove(&name);
                return Ok(None);
            }
            Err(error) => return Err(Error::cache(path, error)),
        };
        let component = match found {
            Found::Whole => code::map_file(target.engine, &path).map_err(|error| format!("{error:#}")),
            Found::Altered => Err("its keyed digest is wrong".to_owned()),
        };
        match component {
            Ok(component) => {
                self.used(&name, &path);
                Ok(Some(component))
            }
            Err(reason) => {
                tracing::warn!(file = %path.display(), reason, "a file of compiled code is not what was written; it is removed");
                self.remove(target, key);
                Ok(None)
            }
        }
    }

    /// The compiled code itself, to be handed on; none if there is none, or if it is not what was written.
    pub(crate) fn code(&self, target: For<'_>, key: &CodeKey) -> Result<Option<Vec<u8>>, Error> {
        let path = self.dir.join(Self::name(target, key));
        let mut bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::cache(path, error)),
        };
        let Some(code_bytes) = bytes.len().checked_sub(MAC_BYTES) else { return Ok(None) };
        let written = bytes.split_off(code_bytes);
        let mut mac = self.mac(target, key);
        mac.update(&bytes);
        Ok(mac.verify_slice(&written).is_ok().then_some(bytes))
    }

    /// Keeps `compiled` under `key`. If the disk does not take it, it lives in memory only.
    pub(crate) fn install(&self, target: For<'_>, key: &CodeKey, compiled: &[u8]) -> Result<Component, Error> {
        let name = Self::name(target, key);
        let path = self.dir.join(&name);
        match self.write(&path, (target, key), compiled) {
            Ok(()) => {
                let bytes = (compiled.len() + MAC_BYTES) as u64;
                self.index().insert(&name, bytes, self.clock.now());
                let component = code::map_file(target.engine, &path).map_err(|error| {
                    self.remove(target, key);
                    Error::Incompatible(format!("{error:#}"))
                });
                self.make_room(&name);
                component
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "compiled code cannot be kept on disk; it stays in memory");
                Self::read(target.engine, compiled)
            }
        }
    }

    /// The component of compiled code that is not kept.
    pub(crate) fn read(engine: &Engine, compiled: &[u8]) -> Result<Component, Error> {
        code::read(engine, compiled).map_err(|error| Error::Incompatible(format!("{error:#}")))
    }

    pub(crate) fn remove(&self, target: For<'_>, key: &CodeKey) {
        self.remove_file(&Self::name(target, key));
    }

    /// Removes all code of a workspace; returns how many files.
    pub(crate) fn remove_of(&self, owner: WorkspaceId) -> usize {
        let names = self.index().beginning_with(&owned(owner));
        names.iter().for_each(|name| self.remove_file(name));
        names.len()
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(target: For<'_>, key: &CodeKey) -> String {
        let owner = key.owner.map(owned).unwrap_or_default();
        format!("{owner}{}-{:016x}.{EXTENSION}", key.digest.hex(), target.compatibility_hash)
    }

    /// What the digest covers beside the code: a file under another name is as wrong as an altered one.
    fn mac(&self, target: For<'_>, key: &CodeKey) -> Hmac<Sha256> {
        let mut mac = self.key.mac();
        mac.update(b"sandmill compiled code 1");
        mac.update(key.digest.as_bytes());
        mac.update(&target.compatibility_hash.to_be_bytes());
        mac
    }

    fn check(&self, mut file: File, target: For<'_>, key: &CodeKey) -> io::Result<Found> {
        let Some(mut left) = file.metadata()?.len().checked_sub(MAC_BYTES as u64) else { return Ok(Found::Altered) };
        let mut mac = self.mac(target, key);
        let mut buffer = vec![0; READ_BYTES];
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
            file.read_exact(&mut buffer[..part])?;
            mac.update(&buffer[..part]);
            left -= part as u64;
        }
        let mut written = [0; MAC_BYTES];
        file.read_exact(&mut written)?;
        Ok(if mac.verify_slice(&written).is_ok() { Found::Whole } else { Found::Altered })
    }

    fn write(&self, path: &Path, (target, key): (For<'_>, &CodeKey), compiled: &[u8]) -> io::Result<()> {
        let mut mac = self.mac(target, key);
        mac.update(compiled);
        let temporary = self.dir.join(format!("{:032x}.{TEMPORARY_EXTENSION}", u128::from_be_bytes(random::bytes())));
        let written = (|| {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(compiled)?;
            file.write_all(&mac.finalize().into_bytes())?;
            drop(file);
            fs::rename(&temporary, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn used(&self, name: &str, path: &Path) {
        let now = self.clock.now();
        self.index().touch(name, now);
        // So that a later process knows too. If it fails, the file is merely thought to be older.
        let time = UNIX_EPOCH + Duration::from_micros(u64::try_from(now.micros()).unwrap_or(0));
        let _ = File::open(path).and_then(|file| file.set_modified(time));
    }

    /// Removes the longest unused files until the folder holds what it may, but never `keep`.
    fn make_room(&self, keep: &str) {
        loop {
            let oldest = {
                let index = self.index();
                if index.total_bytes() <= self.bytes_max {
                    return;
                }
                index.oldest_but(keep)
            };
            let Some(oldest) = oldest else { return };
            self.remove_file(&oldest);
        }
    }

    fn remove_file(&self, name: &str) {
        self.index().remove(name);
        let path = self.dir.join(name);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %path.display(), %error, "a file of compiled code cannot be removed");
        }
    }
}

fn modified(metadata: &fs::Metadata) -> Timestamp {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
