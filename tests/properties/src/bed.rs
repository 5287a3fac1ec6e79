//! One sandbox for all inputs: what runs here is what a server runs.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use sandmill_model::{Digest, Limits, Outcome, RunId, SystemClock, WorkspaceId, clock::Clock};
use sandmill_sandbox::{Call, CallInput, Error, Options, Program, ProgramKey, Sandbox, engine_config};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use wasmtime::Engine;

const PROGRAMS_MAX: usize = 256;
const CACHE_BYTES_MAX: u64 = 256 * 1024 * 1024;
const WORKSPACE: &str = "00000000-0000-7000-8000-000000000001";

pub(crate) struct Bed {
    runtime: Runtime,
    pub(crate) sandbox: Sandbox<()>,
    compiling: Engine,
    _folder: TempDir,
}

/// One input at a time has it, so that memory which is still charged after a run is that run's.
pub(crate) fn bed() -> MutexGuard<'static, Bed> {
    static BED: LazyLock<Mutex<Bed>> = LazyLock::new(|| Mutex::new(Bed::new()));
    BED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            programs_max: PROGRAMS_MAX,
            cache_bytes_max: CACHE_BYTES_MAX,
            runs_async: true,
            ..Options::new(folder.path().join("code"))
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let entered = runtime.enter();
        let sandbox = Sandbox::new(options, |_, _| Ok(())).unwrap();
        drop(entered);
        Self { runtime, sandbox, compiling: Engine::new(&engine_config(None)).unwrap(), _folder: folder }
    }

    /// The component in this text, compiled unless it is known.
    pub(crate) fn program(&self, text: &str) -> Arc<Program<()>> {
        let key = Digest::of(text.as_bytes());
        if let Some(program) = self.sandbox.load(key).unwrap() {
            return program;
        }
        let code = self.compiling.precompile_component(&wat::parse_str(text).unwrap()).unwrap();
        self.install(key.into(), &code).unwrap()
    }

    pub(crate) fn install(&self, key: ProgramKey, code: &[u8]) -> Result<Arc<Program<()>>, Error> {
        self.sandbox.install(key, code)
    }

    pub(crate) fn run(&self, program: Arc<Program<()>>, input: CallInput<()>, limits: Limits) -> Outcome {
        let workspace: WorkspaceId = WORKSPACE.parse().unwrap();
        let call = Call { run: RunId::new(SystemClock.now()), workspace, program, module: None, input, limits, host: () };
        self.runtime.block_on(self.sandbox.run(call))
    }
}
