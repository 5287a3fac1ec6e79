//! inst: a whole run in process — instantiate, call, drop — per language and tier.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use sandmill_capabilities::{
    GrantsPort, Host, OutputPort, Ports, ResourcesPort, RunFacts, StateError, StatePort, StateScope, Variable, VariablesPort,
    blob::{Blobs, Place},
    http::{NoCredentials, Outbound, OutboundOptions},
    resources::{ResourceView, Revealed},
    sql::Databases,
};
use sandmill_compiler::Compiler;
use sandmill_model::{
    Attempt, BoxFuture, Clock, Digest, Grant, Input, JsonText, Language, Limits, Manifest, Outcome, OutcomeKind, RunId, ScriptPath,
    SystemClock, WorkspaceId,
    build::{BuildRequest, Builder},
    children::{ChildError, ChildRequest, Children, Parent, Until},
    grants::PathPattern,
    version::{ComponentModel, HostedModule, ProgramSpec},
};
use sandmill_sandbox::{Call, CallInput, Program, ProgramKey, Sandbox, async_engine_config};
use serde_json::json;

use crate::{report, scripts};

const RUNS_MAX: usize = 20_000;
const WARM_UP: usize = 200;
/// Large sources take milliseconds to load: fewer runs of those.
const TIME_MAX: Duration = Duration::from_secs(4);

/// State, output and runs of nobody: these scripts use none.
struct Nothing;

impl StatePort for Nothing {
    fn get(&self, _: StateScope, _: String) -> BoxFuture<'_, Result<Option<JsonText>, StateError>> {
        Box::pin(async { Ok(None) })
    }

    fn put(&self, _: StateScope, _: String, _: Option<Option<JsonText>>, _: Option<JsonText>) -> BoxFuture<'_, Result<bool, StateError>> {
        Box::pin(async { Ok(true) })
    }

    fn keys(&self, _: StateScope, _: String, _: Option<String>, _: u32) -> BoxFuture<'_, Result<Vec<String>, StateError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl GrantsPort for Nothing {
    fn given(&self, _: WorkspaceId, _: ScriptPath, _: Digest) -> BoxFuture<'_, Result<Arc<[Grant]>, String>> {
        Box::pin(async { Ok(Vec::new().into()) })
    }
}

impl VariablesPort for Nothing {
    fn read(&self, _: WorkspaceId, _: ScriptPath) -> BoxFuture<'_, Result<Option<Variable>, String>> {
        Box::pin(async { Ok(None) })
    }

    fn plain(&self, _: WorkspaceId, _: Vec<PathPattern>, _: usize) -> BoxFuture<'_, Result<Vec<(ScriptPath, String)>, String>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl ResourcesPort for Nothing {
    fn look(&self, _: WorkspaceId, _: ScriptPath) -> BoxFuture<'_, Result<Option<ResourceView>, String>> {
        Box::pin(async { Ok(None) })
    }

    fn reveal(&self, _: WorkspaceId, _: ScriptPath) -> BoxFuture<'_, Result<Option<Revealed>, String>> {
        Box::pin(async { Ok(None) })
    }
}

impl Children for Nothing {
    fn start(&self, _: Parent, _: ChildRequest) -> BoxFuture<'_, Result<RunId, ChildError>> {
        Box::pin(async { Err(alone()) })
    }

    fn wait(&self, _: Parent, _: Vec<RunId>, _: Until, _: Duration) -> BoxFuture<'_, Result<Vec<RunId>, ChildError>> {
        Box::pin(async { Err(alone()) })
    }

    fn outcome(&self, _: Parent, _: RunId) -> BoxFuture<'_, Result<Option<Outcome>, ChildError>> {
        Box::pin(async { Err(alone()) })
    }

    fn cancel(&self, _: Parent, _: RunId) -> BoxFuture<'_, Result<bool, ChildError>> {
        Box::pin(async { Err(alone()) })
    }
}

fn alone() -> ChildError {
    ChildError::Unavailable("there is no dispatch here".to_owned())
}

impl OutputPort for Nothing {
    fn progress(&self, _: RunId, _: f64, _: &str) {}
}

/// A sandbox and a compiler without a server around them.
pub(crate) struct Bare {
    pub(crate) sandbox: Sandbox<Host>,
    pub(crate) compiler: Compiler,
    ports: Ports,
    _folder: tempfile::TempDir,
}

