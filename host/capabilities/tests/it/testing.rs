//! A sandbox with every interface, ports that remember, and guests compiled once.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use sandmill_capabilities::{
    GrantsPort, Host, OutputPort, Ports, Publishers, ResourcesPort, RunFacts, StateError, StatePort, StateScope, Variable, VariablesPort,
    blob::{Blobs, Place},
    http::{CredentialsPort, NoCredentials, Outbound, OutboundOptions},
    resources::{ResourceView, Revealed},
    sql::Databases,
};
use sandmill_model::{
    Attempt, BoxFuture, Clock, Digest, Event, Grant, Grants, Input, JsonText, Limits, Outcome, OutcomeKind, Output, RunId, ScriptPath,
    SystemClock, WorkspaceId,
    children::{ChildError, ChildRequest, Children, Parent, Until},
    event::TriggerRef,
    grants::PathPattern,
    telling::Telling,
    version::HostedModule,
};
use sandmill_sandbox::{Call, CallInput, Options, Program, ProgramKey, Sandbox, engine_config};
use sandmill_testkit::{binary::root, guests::guest};
use tempfile::TempDir;

/// What the script asks for; all of it is given if nothing else is said.
const ASKED: [&str; 5] =
    ["runs:f/test/*", "variables:f/test/*", "variables:f/tests/one", "secrets:f/test/readable*", "secrets:f/other/readable"];

pub(crate) struct Testbed {
    /// The guest program of its calls.
    guest: &'static str,
    pub(crate) sandbox: Sandbox<Host>,
    pub(crate) ports: Arc<Fake>,
    pub(crate) outbound: Arc<Outbound>,
    credentials: Arc<dyn CredentialsPort>,
    pub(crate) databases: Databases,
    pub(crate) blobs: Blobs,
    pub(crate) publishers: Publishers,
    /// What the script asks for.
    pub(crate) grants: Grants,
    pub(crate) dir: TempDir,
}

/// All ports; state is kept in memory. Children end with their arguments as their results.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) state: Mutex<HashMap<(StateScope, String), JsonText>>,
    pub(crate) progress: Mutex<Vec<(RunId, f64, String)>>,
    /// What the next call of the state port answers instead.
    pub(crate) refusal: Mutex<Option<StateError>>,
    pub(crate) children: Mutex<Vec<(Parent, ChildRequest)>>,
    /// What the next call of the port for children answers instead.
    pub(crate) child_refusal: Mutex<Option<ChildError>>,
    /// For how long children are waited for.
    pub(crate) waits: Mutex<Vec<(Vec<RunId>, Until, Duration)>>,
    /// How the next child that is looked at ended, instead.
    pub(crate) ending: Mutex<Option<Outcome>>,
    pub(crate) resources: Mutex<HashMap<(WorkspaceId, String), (ResourceView, Revealed)>>,
    /// What the last run asked for.
    asked: Mutex<Vec<Grant>>,
    pub(crate) variables: Mutex<BTreeMap<(WorkspaceId, ScriptPath), Variable>>,
    /// Where the next run tells its answer.
    pub(crate) telling: Mutex<Option<Telling>>,
    /// What was granted; none: all that is asked for.
    pub(crate) given: Mutex<Option<Result<Vec<Grant>, String>>>,
}

impl GrantsPort for Fake {
    fn given(&self, _: WorkspaceId, path: ScriptPath, _: Digest) -> BoxFuture<'_, Result<Arc<[Grant]>, String>> {
        assert_eq!(path.as_str(), "f/test/script");
        Box::pin(async move {
            let all = || Ok(self.asked.lock().unwrap().clone());
            self.given.lock().unwrap().clone().unwrap_or_else(all).map(Into::into)
        })
    }
}

impl VariablesPort for Fake {
    fn read(&self, workspace: WorkspaceId, path: ScriptPath) -> BoxFuture<'_, Result<Option<Variable>, String>> {
        Box::pin(async move { Ok(self.variables.lock().unwrap().get(&(workspace, path)).cloned()) })
    }

    fn plain(&self, of: WorkspaceId, patterns: Vec<PathPattern>, limit: usize) -> BoxFuture<'_, Result<Vec<(ScriptPath, String)>, String>> {
        Box::pin(async move {
            let variables = self.variables.lock().unwrap();
            let is_asked = |path: &ScriptPath| patterns.iter().any(|pattern| pattern.covers(&PathPattern::from(path)));
            let found = variables.iter().filter(|((workspace, path), variable)| *workspace == of && !variable.is_secret && is_asked(path));
            Ok(found.map(|((_, path), variable)| (path.clone(), variable.text.clone())).take(limit).collect())
        })
    }
}

