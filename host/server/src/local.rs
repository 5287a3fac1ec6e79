//! `sandmill run FILE` and `sandmill test`: a whole node for one run or for many. A run is accepted, executed and recorded as on a server;
//! only nothing listens, and the data folder is gone afterwards.

mod session;
mod web;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use sandmill_capabilities::{blob::Place, http::OutboundOptions};
use sandmill_cli::{LocalRunError, LocalRunRequest, LocalRunner, LocalScript, LocalSession};
use sandmill_dispatch::{Dispatch, Role, Service, StartRequest, StartTerms, Waited};
use sandmill_model::{
    BoxFuture, Clock, Digest, Grant, Input, Language, LogEntry, Outcome, RunId, ScriptPath, TokenId, WorkspaceId,
    auth::{Principal, Scope},
    build::{BuildRequest, Builder},
    code::Refusal,
    version::{ProgramSpec, Selector, Version, version_digest},
};
use sandmill_runner::Runner;
use sandmill_store::{Store, grants::GrantChange, scripts::NewDeployment, seal::Sealing, workspaces::Workspace};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    bootstrap::DEFAULT_WORKSPACE,
    node::{self, Node, NodeOptions},
};

/// The run's own limit of time ends it; this is far beyond.
const WAIT_LIMIT: Duration = Duration::from_secs(48 * 3600);
/// The run itself, and those that it starts.
const BACKLOG_MAX: u64 = 1_000;
/// Compiled code kept from one local run to the next, in MiB.
const CODE_CACHE_MIB: u64 = 512;
/// Who runs and deploys here.
const IDENTITY: &str = "u/local";

pub(crate) struct Local;

impl LocalRunner for Local {
    fn run(&self, request: LocalRunRequest) -> BoxFuture<'_, Result<Outcome, LocalRunError>> {
        Box::pin(run(request))
    }

    fn open(&self, outbound: sandmill_cli::Outbound) -> BoxFuture<'_, Result<Box<dyn LocalSession>, LocalRunError>> {
        Box::pin(session::open(outbound))
    }
}

/// The parts of a node that runs need.
struct Parts {
    store: Store,
    clock: Arc<dyn Clock>,
    runner: Runner,
    dispatch: Dispatch,
}

/// A script that was built.
#[derive(Clone)]
struct Prepared {
    version: Version,
    /// Bytes of a component.
    component: Option<(Digest, Bytes)>,
}

async fn run(request: LocalRunRequest) -> Result<Outcome, LocalRunError> {
    let LocalRunRequest { file, language, source, manifest, given, input, outbound } = request;
    let folder = tempfile::tempdir().context("no temporary folder").map_err(setup)?;
    let outbound = crate::outbound::options(&outbound).map_err(setup)?;
    let (parts, service) = compose(folder.path(), None, outbound).await.map_err(setup)?;
    let workspace = workspace(&parts, DEFAULT_WORKSPACE).await.map_err(setup)?;
    let path: ScriptPath = ScriptPath::LOCAL.parse().context("the path of local runs").map_err(setup)?;
    let prepared = prepare(&parts, LocalScript { file, language, source, manifest }).await?;
    deploy(&parts, &workspace, &path, prepared, &given).await?;
    let stop = CancellationToken::new();
    let service = TaskTracker::new().spawn(service.run(stop.clone()));
    let start = start(&parts, &workspace, path, input);
    let outcome = ended(&parts, start).await?.map_err(|refusal| LocalRunError::Setup(refusal.detail))?;
    stop.cancel();
    service.await.context("dispatch ended badly").map_err(setup)?;
    parts.store.health.close().await;
    Ok(outcome)
}

fn setup(error: anyhow::Error) -> LocalRunError {
    LocalRunError::Setup(format!("{error:#}"))
}

/// A node whose data is in the folder; it works once its service runs.
async fn compose(folder: &Path, sealing: Option<Sealing>, outbound: OutboundOptions) -> anyhow::Result<(Parts, Service)> {
    let node = Node::compose(NodeOptions {
        name: "local".into(),
        role: Role::All,
        tags: Vec::new(),
        backlog_max: BACKLOG_MAX,
        store: sandmill_store::Options {
            url: format!("sqlite:{}", folder.join("local.db").display()),
            durability: sandmill_store::Durability::Normal,
        },
        objects: None,
        sealing,
        data: folder.to_owned(),
        blobs: Place::Folder(folder.join("blobs")),
        code_cache: code_cache().unwrap_or_else(|| node::code_cache(folder)),
        code_cache_bytes_max: node::mib(CODE_CACHE_MIB),
        slots: None,
        guest_memory_bytes_max: None,
        workspace_memory_bytes_max: None,
        snapshot_after_runs: u32::MAX,
        // Each local run has a workspace of its own, and all of them are of whoever runs this.
        shares_code: true,
        // Whoever runs a file of theirs here trusts it as far as their own account.
        runs_async: true,
        outbound,
    })
    .await?;
    let Node { store, clock, runner, dispatch, service, .. } = node;
    Ok((Parts { store, clock, runner, dispatch }, service))
}

