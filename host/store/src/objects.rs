//! Results that are too large for the database, each kept in an object of its own: written before the run's record, read when
//! somebody asks for it.

use std::{fmt, path::PathBuf, sync::Arc};

use object_store::ObjectStore;
use sandmill_model::{BoxFuture, Output, RunId, Timestamp, WorkspaceId};

use crate::StoreError;

/// Bytes of a result that is kept with the run's record; a larger one is an object.
pub const INLINE_RESULT_BYTES_MAX: usize = 64 * 1024;

/// Where they are kept. Nodes that share a database share this too.
#[derive(Clone)]
pub enum Place {
    /// Made if it is not there.
    Folder(PathBuf),
    Service(Arc<dyn ObjectStore>),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => f.debug_tuple("Folder").field(folder).finish(),
            // Not what it says of itself: there are keys in it.
            Self::Service(_) => f.write_str("Service"),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    pub place: Place,
    pub inline_result_bytes_max: usize,
}

pub trait Objects: Send + Sync + 'static {
    /// What a run returned, fetched if it is kept apart; `Gone` if it is not there, `Corrupt` if it is not what was written.
    fn output(&self, workspace: WorkspaceId, run: RunId, output: Output) -> BoxFuture<'_, Result<Output, StoreError>>;

    /// Removes objects that were written before `written_before` and that no run refers to: of runs that are gone, or whose record was never
    /// written because a node died in between. Returns how many.
    fn sweep(&self, written_before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;
}
