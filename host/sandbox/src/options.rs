//! What a sandbox is made with, and the bounds that nobody needs to set.

use std::{path::PathBuf, sync::Arc};

use sandmill_model::{Clock, SystemClock};

use crate::machine;

/// Runs that hold a slot at once, for each core.
pub(crate) const SLOTS_PER_CORE: usize = 32;
/// Runs that gave their slot back while a host call keeps them waiting, and still hold an instance.
pub(crate) const BLOCKED_RUNS_MAX: usize = 1_024;
/// Programs in memory.
pub(crate) const PROGRAMS_MAX: usize = 2_000;
/// Compiled code on disk.
pub(crate) const CACHE_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;

#[derive(Clone)]
pub struct Options {
    /// Runs that hold a slot at once.
    pub slots: usize,
    /// Linear memory and tables of all runs together; above it no further run starts.
    pub guest_memory_bytes_max: u64,
    /// The same of the runs of one workspace; above it none of its runs starts.
    pub workspace_memory_bytes_max: u64,
    /// Folder of compiled code; made with mode 0700 if it is not there.
    pub cache_dir: PathBuf,
    pub cache_bytes_max: u64,
    /// Programs in memory.
    pub programs_max: usize,
    /// Threads of the CPU scheduler.
    pub threads: usize,
    pub clock: Arc<dyn Clock>,
    /// Whether programs of WASI 0.3 run here.
    pub runs_async: bool,
}

impl Options {
    /// The defaults of this machine: 32 slots a core, half of its memory, and three quarters of that for one workspace.
    #[must_use]
    pub fn new(cache_dir: impl Into<PathBuf>) -> Self {
        let cores = machine::cores();
        let guest_memory_bytes_max = machine::memory_bytes() / 2;
        Self {
            slots: SLOTS_PER_CORE * cores,
            guest_memory_bytes_max,
            workspace_memory_bytes_max: Self::workspace_share(guest_memory_bytes_max),
            cache_dir: cache_dir.into(),
            cache_bytes_max: CACHE_BYTES_MAX,
            programs_max: PROGRAMS_MAX,
            threads: cores,
            clock: SystemClock::shared(),
            runs_async: false,
        }
    }

    /// What one workspace may have of the memory for all guests if nothing else is said: a quarter stays for others.
    #[must_use]
    pub const fn workspace_share(guest_memory_bytes: u64) -> u64 {
        guest_memory_bytes - guest_memory_bytes / 4
    }
}
