//! Where instance keys come from. A file is made at the first start, and never written again.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::ring::{InstanceKey, Ring};
use crate::StoreError;

/// Bytes of a key file.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Permissions of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Where the instance keys are: in base64, one in a line, the active one first. The others only unwrap what they wrapped.
#[derive(Clone)]
pub enum KeySource {
    File(PathBuf),
    Text(Zeroizing<String>),
}

/// Without the keys.
impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Text(_) => f.write_str("Text(…)"),
        }
    }
}

pub(super) struct Loaded {
    pub(super) ring: Ring,
    /// It was made just now.
    pub(super) is_new: bool,
}

impl KeySource {
    /// Reads the keys. If there is no file, and nothing is `needed`, makes it.
    pub(super) fn load(&self, needed: &BTreeSet<String>) -> Result<Loaded, StoreError> {
        match self {
            Self::File(file) if !file.exists() && needed.is_empty() => {
                let key = InstanceKey::random();
                match create(file, &key.text()) {
                    Ok(()) => {
                        tracing::info!(file = %file.display(), id = key.id(), "an instance key was made: keep a copy of it apart from backups");
                        Ok(Loaded { ring: Ring::of(key), is_new: true })
                    }
                    // Another process was there first.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Loaded { ring: self.read()?, is_new: false }),
                    Err(error) => Err(StoreError::Keys(format!("the instance key cannot be written to {}: {error}", file.display()))),
                }
            }
            Self::File(file) if !file.exists() => Err(self.missing(needed.iter().next().map_or("", String::as_str))),
            Self::File(_) | Self::Text(_) => Ok(Loaded { ring: self.read()?, is_new: false }),
        }
    }

    pub(super) fn read(&self) -> Result<Ring, StoreError> {
        let (text, place) = match self {
            Self::Text(text) => (text.clone(), "SANDMILL_INSTANCE_KEY".to_owned()),
            Self::File(file) => {
                let place = file.display().to_string();
                (read(file).map_err(|error| StoreError::Keys(format!("the instance key cannot be read from {place}: {error}")))?, place)
            }
        };
        Ring::parse(&text).map_err(|fault| StoreError::Keys(format!("{place} is no file of instance keys: {fault}")))
    }

    /// # Errors
    /// The first of `needed` that is not there.
    pub(super) fn require(&self, ring: &Ring, needed: &BTreeSet<String>) -> Result<(), StoreError> {
        match needed.iter().find(|id| ring.find(id).is_none()) {
            None => Ok(()),
            Some(id) => Err(self.missing(id)),
        }
    }

    fn missing(&self, id: &str) -> StoreError {
        let place = match self {
            Self::File(file) if !file.exists() => format!("there is no file {}", file.display()),
            Self::File(file) => format!("it is not in {}", file.display()),
            Self::Text(_) => "it is not in SANDMILL_INSTANCE_KEY".to_owned(),
        };
        StoreError::Keys(format!(
            "the instance key {id} seals secrets in this database, and {place}. Put the key file back from where a copy of it is kept (backups of the \
             database do not hold it; with several nodes, copy it from another), name it with --instance-key-file, or set SANDMILL_INSTANCE_KEY. \
             Nothing was changed"
        ))
    }

    pub(super) fn forget_new(&self) {
        if let Self::File(file) = self
            && let Err(error) = fs::remove_file(file)
        {
            tracing::warn!(%error, file = %file.display(), "an instance key that is of no use was not removed");
        }
    }
}

fn read(file: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let file_open = File::open(file)?;
    if file_open.metadata()?.permissions().mode() & OTHERS != 0 {
        tracing::warn!(file = %file.display(), "others on this machine may read the instance key: chmod 600");
    }
    file_open.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Whole or not at all, and never over a file that is there.
fn create(file: &Path, key: &str) -> io::Result<()> {
    let name = format!(".instance-key-{:016x}", u64::from_be_bytes(sandmill_model::random::bytes()));
    let temporary = file.with_file_name(name);
    let written = (|| {
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        writeln!(out, "{key}")?;
        out.sync_all()?;
        fs::hard_link(&temporary, file)?;
        let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    })();
    let _ = fs::remove_file(&temporary);
    written
}
