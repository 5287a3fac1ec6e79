//! Writing an archive.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use sha2::{Digest, Sha256};

use super::{DATABASE, DIGESTS, Digests, FILES, HEADER, Header, OBJECTS, Written};

/// zstd's own default.
const LEVEL: i32 = 3;

struct Archive<W: Write> {
    tar: tar::Builder<W>,
    digests: Digests,
}

/// Where what belongs to the database is.
pub(super) struct Folders {
    pub(super) data: PathBuf,
    pub(super) objects: PathBuf,
}

/// Writes everything; returns how many files.
pub(super) fn write(archive: &Path, header: &Header, database: &Path, folders: &Folders) -> anyhow::Result<usize> {
    // The admin's token is among what is written.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(archive)?;
    let mut compressed = zstd::Encoder::new(file, LEVEL)?;
    compressed.include_checksum(true)?;
    let mut out = Archive { tar: tar::Builder::new(compressed), digests: Digests::new() };
    let header = serde_json::to_vec_pretty(header)?;
    out.add(HEADER, header.as_slice(), header.len() as u64)?;
    out.add_file(DATABASE, database)?.then_some(()).context("the copy of the database is gone")?;
    for name in FILES {
        out.add_file(name, &folders.data.join(name))?;
    }
    // After the copy: what it refers to was written before.
    for folder in entries(&folders.objects)? {
        for name in entries(&folders.objects.join(&folder))? {
            out.add_file(&format!("{OBJECTS}/{folder}/{name}"), &folders.objects.join(&folder).join(&name))?;
        }
    }
    let files = out.digests.len() - 1;
    let digests = serde_json::to_vec(&out.digests)?;
    out.add(DIGESTS, digests.as_slice(), digests.len() as u64)?;
    out.tar.into_inner()?.finish()?.sync_all()?;
    Ok(files)
}

/// Gives the archive its name in `folder`. Not by renaming, which would replace a file that came in between.
pub(super) fn publish(archive: &Path, file: &Path, folder: &Path) -> io::Result<()> {
    match fs::hard_link(archive, file) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Not every file system has links.
        Err(_) => copy_new(archive, file)?,
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Nor can every one flush a folder.
        Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Copies to a file that is not there yet; nothing is left of a copy that fails.
pub(super) fn copy_new(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let copied = io::copy(&mut source, &mut target).and_then(|_| target.sync_all());
    if copied.is_err() {
        let _ = fs::remove_file(to);
    }
    copied
}

/// Names in a folder, in their order; none if it is not there.
fn entries(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                // What is still being written has a name of another form, and reading checks names.
                names.extend(entry?.file_name().into_string().ok().filter(|name| super::read::is_segment(name)));
            }
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", folder.display())),
    }
    names.sort();
    Ok(names)
}

impl<W: Write> Archive<W> {
    /// False if the file is not there: retention may have taken it since.
    fn add_file(&mut self, name: &str, path: &Path) -> anyhow::Result<bool> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let bytes = file.metadata()?.len();
        self.add(name, file, bytes).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(true)
    }

    fn add(&mut self, name: &str, content: impl Read, bytes: u64) -> anyhow::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(bytes);
        let mut content = Hashing::new(content.take(bytes));
        self.tar.append_data(&mut header, name, &mut content)?;
        anyhow::ensure!(content.bytes == bytes, "it became shorter meanwhile");
        self.digests.insert(name.to_owned(), content.written());
        Ok(())
    }
}

/// Knows what was read through it.
pub(super) struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    bytes: u64,
}

impl<R> Hashing<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }

    pub(super) fn written(self) -> Written {
        let digest: [u8; 32] = self.hasher.finalize().into();
        Written { bytes: self.bytes, sha256: sandmill_model::Digest::from_bytes(digest).hex() }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}
