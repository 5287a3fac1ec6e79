//! Large results, in a folder or with a service.

use std::{collections::HashSet, error::Error, io, sync::Arc};

use futures_util::{StreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};
use sandmill_model::{BoxFuture, Digest, JsonText, KeptOutput, Output, RunId, Timestamp, WorkspaceId, run::FinishedRun};

use super::{
    Durability, Sql,
    value::{RunKey, Value, run_key},
};
use crate::{
    StoreError,
    objects::{Objects, Options, Place},
};

/// Objects that are written at once for one batch of runs.
const PUTS_AT_ONCE: usize = 8;
/// Objects that are looked up in one statement.
const SWEPT_AT_ONCE: usize = 500;
/// Hex digits of the digest in an object's name.
const NAME_DIGITS: usize = 16;

/// Where large results are.
pub(super) struct Shelf {
    objects: Arc<dyn ObjectStore>,
    inline_result_bytes_max: usize,
}

impl Shelf {
    pub(super) fn open(options: &Options, durability: Durability) -> Result<Self, StoreError> {
        let objects: Arc<dyn ObjectStore> = match &options.place {
            Place::Service(service) => Arc::clone(service),
            Place::Folder(folder) => {
                let unusable = |error: &dyn Error| StoreError::Unavailable(format!("the folder {}: {error}", folder.display()));
                std::fs::create_dir_all(folder).map_err(|error| unusable(&error))?;
                let folder = LocalFileSystem::new_with_prefix(folder).map_err(|error| unusable(&error))?;
                Arc::new(folder.with_fsync(durability == Durability::Full))
            }
        };
        Ok(Self { objects, inline_result_bytes_max: options.inline_result_bytes_max })
    }

    /// Puts what a run returned into an object. A run that another node executed too may have returned something else,
    /// so the name is that of the bytes: nobody overwrites another's.
    async fn put(&self, done: &mut FinishedRun) -> Result<(), StoreError> {
        let (content_type, data) = match &done.outcome.output {
            Some(Output::Json(text)) => (None, text.as_str().as_bytes().to_vec().into()),
            Some(Output::Bytes { content_type, data }) => (Some(content_type.clone()), data.clone()),
            Some(Output::Kept(_)) | None => return Ok(()),
        };
        let kept = KeptOutput { content_type, bytes: data.len() as u64, digest: Digest::of(&data) };
        self.objects.put(&name(done.run.workspace, done.run.id, &kept.digest), data.into()).await.map_err(failure)?;
        done.outcome.output = Some(Output::Kept(kept));
        Ok(())
    }

    async fn get(&self, workspace: WorkspaceId, run: RunId, kept: KeptOutput) -> Result<Output, StoreError> {
        let object = self.objects.get(&name(workspace, run, &kept.digest)).await.map_err(failure)?;
        if object.meta.size != kept.bytes {
            return Err(corrupt(run));
        }
        let data = object.bytes().await.map_err(failure)?;
        if Digest::of(&data) != kept.digest {
            return Err(corrupt(run));
        }
        match kept.content_type {
            Some(content_type) => Ok(Output::Bytes { content_type, data }),
            None => Ok(Output::Json(JsonText::trusted(std::str::from_utf8(&data).map_err(|_| corrupt(run))?))),
        }
    }
}

fn name(workspace: WorkspaceId, run: RunId, digest: &Digest) -> Path {
    Path::from(format!("{workspace}/{run}-{}", prefix(digest)))
}

fn prefix(digest: &Digest) -> String {
    let mut hex = digest.hex();
    hex.truncate(NAME_DIGITS);
    hex
}

/// Whose object this is, and how its digest begins; none for what is not ours.
fn owner(path: &Path) -> Option<(WorkspaceId, RunId, &str)> {
    let (workspace, name) = path.as_ref().split_once('/')?;
    let (run, digest) = name.rsplit_once('-').filter(|(_, digest)| digest.len() == NAME_DIGITS)?;
    Some((workspace.parse().ok()?, run.parse().ok()?, digest))
}

fn corrupt(run: RunId) -> StoreError {
    StoreError::Corrupt(format!("the result of run {run}, which is kept apart, is not what was written"))
}

fn failure(error: object_store::Error) -> StoreError {
    let text = error.to_string();
    if matches!(error, object_store::Error::NotFound { .. }) {
        return StoreError::Gone(text);
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        {
            return StoreError::Full(format!("the folder of large results: {text}"));
        }
        cause = error.source();
    }
    StoreError::ObjectsUnavailable(text)
}

