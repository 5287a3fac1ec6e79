//! A version that is ready to run.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU32, Ordering},
};

use sandmill_capabilities::Host;
use sandmill_model::{Grants, version::HostedModule};
use sandmill_sandbox::{PlainFunction, Program};

use crate::arguments::Arguments;

/// What a version needs to run, in memory.
pub(crate) struct Loaded {
    pub(crate) arguments: Arguments,
    pub(crate) takes_events: bool,
    /// What its manifest asks for.
    pub(crate) asked: Arc<Grants>,
    pub(crate) tier: Tier,
}

pub(crate) enum Tier {
    Component {
        program: Arc<Program<Host>>,
        entry: ComponentEntry,
    },
    /// What the host does itself.
    Identity,
    Source(Box<Source>),
}

/// How a component is called.
pub(crate) enum ComponentEntry {
    Script,
    Http,
    Command,
    Function(Arc<PlainFunction>),
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

/// What the next run executes.
pub(crate) struct Executed {
    pub(crate) program: Arc<Program<Host>>,
    /// What the program loads first, if it is a language's runtime.
    pub(crate) module: Option<Arc<HostedModule>>,
}

impl Loaded {
    /// None for what is built in.
    pub(crate) fn executed(&self) -> Option<Executed> {
        let alone = |program: &Arc<Program<Host>>| Executed { program: Arc::clone(program), module: None };
        Some(match &self.tier {
            Tier::Identity => return None,
            Tier::Component { program, .. } => alone(program),
            Tier::Source(source) => match source.snapshot.get() {
                Some(program) => alone(program),
                None => Executed { program: Arc::clone(&source.runtime), module: Some(Arc::clone(&source.module)) },
            },
        })
    }
}
