//! `sandmill:blob`: objects of a workspace. What is here is what a guest may say and hold; `store` keeps the objects.

mod connector;
mod room;
mod store;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use sandmill_model::{
    Grant, WorkspaceId,
    grants::{Access, KeyPrefix, Mode},
};
use sandmill_sandbox::Guest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Result, component::Resource};

pub use self::{
    room::RoomPort,
    store::{Blobs, Place, S3, Unkept, for_results},
};
use crate::{
    Host,
    bindings::blob::{Error, Host as Blob, HostReader, HostWriter, Object},
    grants::{refusals, told},
};

const KEY_BYTES_MAX: usize = 1_024;
/// Bytes of a key's text that an error shows.
const SHOWN_BYTES_MAX: usize = 256;
/// Bytes of a media type.
const CONTENT_TYPE_BYTES_MAX: usize = 255;
/// Bytes that one call reads or writes.
const CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one object.
pub(crate) const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// Objects in one answer of `list`.
const LISTED_MAX: usize = 1_000;
/// Readers and writers that a run has open at once.
pub(crate) const READERS_MAX: usize = 16;
pub(crate) const WRITERS_MAX: usize = 4;

/// What a reader's handle stands for.
pub struct OpenReader {
    info: Object,
    /// What is to come after `chunk`.
    rest: BoxStream<'static, object_store::Result<Bytes>>,
    chunk: Bytes,
    _permit: OwnedSemaphorePermit,
}

/// What a writer's handle stands for.
pub struct OpenWriter {
    /// None once it has ended.
    writing: Option<store::Writing>,
    key: String,
    _permit: OwnedSemaphorePermit,
}

/// The handles that a run may still open.
pub(crate) struct Room {
    readers: Arc<Semaphore>,
    writers: Arc<Semaphore>,
}

impl Default for Room {
    fn default() -> Self {
        Self { readers: Arc::new(Semaphore::new(READERS_MAX)), writers: Arc::new(Semaphore::new(WRITERS_MAX)) }
    }
}

impl Blob for Guest<Host> {
    async fn get(&mut self, key: String) -> Result<Result<Option<Resource<OpenReader>>, Error>> {
        self.pace().await;
        let got = get(&self.host, &key).await;
        Ok(match told(self, got) {
            Ok(Some(reader)) => Ok(Some(self.table().push(reader)?)),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        })
    }

    async fn put(&mut self, key: String, content_type: Option<String>) -> Result<Result<Resource<OpenWriter>, Error>> {
        self.pace().await;
        let put = put(&self.host, key, content_type).await;
        Ok(match told(self, put) {
            Ok(writer) => Ok(self.table().push(writer)?),
            Err(error) => Err(error),
        })
    }

    async fn stat(&mut self, key: String) -> Result<Result<Option<Object>, Error>> {
        self.pace().await;
        let host = &self.host;
        let found = async {
            check(&key)?;
            allowed(host, &key, Mode::Read).await?;
            host.ports.blob.stat(workspace(host), &key).await
        };
        let found = found.await;
        Ok(told(self, found))
    }

    async fn delete(&mut self, key: String) -> Result<Result<(), Error>> {
        self.pace().await;
        let host = &self.host;
        let deleted = async {
            check(&key)?;
            allowed(host, &key, Mode::Write).await?;
            host.ports.blob.delete(workspace(host), &key).await
        };
        let deleted = deleted.await;
        Ok(told(self, deleted))
    }

    async fn list(&mut self, prefix: String, after: Option<String>, limit: u32) -> Result<Result<Vec<Object>, Error>> {
        self.pace().await;
        let host = &self.host;
        let listed = async {
            check_prefix(&prefix)?;
            allowed_all(host, &prefix, Mode::Read).await?;
            let limit = usize::try_from(limit).unwrap_or(LISTED_MAX).min(LISTED_MAX);
            host.ports.blob.list(workspace(host), &prefix, after.as_deref(), limit).await
        };
        let listed = listed.await;
        Ok(told(self, listed))
    }
}

impl HostReader for Guest<Host> {
    async fn info(&mut self, this: Resource<OpenReader>) -> Result<Object> {
        self.pace().await;
        Ok(self.table().get(&this)?.info.clone())
    }

    async fn read(&mut self, this: Resource<OpenReader>, max: u32) -> Result<Result<Option<Vec<u8>>, Error>> {
        self.pace().await;
        let reader = self.table().get_mut(&this)?;
        let max = usize::try_from(max).unwrap_or(CHUNK_BYTES_MAX).min(CHUNK_BYTES_MAX);
        Ok(store::read(&mut reader.rest, &mut reader.chunk, max).await)
    }

    async fn drop(&mut self, this: Resource<OpenReader>) -> Result<()> {
        self.table().delete(this)?;
        Ok(())
    }
}

impl HostWriter for Guest<Host> {
    async fn write(&mut self, this: Resource<OpenWriter>, bytes: Vec<u8>) -> Result<Result<(), Error>> {
        self.pace().await;
        let writer = self.table().get_mut(&this)?;
        if bytes.len() > CHUNK_BYTES_MAX {
            return Ok(Err(Error::TooLarge(format!("a call writes at most {CHUNK_BYTES_MAX} bytes; these are {}", bytes.len()))));
        }
        let Some(writing) = &mut writer.writing else { return Ok(Err(ended())) };
        let written = writing.write(bytes.into()).await;
        if written.is_err() {
            writer.writing = None;
        }
        Ok(written)
    }

