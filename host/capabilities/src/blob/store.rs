//! Where objects are: in a folder, or with a service that speaks S3. Each workspace has a folder of its own, named after its id; a key's segments are
//! encoded so that none of them means anything to the store.

use std::{
    collections::BTreeMap,
    error::Error as _,
    fs, io,
    path::{Path as FilePath, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    Attribute, Attributes, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _, RetryConfig,
    aws::AmazonS3Builder,
    buffered::BufWriter,
    local::LocalFileSystem,
    path::{Path, PathPart},
    prefix::PrefixStore,
};
use sandmill_model::WorkspaceId;
use tokio::{io::AsyncWriteExt as _, runtime::Handle};
use tokio_util::task::TaskTracker;

use super::{
    Error, OBJECT_BYTES_MAX, Object, RoomPort,
    connector::Connector,
    room::{Room, Rooms},
};

/// Bytes of a part of a large object: S3 takes no smaller ones.
const PART_BYTES: usize = 5 * 1024 * 1024;
/// Parts of one object that are on their way at once.
const PARTS_AT_ONCE: usize = 1;
/// How often, and how long after it was first sent, a request is sent again: a script waits for it.
const RETRIES_MAX: usize = 3;
const RETRY_LIMIT: Duration = Duration::from_secs(15);
/// Bytes of a segment as the store writes it: file systems have no longer names.
const SEGMENT_BYTES_MAX: usize = 255;
/// Bytes of a kept media type.
const TYPE_BYTES_MAX: u64 = 1_024;
/// What S3 says of an object that was given no media type.
const TYPE_OF_NONE: &str = "binary/octet-stream";
/// Objects of a deleted workspace that one step removes, and how many of them at once.
const REMOVED_MAX: usize = 1_000;
const REMOVED_AT_ONCE: usize = 16;
/// Bytes that each object counts beside its own and those of its key: for its place in the store, and for its media type. So nobody fills a store
/// with what is empty.
const BYTES_OF_EACH_OBJECT: u64 = 4_096;
/// The folder for media types, where the store has no place for them.
const TYPES: &str = ".types";
/// The folder for large results. No workspace has this name.
const RESULTS: &str = "results";

/// Where objects are kept.
#[derive(Clone, Debug)]
pub enum Place {
    /// Made if it is not there. Nodes that share a database share it too.
    Folder(PathBuf),
    S3(S3),
}

/// A service that speaks S3.
#[derive(Clone)]
pub struct S3 {
    pub bucket: String,
    pub region: String,
    /// None: that of the region at AWS. With `http:` what is sent can be read on the way.
    pub endpoint: Option<String>,
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3").field("bucket", &self.bucket).field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// What a step has removed.
#[derive(Default)]
struct Removed {
    count: usize,
    /// The first.
    failure: Option<String>,
}

/// The objects of all workspaces. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// Whether the store keeps media types itself.
    keeps_types: bool,
    tracker: TaskTracker,
    /// None: workspaces keep what they want.
    rooms: Option<Arc<Rooms>>,
}

/// Why the host could not keep an object; the text is for whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unkept {
    /// Nothing can be kept so.
    #[error("{0}")]
    Invalid(String),
    /// It is more than may be kept.
    #[error("{0}")]
    TooLarge(String),
    /// It may help to try again.
    #[error("{0}")]
    Unavailable(String),
}

impl From<Error> for Unkept {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(text) | Error::Invalid(text) => Self::Invalid(text),
            Error::TooLarge(text) => Self::TooLarge(text),
            Error::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

/// An object that is being written.
pub(super) struct Writing {
    /// Some until it has ended.
    writer: Option<BufWriter>,
    written: u64,
    content_type: Option<String>,
    tracker: TaskTracker,
    room: Option<Room>,
}

/// Where the host keeps large results, if the place is a service: apart from all workspaces.
///
/// # Errors
/// If the place cannot be used, as far as that shows without asking for anything.
pub fn for_results(place: &Place) -> io::Result<Option<Arc<dyn ObjectStore>>> {
    match place {
        Place::Folder(_) => Ok(None),
        Place::S3(s3) => Ok(Some(Arc::new(PrefixStore::new(open_s3(s3)?, RESULTS)))),
    }
}

impl Blobs {
    /// # Errors
    /// If the place cannot be used, as far as that shows without asking for anything.
    pub fn open(place: &Place) -> io::Result<Self> {
        let (store, keeps_types): (Arc<dyn ObjectStore>, bool) = match place {
            Place::Folder(folder) => (Arc::new(open_folder(folder)?), false),
            Place::S3(s3) => (Arc::new(open_s3(s3)?), true),
        };
        Ok(Self { store, keeps_types, tracker: TaskTracker::new(), rooms: None })
    }

