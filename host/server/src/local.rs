//! `sandmill run FILE`: a whole node for one run. The run is accepted, executed and recorded as on a server; only nothing listens, and
//! the data folder is gone afterwards.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use sandmill_capabilities::blob::Place;
use sandmill_cli::{LocalRunError, LocalRunRequest, LocalRunner};
use sandmill_dispatch::{Dispatch, Role, StartRequest, StartTerms, Waited};
use sandmill_model::{
    BoxFuture, Grant, Input, Language, LogEntry, Outcome, RunId, ScriptPath, TokenId, WorkspaceId,
    auth::{Principal, Scope},
    build::{BuildRequest, Builder},
    code::Refusal,
    version::{ProgramSpec, Selector, Version, version_digest},
};
use sandmill_store::{grants::GrantChange, scripts::NewDeployment, workspaces::Workspace};
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

pub(crate) struct Local;

impl LocalRunner for Local {
    fn run(&self, request: LocalRunRequest) -> BoxFuture<'_, Result<Outcome, LocalRunError>> {
        Box::pin(run(request))
    }
}

async fn run(request: LocalRunRequest) -> Result<Outcome, LocalRunError> {
    let setup = |error: anyhow::Error| LocalRunError::Setup(format!("{error:#}"));
    let folder = tempfile::tempdir().context("no temporary folder").map_err(setup)?;
    let node = Node::compose(NodeOptions {
        name: "local".into(),
        role: Role::All,
        tags: Vec::new(),
        backlog_max: BACKLOG_MAX,
        store: sandmill_store::Options {
            url: format!("sqlite:{}", folder.path().join("local.db").display()),
            durability: sandmill_store::Durability::Normal,
        },
        objects: None,
        sealing: None,
        data: folder.path().to_owned(),
        blobs: Place::Folder(folder.path().join("blobs")),
        code_cache: code_cache().unwrap_or_else(|| node::code_cache(folder.path())),
        code_cache_bytes_max: node::mib(CODE_CACHE_MIB),
        slots: None,
        guest_memory_bytes_max: None,
        snapshot_after_runs: u32::MAX,
        outbound: crate::outbound::options(&request.outbound).map_err(setup)?,
    })
    .await
    .map_err(setup)?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let workspace = workspace(&node).await.map_err(setup)?;
    if request.language != Language::Component {
        // From the cache, before the build: else the build worker compiles the language runtime, which takes a second.
        node.runner.warm_up().await.map_err(LocalRunError::Setup)?;
    }
    let path = deploy(&node, &workspace, &request).await?;
    let dispatch = node.dispatch.clone();
    let service = tasks.spawn(node.service.run(stop.clone()));
    let principal = Principal {
        token: TokenId::new(node.clock.now()),
        workspace: Some(workspace.id),
        identity: "u/local".into(),
        scopes: vec![Scope::all()],
    };
    let input = Input::Arguments(request.arguments);
    let start = StartRequest {
        principal: Arc::new(principal),
        workspace: workspace.clone(),
        path,
        selector: Selector::Newest,
        input,
        terms: StartTerms::default(),
    };
    let waited = dispatch.run(start, WAIT_LIMIT).await.map_err(|refusal| LocalRunError::Setup(refusal.detail))?;
    let Waited::Ended { run, outcome, .. } = waited else { return Err(LocalRunError::Setup("the run does not end".to_owned())) };
    let log = log(&dispatch, workspace.id, run).await.map_err(|refusal| LocalRunError::Setup(refusal.detail))?;
    stop.cancel();
    service.await.context("dispatch ended badly").map_err(setup)?;
    node.store.health.close().await;
    Ok(Outcome { log, ..Outcome::clone(&outcome) })
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

async fn workspace(node: &Node) -> anyhow::Result<Workspace> {
    let now = node.clock.now();
    Ok(node.store.workspaces.ensure(WorkspaceId::new(now), DEFAULT_WORKSPACE, now).await?)
}

async fn deploy(node: &Node, workspace: &Workspace, request: &LocalRunRequest) -> Result<ScriptPath, LocalRunError> {
    let setup = |error: anyhow::Error| LocalRunError::Setup(format!("{error:#}"));
    let file_name = request.file.file_name().map_or_else(|| "script".to_owned(), |name| name.to_string_lossy().into_owned());
    let (language, manifest) = (request.language, request.manifest.clone());
    let build = BuildRequest { file_name, language, source: request.source.clone().into(), manifest: manifest.clone() };
    let built = node.compiler.build(build).await.map_err(LocalRunError::Build)?;
    let digest = version_digest(language, &request.source, &manifest).context("the manifest").map_err(setup)?;
    let component = match &built.program {
        ProgramSpec::Component { component, .. } => Some((*component, request.source.clone().into())),
        ProgramSpec::Hosted(_) | ProgramSpec::Identity => None,
    };
    let path: ScriptPath = ScriptPath::LOCAL.parse().context("the path of local runs").map_err(setup)?;
    let now = node.clock.now();
    let version = Version {
        digest,
        language,
        source: component.is_none().then(|| String::from_utf8_lossy(&request.source).into_owned()),
        manifest,
        schema: built.schema,
        program: built.program,
        created_at: now,
    };
    let new = NewDeployment { workspace: workspace.id, path: path.clone(), version, component, created_by: "u/local".into(), now };
    node.store.scripts.deploy(new).await.context("the script cannot be stored").map_err(setup)?;
    let given = GrantChange { give: request.given.iter().map(Grant::to_string).collect(), take: Vec::new(), by: "u/local".into(), now };
    node.store.grants.change(workspace.id, &path, given).await.context("what is granted cannot be stored").map_err(setup)?;
    Ok(path)
}

/// Compiled code that stays from one local run to the next, where the system keeps such things.
fn code_cache() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "where caches belong is said by the environment alone")]
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("sandmill").join("code"))
}
