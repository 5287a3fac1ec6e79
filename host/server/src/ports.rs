//! The narrow views that parts have of each other, joined here.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use sandmill_capabilities::{
    GrantsPort, OutputPort, ResourcesPort, StateError, StatePort, StateScope, Variable, VariablesPort,
    blob::{Blobs, RoomPort, Unkept},
    http::{ApiAccess, ApiPort, TrafficPort},
    resources::{ResourceView, Revealed},
    sql::{FilesPort, Sizes},
};
use sandmill_dispatch::{Files, LiveRuns};
use sandmill_model::{
    BoxFuture, Clock, Code, Digest, Grant, JsonText, Opening, RunId, ScriptPath, WorkspaceId, auth::SharedScopes, code::Refusal,
    grants::PathPattern, recent::Recent, telling::Telling, trigger::File, version::Version,
};
use sandmill_runner::Versions;
use sandmill_store::{
    Store, StoreError,
    state::{Expected, KEYS_MAX, STAGED_KEYS_MAX, Staging, Written},
};

/// The runner's view of the store.
pub(crate) struct StoredVersions(pub(crate) Store);

impl Versions for StoredVersions {
    fn version(&self, workspace: WorkspaceId, digest: Digest) -> BoxFuture<'_, Result<Option<Version>, String>> {
        Box::pin(async move { self.0.scripts.version(workspace, digest).await.map_err(|error| error.to_string()) })
    }

    fn component(&self, workspace: WorkspaceId, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>, String>> {
        Box::pin(async move { self.0.scripts.component(workspace, digest).await.map_err(|error| error.to_string()) })
    }
}

/// State of scripts, in the store.
pub(crate) struct StoredState {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) live: LiveRuns,
}

impl StatePort for StoredState {
    fn get(&self, scope: StateScope, key: String) -> BoxFuture<'_, Result<Option<JsonText>, StateError>> {
        Box::pin(async move {
            let found = match stored(scope) {
                Kept::Here(scope) => self.store.state.get(&scope, &key).await,
                Kept::Apart(staging) => self.store.state.get_staged(&staging, &key).await,
            };
            found.map_err(unavailable)
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
            if value.is_some() {
                self.live.may_keep(scope.workspace).map_err(StateError::TooLarge)?;
            }
            let (expected, is_apart) = (expected.map(Expected), scope.staged_by.is_some());
            let written = match stored(scope) {
                Kept::Here(scope) => self.store.state.put(&scope, &key, expected, value, self.clock.now()).await,
                Kept::Apart(staging) => self.store.state.stage(&staging, &key, expected, value).await,
            };
            match written.map_err(unavailable)? {
                Written::Yes => Ok(true),
                Written::No => Ok(false),
                Written::TooManyKeys if is_apart => {
                    Err(StateError::TooLarge(format!("a run whose state is kept apart writes at most {STAGED_KEYS_MAX} keys of it")))
                }
                Written::TooManyKeys => Err(StateError::TooLarge(format!("a script keeps at most {KEYS_MAX} keys of state"))),
            }
        })
    }

    fn keys(&self, scope: StateScope, prefix: String, after: Option<String>, limit: u32) -> BoxFuture<'_, Result<Vec<String>, StateError>> {
        Box::pin(async move {
            let after = after.as_deref();
            let keys = match stored(scope) {
                Kept::Here(scope) => self.store.state.keys(&scope, &prefix, after, limit).await,
                Kept::Apart(staging) => self.store.state.keys_staged(&staging, &prefix, after, limit).await,
            };
            keys.map_err(unavailable)
        })
    }
}

/// Where what a run writes to its state goes.
enum Kept {
    Here(sandmill_store::state::StateScope),
    Apart(Staging),
}

fn stored(scope: StateScope) -> Kept {
    let StateScope { workspace, path, trigger, staged_by } = scope;
    let scope = sandmill_store::state::StateScope { workspace, path, trigger };
    match staged_by {
        None => Kept::Here(scope),
        Some(run) => Kept::Apart(Staging { scope, run }),
    }
}

