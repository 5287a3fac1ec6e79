//! The sandbox itself: the long-lived parts, and the way of a run through them.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use sandmill_model::{Clock, LogEntry, Outcome, OutcomeKind, RunError, RunId, WorkspaceId, version::ComponentModel};
use tokio::runtime::Handle;
use tracing::Instrument as _;
use wasmtime::component::Linker;

use crate::{
    admission::{Admission, MEMORY_WAIT_MAX, MemoryBounds, Permits},
    cache::CodeCache,
    call::{Call, Steps},
    control::{Control, Registry},
    engine::PoolSize,
    error::Error,
    guest::{Core, Guest},
    log::LogBuffer,
    options::{BLOCKED_RUNS_MAX, Options},
    outcome,
    program::{self, Program, ProgramKey},
    realm::{Realm, Realms},
    run,
    schedule::Scheduler,
};

/// Cheap to clone.
pub struct Sandbox<H: 'static>(Arc<Inner<H>>);

impl<H: 'static> Clone for Sandbox<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<H: 'static> {
    realms: Realms<H>,
    cache: CodeCache,
    programs: Programs<H>,
    admission: Arc<Admission>,
    registry: Arc<Registry>,
    scheduler: Scheduler,
    clock: Arc<dyn Clock>,
}

impl<H: Send + 'static> Sandbox<H> {
    /// Makes the engine, opens the code cache and starts the scheduler's threads, which enter the calling tokio runtime. `link`
    /// adds the capabilities for one of the component models; WASI is added here.
    ///
    /// # Errors
    /// If the engine cannot be made, the cache not opened, or if no tokio runtime is entered.
    pub fn new<L>(options: Options, link: L) -> Result<Self, Error>
    where
        L: Fn(&mut Linker<Guest<H>>, ComponentModel) -> anyhow::Result<()> + Send + Sync + 'static,
    {
        let slots = u32::try_from(options.slots.max(1)).unwrap_or(u32::MAX);
        let instances = slots.saturating_add(u32::try_from(BLOCKED_RUNS_MAX).unwrap_or(u32::MAX));
        let realms = Realms::new(PoolSize { instances }, options.runs_async, Box::new(link))?;
        let runtime = Handle::try_current().map_err(|error| Error::Engine(error.to_string()))?;
        let memory = MemoryBounds {
            all_bytes_max: options.guest_memory_bytes_max,
            workspace_bytes_max: options.workspace_memory_bytes_max,
            wait_max: MEMORY_WAIT_MAX,
        };
        let admission = Admission::new(slots, instances, &memory);
        let scheduler =
            Scheduler::start(options.threads, Arc::clone(&admission), runtime).map_err(|error| Error::Engine(error.to_string()))?;
        let cache = CodeCache::open(&options)?;
        Ok(Self(Arc::new(Inner {
            realms,
            cache,
            programs: Programs { loaded: Mutex::default(), uses: AtomicU64::new(0), programs_max: options.programs_max.max(1) },
            admission,
            registry: Arc::default(),
            scheduler,
            clock: options.clock,
        })))
    }

    /// Stands for the engine's version and configuration: code that was compiled under another one does not load.
    #[must_use]
    pub fn compatibility_hash(&self) -> u64 {
        self.0.realms.sync().compatibility_hash
    }

    /// The program that was installed under `key`, from memory or from the cache on disk. None if it is not there, or if its file
    /// was altered or cut short: it is then removed, and must be compiled and installed again. Blocks for milliseconds.
    ///
    /// # Errors
    /// If the cache cannot be read, or programs of its kind do not run here.
    pub fn load(&self, key: impl Into<ProgramKey>) -> Result<Option<Arc<Program<H>>>, Error> {
        let key = key.into();
        let realm = self.realm(key)?;
        if let Some(program) = self.0.programs.get(&key) {
            return Ok(Some(program));
        }
        let Some(component) = self.0.cache.load(realm.code(), &key.code())? else { return Ok(None) };
        let program = Program::link(key, &component, &realm.linker)?;
        Ok(Some(self.0.programs.insert(Arc::new(program))))
    }

    /// The code that was installed under `key`, from the cache on disk, for a build worker that needs it. None if it is not there
    /// or was altered. Blocks for milliseconds.
    ///
    /// # Errors
    /// As of [`Self::load`].
    pub fn code(&self, key: impl Into<ProgramKey>) -> Result<Option<Vec<u8>>, Error> {
        let key = key.into();
        self.0.cache.code(self.realm(key)?.code(), &key.code())
    }

    /// Keeps what a build worker compiled, and makes it ready. Blocks for milliseconds.
    ///
    /// # Errors
    /// If it cannot be written, was compiled for another engine, cannot be linked, or is no script.
    pub fn install(&self, key: impl Into<ProgramKey>, compiled: &[u8]) -> Result<Arc<Program<H>>, Error> {
        let key = key.into();
        let realm = self.realm(key)?;
        let component = self.0.cache.install(realm.code(), &key.code(), compiled)?;
        match Program::link(key, &component, &realm.linker) {
            Ok(program) => Ok(self.0.programs.insert(Arc::new(program))),
            Err(error) => {
                self.0.cache.remove(realm.code(), &key.code());
                Err(error)
            }
        }
    }

    /// Forgets all programs of a workspace, in memory and on disk; returns how many files. The room of those that runs still hold is free
    /// when they end. Blocks for milliseconds.
    pub fn forget(&self, workspace: WorkspaceId) -> usize {
        self.0.programs.remove_of(workspace);
        self.0.cache.remove_of(workspace)
    }

    /// Imports of a component, compiled for WASI 0.2, that cannot be linked, each with what is missing; empty if all can.
    ///
    /// # Errors
    /// If it was compiled for another engine.
    pub fn unlinkable(&self, compiled: &[u8]) -> Result<Vec<String>, Error> {
        let realm = self.0.realms.sync();
        let component = CodeCache::read(&realm.engine, compiled)?;
        Ok(program::unlinkable(&component, &realm.linker))
    }

    fn realm(&self, key: ProgramKey) -> Result<&Realm<H>, Error> {
        self.0.realms.of(key.model)
    }

    /// Ends a run that is under way here, soon, with the outcome `cancelled`. Returns whether there was one.
    pub fn cancel(&self, run: RunId) -> bool {
        self.0.registry.cancel(run)
    }

    /// What a run that is under way here has logged so far: entries from number `from` on, one at least if there is any, and no more once
    /// they count `bytes_max`.
    pub fn log(&self, run: RunId, from: usize, bytes_max: usize) -> Vec<LogEntry> {
        self.0.registry.find(run).map(|control| control.log().so_far(from, bytes_max)).unwrap_or_default()
    }

    /// Whether a run could start without waiting.
    pub fn has_free_slot(&self) -> bool {
        self.0.admission.has_free_slot()
    }

    /// Linear memory and tables of all runs at present.
    pub fn guest_memory_bytes(&self) -> u64 {
        self.0.admission.memory_used_bytes()
    }

    /// Runs the call to its outcome, in an instance of its own. The run starts when this is first polled and ends, with all that
    /// it holds, when it is dropped.
    pub async fn run(&self, call: Call<H>) -> Outcome {
        let Call { run, workspace, program, module, input, limits, host } = call;
        let inner = &*self.0;
        let control = Arc::new(Control::new(run, LogBuffer::new(limits.log_bytes)));
        let registered = inner.registry.enter(&control);
        let accounts = inner.admission.accounts(workspace);
        let permits = match accounts.try_start(program.weight) {
            Some(permits) => permits,
            None => match wait_for_start(accounts.start(program.weight), &control).await {
                Some(permits) => permits,
                None => {
                    return Outcome::failed(OutcomeKind::Cancelled, RunError::new("cancelled", "the run was cancelled before it started"));
                }
            },
        };
        let Permits { slot, room } = permits;
        let is_one_of_many = accounts.is_one_of_many();
        let core = Core::new(control, accounts, Arc::clone(&inner.clock), limits);
        let steps = Steps { program, module, input };
        let mut running: sandmill_model::BoxFuture<'static, Outcome> =
            // Threads of the sandbox's own go on with it: what it starts there belongs to the same trace.
            Box::pin(run::run(run::Start { core, host, steps, room }).in_current_span());
        let first = std::future::poll_fn(|cx| {
            // First turns, one after the other, would hold up whoever has just one.
            if is_one_of_many || inner.scheduler.is_busy_with(workspace) {
                return Poll::Ready(Poll::Pending);
            }
            let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)));
            Poll::Ready(polled.unwrap_or_else(|panic| Poll::Ready(outcome::panicked(&*panic))))
        })
        .await;
        let outcome = match first {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => inner.scheduler.take_over(workspace, running, slot).await,
        };
        drop(registered);
        outcome
    }
}