impl Sql {
    /// Puts what is large of the results of `runs` into objects, before their records are written. What cannot be put there is kept in the
    /// database: a folder that takes no files must not hold up the ends of runs.
    pub(super) async fn put_away<'a>(&self, runs: impl Iterator<Item = &'a mut FinishedRun>) {
        let Some(shelf) = &self.shelf else { return };
        let is_large =
            |done: &FinishedRun| done.outcome.output.as_ref().is_some_and(|output| output.len_bytes() > shelf.inline_result_bytes_max);
        let put = async |done: &mut FinishedRun| {
            if let Err(error) = shelf.put(done).await {
                tracing::error!(%error, run = %done.run.id, "a large result could not be put where large results are; it is kept in the database");
            }
        };
        let puts: Vec<BoxFuture<'_, ()>> = runs.filter(|done| is_large(done)).map(|done| Box::pin(put(done)) as _).collect();
        stream::iter(puts).buffer_unordered(PUTS_AT_ONCE).collect().await
    }

    /// Removes large results of a workspace, at most `limit`; returns how many.
    pub(super) async fn remove_results(&self, workspace: WorkspaceId, limit: usize) -> Result<usize, StoreError> {
        let Some(shelf) = &self.shelf else { return Ok(0) };
        let of_workspace = Path::from(workspace.to_string());
        let found: Vec<_> = shelf.objects.list(Some(&of_workspace)).take(limit).collect().await;
        let mut removed = 0;
        for object in found {
            let object = match object.map_err(failure) {
                Ok(object) => object,
                // Somebody else was quicker.
                Err(StoreError::Gone(_)) => continue,
                Err(error) => return Err(error),
            };
            match shelf.objects.delete(&object.location).await.map_err(failure) {
                Ok(()) => removed += 1,
                Err(StoreError::Gone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    /// Removes those of `found` that no run refers to; returns how many.
    async fn remove_orphans(&self, shelf: &Shelf, found: Vec<Path>) -> Result<u64, StoreError> {
        let mut removed = 0;
        for path in self.orphans(found).await? {
            match shelf.objects.delete(&path).await.map_err(failure) {
                Ok(()) => removed += 1,
                Err(StoreError::Gone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    /// Those of `found` that no run refers to.
    async fn orphans(&self, found: Vec<Path>) -> Result<Vec<Path>, StoreError> {
        let keys: Vec<RunKey> = found.iter().filter_map(owner).map(|(workspace, run, _)| run_key(workspace, run)).collect();
        let known = self.db.read(keys, |keys, mut conn| {
            Box::pin(async move {
                // The range is for the database's sake: it says which partitions to look into.
                let (first, last) = (keys.iter().map(|key| &key[16..]).min(), keys.iter().map(|key| &key[16..]).max());
                let (Some(first), Some(last)) = (first, last) else { return Ok(HashSet::new()) };
                let rows = conn
                    .rows(
                        "SELECT workspace, id, kept_digest FROM runs
                         WHERE id >= $1 AND id <= $2 AND kept_digest IS NOT NULL AND (workspace, id) IN {keys $3}",
                        vec![first.into(), last.into(), Value::Keys(keys.clone())],
                    )
                    .await?;
                rows.iter().map(|row| Ok(name(WorkspaceId(row.uuid(0)?), RunId(row.uuid(1)?), &row.digest(2)?))).collect()
            })
        });
        let known: HashSet<Path> = known.await?;
        Ok(found.into_iter().filter(|path| !known.contains(path)).collect())
    }
}

impl Objects for Sql {
    fn output(&self, workspace: WorkspaceId, run: RunId, output: Output) -> BoxFuture<'_, Result<Output, StoreError>> {
        Box::pin(async move {
            match (output, &self.shelf) {
                (Output::Kept(kept), Some(shelf)) => shelf.get(workspace, run, kept).await,
                (Output::Kept(_), None) => Err(StoreError::Gone("this store has no place for large results".to_owned())),
                (output, _) => Ok(output),
            }
        })
    }

    fn sweep(&self, written_before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let Some(shelf) = &self.shelf else { return Ok(0) };
            let mut all = shelf.objects.list(None);
            let (mut found, mut swept) = (Vec::new(), 0);
            while let Some(object) = all.next().await {
                let object = object.map_err(failure)?;
                if object.last_modified.timestamp_millis() < written_before.millis() && owner(&object.location).is_some() {
                    found.push(object.location);
                }
                if found.len() == SWEPT_AT_ONCE {
                    swept += self.remove_orphans(shelf, std::mem::take(&mut found)).await?;
                }
            }
            swept += self.remove_orphans(shelf, found).await?;
            Ok(swept)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let at = Timestamp::from_micros(1_800_000_000_000_000);
        let (workspace, run, digest) = (WorkspaceId::new(at), RunId::new(at), Digest::of(b"x"));
        let path = name(workspace, run, &digest);
        assert_eq!(owner(&path), Some((workspace, run, prefix(&digest).as_str())));
        for foreign in ["x", "x/y", "x/y-z", "README.md", &format!("{workspace}/{run}")] {
            assert_eq!(owner(&Path::from(foreign)), None, "{foreign}");
        }
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = object_store::Error::Generic { store: "x", source: Box::new(full) };
        assert!(matches!(failure(error), StoreError::Full(_)));
        let error = object_store::Error::NotFound { path: "x".to_owned(), source: Box::new(io::Error::from(io::ErrorKind::NotFound)) };
        assert!(matches!(failure(error), StoreError::Gone(_)));
    }
}
