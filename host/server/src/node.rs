//! The composition root: every part made once and joined, for `serve` and for `run FILE` alike.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use sandmill_api::{ApiOptions, ApiState, Denials, Endings};
use sandmill_capabilities::{
    Ports, Publishers,
    blob::{Blobs, Place},
    http::{Outbound, OutboundOptions},
    sql::Databases,
};
use sandmill_compiler::Compiler;
use sandmill_dispatch::{Dispatch, LiveRuns, Role, Service};
use sandmill_model::{Clock, Executor, SystemClock};
use sandmill_runner::Runner;
use sandmill_sandbox::Sandbox;
use sandmill_store::{Store, seal::Sealing};

use crate::{
    credentials::StoredCredentials,
    kept::Kept,
    ports::{
        CountedTraffic, KeptFiles, ObjectRoom, SeenOutput, StoredFiles, StoredGrants, StoredResources, StoredState, StoredVariables,
        StoredVersions,
    },
};

const MIB: u64 = 1024 * 1024;

/// The folder, in the data folder, for databases of SQLite that scripts use.
pub(crate) const SQLITE: &str = "sqlite";

pub(crate) struct NodeOptions {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
    pub(crate) tags: Vec<Arc<str>>,
    pub(crate) backlog_max: u64,
    pub(crate) store: sandmill_store::Options,
    /// None: whatever is returned is in the database.
    pub(crate) objects: Option<sandmill_store::objects::Options>,
    /// None: it keeps no secrets.
    pub(crate) sealing: Option<Sealing>,
    /// Where what scripts keep is: databases of SQLite, and objects unless they are elsewhere.
    pub(crate) data: PathBuf,
    pub(crate) blobs: Place,
    pub(crate) code_cache: PathBuf,
    pub(crate) code_cache_bytes_max: u64,
    pub(crate) slots: Option<usize>,
    pub(crate) guest_memory_bytes_max: Option<u64>,
    /// None: a share of that for all.
    pub(crate) workspace_memory_bytes_max: Option<u64>,
    pub(crate) snapshot_after_runs: u32,
    /// Whether workspaces share compiled code, because all of them are of one person.
    pub(crate) shares_code: bool,
    /// Whether components of WASI 0.3 are taken and run.
    pub(crate) runs_async: bool,
    pub(crate) outbound: OutboundOptions,
}

/// All parts of one node, before anything listens or works.
pub(crate) struct Node {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) compiler: Compiler,
    pub(crate) runner: Runner,
    pub(crate) dispatch: Dispatch,
    pub(crate) service: Service,
    /// What scripts keep outside of the database.
    pub(crate) kept: Arc<Kept>,
    pub(crate) live: LiveRuns,
    pub(crate) outbound: Arc<Outbound>,
}

