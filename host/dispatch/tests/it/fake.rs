//! A store with one script, and an executor whose attempts end when and how the test says.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use sandmill_dispatch::{Dispatch, LiveRuns, Options, Role, StartRequest, StartTerms};
use sandmill_model::{
    Attempt, BoxFuture, Clock, Digest, Event, Executor, Input, JsonText, Language, Limits, LogEntry, LogLevel, LogStream, Manifest,
    Outcome, OutcomeKind, Output, RunError, RunId, RunRecord, SystemClock, Timestamp, TokenId, Usage, WorkspaceId,
    auth::{Principal, Scope},
    event::TriggerRef,
    version::{HostedModule, ProgramSpec, Selector, Version, version_digest},
};
use sandmill_store::{Store, scripts::NewDeployment, workspaces::Workspace};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) const PATH: &str = "f/demo/hello";

/// Attempts end with `{"n": attempt number}` once the gate is open; arguments `{"bad": …}` do not fit. The first line of each one's log is
/// the run's id; the rest a test says.
pub(crate) struct Gated {
    logs: Mutex<HashMap<RunId, Vec<LogEntry>>>,
    gate: watch::Sender<bool>,
    /// Before it an attempt is not known here: its program is being loaded.
    loaded: watch::Sender<bool>,
    cancelled: Mutex<HashMap<RunId, Arc<tokio::sync::Notify>>>,
    pub(crate) executed: Mutex<Vec<(RunId, u32)>>,
    pub(crate) has_slot: AtomicBool,
    /// What each may use.
    pub(crate) limits: Mutex<HashMap<RunId, Limits>>,
    /// What each that ends well has used.
    pub(crate) fuel: AtomicU64,
}

impl Gated {
    fn new(open: bool) -> Arc<Self> {
        Arc::new(Self {
            logs: Mutex::default(),
            gate: watch::Sender::new(open),
            loaded: watch::Sender::new(true),
            cancelled: Mutex::default(),
            executed: Mutex::default(),
            has_slot: AtomicBool::new(true),
            limits: Mutex::default(),
            fuel: AtomicU64::new(0),
        })
    }

    pub(crate) fn open(&self) {
        self.gate.send_replace(true);
    }

    pub(crate) fn close(&self) {
        self.gate.send_replace(false);
    }

    pub(crate) fn load(&self, is_loaded: bool) {
        self.loaded.send_replace(is_loaded);
    }

    /// A run that executes logs a line.
    pub(crate) fn say(&self, run: RunId, message: &str) {
        let line = LogEntry {
            at: Timestamp::from_micros(1),
            level: LogLevel::Info,
            stream: LogStream::Log,
            message: message.to_owned(),
            fields: None,
        };
        self.logs.lock().unwrap().get_mut(&run).expect("the run executes").push(line);
    }
}

impl Executor for Gated {
    fn execute(&self, attempt: Attempt) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            self.limits.lock().unwrap().insert(attempt.run, attempt.limits);
            self.executed.lock().unwrap().push((attempt.run, attempt.number));
            let _ = self.loaded.subscribe().wait_for(|is_loaded| *is_loaded).await;
            let stop = Arc::new(tokio::sync::Notify::new());
            self.cancelled.lock().unwrap().insert(attempt.run, Arc::clone(&stop));
            self.logs.lock().unwrap().insert(attempt.run, Vec::new());
            self.say(attempt.run, &attempt.run.to_string());
            let mut gate = self.gate.subscribe();
            let outcome = tokio::select! {
                biased;
                _ = gate.wait_for(|open| *open) => ok(attempt.number, self.fuel.load(Ordering::SeqCst)),
                () = stop.notified() => Outcome::failed(OutcomeKind::Cancelled, RunError::new("cancelled", "cancelled")),
            };
            Outcome { log: self.logs.lock().unwrap().get(&attempt.run).cloned().unwrap_or_default(), ..outcome }
        })
    }

    fn check<'a>(&'a self, _: WorkspaceId, _: Digest, input: &'a Input) -> BoxFuture<'a, Result<(), RunError>> {
        let bad = matches!(input, Input::Arguments(json) if json.as_str().contains("bad"));
        Box::pin(async move { if bad { Err(RunError::new("invalid_arguments", "bad")) } else { Ok(()) } })
    }

    fn cancel(&self, run: RunId) -> bool {
        self.cancelled.lock().unwrap().get(&run).inspect(|stop| stop.notify_one()).is_some()
    }

    fn log(&self, run: RunId, from: usize, bytes_max: usize) -> Vec<LogEntry> {
        let logs = self.logs.lock().unwrap();
        let mut bytes = 0;
        let fits = |entry: &&LogEntry| {
            bytes += entry.charge_bytes();
            bytes - entry.charge_bytes() < bytes_max
        };
        logs.get(&run).and_then(|log| log.get(from..)).unwrap_or_default().iter().take_while(fits).cloned().collect()
    }

    fn has_free_slot(&self) -> bool {
        self.has_slot.load(Ordering::SeqCst)
    }
}

fn ok(number: u32, fuel: u64) -> Outcome {
    let output = Some(Output::Json(JsonText::trusted(format!("{{\"n\":{number}}}"))));
    Outcome { kind: OutcomeKind::Ok, output, error: None, arguments: None, usage: Usage { fuel, ..Usage::default() }, log: Vec::new() }
}

pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) dispatch: Dispatch,
    pub(crate) live: LiveRuns,
    pub(crate) executor: Arc<Gated>,
    pub(crate) workspace: Workspace,
    pub(crate) version: Digest,
    folder: tempfile::TempDir,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Bench {
    pub(crate) async fn start(open: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, open, 10_000, |store| store).await
    }

    /// With another way to its store.
    pub(crate) async fn start_with(open: bool, way: impl FnOnce(Store) -> Store) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), open, 10_000, way).await
    }

    /// With at most so many runs of a workspace that have not ended.
    pub(crate) async fn start_small(backlog_max: u64) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), false, backlog_max, |store| store).await
    }

    /// Another workspace with the same script.
    pub(crate) async fn another_workspace(&self, name: &str) -> Workspace {
        let now = SystemClock.now();
        let workspace = self.store.workspaces.ensure(WorkspaceId::new(now), name, now).await.unwrap();
        deploy(&self.store, &workspace).await;
        workspace
    }

    /// With a database that is there already.
    pub(crate) async fn start_on(url: String, open: bool) -> Self {
        Self::start_at(url, tempfile::tempdir().unwrap(), open, 10_000, |store| store).await
    }

    async fn start_in(folder: tempfile::TempDir, open: bool, backlog_max: u64, way: impl FnOnce(Store) -> Store) -> Self {
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        Self::start_at(url, folder, open, backlog_max, way).await
    }

    async fn start_at(url: String, folder: tempfile::TempDir, open: bool, backlog_max: u64, way: impl FnOnce(Store) -> Store) -> Self {
        let store =
            sandmill_store::connect(&sandmill_store::Options { url, durability: sandmill_store::Durability::Normal }).await.unwrap();
        let store = way(store);
        let clock = SystemClock::shared();
        let workspace = store.workspaces.ensure(WorkspaceId::new(clock.now()), "default", clock.now()).await.unwrap();
        let version = deploy(&store, &workspace).await;
        let executor = Gated::new(open);
        let options = Options { node: "node-1".into(), role: Role::All, tags: Vec::new(), queued_runs_max: 8, backlog_max };
        let live = LiveRuns::default();
        let dispatch = Dispatch::new(options, store.clone(), executor.clone(), clock, &live);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(dispatch.service().run(stop.clone()));
        Self { store, dispatch, live, executor, workspace, version, folder, stop, tasks }
    }

    /// Ends the service cleanly and gives back what it wrote to.
    pub(crate) async fn stop(self) -> Store {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        drop(self.folder.keep());
        self.store
    }

    pub(crate) fn request(&self, input: Input) -> StartRequest {
        request_of(&self.workspace, input)
    }

    /// The log of a run that there is, so far.
    pub(crate) async fn log(&self, run: RunId) -> Vec<LogEntry> {
        let mut log = self.dispatch.log(self.workspace.id, run).await.unwrap().expect("there is such a run");
        let mut entries = Vec::new();
        while let Some(more) = log.next().await.unwrap() {
            entries.extend(more);
        }
        entries
    }

    /// The run's record once `done` says so.
    pub(crate) async fn record_when(&self, run: RunId, done: impl Fn(&RunRecord) -> bool) -> RunRecord {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(record) = self.dispatch.record(self.workspace.id, run).await.unwrap()
                && done(&record)
            {
                return record;
            }
            assert!(Instant::now() < deadline, "the run does not get there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A request by somebody who may do everything.
pub(crate) fn request_of(workspace: &Workspace, input: Input) -> StartRequest {
    StartRequest {
        principal: Arc::new(principal("*:*")),
        workspace: workspace.clone(),
        path: PATH.parse().unwrap(),
        selector: Selector::Newest,
        input,
        terms: StartTerms::default(),
    }
}

pub(crate) fn principal(scope: &str) -> Principal {
    Principal {
        token: TokenId::new(SystemClock.now()),
        workspace: None,
        identity: "u/test".into(),
        scopes: [scope.parse::<Scope>().unwrap()].into(),
    }
}

pub(crate) fn arguments(text: &str) -> Input {
    Input::Arguments(JsonText::parse(text).unwrap())
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn keyed_event() -> Input {
    Input::Event(Event {
        trigger: TriggerRef { kind: "test".into(), path: None },
        metadata: JsonText::empty_object(),
        payload: Bytes::from_static(b"{}"),
        dedup_key: Some("key".into()),
        ordering_key: None,
    })
}

pub(crate) async fn deploy(store: &Store, workspace: &Workspace) -> Digest {
    deploy_with(store, workspace, Manifest::default()).await
}

pub(crate) async fn deploy_with(store: &Store, workspace: &Workspace, manifest: Manifest) -> Digest {
    let clock = SystemClock;
    let digest = version_digest(Language::JavaScript, b"source", &manifest).unwrap();
    let module =
        HostedModule { file_name: "a.js".into(), source: String::new(), parameters: vec![], has_preprocessor: false, source_map: None };
    let version = Version {
        digest,
        language: Language::JavaScript,
        source: Some("source".into()),
        manifest,
        schema: JsonText::trusted("{\"type\":\"object\"}"),
        program: ProgramSpec::Hosted(module),
        created_at: clock.now(),
    };
    let new = NewDeployment {
        workspace: workspace.id,
        path: PATH.parse().unwrap(),
        version,
        component: None,
        created_by: "u/test".into(),
        now: clock.now(),
    };
    store.scripts.deploy(new).await.unwrap();
    digest
}
