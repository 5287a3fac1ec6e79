//! A sandbox without capabilities, and guests compiled once.

use std::{
    collections::HashMap,
    fs,
    future::Future,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use sandmill_model::{Digest, JsonText, Limits, Outcome, OutcomeKind, Output, RunId, SystemClock, WorkspaceId, clock::Clock};
use sandmill_sandbox::{Call, CallInput, Options, Program, Sandbox, engine_config};
use sandmill_testkit::guests::guest;
use tempfile::TempDir;

/// Longer than anything here takes on the slowest machine; shorter than a run's default time limit.
pub(crate) const SOON: Duration = Duration::from_secs(40);

pub(crate) struct Testbed {
    pub(crate) sandbox: Sandbox<()>,
    pub(crate) cache_dir: PathBuf,
    _dir: TempDir,
}

/// A sandbox with its options changed by `change`.
pub(crate) fn testbed(change: impl FnOnce(&mut Options)) -> Testbed {
    let dir = tempfile::tempdir().unwrap();
    let cache_dir = dir.path().join("code");
    let sandbox = open(&cache_dir, change);
    Testbed { sandbox, cache_dir, _dir: dir }
}

pub(crate) fn open(cache_dir: &std::path::Path, change: impl FnOnce(&mut Options)) -> Sandbox<()> {
    let mut options = Options::new(cache_dir);
    change(&mut options);
    Sandbox::new(options, |_, _| Ok(())).unwrap()
}

/// Compiled code of a guest.
pub(crate) fn compiled(name: &str) -> Arc<Vec<u8>> {
    static COMPILED: Mutex<Option<HashMap<String, Arc<Vec<u8>>>>> = Mutex::new(None);
    let mut compiled = COMPILED.lock().unwrap();
    let code = compiled.get_or_insert_default().entry(name.to_owned()).or_insert_with(|| {
        let engine = wasmtime::Engine::new(&engine_config(None)).unwrap();
        Arc::new(engine.precompile_component(&fs::read(guest(name)).unwrap()).unwrap())
    });
    Arc::clone(code)
}

pub(crate) fn key(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

pub(crate) fn workspace(number: u8) -> WorkspaceId {
    let id = format!("00000000-0000-7000-8000-0000000000{number:02x}");
    id.parse().unwrap()
}

pub(crate) fn run_id() -> RunId {
    RunId::new(SystemClock.now())
}

impl Testbed {
    pub(crate) fn program(&self, name: &str) -> Arc<Program<()>> {
        match self.sandbox.load(key(name)).unwrap() {
            Some(program) => program,
            None => self.sandbox.install(key(name), &compiled(name)).unwrap(),
        }
    }

    pub(crate) fn call(&self, guest: &str, input: CallInput<()>, limits: Limits) -> Call<()> {
        Call { run: run_id(), workspace: workspace(1), program: self.program(guest), module: None, input, limits, host: () }
    }

    /// A call of `chaos`.
    pub(crate) fn chaos(&self, arguments: &str) -> Call<()> {
        self.call("chaos", CallInput::Arguments(JsonText::parse(arguments).unwrap()), Limits::default())
    }

    pub(crate) async fn run(&self, arguments: &str) -> Outcome {
        soon(self.sandbox.run(self.chaos(arguments))).await
    }

    pub(crate) async fn run_within(&self, arguments: &str, limits: Limits) -> Outcome {
        soon(self.sandbox.run(Call { limits, ..self.chaos(arguments) })).await
    }

    /// Starts a run that goes on while the test does something else.
    pub(crate) fn start(&self, call: Call<()>) -> Started {
        let run = call.run;
        let sandbox = self.sandbox.clone();
        Started { run, outcome: tokio::task::spawn_blocking(move || tokio::runtime::Handle::current().block_on(sandbox.run(call))) }
    }
}

pub(crate) struct Started {
    pub(crate) run: RunId,
    pub(crate) outcome: tokio::task::JoinHandle<Outcome>,
}

impl Started {
    pub(crate) async fn outcome(self) -> Outcome {
        soon(self.outcome).await.unwrap()
    }
}

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("this should have ended long ago")
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(SOON, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}

pub(crate) fn json(outcome: &Outcome) -> serde_json::Value {
    match &outcome.output {
        Some(Output::Json(json)) => json.read().unwrap(),
        _ => panic!("no JSON: {outcome:?}"),
    }
}

pub(crate) fn message(outcome: &Outcome) -> &str {
    &outcome.error.as_ref().unwrap_or_else(|| panic!("no error: {outcome:?}")).message
}

pub(crate) fn assert_kind(outcome: &Outcome, kind: OutcomeKind) {
    assert_eq!(outcome.kind, kind, "{outcome:?}");
}

pub(crate) fn log_of(outcome: &Outcome) -> Vec<String> {
    outcome.log.iter().map(|entry| format!("{:?}: {}", entry.stream, entry.message)).collect()
}
