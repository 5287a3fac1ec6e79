//! A version that is ready to run.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU32, Ordering},
};

use sandmill_capabilities::Host;
use sandmill_model::version::HostedModule;
use sandmill_sandbox::Program;

use crate::arguments::Arguments;

/// What a version needs to run, in memory.
pub(crate) struct Loaded {
    pub(crate) arguments: Arguments,
    pub(crate) has_preprocessor: bool,
    pub(crate) tier: Tier,
}

pub(crate) enum Tier {
    Component(Arc<Program<Host>>),
    Source(Box<Source>),
}

/// A script of a source language. It starts in the shared runtime and gets a program of its own once it is called often.
pub(crate) struct Source {
    pub(crate) module: Arc<HostedModule>,
    pub(crate) runtime: Arc<Program<Host>>,
    pub(crate) snapshot: OnceLock<Arc<Program<Host>>>,
    runs: AtomicU32,
}

impl Source {
    pub(crate) fn new(module: HostedModule, runtime: Arc<Program<Host>>) -> Self {
        Self { module: Arc::new(module), runtime, snapshot: OnceLock::new(), runs: AtomicU32::new(0) }
    }

    /// Counts a run in the shared runtime; true for the one that makes the script warm.
    pub(crate) fn becomes_warm(&self, after_runs: u32) -> bool {
        self.runs.fetch_add(1, Ordering::Relaxed).wrapping_add(1) == after_runs
    }
}

impl Loaded {
    /// The program of the next run, and the module that it must load first, if any.
    pub(crate) fn program(&self) -> (Arc<Program<Host>>, Option<Arc<HostedModule>>) {
        match &self.tier {
            Tier::Component(program) => (Arc::clone(program), None),
            Tier::Source(source) => match source.snapshot.get() {
                Some(program) => (Arc::clone(program), None),
                None => (Arc::clone(&source.runtime), Some(Arc::clone(&source.module))),
            },
        }
    }
}
