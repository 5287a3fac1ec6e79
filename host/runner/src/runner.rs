//! The runner itself.

use std::sync::Arc;

use sandmill_capabilities::{Host, Ports, RunFacts, http::incoming};
use sandmill_compiler::{Compiler, Inspected, stack::StackMap};
use sandmill_model::{
    Attempt, BoxFuture, Digest, Executor, Input, JsonText, Language, LogEntry, Outcome, OutcomeKind, Output, RunError, RunId, Usage,
    WorkspaceId,
    build::{BuildError, BuildRequest, Builder, Built},
    version::{ComponentModel, Entry, HostedModule, ProgramSpec, Version},
};
use sandmill_sandbox::{Call, CallInput, Program, ProgramKey, Sandbox};
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::task::TaskTracker;

use crate::{
    Versions,
    arguments::Arguments,
    program::{ComponentEntry, Executed, Loaded, Source, Tier},
    programs::Programs,
};

/// Long arguments that are read at once.
const LONG_CHECKS_MAX: usize = 2;
/// Input that is made a request of at once.
const QUICK_REQUEST_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, Debug)]
pub struct Options {
    /// Runs in the shared runtime after which a script gets a program of its own.
    pub snapshot_after_runs: u32,
    /// Versions in memory.
    pub versions_max: usize,
    /// Snapshots that wait to be built; beyond it a script stays in the shared runtime until it is called again.
    pub snapshots_waiting_max: usize,
    /// Whether workspaces share compiled code. Only where all of them are of one person: else who deploys what another has would
    /// learn of it by time.
    pub shares_code: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { snapshot_after_runs: 5, versions_max: 20_000, snapshots_waiting_max: 4_000, shares_code: false }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

struct Inner {
    options: Options,
    sandbox: Sandbox<Host>,
    compiler: Compiler,
    versions: Arc<dyn Versions>,
    ports: Ports,
    programs: Programs,
    javascript: OnceCell<Arc<Program<Host>>>,
    snapshots_waiting: Semaphore,
    /// For checks of long arguments.
    checks: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Runner {
    #[must_use]
    pub fn new(options: Options, sandbox: Sandbox<Host>, compiler: Compiler, versions: Arc<dyn Versions>, ports: Ports) -> Self {
        let programs = Programs::new(options.versions_max);
        let snapshots_waiting = Semaphore::new(options.snapshots_waiting_max);
        Self(Arc::new(Inner {
            options,
            sandbox,
            compiler,
            versions,
            ports,
            programs,
            javascript: OnceCell::new(),
            snapshots_waiting,
            checks: Arc::new(Semaphore::new(LONG_CHECKS_MAX)),
            tasks: TaskTracker::new(),
        }))
    }

    /// Makes the shared language runtimes ready, so that the first run does not wait for them.
    ///
    /// # Errors
    /// Why a runtime cannot be made ready.
    pub async fn warm_up(&self) -> Result<(), String> {
        self.0.javascript().await.map(drop)
    }

    /// Forgets what was compiled for a workspace that is gone, in memory and on disk.
    ///
    /// # Errors
    /// Why it could not be tried.
    pub async fn forget(&self, workspace: WorkspaceId) -> Result<(), String> {
        self.0.programs.forget(workspace);
        let sandbox = self.0.sandbox.clone();
        let files = tokio::task::spawn_blocking(move || sandbox.forget(workspace)).await.map_err(|error| error.to_string())?;
        if files > 0 {
            tracing::debug!(%workspace, files, "compiled code of a deleted workspace is removed");
        }
        Ok(())
    }
}

impl Executor for Runner {
    fn execute(&self, attempt: Attempt) -> BoxFuture<'_, Outcome> {
        Box::pin(self.0.execute(attempt))
    }

    fn check<'a>(&'a self, workspace: WorkspaceId, version: Digest, input: &'a Input) -> BoxFuture<'a, Result<(), RunError>> {
        Box::pin(async move {
            // A version that cannot be loaded is the run's outcome, not the caller's fault.
            let Ok(loaded) = self.0.load(workspace, version).await else { return Ok(()) };
            match input {
                Input::Event(_) if loaded.takes_events => Ok(()),
                Input::Event(event) => self.0.check(&loaded, &event.arguments()).await,
                Input::Arguments(arguments) => self.0.check(&loaded, arguments).await,
            }
        })
    }