async fn workspace(parts: &Parts, name: &str) -> anyhow::Result<Workspace> {
    let now = parts.clock.now();
    Ok(parts.store.workspaces.ensure(WorkspaceId::new(now), name, now).await?)
}

async fn prepare(parts: &Parts, script: LocalScript) -> Result<Prepared, LocalRunError> {
    let LocalScript { file, language, source, manifest } = script;
    if language != Language::Component {
        // From the cache, before the first build: else the build worker compiles the language runtime, which takes a second.
        parts.runner.warm_up().await.map_err(LocalRunError::Setup)?;
    }
    let file_name = file.file_name().map_or_else(|| "script".to_owned(), |name| name.to_string_lossy().into_owned());
    let source = Bytes::from(source);
    // Nobody else builds here.
    let workspace = WorkspaceId::new(parts.clock.now());
    let build = BuildRequest { workspace, file_name, language, source: source.clone(), manifest: manifest.clone(), is_known: true };
    let built = parts.runner.build(build).await.map_err(LocalRunError::Build)?;
    let digest = version_digest(language, &source, &manifest).context("the manifest").map_err(setup)?;
    let component = match &built.program {
        ProgramSpec::Component { component, .. } => Some((*component, source.clone())),
        ProgramSpec::Hosted(_) | ProgramSpec::Identity => None,
    };
    let version = Version {
        digest,
        language,
        source: component.is_none().then(|| String::from_utf8_lossy(&source).into_owned()),
        manifest,
        schema: built.schema,
        program: built.program,
        created_at: parts.clock.now(),
    };
    Ok(Prepared { version, component })
}

async fn deploy(parts: &Parts, workspace: &Workspace, path: &ScriptPath, prepared: Prepared, given: &[Grant]) -> Result<(), LocalRunError> {
    let Prepared { version, component } = prepared;
    let (by, now): (Arc<str>, _) = (IDENTITY.into(), parts.clock.now());
    let new = NewDeployment { workspace: workspace.id, path: path.clone(), version, component, created_by: Arc::clone(&by), now };
    parts.store.scripts.deploy(new).await.context("the script cannot be stored").map_err(setup)?;
    let given = GrantChange { give: given.iter().map(Grant::to_string).collect(), take: Vec::new(), by, now };
    parts.store.grants.change(workspace.id, path, given).await.context("what is granted cannot be stored").map_err(setup)?;
    Ok(())
}

fn start(parts: &Parts, workspace: &Workspace, path: ScriptPath, input: Input) -> StartRequest {
    let principal = Principal {
        token: TokenId::new(parts.clock.now()),
        workspace: Some(workspace.id),
        identity: IDENTITY.into(),
        scopes: [Scope::all()].into(),
    };
    StartRequest {
        principal: Arc::new(principal),
        workspace: workspace.clone(),
        path,
        selector: Selector::Newest,
        input,
        // Here are no service accounts: whatever the manifest names, it acts as whoever runs it.
        terms: StartTerms { run_as: IDENTITY.parse().ok(), ..StartTerms::default() },
    }
}

/// How the run ended, with its log; or why there was none.
async fn ended(parts: &Parts, start: StartRequest) -> Result<Result<Outcome, Refusal>, LocalRunError> {
    let workspace = start.workspace.id;
    let waited = match parts.dispatch.run(start, WAIT_LIMIT).await {
        Ok(waited) => waited,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Waited::Ended { run, outcome, .. } = waited else { return Err(LocalRunError::Setup("the run does not end".to_owned())) };
    let log = log(&parts.dispatch, workspace, run).await.map_err(|refusal| LocalRunError::Setup(refusal.detail))?;
    Ok(Ok(Outcome { log, ..Outcome::clone(&outcome) }))
}

async fn log(dispatch: &Dispatch, workspace: WorkspaceId, run: RunId) -> Result<Vec<LogEntry>, Refusal> {
    let mut entries = Vec::new();
    if let Some(mut log) = dispatch.log(workspace, run).await? {
        while let Some(more) = log.next().await? {
            entries.extend(more);
        }
    }
    Ok(entries)
}

/// Compiled code that stays from one local run to the next, where the system keeps such things.
fn code_cache() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "where caches belong is said by the environment alone")]
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("sandmill").join("code"))
}
