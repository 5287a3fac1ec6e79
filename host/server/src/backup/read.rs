//! Reading an archive, which may be anybody's: nothing in it says where it is written to.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use anyhow::{Context, bail, ensure};

use super::{DATABASE, DIGESTS, Digests, FILES, FORMAT, HEADER, Header, OBJECTS, write::Hashing};

/// Bytes of the header.
const HEADER_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of the list of digests: some 150 for each file.
const DIGESTS_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Bytes that are copied at once.
const COPY_BYTES: usize = 256 * 1024;
/// Bytes in a name of an object or of its folder.
const SEGMENT_BYTES_MAX: usize = 128;

const DAMAGED: &str = "the archive is damaged or cut off";

/// Whether objects and their folders have such names.
pub(super) fn is_segment(name: &str) -> bool {
    !name.is_empty() && name.len() <= SEGMENT_BYTES_MAX && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-'))
}

/// Whether an archive may hold a file of this name.
fn is_expected(name: &str) -> bool {
    match name.split('/').collect::<Vec<_>>()[..] {
        [name] => name == DATABASE || FILES.contains(&name),
        [OBJECTS, folder, name] => is_segment(folder) && is_segment(name),
        _ => false,
    }
}

/// Unpacks all files into `folder` and compares them with their digests.
pub(super) fn read(archive: &Path, folder: &Path) -> anyhow::Result<Header> {
    let file = File::open(archive).with_context(|| format!("{} cannot be read", archive.display()))?;
    let mut tar = tar::Archive::new(zstd::Decoder::new(file).context(DAMAGED)?);
    let mut entries = tar.entries().context(DAMAGED)?;
    let first = entries.next().context(DAMAGED)?.context(DAMAGED)?;
    ensure!(name_of(&first)? == HEADER, "this is not a backup of Sandmill: it does not begin with {HEADER}");
    let (header, written) = read_json::<Header>(first, HEADER_BYTES_MAX)?;
    ensure!(header.format == FORMAT, "the archive has format {}, this release reads format {FORMAT}: take a newer release", header.format);
    let known = sandmill_store::backup::schema();
    ensure!(
        header.schema <= known,
        "the archive was written by a newer release of Sandmill ({}, schema {}; this release knows {known}): restore it with that one",
        header.release,
        header.schema
    );
    let mut found = Digests::from([(HEADER.to_owned(), written)]);
    let mut expected = None;
    for entry in entries {
        let entry = entry.context(DAMAGED)?;
        let name = name_of(&entry)?;
        ensure!(expected.is_none(), "the archive goes on after its end, with {name:?}");
        if name == DIGESTS {
            expected = Some(read_json::<Digests>(entry, DIGESTS_BYTES_MAX)?.0);
            continue;
        }
        ensure!(is_expected(&name), "the archive holds {name:?}, which no backup does: it is not restored");
        ensure!(!found.contains_key(&name), "the archive holds {name:?} twice");
        let written = unpack(entry, &folder.join(&name)).with_context(|| format!("{name:?} cannot be unpacked"))?;
        found.insert(name, written);
    }
    // To the very end, where the checksum of all is.
    let mut rest = tar.into_inner();
    io::copy(&mut rest, &mut io::sink()).context(DAMAGED)?;
    let expected = expected.context(DAMAGED)?;
    if let Some((name, _)) = expected.iter().find(|(name, written)| found.get(*name) != Some(*written)) {
        bail!("{DAMAGED}: {name:?} is not as it was written");
    }
    ensure!(found.len() == expected.len() && found.contains_key(DATABASE), "{DAMAGED}: it holds other files than it says");
    Ok(header)
}

fn name_of<R: Read>(entry: &tar::Entry<'_, R>) -> anyhow::Result<String> {
    let name = String::from_utf8(entry.path_bytes().into_owned()).ok().context(DAMAGED)?;
    ensure!(
        entry.header().entry_type() == tar::EntryType::Regular,
        "the archive holds {name:?}, which is not a plain file: it is not restored"
    );
    Ok(name)
}

fn read_json<T: serde::de::DeserializeOwned>(entry: impl Read, bytes_max: u64) -> anyhow::Result<(T, super::Written)> {
    let mut bytes = Vec::new();
    let mut entry = Hashing::new(entry.take(bytes_max));
    entry.read_to_end(&mut bytes).context(DAMAGED)?;
    Ok((serde_json::from_slice(&bytes).context(DAMAGED)?, entry.written()))
}

fn unpack(entry: impl Read, to: &Path) -> anyhow::Result<super::Written> {
    if let Some(parent) = to.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let mut entry = Hashing::new(entry);
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = entry.read(&mut buffer).context(DAMAGED)?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count])?;
    }
    file.sync_all()?;
    Ok(entry.written())
}