impl Fake {
    fn refused(&self) -> Result<(), StateError> {
        self.refusal.lock().unwrap().take().map_or(Ok(()), Err)
    }
}

impl StatePort for Fake {
    fn get(&self, scope: StateScope, key: String) -> BoxFuture<'_, Result<Option<JsonText>, StateError>> {
        Box::pin(async move {
            // As a store would: not at once.
            tokio::task::yield_now().await;
            self.refused()?;
            Ok(self.state.lock().unwrap().get(&(scope, key)).cloned())
        })
    }

    fn put(
        &self,
        scope: StateScope,
        key: String,
        expected: Option<Option<JsonText>>,
        value: Option<JsonText>,
    ) -> BoxFuture<'_, Result<bool, StateError>> {
        Box::pin(async move {
            self.refused()?;
            let mut state = self.state.lock().unwrap();
            let place = (scope, key);
            if expected.is_some_and(|expected| expected.as_ref() != state.get(&place)) {
                return Ok(false);
            }
            match value {
                Some(value) => state.insert(place, value),
                None => state.remove(&place),
            };
            Ok(true)
        })
    }

    fn keys(&self, scope: StateScope, prefix: String, after: Option<String>, limit: u32) -> BoxFuture<'_, Result<Vec<String>, StateError>> {
        Box::pin(async move {
            self.refused()?;
            let state = self.state.lock().unwrap();
            let is_listed = |key: &String| key.starts_with(&prefix) && after.as_ref().is_none_or(|after| key > after);
            let mut keys: Vec<String> =
                state.keys().filter(|(of, key)| *of == scope && is_listed(key)).map(|(_, key)| key.clone()).collect();
            keys.sort();
            keys.truncate(limit as usize);
            Ok(keys)
        })
    }
}

impl OutputPort for Fake {
    fn progress(&self, run: RunId, percent: f64, text: &str) {
        self.progress.lock().unwrap().push((run, percent, text.to_owned()));
    }

    fn telling(&self, _: RunId) -> Option<Telling> {
        self.telling.lock().unwrap().take()
    }
}

impl Fake {
    fn refused_of_children(&self) -> Result<(), ChildError> {
        self.child_refusal.lock().unwrap().take().map_or(Ok(()), Err)
    }
}

/// The id of the child number `n`.
pub(crate) fn child_id(n: usize) -> RunId {
    format!("00000000-0000-7000-8000-{n:012}").parse().unwrap()
}

impl Children for Fake {
    fn start(&self, parent: Parent, child: ChildRequest) -> BoxFuture<'_, Result<RunId, ChildError>> {
        Box::pin(async move {
            self.refused_of_children()?;
            let mut children = self.children.lock().unwrap();
            children.push((parent, child));
            Ok(child_id(children.len()))
        })
    }

    fn wait(&self, _: Parent, children: Vec<RunId>, until: Until, limit: Duration) -> BoxFuture<'_, Result<Vec<RunId>, ChildError>> {
        Box::pin(async move {
            self.refused_of_children()?;
            self.waits.lock().unwrap().push((children.clone(), until, limit));
            Ok(if limit < Duration::from_millis(5) { Vec::new() } else { children })
        })
    }

    fn outcome(&self, _: Parent, child: RunId) -> BoxFuture<'_, Result<Option<Outcome>, ChildError>> {
        Box::pin(async move {
            self.refused_of_children()?;
            if let Some(ending) = self.ending.lock().unwrap().take() {
                return Ok(Some(ending));
            }
            let children = self.children.lock().unwrap();
            let Some((_, request)) = (1..=children.len()).find(|n| child_id(*n) == child).map(|n| &children[n - 1]) else {
                return Ok(None);
            };
            Ok(Some(ok(Output::Json(request.arguments.clone()))))
        })
    }

    fn cancel(&self, _: Parent, _: RunId) -> BoxFuture<'_, Result<bool, ChildError>> {
        Box::pin(async move {
            self.refused_of_children()?;
            Ok(true)
        })
    }
}

impl ResourcesPort for Fake {
    fn look(&self, workspace: WorkspaceId, path: ScriptPath) -> BoxFuture<'_, Result<Option<ResourceView>, String>> {
        Box::pin(async move { Ok(self.resources.lock().unwrap().get(&(workspace, path.to_string())).map(|(view, _)| view.clone())) })
    }

    fn reveal(&self, workspace: WorkspaceId, path: ScriptPath) -> BoxFuture<'_, Result<Option<Revealed>, String>> {
        Box::pin(
            async move { Ok(self.resources.lock().unwrap().get(&(workspace, path.to_string())).map(|(_, revealed)| revealed.clone())) },
        )
    }
}