    /// The same, where workspaces keep no more than they may.
    #[must_use]
    pub fn within(self, port: Arc<dyn RoomPort>) -> Self {
        Self { rooms: Some(Arc::new(Rooms::new(port))), ..self }
    }

    /// Keeps a whole object for the host, e.g. a file that came with an event. The key is as one of a script's; a media type that is none is left
    /// out.
    ///
    /// # Errors
    /// Why it is not kept.
    pub async fn keep(&self, workspace: WorkspaceId, key: &str, content_type: Option<String>, data: Bytes) -> Result<(), Unkept> {
        super::check(key)?;
        let content_type = content_type.filter(|text| super::is_media_type(text));
        let mut writing = self.put(workspace, key, content_type).await?;
        writing.write(data).await?;
        self.finish(workspace, key, writing).await?;
        Ok(())
    }

    /// Removes an object that the host has kept for nothing.
    ///
    /// # Errors
    /// Why it is there still.
    pub async fn forget(&self, workspace: WorkspaceId, key: &str) -> Result<(), Unkept> {
        self.delete(workspace, key).await.map_err(Unkept::from)
    }

    /// Waits until what was given up is removed, and what is being added up is known.
    pub async fn settled(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.tracker.reopen();
    }

    /// Removes objects of a workspace, some at once and [`REMOVED_MAX`] at most; returns whether there may be more. One that cannot be removed
    /// is in no other's way.
    ///
    /// # Errors
    /// What the store said first, where nothing but failures is left. What was removed is gone.
    pub async fn remove_some(&self, workspace: WorkspaceId) -> Result<bool, String> {
        let types = Path::from_iter([TYPES, workspace.to_string().as_str()]);
        let mut removed = Removed::default();
        for folder in [root(workspace), types] {
            let store = Arc::clone(&self.store);
            let found = self.store.list(Some(&folder)).map(move |meta| {
                let store = Arc::clone(&store);
                async move { store.delete(&meta?.location).await }
            });
            removed.follow(found.buffer_unordered(REMOVED_AT_ONCE)).await;
            if removed.count >= REMOVED_MAX {
                return Ok(true);
            }
        }
        removed.failure.map_or(Ok(false), Err)
    }