fn unavailable(error: StoreError) -> StateError {
    tracing::error!(%error, "state");
    StateError::Unavailable(match error {
        StoreError::Full(_) => "the database's disk is full".to_owned(),
        _ => "the database cannot be reached at present".to_owned(),
    })
}

/// Progress of runs, to where callers see it.
pub(crate) struct SeenOutput(pub(crate) LiveRuns);

impl OutputPort for SeenOutput {
    fn progress(&self, run: RunId, percent: f64, text: &str) {
        self.0.report(run, percent, text);
    }

    fn telling(&self, run: RunId) -> Option<Telling> {
        self.0.telling(run)
    }
}

/// What scripts send and receive, to where it is counted.
pub(crate) struct CountedTraffic(pub(crate) LiveRuns);

impl TrafficPort for CountedTraffic {
    fn admit(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<(), String>> {
        self.0.may_send(workspace)
    }

    fn count(&self, workspace: WorkspaceId, bytes_up: u64, bytes_down: u64) -> bool {
        self.0.sent(workspace, bytes_up, bytes_down)
    }
}

/// What objects of scripts may take, by what their workspaces keep besides.
pub(crate) struct ObjectRoom {
    pub(crate) live: LiveRuns,
    pub(crate) databases: Sizes,
}

impl RoomPort for ObjectRoom {
    fn room(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<Option<u64>, String>> {
        Box::pin(async move {
            let Some(room) = self.live.room(workspace).await? else { return Ok(None) };
            Ok(Some(room.saturating_sub(self.databases.bytes(workspace).await?)))
        })
    }
}

/// What databases of SQLite may take, by what their workspaces keep besides, and which are opened.
pub(crate) struct StoredFiles {
    pub(crate) store: Store,
    pub(crate) live: LiveRuns,
    pub(crate) objects: Blobs,
}

impl FilesPort for StoredFiles {
    fn room(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<Option<u64>, String>> {
        Box::pin(async move {
            let Some(room) = self.live.room(workspace).await? else { return Ok(None) };
            Ok(Some(room.saturating_sub(self.objects.bytes(workspace).await)))
        })
    }

    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<bool, String>> {
        Box::pin(async move { self.store.resources.open_database(opening).await.map_err(|error| at_present(&error)) })
    }
}

/// Files that came with events, among the objects of their workspaces.
pub(crate) struct KeptFiles(pub(crate) Blobs);

impl Files for KeptFiles {
    fn keep(&self, workspace: WorkspaceId, file: File) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let File { key, content_type, data } = file;
            let content_type = (!content_type.is_empty()).then_some(content_type);
            self.0.keep(workspace, &key, content_type, data).await.map_err(unkept)
        })
    }

    fn forget(&self, workspace: WorkspaceId, key: String) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move { self.0.forget(workspace, &key).await.map_err(unkept) })
    }
}

fn unkept(why: Unkept) -> Refusal {
    match why {
        Unkept::Invalid(text) => Refusal::new(Code::BadRequest, text),
        Unkept::TooLarge(text) => Refusal::new(Code::QuotaExceeded, text),
        Unkept::Unavailable(text) => Refusal::new(Code::Unavailable, text),
    }
}

/// The API of this node, as runs reach it that execute here.
pub(crate) struct OwnApi {
    pub(crate) live: LiveRuns,
    pub(crate) address: SocketAddr,
}

impl ApiPort for OwnApi {
    fn access(&self, run: RunId, scopes: SharedScopes) -> BoxFuture<'_, Result<ApiAccess, String>> {
        Box::pin(async move {
            let token = self.live.token(run, scopes).await.ok_or_else(|| "the run is ending".to_owned())?;
            Ok(ApiAccess { address: self.address, token })
        })
    }
}

/// How long what was granted is believed: what is taken away works no longer after that.
const GRANTS_BELIEVED: Duration = Duration::from_secs(1);
/// Scripts whose grants are kept in memory.
const GRANTS_MAX: usize = 10_000;

/// What was granted, in the store.
pub(crate) struct StoredGrants {
    store: Store,
    clock: Arc<dyn Clock>,
    /// By version: what was known of another is nothing that a new one may have.
    recent: Recent<(WorkspaceId, ScriptPath, Digest), Arc<[Grant]>>,
}