    fn cancel(&self, run: RunId) -> bool {
        self.0.sandbox.cancel(run)
    }

    fn log(&self, run: RunId, from: usize, bytes_max: usize) -> Vec<LogEntry> {
        self.0.sandbox.log(run, from, bytes_max)
    }

    fn has_free_slot(&self) -> bool {
        self.0.sandbox.has_free_slot()
    }
}

/// Components are made ready as they are deployed, so that their first run does not compile them again.
impl Builder for Runner {
    fn build(&self, request: BuildRequest) -> BoxFuture<'_, Result<Built, BuildError>> {
        Box::pin(async move {
            if request.language == Language::Component {
                self.0.build_component(request).await
            } else {
                self.0.compiler.build(request).await
            }
        })
    }
}

impl Inner {
    async fn build_component(&self, request: BuildRequest) -> Result<Built, BuildError> {
        let BuildRequest { workspace, file_name, source, manifest, is_known, .. } = request;
        let known = if is_known { self.known(workspace, source.clone()).await } else { None };
        let compiler = self.compiler.on_behalf_of(workspace);
        let Inspected { built, code } = compiler.inspect((file_name, manifest), source, known.as_deref()).await?;
        if let (Some(code), ProgramSpec::Component { component, model, .. }) = (code, &built.program) {
            metrics::counter!("sandmill_components_compiled_total").increment(1);
            let key = ProgramKey { workspace: self.owner(workspace), digest: *component, model: *model };
            if let Err(error) = self.install(key, code).await {
                // Its first run tries once more, and says so.
                tracing::warn!(%component, error, "a component that was deployed could not be made ready");
            }
        }
        Ok(built)
    }

    /// Whose code it is that is compiled of what a workspace deployed.
    fn owner(&self, workspace: WorkspaceId) -> Option<WorkspaceId> {
        (!self.options.shares_code).then_some(workspace)
    }

    /// Machine code that is kept of a component.
    async fn known(&self, workspace: WorkspaceId, component: bytes::Bytes) -> Option<Vec<u8>> {
        let (sandbox, workspace) = (self.sandbox.clone(), self.owner(workspace));
        let known = tokio::task::spawn_blocking(move || {
            let digest = Digest::of(&component);
            [ComponentModel::Sync, ComponentModel::Async]
                .into_iter()
                .find_map(|model| sandbox.code(ProgramKey { workspace, digest, model }).ok().flatten())
        });
        known.await.ok().flatten()
    }

    async fn execute(self: &Arc<Self>, attempt: Attempt) -> Outcome {
        let workspace = attempt.workspace;
        let loaded = match self.load(attempt.workspace, attempt.version).await {
            Ok(loaded) => loaded,
            Err(message) => {
                tracing::error!(run = %attempt.run, version = %attempt.version, message, "a version could not be loaded");
                return Outcome::host_fault(message);
            }
        };
        let input = match self.call_input(&attempt, &loaded).await {
            Ok(input) => input,
            Err(error) => return Outcome::failed(OutcomeKind::InvalidArguments, error),
        };
        let Some(Executed { program, module }) = loaded.executed() else { return identity(input) };
        let call = Call {
            run: attempt.run,
            workspace: attempt.workspace,
            program,
            module,
            input,
            limits: attempt.limits,
            host: Host::new(Arc::new(RunFacts::of(attempt, Arc::clone(&loaded.asked))), self.ports.clone()),
        };
        let mut outcome = self.sandbox.run(call).await;
        if let Tier::Source(source) = &loaded.tier {
            if let Some(stack) = outcome.error.as_mut().and_then(|error| error.stack.as_mut()) {
                *stack = StackMap::new(&source.module).map(stack);
            }
            if source.snapshot.get().is_none() && source.becomes_warm(self.options.snapshot_after_runs) {
                self.snapshot_later(workspace, &loaded);
            }
        }
        outcome
    }