impl Node {
    pub(crate) async fn compose(options: NodeOptions) -> anyhow::Result<Self> {
        let kinds = sandmill_triggers::kinds();
        // Before anything is looked up.
        sandmill_model::resource_type::register(&kinds.resource_types());
        let clock = SystemClock::shared();
        let store = match options.sealing {
            Some(sealing) => sandmill_store::connect_sealed(&options.store, options.objects.as_ref(), sealing).await,
            None => sandmill_store::connect_with(&options.store, options.objects.as_ref()).await,
        };
        let store = store.context("the database cannot be opened")?;
        let mut sandbox_options = sandmill_sandbox::Options::new(options.code_cache);
        sandbox_options.cache_bytes_max = options.code_cache_bytes_max;
        sandbox_options.clock = Arc::clone(&clock);
        sandbox_options.runs_async = options.runs_async;
        sandbox_options.slots = options.slots.unwrap_or(sandbox_options.slots);
        sandbox_options.guest_memory_bytes_max = options.guest_memory_bytes_max.unwrap_or(sandbox_options.guest_memory_bytes_max);
        let workspace_share = sandmill_sandbox::Options::workspace_share(sandbox_options.guest_memory_bytes_max);
        sandbox_options.workspace_memory_bytes_max = options.workspace_memory_bytes_max.unwrap_or(workspace_share);
        let queued_runs_max = queued_share(sandbox_options.slots);
        let sandbox = Sandbox::new(sandbox_options, sandmill_capabilities::link).context("the sandbox cannot be set up")?;
        let executable = std::env::current_exe().context("this binary cannot be found again for the build workers")?;
        let compiler_options =
            sandmill_compiler::Options { accepts_async: options.runs_async, ..sandmill_compiler::Options::new(executable) };
        let compiler = Compiler::new(compiler_options);
        let live = LiveRuns::default();
        let policy = options.outbound.policy.clone();
        let may_connect = Arc::new(move |address| policy.check(address).is_ok());
        let outbound = OutboundOptions { traffic: Arc::new(CountedTraffic(live.clone())), ..options.outbound };
        let mut sql = sandmill_capabilities::sql::Options::new(options.data.join(SQLITE), may_connect);
        let room = ObjectRoom { live: live.clone(), databases: sql.sizes.clone() };
        let blobs = Blobs::open(&options.blobs).context("the objects of scripts cannot be opened")?.within(Arc::new(room));
        sql.files = Some(Arc::new(StoredFiles { store: store.clone(), live: live.clone(), objects: blobs.clone() }));
        let kept_blobs = blobs.clone();
        let outbound = Arc::new(Outbound::new(outbound).context("--outbound-ca")?);
        let ports = Ports {
            grants: Arc::new(StoredGrants::new(store.clone(), Arc::clone(&clock))),
            variables: Arc::new(StoredVariables(store.clone())),
            state: Arc::new(StoredState { store: store.clone(), clock: Arc::clone(&clock), live: live.clone() }),
            output: Arc::new(SeenOutput(live.clone())),
            runs: Arc::new(live.clone()),
            http: Arc::clone(&outbound),
            credentials: Arc::new(StoredCredentials(store.clone())),
            resources: Arc::new(StoredResources(store.clone())),
            sql: Databases::new(sql),
            blob: blobs,
            publish: Publishers::new(&kinds, outbound.brokers()),
        };
        let runner_options = sandmill_runner::Options {
            snapshot_after_runs: options.snapshot_after_runs,
            shares_code: options.shares_code,
            ..sandmill_runner::Options::default()
        };
        let versions = Arc::new(StoredVersions(store.clone()));
        let runner = Runner::new(runner_options, sandbox, compiler.clone(), versions, ports);
        let executor: Arc<dyn Executor> = Arc::new(runner.clone());
        let dispatch_options = sandmill_dispatch::Options {
            node: options.name,
            role: options.role,
            tags: options.tags,
            queued_runs_max,
            backlog_max: options.backlog_max,
        };
        let dispatch = Dispatch::new(dispatch_options, store.clone(), executor, Arc::clone(&clock), &live);
        dispatch.reach_by(outbound.brokers());
        dispatch.arm(sandmill_triggers::kinds(), Arc::new(KeptFiles(kept_blobs.clone())));
        let service = dispatch.service();
        let kept =
            Arc::new(Kept { sqlite: options.data.join(SQLITE), blobs: kept_blobs, dispatch: dispatch.clone(), runner: runner.clone() });
        Ok(Self { store, clock, compiler, runner, dispatch, service, kept, live, outbound })
    }

    /// What the API needs of the node.
    pub(crate) fn api(&self, options: ApiOptions, metrics: metrics_exporter_prometheus::PrometheusHandle) -> ApiState {
        ApiState {
            store: self.store.clone(),
            dispatch: self.dispatch.clone(),
            builder: Arc::new(self.runner.clone()),
            kinds: sandmill_triggers::kinds(),
            clock: Arc::clone(&self.clock),
            options,
            downloads: Arc::new(crate::downloads::BuiltDownloads { store: self.store.clone(), compiler: self.compiler.clone() }),
            metrics,
            denials: Arc::new(Denials::default()),
            endings: Arc::new(Endings::default()),
            single_sign_on: None,
        }
    }
}

/// Compiled code of a data folder.
pub(crate) fn code_cache(data: &Path) -> PathBuf {
    data.join("code")
}

pub(crate) const fn mib(count: u64) -> u64 {
    count * MIB
}

/// Slots that runs from the queue may take: a quarter stays for callers who wait, so that a queue full of long runs never shuts them out.
fn queued_share(slots: usize) -> usize {
    (slots - slots / 4).max(1)
}
