//! What a path points at, remembered for a moment so that a hot path costs no query.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sandmill_model::{
    Limits, ScriptPath, Timestamp, WorkspaceId,
    version::{Selector, Target},
};
use sandmill_store::{StoreError, scripts::Scripts};

use crate::{TARGET_TTL, TARGETS_MAX};

type Key = (WorkspaceId, ScriptPath, Selector);

#[derive(Default)]
pub(crate) struct Targets {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    targets: HashMap<Key, (Target, Timestamp)>,
    /// Counts deployments, so that a look-up that began before one is not remembered after it.
    generation: u64,
}

impl Targets {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The target of a path; none if nothing is deployed there.
    pub(crate) async fn find(&self, scripts: &dyn Scripts, key: Key, now: Timestamp) -> Result<Option<Target>, StoreError> {
        let generation = {
            let known = self.known();
            if let Some((target, since)) = known.targets.get(&key)
                && now.since(*since) < TARGET_TTL
            {
                return Ok(Some(target.clone()));
            }
            known.generation
        };
        let Some((deployment, version)) = scripts.find(key.0, &key.1, key.2).await? else { return Ok(None) };
        let target = Target {
            path: deployment.path,
            number: deployment.number,
            version: version.digest,
            limits: version.manifest.limits.resolve(&Limits::CEILING),
            dispatch: Arc::new(version.manifest.dispatch),
            labels: Arc::new(version.manifest.labels),
            takes_events: version.program.takes_events(),
            run_as: version.manifest.run_as,
            deployed_by: deployment.created_by,
        };
        let mut known = self.known();
        if known.generation == generation {
            if known.targets.len() >= TARGETS_MAX {
                known.targets.clear();
            }
            known.targets.insert(key, (target.clone(), now));
        }
        Ok(Some(target))
    }

    pub(crate) fn forget(&self, workspace: WorkspaceId, path: &ScriptPath) {
        let mut known = self.known();
        known.generation += 1;
        known.targets.retain(|(owner, known_path, _), _| *owner != workspace || known_path != path);
    }
}