    async fn call_input(&self, attempt: &Attempt, loaded: &Arc<Loaded>) -> Result<CallInput<Host>, RunError> {
        let entry = match &loaded.tier {
            Tier::Component { entry, .. } => entry,
            Tier::Identity | Tier::Source(_) => &ComponentEntry::Script,
        };
        if matches!(entry, ComponentEntry::Http) {
            return Ok(CallInput::Host(Box::new(incoming::Handle(request(attempt).await?))));
        }
        let arguments: JsonText = match &attempt.input {
            Input::Event(event) if loaded.takes_events => {
                let loaded = Arc::clone(loaded);
                return Ok(CallInput::Event {
                    event: event.preprocessor_event(),
                    validate: Box::new(move |arguments| loaded.arguments.check(arguments)),
                });
            }
            input => input.arguments(),
        };
        self.check(loaded, &arguments).await?;
        Ok(match entry {
            ComponentEntry::Command => CallInput::Command(arguments),
            ComponentEntry::Function(function) => CallInput::Function { function: Arc::clone(function), arguments },
            ComponentEntry::Script | ComponentEntry::Http => CallInput::Arguments(arguments),
        })
    }

    /// Checks arguments that take long on a thread where nobody waits, and not many at once: read, they take a multiple of their
    /// length.
    async fn check(&self, loaded: &Arc<Loaded>, arguments: &JsonText) -> Result<(), RunError> {
        if loaded.arguments.is_quick(arguments) {
            return loaded.arguments.check(arguments);
        }
        let turn = Arc::clone(&self.checks).acquire_owned().await;
        let (loaded, arguments) = (Arc::clone(loaded), arguments.clone());
        let checked = tokio::task::spawn_blocking(move || {
            // It goes on if nobody waits for it any more.
            let _turn = turn;
            loaded.arguments.check(&arguments)
        });
        checked.await.unwrap_or_else(|error| Err(RunError::new(OutcomeKind::HostFault.name(), error.to_string())))
    }

    async fn load(&self, workspace: WorkspaceId, version: Digest) -> Result<Arc<Loaded>, String> {
        self.programs
            .get((workspace, version), async || {
                let found = self.versions.version(workspace, version).await?;
                let version = found.ok_or_else(|| format!("version {version} is gone"))?;
                self.prepare(workspace, version).await
            })
            .await
    }

    async fn prepare(&self, workspace: WorkspaceId, version: Version) -> Result<Loaded, String> {
        let arguments = Arguments::compile(&version.schema)?;
        let takes_events = version.program.takes_events();
        let tier = match version.program {
            ProgramSpec::Identity => Tier::Identity,
            ProgramSpec::Component { component, entry, model } => {
                let key = ProgramKey { workspace: self.owner(workspace), digest: component, model };
                let program = self.component(workspace, key).await?;
                let entry = match entry {
                    Entry::Script { .. } => ComponentEntry::Script,
                    Entry::Http => ComponentEntry::Http,
                    Entry::Command => ComponentEntry::Command,
                    Entry::Function { export } => {
                        // Its types are looked at, which may be many.
                        let of = Arc::clone(&program);
                        let function = tokio::task::spawn_blocking(move || of.function(&export)).await;
                        let function = function.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
                        ComponentEntry::Function(Arc::new(function))
                    }
                };
                Tier::Component { program, entry }
            }
            ProgramSpec::Hosted(module) => {
                let source = Source::new(module, self.javascript().await?);
                if let Some(program) = self.cached(self.snapshot_key(workspace, &source.module)).await? {
                    // Nobody else has the cell yet, so this cannot be refused.
                    let _ = source.snapshot.set(program);
                }
                Tier::Source(Box::new(source))
            }
        };
        Ok(Loaded { arguments, takes_events, asked: Arc::new(version.manifest.grants), tier })
    }

    async fn javascript(&self) -> Result<Arc<Program<Host>>, String> {
        self.javascript
            .get_or_try_init(async || {
                let key = Compiler::runtime_digest();
                if let Some(program) = self.cached(key).await? {
                    self.provide_runtime(key).await;
                    return Ok(program);
                }
                let code = self.compiler.runtime_compiled().await.map_err(|error| error.to_string())?;
                self.install(key, code).await
            })
            .await
            .map(Arc::clone)
    }

    /// Hands the runtime's compiled code to the build workers, which would else compile it again for the first script.
    async fn provide_runtime(&self, key: Digest) {
        let sandbox = self.sandbox.clone();
        match tokio::task::spawn_blocking(move || sandbox.code(key)).await {
            Ok(Ok(Some(code))) => self.compiler.provide_runtime(code.into()),
            Ok(Ok(None)) | Err(_) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the compiled runtime cannot be read again; a build worker compiles it once more"),
        }
    }