impl Bare {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let options = sandmill_sandbox::Options { runs_async: true, ..sandmill_sandbox::Options::new(folder.path().join("code")) };
        let sandbox = Sandbox::new(options, sandmill_capabilities::link)?;
        let compiler = Compiler::new(sandmill_compiler::Options::new(crate::server::binary()));
        let ports = Ports {
            state: Arc::new(Nothing),
            output: Arc::new(Nothing),
            runs: Arc::new(Nothing),
            http: Arc::new(Outbound::new(OutboundOptions::default())?),
            credentials: Arc::new(NoCredentials),
            resources: Arc::new(Nothing),
            grants: Arc::new(Nothing),
            variables: Arc::new(Nothing),
            sql: Databases::new(sandmill_capabilities::sql::Options::new(folder.path().join("sqlite"), Arc::new(|_| false))),
            blob: Blobs::open(&Place::Folder(folder.path().join("blobs")))?,
            publish: sandmill_capabilities::Publishers::none(),
        };
        Ok(Self { sandbox, compiler, ports, _folder: folder })
    }

    pub(crate) async fn module(&self, source: &str) -> anyhow::Result<HostedModule> {
        let source = Bytes::copy_from_slice(source.as_bytes());
        let request = BuildRequest {
            workspace: WorkspaceId::new(SystemClock.now()),
            file_name: "bench.ts".to_owned(),
            language: Language::TypeScript,
            source,
            manifest: Manifest::default(),
            is_known: false,
        };
        match self.compiler.build(request).await?.program {
            ProgramSpec::Hosted(module) => Ok(module),
            other => anyhow::bail!("{other:?}"),
        }
    }

    pub(crate) fn install(&self, code: &Bytes) -> anyhow::Result<Arc<Program<Host>>> {
        Ok(self.sandbox.install(Digest::of(code), code)?)
    }

    /// On the engine for WASI 0.3, which nothing of 0.2 runs on otherwise.
    fn install_async(&self, component: &[u8]) -> anyhow::Result<Arc<Program<Host>>> {
        let engine = wasmtime::Engine::new(&async_engine_config(None))?;
        let code = engine.precompile_component(component)?;
        let key = ProgramKey { model: ComponentModel::Async, ..Digest::of(component).into() };
        Ok(self.sandbox.install(key, &code)?)
    }

    pub(crate) async fn run(&self, program: &Arc<Program<Host>>, module: Option<&Arc<HostedModule>>, arguments: &str) -> Outcome {
        let (run, workspace) = (RunId::new(SystemClock.now()), WorkspaceId::new(SystemClock.now()));
        let arguments = JsonText::trusted(arguments);
        let limits = Limits { fuel: 4_000_000_000_000, wall_ms: 600_000, ..Limits::default() };
        let attempt = Attempt {
            run,
            number: 1,
            workspace,
            workspace_name: "default".into(),
            path: "f/bench/hello".parse().unwrap_or_else(|_| unreachable!("a path")),
            version: program.key().digest,
            input: Input::Arguments(arguments.clone()),
            limits,
            started_at: SystemClock.now(),
            run_as: "u/bench".into(),
            stages_state: false,
        };
        let host = Host::new(Arc::new(RunFacts::of(attempt, Arc::default())), self.ports.clone());
        let (program, module) = (Arc::clone(program), module.cloned());
        self.sandbox.run(Call { run, workspace, program, module, input: CallInput::Arguments(arguments), limits, host }).await
    }
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let bare = Bare::new()?;
    let mut rows = vec![["program", "whole run p50 us", "p99 us"].map(str::to_owned).to_vec()];
    let mut figures = Vec::new();

    let rust = std::fs::read(sandmill_testkit::guests::guest("hello")).context("the Rust guest")?;
    let elsewhere = bare.install_async(&rust)?;
    let rust = bare.install(&bare.compiler.compile(rust.into()).await?)?;
    let runtime = bare.install(&bare.compiler.runtime_compiled().await?)?;
    let hello = bare.module(scripts::HELLO_TS).await?;
    let snapshot = bare.install(&bare.compiler.snapshot(hello.clone()).await?)?;

    measure(&bare, ("Rust component", &rust, None), &mut rows, &mut figures).await?;
    // What every run would cost if there were one engine for all.
    measure(&bare, ("the same, on the engine for WASI 0.3", &elsewhere, None), &mut rows, &mut figures).await?;
    measure(&bare, ("TypeScript, snapshotted", &snapshot, None), &mut rows, &mut figures).await?;
    for (name, kibibytes) in [
        ("TypeScript, hosted, hello", 0),
        ("TypeScript, hosted, 1 KiB", 1),
        ("TypeScript, hosted, 5 KiB", 5),
        ("TypeScript, hosted, 100 KiB", 100),
    ] {
        let module = Arc::new(bare.module(&scripts::of_size(kibibytes)).await?);
        measure(&bare, (name, &runtime, Some(&module)), &mut rows, &mut figures).await?;
    }
    report::table(&rows);
    report::keep("inst", &json!(figures))
}

async fn measure(
    bare: &Bare,
    (name, program, module): (&str, &Arc<Program<Host>>, Option<&Arc<HostedModule>>),
    rows: &mut Vec<Vec<String>>,
    figures: &mut Vec<serde_json::Value>,
) -> anyhow::Result<()> {
    let mut times = Vec::with_capacity(RUNS_MAX);
    let first = Instant::now();
    for number in 0..WARM_UP + RUNS_MAX {
        if number > 2 * WARM_UP && first.elapsed() > TIME_MAX {
            break;
        }
        let began = Instant::now();
        let outcome = bare.run(program, module, scripts::BODY).await;
        let time = began.elapsed().as_secs_f64() * 1e6;
        anyhow::ensure!(outcome.kind == OutcomeKind::Ok, "{name}: {outcome:?}");
        if number >= WARM_UP {
            times.push(time);
        }
    }
    times.sort_by(f64::total_cmp);
    let (p50, p99) = (report::percentile(&times, 0.5), report::percentile(&times, 0.99));
    rows.push(vec![name.to_owned(), format!("{p50:.1}"), format!("{p99:.1}")]);
    figures.push(json!({"name": name, "p50_us": p50, "p99_us": p99}));
    Ok(())
}
