//! Results that are too large for the database, each kept in an object of its own: written before the run's record, read when
//! somebody asks for it.

use std::path::PathBuf;

use sandmill_model::{BoxFuture, Output, RunId, Timestamp, WorkspaceId};

use crate::StoreError;

/// Bytes of a result that is kept with the run's record; a larger one is an object.
pub const INLINE_RESULT_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, Debug)]
pub struct Options {
    /// Made if it is not there. Nodes that share a database share this too.
    pub folder: PathBuf,
    pub inline_result_bytes_max: usize,
}

pub trait Objects: Send + Sync + 'static {
    /// What a run returned, fetched if it is kept apart; `Gone` if it is not there, `Corrupt` if it is not what was written.
    fn output(&self, workspace: WorkspaceId, run: RunId, output: Output) -> BoxFuture<'_, Result<Output, StoreError>>;

    /// Removes objects that were written before `written_before` and that no run refers to: of runs that are gone, or whose record was never
    /// written because a node died in between. Returns how many.
    fn sweep(&self, written_before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;
}
