//! What workspaces keep in databases of SQLite on this node, held against what they may keep.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sandmill_model::{BoxFuture, Opening, WorkspaceId};

/// How long a sum is believed at most.
const BELIEVED_MAX: Duration = Duration::from_secs(10);
/// Looking takes so much of the time at most, unless that were longer: one part of this many.
const SHARE: u32 = 20;
/// Workspaces whose sums are remembered.
const WORKSPACES_MAX: usize = 10_000;
/// Bytes that a file counts at least: a database has a page, also an empty one.
pub(super) const FILE_BYTES_MIN: u64 = 4_096;

/// What databases of SQLite ask the node; errors are in words for the script's author.
pub trait FilesPort: Send + Sync + 'static {
    /// Bytes that all databases of a workspace may have together; none: any number.
    ///
    /// # Errors
    /// Why that is not known.
    fn room(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<Option<u64>, String>>;

    /// Notes that a database is about to be opened, so that its name stays whatever becomes of the resource. False: the resource was
    /// changed since it was revealed.
    ///
    /// # Errors
    /// Why that could not be noted.
    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<bool, String>>;
}

/// Bytes of the files of workspaces. Cheap to clone.
#[derive(Clone)]
pub struct Sizes(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    known: Mutex<HashMap<WorkspaceId, Arc<Known>>>,
}

/// Held while somebody looks.
type Known = tokio::sync::Mutex<Option<Sum>>;

#[derive(Clone, Copy)]
struct Sum {
    bytes: u64,
    at: Instant,
    took: Duration,
}

impl Sizes {
    /// Of the files in `folder`, where each workspace has a folder of its own.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Inner { folder: folder.into(), known: Mutex::default() }))
    }

    /// Bytes of all databases of a workspace with their logs, as they were some seconds ago at most.
    ///
    /// # Errors
    /// If its folder cannot be looked at, in words for the script's author.
    pub async fn bytes(&self, workspace: WorkspaceId) -> Result<u64, String> {
        let known = self.known(workspace);
        let mut known = known.lock().await;
        if let Some(sum) = known.as_ref().filter(|sum| !sum.is_old()) {
            return Ok(sum.bytes);
        }
        let (folder, began) = (self.0.folder.join(workspace.to_string()), Instant::now());
        let looked = tokio::task::spawn_blocking(move || bytes_in(&folder)).await;
        let bytes = looked.map_err(io::Error::other).flatten().map_err(|error| {
            tracing::error!(%error, %workspace, "databases of SQLite");
            "the databases of the workspace cannot be looked at".to_owned()
        })?;
        *known = Some(Sum { bytes, at: Instant::now(), took: began.elapsed() });
        Ok(bytes)
    }

    fn known(&self, workspace: WorkspaceId) -> Arc<Known> {
        let mut all = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= WORKSPACES_MAX && !all.contains_key(&workspace) {
            all.clear();
        }
        Arc::clone(all.entry(workspace).or_default())
    }
}

impl Sum {
    fn is_old(&self) -> bool {
        self.at.elapsed() >= self.took.saturating_mul(SHARE).min(BELIEVED_MAX)
    }
}

fn bytes_in(folder: &Path) -> io::Result<u64> {
    let files = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        files => files?,
    };
    let mut bytes = 0_u64;
    for file in files {
        match file?.metadata() {
            Ok(file) => bytes = bytes.saturating_add(file.len().max(FILE_BYTES_MIN)),
            // A log goes with the last who has its database open.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use sandmill_model::Timestamp;

    use super::*;

    #[tokio::test]
    async fn files_of_a_workspace_are_added_up() {
        let folder = tempfile::tempdir().unwrap();
        let [of, other] = [1, 2].map(|number| WorkspaceId::new(Timestamp::from_micros(number)));
        let look = async |workspace: WorkspaceId| Sizes::new(folder.path()).bytes(workspace).await;
        assert_eq!(look(of).await, Ok(0), "nothing was ever opened");
        let own = folder.path().join(of.to_string());
        fs::create_dir(&own).unwrap();
        for (name, bytes) in [("a.db", 8_192), ("a.db-wal", 10_000), ("b.db", 0)] {
            fs::write(own.join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!((look(of).await, look(other).await), (Ok(8_192 + 10_000 + FILE_BYTES_MIN), Ok(0)));
    }

    #[test]
    fn a_sum_is_believed_for_as_long_as_it_cost() {
        let sum = |ago: Duration, took: Duration| Sum { bytes: 0, at: Instant::now().checked_sub(ago).unwrap(), took };
        assert!(sum(Duration::from_secs(1), Duration::from_millis(10)).is_old());
        assert!(!sum(Duration::from_secs(1), Duration::from_millis(200)).is_old());
        assert!(sum(BELIEVED_MAX, Duration::from_secs(60)).is_old());
    }
}