    pub(super) async fn stat(&self, workspace: WorkspaceId, key: &str) -> Result<Option<Object>, Error> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.store.get_opts(&place_of(workspace, key), options).await {
            Ok(found) => {
                let content_type = self.content_type(workspace, key, &found.attributes).await?;
                Ok(Some(object(key.to_owned(), &found.meta, content_type)))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    pub(super) async fn get(
        &self,
        workspace: WorkspaceId,
        key: &str,
    ) -> Result<Option<(Object, BoxStream<'static, object_store::Result<Bytes>>)>, Error> {
        match self.store.get(&place_of(workspace, key)).await {
            Ok(found) => {
                let content_type = self.content_type(workspace, key, &found.attributes).await?;
                let info = object(key.to_owned(), &found.meta, content_type);
                Ok(Some((info, found.into_stream())))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    pub(super) async fn put(&self, workspace: WorkspaceId, key: &str, content_type: Option<String>) -> Result<Writing, Error> {
        let room = match &self.rooms {
            Some(rooms) => Some(rooms.of(workspace, least_of(key), self.size(workspace)).await?),
            None => None,
        };
        let mut writer =
            BufWriter::with_capacity(Arc::clone(&self.store), place_of(workspace, key), PART_BYTES).with_max_concurrency(PARTS_AT_ONCE);
        if let (true, Some(content_type)) = (self.keeps_types, &content_type) {
            writer = writer.with_attributes(Attributes::from_iter([(Attribute::ContentType, content_type.clone())]));
        }
        Ok(Writing { writer: Some(writer), written: 0, content_type, tracker: self.tracker.clone(), room })
    }

    pub(super) async fn finish(&self, workspace: WorkspaceId, key: &str, mut writing: Writing) -> Result<Object, Error> {
        // One that fails to end removes its parts itself, and must not be told to once more.
        let Some(mut writer) = writing.writer.take() else { return Err(super::ended()) };
        // Whoever stops waiting does not know whether the object is there: until the next look it counts as if it were.
        writing.set_finished(true);
        if let Err(error) = writer.shutdown().await {
            writing.set_finished(false);
            return Err(io_failure(&error));
        }
        if !self.keeps_types {
            self.keep_type(workspace, key, writing.content_type.take()).await?;
        }
        let found = self.stat(workspace, key).await?;
        found.ok_or_else(|| Error::Unavailable("the object was deleted as soon as it was written".to_owned()))
    }

    pub(super) async fn delete(&self, workspace: WorkspaceId, key: &str) -> Result<(), Error> {
        self.remove(&place_of(workspace, key)).await?;
        if let Some(rooms) = &self.rooms {
            rooms.freed(workspace);
        }
        if self.keeps_types { Ok(()) } else { self.remove(&type_of(workspace, key)).await }
    }

    /// The first `limit` by the bytes of their keys. The store's own order is that of encoded names, or none at all, so all with the prefix
    /// are looked at.
    pub(super) async fn list(&self, workspace: WorkspaceId, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Object>, Error> {
        let folder = prefix.rsplit_once('/').map_or_else(|| root(workspace), |(folders, _)| place_of(workspace, folders));
        let mut found = self.store.list(Some(&folder));
        let mut first = BTreeMap::new();
        while let Some(meta) = found.next().await {
            let meta = match meta {
                Ok(meta) => meta,
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(failure(&error)),
            };
            let Some(key) = key_of(&meta.location) else { continue };
            if !key.starts_with(prefix) || after.is_some_and(|after| key.as_str() <= after) {
                continue;
            }
            first.insert(key.clone(), object(key, &meta, None));
            if first.len() > limit {
                first.pop_last();
            }
        }
        Ok(first.into_values().collect())
    }

    /// Bytes that the objects of a workspace count, as they were last added up, and with what is being written here. Nobody waits long for
    /// them to be added up: that goes on though the caller has gone, and until it is done what was known before holds.
    pub async fn bytes(&self, workspace: WorkspaceId) -> u64 {
        let Some(rooms) = &self.rooms else { return self.size(workspace).await.unwrap_or(0) };
        if let Some(look) = rooms.begin_look(workspace) {
            let blobs = self.clone();
            self.tracker.spawn(async move { look.run(blobs.size(workspace)).await });
        }
        rooms.looked(workspace).await;
        rooms.bytes(workspace)
    }

    /// The same, added up now, without what is being written.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn measure(&self, workspace: WorkspaceId) -> Result<u64, String> {
        self.size(workspace).await.map_err(|error| format!("{error:?}"))
    }

    /// What all objects of a workspace count.
    async fn size(&self, workspace: WorkspaceId) -> Result<u64, Error> {
        let mut found = self.store.list(Some(&root(workspace)));
        let mut bytes = 0_u64;
        while let Some(meta) = found.next().await {
            match meta {
                Ok(meta) => {
                    let key = key_of(&meta.location).unwrap_or_default();
                    bytes = bytes.saturating_add(meta.size).saturating_add(least_of(&key));
                }
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failure(&error)),
            }
        }
        Ok(bytes)
    }

    async fn remove(&self, place: &Path) -> Result<(), Error> {
        match self.store.delete(place).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure(&error)),
        }
    }

    async fn keep_type(&self, workspace: WorkspaceId, key: &str, content_type: Option<String>) -> Result<(), Error> {
        let place = type_of(workspace, key);
        match content_type {
            Some(text) => self.store.put(&place, text.into()).await.map(drop).map_err(|error| failure(&error)),
            None => self.remove(&place).await,
        }
    }

    async fn content_type(&self, workspace: WorkspaceId, key: &str, attributes: &Attributes) -> Result<Option<String>, Error> {
        if self.keeps_types {
            let kept = attributes.get(&Attribute::ContentType).map(AsRef::as_ref).filter(|text| *text != TYPE_OF_NONE);
            return Ok(kept.map(str::to_owned));
        }
        match self.store.get(&type_of(workspace, key)).await {
            Ok(found) if found.meta.size <= TYPE_BYTES_MAX => {
                let bytes = found.bytes().await.map_err(|error| failure(&error))?;
                Ok(String::from_utf8(bytes.into()).ok())
            }
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }
}

impl Removed {
    /// Follows removals in one folder until as many were done as one step does, or as many failed.
    async fn follow(&mut self, removals: impl Stream<Item = object_store::Result<()>>) {
        let mut removals = pin!(removals);
        let mut failed = 0;
        while self.count < REMOVED_MAX && failed < REMOVED_MAX {
            match removals.next().await {
                Some(Ok(()) | Err(object_store::Error::NotFound { .. })) => self.count += 1,
                Some(Err(error)) => {
                    failed += 1;
                    self.failure.get_or_insert_with(|| error.to_string());
                }
                None => return,
            }
        }
    }
}

impl Writing {
    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.written += bytes.len() as u64;
        if self.written > OBJECT_BYTES_MAX {
            return Err(Error::TooLarge(format!("an object has at most {OBJECT_BYTES_MAX} bytes")));
        }
        if let Some(room) = &mut self.room {
            room.take(bytes.len() as u64)?;
        }
        match &mut self.writer {
            Some(writer) => writer.put(bytes).await.map_err(|error| failure(&error)),
            None => Err(super::ended()),
        }
    }

    const fn set_finished(&mut self, is_finished: bool) {
        if let Some(room) = &mut self.room {
            room.set_finished(is_finished);
        }
    }
}

impl Drop for Writing {
    /// Parts that were sent are removed; nothing else knows of them. Until then they take room.
    fn drop(&mut self) {
        if let (Some(mut writer), Ok(runtime)) = (self.writer.take(), Handle::try_current()) {
            let room = self.room.take();
            let abort = async move {
                // One that sent nothing yet has nothing to remove, and says so with an error.
                let _ = writer.abort().await;
                drop(room);
            };
            self.tracker.spawn_on(abort, &runtime);
        }
    }
}

/// The next bytes of an object: at most `max`; none at the end.
pub(super) async fn read(
    rest: &mut BoxStream<'static, object_store::Result<Bytes>>,
    chunk: &mut Bytes,
    max: usize,
) -> Result<Option<Vec<u8>>, Error> {
    if max == 0 {
        return Ok(Some(Vec::new()));
    }
    let mut read = Vec::new();
    while read.len() < max {
        if chunk.is_empty() {
            match rest.try_next().await.map_err(|error| failure(&error))? {
                Some(next) => *chunk = next,
                None => break,
            }
        }
        let taken = chunk.split_to(chunk.len().min(max - read.len()));
        read.extend_from_slice(&taken);
    }
    Ok(if read.is_empty() { None } else { Some(read) })
}

/// Whether the store can name it.
pub(super) fn fits(segment: &str) -> bool {
    PathPart::from(segment).as_ref().len() <= SEGMENT_BYTES_MAX
}

fn open_folder(folder: &FilePath) -> io::Result<LocalFileSystem> {
    fs::create_dir_all(folder)?;
    Ok(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true))
}

fn open_s3(s3: &S3) -> io::Result<object_store::aws::AmazonS3> {
    let mut builder = AmazonS3Builder::new()
        .with_http_connector(Connector)
        .with_retry(RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_LIMIT, ..RetryConfig::default() })
        .with_bucket_name(&s3.bucket)
        .with_region(&s3.region)
        .with_access_key_id(&s3.access_key_id)
        .with_secret_access_key(&s3.secret_access_key);
    if let Some(endpoint) = &s3.endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    Ok(builder.build()?)
}

fn root(workspace: WorkspaceId) -> Path {
    Path::from(workspace.to_string())
}

fn place_of(workspace: WorkspaceId, key: &str) -> Path {
    let workspace = workspace.to_string();
    Path::from_iter(std::iter::once(workspace.as_str()).chain(key.split('/')))
}

fn type_of(workspace: WorkspaceId, key: &str) -> Path {
    let workspace = workspace.to_string();
    Path::from_iter([TYPES, workspace.as_str()].into_iter().chain(key.split('/')))
}

/// None for what is not ours.
fn key_of(place: &Path) -> Option<String> {
    let (_, encoded) = place.as_ref().split_once('/')?;
    percent_encoding::percent_decode_str(encoded).decode_utf8().ok().map(Into::into)
}

/// What an object of this key counts before it has any bytes.
const fn least_of(key: &str) -> u64 {
    BYTES_OF_EACH_OBJECT.saturating_add(key.len() as u64)
}

fn object(key: String, meta: &ObjectMeta, content_type: Option<String>) -> Object {
    let modified_ms = u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0);
    Object { key, size: meta.size, modified_ms, content_type }
}

