//! The narrow views that parts have of each other, joined here.

use std::sync::Arc;

use bytes::Bytes;
use sandmill_capabilities::{OutputPort, StateError, StatePort, StateScope};
use sandmill_dispatch::LiveRuns;
use sandmill_model::{BoxFuture, Clock, Digest, JsonText, RunId, WorkspaceId, version::Version};
use sandmill_runner::Versions;
use sandmill_store::{
    Store, StoreError,
    state::{Expected, KEYS_MAX, Written},
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
}

impl StatePort for StoredState {
    fn get(&self, scope: StateScope, key: String) -> BoxFuture<'_, Result<Option<JsonText>, StateError>> {
        Box::pin(async move { self.store.state.get(&stored(scope), &key).await.map_err(unavailable) })
    }

    fn put(
        &self,
        scope: StateScope,
        key: String,
        expected: Option<Option<JsonText>>,
        value: Option<JsonText>,
    ) -> BoxFuture<'_, Result<bool, StateError>> {
        Box::pin(async move {
            let expected = expected.map(Expected);
            match self.store.state.put(&stored(scope), &key, expected, value, self.clock.now()).await.map_err(unavailable)? {
                Written::Yes => Ok(true),
                Written::No => Ok(false),
                Written::TooManyKeys => Err(StateError::TooLarge(format!("a script keeps at most {KEYS_MAX} keys of state"))),
            }
        })
    }
}

fn stored(scope: StateScope) -> sandmill_store::state::StateScope {
    sandmill_store::state::StateScope { workspace: scope.workspace, path: scope.path, trigger: scope.trigger }
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
}
