//! An API in this process, and requests to it.

mod fakes;
mod faults;
mod http;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use sandmill_api::{ApiOptions, ApiState, Denials, Endings, SingleSignOn};
use sandmill_dispatch::{Dispatch, Files, LiveRuns};
use sandmill_model::{
    Clock, Timestamp, TokenId, WorkspaceId,
    auth::{Principal, TokenHash},
    trigger::{Kind, Kinds, Listening, Mounted},
};
use sandmill_store::{
    Durability, Store,
    objects::{self, INLINE_RESULT_BYTES_MAX},
    seal::{KeySource, Sealing},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use fakes::{NoFiles, Probe, Stage, Ticker};
use faults::Faults;
pub(crate) use http::{Answer, Call, delete, get, head, options, patch, post, put};

/// Moves when a test says so, and a microsecond with every look, so that ids of a test are in order.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn advance(&self, duration: Duration) {
        self.0.fetch_add(i64::try_from(duration.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Everything that a test touches.
pub(crate) struct Api {
    pub(crate) router: axum::Router,
    pub(crate) store: Store,
    pub(crate) dispatch: Dispatch,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) stage: Arc<Stage>,
    pub(crate) workspace: WorkspaceId,
    pub(crate) faults: Arc<Faults>,
    pub(crate) denials: Arc<Denials>,
    pub(crate) endings: Arc<Endings>,
    /// Of results that are kept apart.
    _folder: tempfile::TempDir,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

/// The kinds of trigger that there are here.
pub(crate) fn kinds() -> Kinds {
    Kinds::from_iter([Kind::endpoint(Mounted::<Probe>::shared()), Kind::listener(Listening::<Ticker>::shared())])
}

/// A token for everything.
pub(crate) const ADMIN: &str = "sm_admin";

impl Api {
    pub(crate) async fn new() -> Self {
        Self::with(ApiOptions::default()).await
    }

    pub(crate) async fn with(options: ApiOptions) -> Self {
        Self::with_single_sign_on(options, None).await
    }

    pub(crate) async fn with_single_sign_on(options: ApiOptions, single_sign_on: Option<SingleSignOn>) -> Self {
        Self::made(options, single_sign_on, None).await
    }

    /// With stored triggers of these kinds, and files that are kept there.
    pub(crate) async fn armed(kinds: Kinds, files: Arc<dyn Files>) -> Self {
        Self::made(ApiOptions::default(), None, Some((kinds, files))).await
    }

    async fn made(options: ApiOptions, single_sign_on: Option<SingleSignOn>, armed: Option<(Kinds, Arc<dyn Files>)>) -> Self {
        let database = sandmill_store::Options { url: "sqlite::memory:".into(), durability: Durability::Normal };
        let folder = tempfile::tempdir().unwrap();
        let objects =
            objects::Options { place: objects::Place::Folder(folder.path().to_owned()), inline_result_bytes_max: INLINE_RESULT_BYTES_MAX };
        let faults = Arc::new(Faults::default());
        let key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".to_owned();
        let sealing = Sealing { source: KeySource::Text(key.into()), now: Timestamp::from_micros(0) };
        let store = faults::with(&faults, sandmill_store::connect_sealed(&database, Some(&objects), sealing).await.unwrap());
        let clock = Arc::new(TestClock(AtomicI64::new(1_760_000_000_000_000)));
        let stage = Arc::new(Stage::default());
        let workspace = store.workspaces.ensure(WorkspaceId::new(clock.now()), "w", clock.now()).await.unwrap().id;
        let dispatch_options = sandmill_dispatch::Options {
            node: "node".into(),
            role: sandmill_dispatch::Role::All,
            tags: Vec::new(),
            queued_runs_max: 8,
            backlog_max: 1000,
        };
        let dispatch = Dispatch::new(dispatch_options, store.clone(), stage.clone(), clock.clone(), &LiveRuns::default());
        let (kinds, files) = armed.unwrap_or_else(|| (kinds(), Arc::new(NoFiles)));
        dispatch.arm(kinds.clone(), files);
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(dispatch.service().run(shutdown.clone()));
        let (denials, endings) = (Arc::new(Denials::default()), Arc::new(Endings::default()));
        let router = sandmill_api::router(ApiState {
            store: store.clone(),
            dispatch: dispatch.clone(),
            builder: stage.clone(),
            kinds,
            clock: clock.clone(),
            options,
            downloads: stage.clone(),
            metrics: metrics(),
            denials: Arc::clone(&denials),
            endings: Arc::clone(&endings),
            single_sign_on,
        });
        let api = Self { denials, endings, router, store, dispatch, clock, stage, workspace, faults, _folder: folder, shutdown, tasks };
        api.token(ADMIN, None, &["*:*"]).await;
        api
    }

    /// Makes `token` known, for one workspace or for all.
    pub(crate) async fn token(&self, token: &str, workspace: Option<WorkspaceId>, scopes: &[&str]) -> TokenId {
        let scopes = scopes.iter().map(|scope| scope.parse().unwrap()).collect();
        let id = TokenId::new(self.clock.now());
        let principal = Principal { token: id, workspace, identity: "u/ann".into(), scopes };
        self.store.tokens.put(TokenHash::of(token), &principal, "test", self.clock.now()).await.unwrap();
        id
    }

    pub(crate) async fn workspace(&self, name: &str) -> WorkspaceId {
        self.store.workspaces.ensure(WorkspaceId::new(self.clock.now()), name, self.clock.now()).await.unwrap().id
    }

    /// Deploys a script; what it does is decided by the last segment of its path, see [`Stage`].
    pub(crate) async fn deploy(&self, path: &str) {
        let body = serde_json::json!({"language": "typescript", "source": format!("export function main() {{ return {path:?} }}")});
        let answer = put(format!("/api/w/w/scripts/{path}")).json(body).to(self).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// Another version at a path.
    pub(crate) async fn deploy_version(&self, path: &str, number: u32) {
        let body = serde_json::json!({"language": "typescript", "source": format!("export function main() {{ return {number} }}")});
        let answer = put(format!("/api/w/w/scripts/{path}")).json(body).to(self).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// Waits until a run has ended, and returns it.
    pub(crate) async fn ended(&self, run: &str) -> serde_json::Value {
        self.wait(run, |run| !run["outcome"].is_null()).await
    }

    pub(crate) async fn wait(&self, run: &str, is_so: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let waiting = async {
            loop {
                let answer = get(format!("/api/w/w/runs/{run}")).to(self).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                let run = answer.value();
                if is_so(&run) {
                    return run;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("in time")
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// One recorder for the process, as in the server.
fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).unwrap();
        handle
    };
    HANDLE.get_or_init(install).clone()
}