fn io_failure(error: &io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<object_store::Error>()) {
        Some(error) => failure(error),
        None => unavailable(error),
    }
}

/// What the store said goes to the node's log; it may name hosts and folders.
fn failure(error: &object_store::Error) -> Error {
    let mut cause = error.source();
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        match kind {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => return Error::Unavailable("the store is full".to_owned()),
            Some(io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::DirectoryNotEmpty) => {
                return Error::Invalid(
                    "with this store a key cannot be the folder of another: there is an object at one of both".to_owned(),
                );
            }
            _ => cause = error.source(),
        }
    }
    unavailable(error)
}

fn unavailable(error: &dyn std::error::Error) -> Error {
    tracing::warn!(%error, "objects of scripts");
    Error::Unavailable("the store of objects cannot be used at present".to_owned())
}

#[cfg(test)]
mod tests {
    use object_store::{
        memory::InMemory,
        throttle::{ThrottleConfig, ThrottledStore},
    };

    use super::*;

    #[tokio::test]
    async fn objects_of_a_workspace_are_removed_in_steps_and_behind_failures() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&Place::Folder(folder.path().to_owned())).unwrap();
        let [of, other]: [WorkspaceId; 2] = [1, 2].map(|n| format!("00000000-0000-7000-8000-00000000000{n}").parse().unwrap());
        let place = |workspace: WorkspaceId| folder.path().join(workspace.to_string());
        let files = |workspace: WorkspaceId| fs::read_dir(place(workspace).join("a")).unwrap().filter(|file| file.is_ok()).count();
        for (workspace, count) in [(of, 2 * REMOVED_MAX + 10), (other, 3)] {
            fs::create_dir_all(place(workspace).join("a")).unwrap();
            for n in 0..count {
                fs::write(place(workspace).join("a").join(n.to_string()), "x").unwrap();
            }
        }
        assert_eq!(blobs.remove_some(of).await, Ok(true));
        // Those that were on their way when the step ended may be gone, too.
        let left = files(of);
        assert!((REMOVED_MAX - REMOVED_AT_ONCE..=REMOVED_MAX + 10).contains(&left), "{left}");
        // Not to be listed: whoever follows it comes back to where it is.
        std::os::unix::fs::symlink(place(of), place(of).join("circle")).unwrap();
        while blobs.remove_some(of).await == Ok(true) {}
        assert_eq!(files(of), 0, "all others are removed");
        assert!(blobs.remove_some(of).await.is_err(), "it is told of");
        fs::remove_file(place(of).join("circle")).unwrap();
        assert_eq!(blobs.remove_some(of).await, Ok(false));
        assert_eq!(files(other), 3, "another's stay");
    }

    #[tokio::test]
    async fn a_step_ends_after_so_many_failures_in_each_folder() {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let failing = || {
            futures_util::stream::iter(0..3 * REMOVED_MAX).map(|_| {
                asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Err(object_store::Error::Generic { store: "test", source: "no".into() })
            })
        };
        let mut removed = Removed::default();
        removed.follow(failing()).await;
        removed.follow(failing()).await;
        assert_eq!(asked.into_inner(), 2 * REMOVED_MAX);
        assert!(removed.count == 0 && removed.failure.is_some());
        removed.follow(futures_util::stream::iter((0..10).map(|_| Ok(())))).await;
        assert_eq!(removed.count, 10, "whatever failed before");
    }

    #[tokio::test]
    async fn nobody_waits_long_for_a_slow_listing_and_it_goes_on() {
        let of: WorkspaceId = "00000000-0000-7000-8000-000000000001".parse().unwrap();
        let config = ThrottleConfig { wait_list_per_call: Duration::from_secs(4), ..ThrottleConfig::default() };
        let store = ThrottledStore::new(InMemory::new(), config);
        store.put(&place_of(of, "a"), "123".into()).await.unwrap();
        let tracker = TaskTracker::new();
        let blobs = Blobs { store: Arc::new(store), keeps_types: true, tracker, rooms: None }.within(Arc::new(Most(10_000)));
        // Whoever began it has gone.
        assert!(tokio::time::timeout(Duration::from_millis(10), blobs.bytes(of)).await.is_err());
        assert_eq!(blobs.bytes(of).await, 0, "nothing is known yet");
        assert_eq!(blobs.tracker.len(), 1, "it is listed once, and still");
        blobs.settled().await;
        assert_eq!(blobs.bytes(of).await, least_of("a") + 3);
    }

    /// So much for the workspace that ends in 1, and no limit for others.
    struct Most(u64);

    impl RoomPort for Most {
        fn room(&self, workspace: WorkspaceId) -> sandmill_model::BoxFuture<'_, Result<Option<u64>, String>> {
            Box::pin(std::future::ready(Ok(workspace.to_string().ends_with('1').then_some(self.0))))
        }
    }

    #[tokio::test]
    async fn a_workspace_keeps_no_more_than_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Folder(folder.path().to_owned());
        let [of, other]: [WorkspaceId; 2] = [1, 2].map(|n| format!("00000000-0000-7000-8000-00000000000{n}").parse().unwrap());
        fs::create_dir_all(folder.path().join(of.to_string())).unwrap();
        fs::write(folder.path().join(of.to_string()).join("before"), "12345").unwrap();
        // `before` has five bytes.
        let before = least_of("before") + 5;
        let blobs = Blobs::open(&place).unwrap().within(Arc::new(Most(before + least_of("small") + least_of("large") + 5)));
        let put = async |workspace: WorkspaceId, key: &str, parts: &[&'static str]| {
            let mut writing = blobs.put(workspace, key, None).await?;
            for part in parts {
                writing.write(Bytes::from_static(part.as_bytes())).await?;
            }
            blobs.finish(workspace, key, writing).await
        };
        assert_eq!(put(of, "small", &["123"]).await.unwrap().size, 3);
        let too_large = put(of, "large", &["1", "23"]).await.unwrap_err();
        assert!(matches!(&too_large, Error::TooLarge(text) if text.contains("stored_bytes")), "{too_large:?}");
        assert!(blobs.stat(of, "large").await.unwrap().is_none(), "nothing of it is there");
        assert_eq!(put(other, "large", &["0123456789", "0123456789"]).await.unwrap().size, 20, "another has no limit");
        // Who comes later adds up what is there, and asks for no byte more of one that is full.
        let there = before + least_of("small") + 3;
        let full = Blobs::open(&place).unwrap().within(Arc::new(Most(there)));
        assert!(matches!(full.put(of, "none", None).await, Err(Error::TooLarge(_))));
        let one = there + least_of("one");
        let room = Blobs::open(&place).unwrap().within(Arc::new(Most(one)));
        assert!(room.put(of, "one", None).await.is_ok());
        let no_room = Blobs::open(&place).unwrap().within(Arc::new(Most(one - 1)));
        assert!(matches!(no_room.put(of, "one", None).await, Err(Error::TooLarge(_))), "also an empty object takes room");
        room.settled().await;
        assert_eq!((room.bytes(of).await, room.measure(of).await), (there, Ok(there)));
    }

    #[tokio::test]
    async fn what_is_given_up_takes_no_room_and_what_is_open_does() {
        let folder = tempfile::tempdir().unwrap();
        let of: WorkspaceId = "00000000-0000-7000-8000-000000000001".parse().unwrap();
        let blobs = Blobs::open(&Place::Folder(folder.path().to_owned())).unwrap().within(Arc::new(Most(10 + 2 * least_of("o"))));
        let mut open = blobs.put(of, "o", None).await.unwrap();
        open.write(Bytes::from_static(b"123456")).await.unwrap();
        let mut beside = blobs.put(of, "b", None).await.unwrap();
        assert!(matches!(beside.write(Bytes::from_static(b"12345")).await, Err(Error::TooLarge(_))));
        drop((open, beside));
        blobs.settled().await;
        let mut whole = blobs.put(of, "whole", None).await.unwrap();
        whole.write(Bytes::from_static(b"0123456789")).await.unwrap();
        assert_eq!(blobs.finish(of, "whole", whole).await.unwrap().size, 10);
        assert!(matches!(blobs.put(of, "more", None).await, Err(Error::TooLarge(_))));
    }

    #[test]
    fn no_key_leaves_its_workspace() {
        let workspace: WorkspaceId = "00000000-0000-7000-8000-000000000001".parse().unwrap();
        for key in ["a/b", "%2e%2e/x", "..a", "a?b#c", "a b", "ä", "a:b", "C:x", "~", "a*", "．．/x", "a%2fb", "%"] {
            let place = place_of(workspace, key);
            assert_eq!(place.as_ref().split_once('/').map(|(first, _)| first.to_owned()), Some(workspace.to_string()), "{key}");
            assert_eq!(place.parts().count(), 1 + key.split('/').count(), "{key}");
            assert_eq!(key_of(&place).as_deref(), Some(key));
        }
    }
}