impl StoredGrants {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        let recent = Recent::<(WorkspaceId, ScriptPath, Digest), Arc<[Grant]>>::new(GRANTS_MAX, GRANTS_BELIEVED);
        Self { store, clock, recent: recent.of_workspaces(|(workspace, ..)| *workspace) }
    }
}

impl GrantsPort for StoredGrants {
    fn given(&self, workspace: WorkspaceId, path: ScriptPath, version: Digest) -> BoxFuture<'_, Result<Arc<[Grant]>, String>> {
        Box::pin(async move {
            let (now, key) = (self.clock.now(), (workspace, path, version));
            if let Some(given) = self.recent.get(&key, now) {
                return Ok(given);
            }
            let rows = self.store.grants.given(workspace, &key.1, version).await.map_err(|error| at_present(&error))?;
            // What an older release granted and this one does not know works no longer.
            let given: Arc<[Grant]> = rows.iter().filter_map(|granted| granted.parse().ok()).collect();
            self.recent.put(key, Arc::clone(&given), now);
            Ok(given)
        })
    }
}

/// Variables, in the store.
pub(crate) struct StoredVariables(pub(crate) Store);

/// Variables that are looked through at once.
const VARIABLES_PAGE: u32 = 500;

impl VariablesPort for StoredVariables {
    fn read(&self, workspace: WorkspaceId, path: ScriptPath) -> BoxFuture<'_, Result<Option<Variable>, String>> {
        Box::pin(async move {
            let found = self.0.variables.reveal(workspace, &path).await.map_err(|error| at_present(&error))?;
            Ok(found.map(|found| Variable { text: found.text, is_secret: found.secret }))
        })
    }

    fn plain(
        &self,
        workspace: WorkspaceId,
        patterns: Vec<PathPattern>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(ScriptPath, String)>, String>> {
        Box::pin(async move {
            let mut found = BTreeMap::new();
            for pattern in patterns {
                let prefix = pattern.as_str().split('*').next().unwrap_or_default();
                let mut after: Option<ScriptPath> = None;
                loop {
                    let page = self.0.variables.list(workspace, prefix, after.as_ref(), VARIABLES_PAGE).await;
                    let page = page.map_err(|error| at_present(&error))?;
                    let fitting = page.iter().filter(|variable| !variable.secret && pattern.covers(&PathPattern::from(&variable.path)));
                    for variable in fitting {
                        let text = self.0.variables.find(workspace, &variable.path).await.map_err(|error| at_present(&error))?;
                        found.extend(text.and_then(|variable| variable.text.map(|text| (variable.path, text))));
                        if found.len() >= limit {
                            return Ok(found.into_iter().collect());
                        }
                    }
                    match page.last() {
                        Some(last) if page.len() == VARIABLES_PAGE as usize => after = Some(last.path.clone()),
                        _ => break,
                    }
                }
            }
            Ok(found.into_iter().collect())
        })
    }
}

/// Resources, in the store.
pub(crate) struct StoredResources(pub(crate) Store);

impl ResourcesPort for StoredResources {
    fn look(&self, workspace: WorkspaceId, path: ScriptPath) -> BoxFuture<'_, Result<Option<ResourceView>, String>> {
        Box::pin(async move {
            let found = self.0.resources.find(workspace, &path).await.map_err(|error| at_present(&error))?;
            Ok(found.map(|found| ResourceView { kind: found.kind.to_string(), fields: found.fields, secrets: found.secrets }))
        })
    }

    fn reveal(&self, workspace: WorkspaceId, path: ScriptPath) -> BoxFuture<'_, Result<Option<Revealed>, String>> {
        Box::pin(async move {
            let found = self.0.resources.reveal(workspace, &path).await.map_err(|error| at_present(&error))?;
            Ok(found.map(|found| Revealed {
                kind: found.kind.to_string(),
                value: found.value,
                secrets: found.secrets,
                revision: found.revision,
            }))
        })
    }
}

/// What a script is told of it; the node's log says more.
fn at_present(error: &StoreError) -> String {
    tracing::error!(%error, "a capability");
    "the database cannot be reached at present".to_owned()
}