pub(crate) fn ok(output: Output) -> Outcome {
    Outcome { kind: OutcomeKind::Ok, output: Some(output), error: None, ..Outcome::host_fault("") }
}

/// One in which calls go to this guest program.
pub(crate) fn testbed(guest: &'static str) -> Testbed {
    testbed_with(guest, OutboundOptions::default(), Arc::new(NoCredentials))
}

pub(crate) fn testbed_with(guest: &'static str, outbound: OutboundOptions, credentials: Arc<dyn CredentialsPort>) -> Testbed {
    let dir = tempfile::tempdir().unwrap();
    let runs_async = guest == "http-async";
    let options = Options { runs_async, ..Options::new(dir.path().join("code")) };
    let sandbox = Sandbox::new(options, sandmill_capabilities::link).unwrap();
    let outbound = Arc::new(Outbound::new(outbound).unwrap());
    let databases = Databases::new(sql_options(&dir));
    let blobs = Blobs::open(&Place::Folder(dir.path().join("blobs"))).unwrap();
    let grants = ASKED.iter().map(|grant| grant.parse::<Grant>().unwrap()).collect();
    let publishers = Publishers::none();
    Testbed { guest, sandbox, ports: Arc::default(), outbound, credentials, databases, blobs, publishers, grants, dir }
}

/// Every address may be connected to.
pub(crate) fn sql_options(dir: &TempDir) -> sandmill_capabilities::sql::Options {
    sandmill_capabilities::sql::Options::new(dir.path().join("sqlite"), Arc::new(|_| true))
}

/// A workspace of the tests.
pub(crate) fn workspace(number: u32) -> WorkspaceId {
    format!("00000000-0000-7000-8000-{number:012}").parse().unwrap()
}

fn compiled(key: ProgramKey, config: &wasmtime::Config, component: impl FnOnce() -> Vec<u8>) -> Arc<Vec<u8>> {
    static COMPILED: Mutex<Option<HashMap<ProgramKey, Arc<Vec<u8>>>>> = Mutex::new(None);
    let mut compiled = COMPILED.lock().unwrap();
    let code = compiled.get_or_insert_default().entry(key).or_insert_with(|| {
        let engine = wasmtime::Engine::new(config).unwrap();
        Arc::new(engine.precompile_component(&component()).unwrap())
    });
    Arc::clone(code)
}

/// The attempt of a run of `f/test/script`.
pub(crate) fn attempt(input: Input) -> Attempt {
    let now = SystemClock.now();
    Attempt {
        run: RunId::new(now),
        number: 2,
        workspace: "00000000-0000-7000-8000-000000000001".parse().unwrap(),
        workspace_name: "default".into(),
        path: "f/test/script".parse().unwrap(),
        version: Digest::of(b"version"),
        input,
        limits: Limits::default(),
        started_at: now,
        run_as: "u/somebody".into(),
        stages_state: false,
    }
}

pub(crate) fn event(trigger_path: Option<&str>, payload: &'static [u8]) -> Input {
    Input::Event(Event {
        trigger: TriggerRef { kind: "pigeon".into(), path: trigger_path.map(Into::into) },
        metadata: JsonText::empty_object(),
        payload: Bytes::from_static(payload),
        dedup_key: None,
        ordering_key: None,
    })
}

impl Testbed {
    pub(crate) fn program(&self, name: &str, component: impl FnOnce() -> Vec<u8>) -> Arc<Program<Host>> {
        self.program_at(Digest::of(name.as_bytes()).into(), &engine_config(None), component)
    }

    pub(crate) fn program_at(&self, key: ProgramKey, config: &wasmtime::Config, component: impl FnOnce() -> Vec<u8>) -> Arc<Program<Host>> {
        match self.sandbox.load(key).unwrap() {
            Some(program) => program,
            None => self.sandbox.install(key, &compiled(key, config, component)).unwrap(),
        }
    }

    pub(crate) fn facts(&self, attempt: &Attempt) -> Arc<RunFacts> {
        Arc::new(RunFacts::of(attempt.clone(), Arc::new(self.grants.clone())))
    }