    async fn component(&self, workspace: WorkspaceId, key: ProgramKey) -> Result<Arc<Program<Host>>, String> {
        let digest = key.digest;
        if let Some(program) = self.cached(key).await? {
            return Ok(program);
        }
        let component = self.versions.component(workspace, digest).await?;
        let component = component.ok_or_else(|| format!("component {digest} is gone"))?;
        let compiler = self.compiler.on_behalf_of(workspace);
        let code = compiler.compile(component).await.map_err(|error| error.to_string())?;
        metrics::counter!("sandmill_components_compiled_total").increment(1);
        self.install(key, code).await
    }

    /// Reading and mapping compiled code takes milliseconds: not on the threads that answer requests.
    async fn cached(&self, key: impl Into<ProgramKey>) -> Result<Option<Arc<Program<Host>>>, String> {
        let (sandbox, key) = (self.sandbox.clone(), key.into());
        let loaded = tokio::task::spawn_blocking(move || sandbox.load(key)).await;
        loaded.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    async fn install(&self, key: impl Into<ProgramKey>, code: bytes::Bytes) -> Result<Arc<Program<Host>>, String> {
        let (sandbox, key) = (self.sandbox.clone(), key.into());
        let installed = tokio::task::spawn_blocking(move || sandbox.install(key, &code)).await;
        installed.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Builds the script's own program behind its runs, one after another.
    fn snapshot_later(self: &Arc<Self>, workspace: WorkspaceId, loaded: &Arc<Loaded>) {
        let (inner, loaded) = (Arc::clone(self), Arc::clone(loaded));
        self.tasks.spawn(async move {
            let Tier::Source(source) = &loaded.tier else { return };
            let Ok(_place) = inner.snapshots_waiting.try_acquire() else { return };
            match inner.snapshot(workspace, &source.module).await {
                Ok(program) => {
                    let _ = source.snapshot.set(program);
                    metrics::counter!("sandmill_snapshots_total", "result" => "ok").increment(1);
                }
                Err(message) => {
                    // It goes on in the shared runtime: slower, not broken.
                    tracing::warn!(file = source.module.file_name, message, "a script could not be snapshotted");
                    metrics::counter!("sandmill_snapshots_total", "result" => "failed").increment(1);
                }
            }
        });
    }

    async fn snapshot(&self, workspace: WorkspaceId, module: &Arc<HostedModule>) -> Result<Arc<Program<Host>>, String> {
        let key = self.snapshot_key(workspace, module);
        if let Some(program) = self.cached(key).await? {
            return Ok(program);
        }
        let compiler = self.compiler.on_behalf_of(workspace);
        let code = compiler.snapshot(HostedModule::clone(module)).await.map_err(|error| error.to_string())?;
        self.install(key, code).await
    }

    fn snapshot_key(&self, workspace: WorkspaceId, module: &HostedModule) -> ProgramKey {
        ProgramKey { workspace: self.owner(workspace), ..snapshot_digest(module).into() }
    }
}

/// The run as a request, made where nobody waits for the thread if it is long.
async fn request(attempt: &Attempt) -> Result<incoming::Incoming, RunError> {
    if attempt.input.len_bytes() <= QUICK_REQUEST_BYTES_MAX {
        return Ok(incoming::Incoming::of(attempt));
    }
    let attempt = attempt.clone();
    let made = tokio::task::spawn_blocking(move || incoming::Incoming::of(&attempt)).await;
    made.map_err(|error| RunError::new(OutcomeKind::HostFault.name(), error.to_string()))
}

/// The result of the program that is built in.
fn identity(input: CallInput<Host>) -> Outcome {
    match input {
        CallInput::Arguments(arguments) => Outcome {
            kind: OutcomeKind::Ok,
            output: Some(Output::Json(arguments)),
            error: None,
            arguments: None,
            usage: Usage::default(),
            log: Vec::new(),
        },
        _ => Outcome::host_fault("what is built in takes arguments only"),
    }
}

/// Compiled code of a snapshot depends on the module and on the runtime around it.
fn snapshot_digest(module: &HostedModule) -> Digest {
    let parameters = module.parameters.join(",");
    Digest::of_parts(&[
        b"snapshot",
        Compiler::runtime_digest().as_bytes(),
        module.file_name.as_bytes(),
        parameters.as_bytes(),
        module.source.as_bytes(),
    ])
}