    async fn finish(&mut self, this: Resource<OpenWriter>) -> Result<Result<Object, Error>> {
        self.pace().await;
        let workspace = workspace(&self.host);
        let blobs = self.host.ports.blob.clone();
        let writer = self.table().get_mut(&this)?;
        let Some(writing) = writer.writing.take() else { return Ok(Err(ended())) };
        Ok(blobs.finish(workspace, &writer.key, writing).await)
    }

    async fn drop(&mut self, this: Resource<OpenWriter>) -> Result<()> {
        self.table().delete(this)?;
        Ok(())
    }
}

async fn get(host: &Host, key: &str) -> Result<Option<OpenReader>, Error> {
    check(key)?;
    allowed(host, key, Mode::Read).await?;
    let permit = Arc::clone(&host.run.blob().readers).try_acquire_owned();
    let permit = permit.map_err(|_| Error::TooLarge(format!("a run has at most {READERS_MAX} readers at once")))?;
    let found = host.ports.blob.get(workspace(host), key).await?;
    Ok(found.map(|(info, rest)| OpenReader { info, rest, chunk: Bytes::new(), _permit: permit }))
}

async fn put(host: &Host, key: String, content_type: Option<String>) -> Result<OpenWriter, Error> {
    check(&key)?;
    if content_type.as_ref().is_some_and(|text| !is_media_type(text)) {
        return Err(Error::Invalid(format!("a media type has 1 to {CONTENT_TYPE_BYTES_MAX} characters of ASCII")));
    }
    allowed(host, &key, Mode::Write).await?;
    let permit = Arc::clone(&host.run.blob().writers).try_acquire_owned();
    let permit = permit.map_err(|_| Error::TooLarge(format!("a run has at most {WRITERS_MAX} writers at once")))?;
    let writing = host.ports.blob.put(workspace(host), &key, content_type).await?;
    Ok(OpenWriter { writing: Some(writing), key, _permit: permit })
}

fn is_media_type(text: &str) -> bool {
    (1..=CONTENT_TYPE_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

fn workspace(host: &Host) -> WorkspaceId {
    host.run.attempt.workspace
}

/// With the object at `key`.
async fn allowed(host: &Host, key: &str, mode: Mode) -> Result<(), Error> {
    within(host, mode, |grant| grant.covers_key(key), || KeyPrefix::for_key(key)).await
}

/// With all objects whose keys begin with `prefix`.
async fn allowed_all(host: &Host, prefix: &str, mode: Mode) -> Result<(), Error> {
    within(host, mode, |grant| grant.covers_all(prefix), || KeyPrefix::for_all(prefix)).await
}

/// `suggested` is what a manifest is told to ask for that asks for nothing that covers it.
async fn within(host: &Host, mode: Mode, covers: impl Fn(&KeyPrefix) -> bool, suggested: impl FnOnce() -> KeyPrefix) -> Result<(), Error> {
    let granted = host.granted().await?;
    let does = |grant: &Grant| matches!(grant, Grant::Blob(access) if access.mode >= mode && covers(&access.of));
    if granted.allows(does) {
        return Ok(());
    }
    let need = host.run.asked.iter().find(does).unwrap_or_else(|| Grant::Blob(Access { mode, of: suggested() }));
    Err(Error::Denied(host.denial(&[need])))
}

refusals!(Error);

fn ended() -> Error {
    Error::Invalid("the writer has ended".to_owned())
}

fn shown(key: &str) -> &str {
    &key[..key.floor_char_boundary(SHOWN_BYTES_MAX)]
}

fn check(key: &str) -> Result<(), Error> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Error::Invalid(format!("a key has 1 to {KEY_BYTES_MAX} bytes; `{}` has {}", shown(key), key.len())));
    }
    check_segments(key, key)
}

/// The last segment may be a part of one, or nothing.
fn check_prefix(prefix: &str) -> Result<(), Error> {
    if prefix.len() > KEY_BYTES_MAX {
        return Err(Error::Invalid(format!("a prefix has at most {KEY_BYTES_MAX} bytes")));
    }
    let folders = prefix.rsplit_once('/').map(|(folders, _)| folders);
    folders.map_or(Ok(()), |folders| check_segments(prefix, folders))?;
    if is_refused_text(prefix) { Err(no_key(prefix)) } else { Ok(()) }
}

fn check_segments(key: &str, segments: &str) -> Result<(), Error> {
    let is_no_segment = |segment: &str| matches!(segment, "" | "." | "..") || !store::fits(segment);
    if segments.split('/').any(is_no_segment) || is_refused_text(key) { Err(no_key(key)) } else { Ok(()) }
}

fn is_refused_text(key: &str) -> bool {
    key.chars().any(|c| c.is_control() || c == '\\')
}

fn no_key(key: &str) -> Error {
    Error::Invalid(format!(
        "`{}` is no key: it has segments between `/`, none of them empty, `.`, `..` or too long for a file's name, without control characters and `\\`",
        shown(key)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_none() {
        for good in ["a", "a/b.c", "..a/b", "a b/ä%2f", "%2e%2e/a", "a/...", &"x/".repeat(511)[..1021], &"k".repeat(255)] {
            assert!(check(good).is_ok(), "{good}");
        }
        let long = "x".repeat(KEY_BYTES_MAX + 1);
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/.",
            "a\\b",
            "a\0",
            "a\nb",
            "\u{85}",
            &long,
            &"k".repeat(256),
            &"ä".repeat(50),
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        for prefix in ["", "a", "a/", "a/b", "a/."] {
            assert!(check_prefix(prefix).is_ok(), "{prefix}");
        }
        for prefix in ["/", "../", "a/../", "a//", "a\0", &long] {
            assert!(check_prefix(prefix).is_err(), "{prefix}");
        }
    }
}