    pub(crate) fn host(&self, facts: Arc<RunFacts>) -> Host {
        let state: Arc<dyn StatePort> = Arc::<Fake>::clone(&self.ports);
        let output: Arc<dyn OutputPort> = Arc::<Fake>::clone(&self.ports);
        let runs: Arc<dyn Children> = Arc::<Fake>::clone(&self.ports);
        let grants: Arc<dyn GrantsPort> = Arc::<Fake>::clone(&self.ports);
        let variables: Arc<dyn VariablesPort> = Arc::<Fake>::clone(&self.ports);
        let resources: Arc<dyn ResourcesPort> = Arc::<Fake>::clone(&self.ports);
        let (http, credentials) = (Arc::clone(&self.outbound), Arc::clone(&self.credentials));
        let (sql, blob, publish) = (self.databases.clone(), self.blobs.clone(), self.publishers.clone());
        *self.ports.asked.lock().unwrap() = facts.asked.iter().collect();
        Host::new(facts, Ports { grants, state, output, runs, variables, http, credentials, resources, sql, blob, publish })
    }

    /// Runs the guest program with the requests, as the run of these facts; all that it asks for is given.
    pub(crate) async fn http(&self, facts: Arc<RunFacts>, requests: &serde_json::Value) -> Outcome {
        let program = self.program(self.guest, || fs::read(guest(self.guest)).unwrap());
        let arguments = serde_json::json!({ "requests": requests }).to_string();
        let attempt = &facts.attempt;
        let (run, workspace, limits) = (attempt.run, attempt.workspace, attempt.limits);
        let host = self.host(facts);
        let input = CallInput::Arguments(JsonText::parse(arguments).unwrap());
        soon(self.sandbox.run(Call { run, workspace, program, module: None, input, limits, host })).await
    }

    /// Puts a resource into a workspace.
    pub(crate) fn put_resource(&self, workspace: WorkspaceId, path: &str, resource: (&str, i64, serde_json::Value)) {
        let (kind, revision, value) = resource;
        let mut fields = value.clone();
        let secret = fields.as_object_mut().unwrap().remove("password");
        let secrets: Vec<String> = secret.map(|_| "/password".to_owned()).into_iter().collect();
        let view = ResourceView { kind: kind.to_owned(), fields: JsonText::of(&fields).unwrap(), secrets: secrets.clone() };
        let revealed = Revealed { kind: kind.to_owned(), value: JsonText::of(&value).unwrap(), secrets, revision };
        self.ports.resources.lock().unwrap().insert((workspace, path.to_owned()), (view, revealed));
    }

    /// Runs the guest program with the calls, as this attempt.
    pub(crate) async fn attempt(&self, attempt: Attempt, calls: &str) -> Outcome {
        let program = self.program(self.guest, || fs::read(guest(self.guest)).unwrap());
        let input = CallInput::Arguments(JsonText::parse(format!(r#"{{"calls":{calls}}}"#)).unwrap());
        let host = self.host(self.facts(&attempt));
        let call = Call { run: attempt.run, workspace: attempt.workspace, program, module: None, input, limits: attempt.limits, host };
        soon(self.sandbox.run(call)).await
    }

    /// Runs the guest program with the calls; their results.
    pub(crate) async fn calls(&self, calls: &str) -> (serde_json::Value, Outcome) {
        let outcome = self.attempt(attempt(Input::Arguments(JsonText::empty_object())), calls).await;
        (json(&outcome), outcome)
    }

    /// Runs JavaScript in the shared runtime.
    pub(crate) async fn javascript(&self, source: &str, parameters: &[&str], input: CallInput<Host>, limits: Limits) -> Outcome {
        let program = self.program("javascript", javascript_runtime);
        assert!(program.has_loader() && program.has_preprocessor());
        let module = HostedModule {
            file_name: "test.js".to_owned(),
            source: source.to_owned(),
            parameters: parameters.iter().map(|name| (*name).to_owned()).collect(),
            has_preprocessor: source.contains("preprocessor"),
            source_map: None,
        };
        let attempt = attempt(Input::Arguments(JsonText::empty_object()));
        let host = self.host(self.facts(&attempt));
        let call = Call { run: attempt.run, workspace: attempt.workspace, program, module: Some(Arc::new(module)), input, limits, host };
        soon(self.sandbox.run(call)).await
    }
}

fn javascript_runtime() -> Vec<u8> {
    let packed = fs::read(root().join("runtimes/javascript/dist/runtime.wasm.zst")).unwrap();
    zstd::decode_all(&packed[..]).unwrap()
}

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(50), future).await.expect("this should have ended long ago")
}

pub(crate) fn json(outcome: &Outcome) -> serde_json::Value {
    match (&outcome.kind, &outcome.output) {
        (OutcomeKind::Ok, Some(Output::Json(json))) => json.read().unwrap(),
        _ => panic!("no JSON: {outcome:?}"),
    }
}