/// The permits of a run that waits for its turn; none if it is cancelled before.
async fn wait_for_start(start: impl Future<Output = Permits>, control: &Control) -> Option<Permits> {
    let mut start = std::pin::pin!(start);
    std::future::poll_fn(|cx| {
        control.wake_on_cancel(cx.waker());
        if control.is_cancelled() { Poll::Ready(None) } else { start.as_mut().poll(cx).map(Some) }
    })
    .await
}

/// Programs in memory, the longest unused forgotten first.
struct Programs<H: 'static> {
    loaded: Mutex<HashMap<ProgramKey, Loaded<H>>>,
    /// Counts uses; a program's stamp is the count at its last use.
    uses: AtomicU64,
    programs_max: usize,
}

struct Loaded<H: 'static> {
    program: Arc<Program<H>>,
    last_use: u64,
}

impl<H: 'static> Programs<H> {
    fn loaded(&self) -> MutexGuard<'_, HashMap<ProgramKey, Loaded<H>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &ProgramKey) -> Option<Arc<Program<H>>> {
        let mut loaded = self.loaded();
        let found = loaded.get_mut(key)?;
        found.last_use = self.uses.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(&found.program))
    }

    fn insert(&self, program: Arc<Program<H>>) -> Arc<Program<H>> {
        let last_use = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut loaded = self.loaded();
        if loaded.len() >= self.programs_max && !loaded.contains_key(program.key()) {
            let oldest = loaded.iter().min_by_key(|(_, loaded)| loaded.last_use).map(|(key, _)| *key);
            let evicted = oldest.and_then(|key| loaded.remove(&key));
            drop(loaded);
            // Unmapping takes a while; not under the lock.
            drop(evicted);
            loaded = self.loaded();
        }
        loaded.insert(*program.key(), Loaded { program: Arc::clone(&program), last_use });
        program
    }

    fn remove_of(&self, workspace: WorkspaceId) {
        let removed: Vec<Loaded<H>> = {
            let mut loaded = self.loaded();
            loaded.extract_if(|key, _| key.workspace == Some(workspace)).map(|(_, program)| program).collect()
        };
        // Unmapping takes a while; not under the lock.
        drop(removed);
    }
}
