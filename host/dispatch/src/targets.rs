//! What a path points at, remembered for a moment so that a hot path costs no query.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sandmill_model::{
    Limits, ScriptPath, Timestamp, WorkspaceId,
    code::Refusal,
    recent::who_gives_up,
    version::{Selector, Target},
};
use sandmill_store::{StoreError, scripts::Scripts};

use crate::{Dispatch, TARGET_TTL, TARGETS_MAX, refuse};

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

impl Known {
    /// One workspace that starts more than is kept makes nobody but itself look up anew.
    fn make_room(&mut self, key: &Key, now: Timestamp) {
        if self.targets.len() < TARGETS_MAX || self.targets.contains_key(key) {
            return;
        }
        self.targets.retain(|_, (_, since)| now.since(*since) < TARGET_TTL);
        if self.targets.len() >= TARGETS_MAX {
            let owners = who_gives_up(self.targets.keys().map(|(workspace, ..)| (*workspace, 1)), TARGETS_MAX / 8);
            self.targets.retain(|(workspace, ..), _| !owners.contains(workspace));
        }
    }
}

impl Targets {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is at a path reads requests itself; none: it was not looked up a moment ago.
    fn knows(&self, key: &Key, now: Timestamp) -> Option<bool> {
        let known = self.known();
        let (target, since) = known.targets.get(key)?;
        (now.since(*since) < TARGET_TTL).then_some(target.reads_http)
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
            reads_http: version.program.reads_http(),
            run_as: version.manifest.run_as,
            deployed_by: deployment.created_by,
        };
        let mut known = self.known();
        if known.generation == generation {
            known.make_room(&key, now);
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

impl Dispatch {
    /// Whether what is at a path reads requests itself: then what was sent passes to it as it is. False if nothing is there.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn reads_http(&self, workspace: WorkspaceId, path: &ScriptPath, selector: Selector) -> Result<bool, Refusal> {
        let inner = &self.inner;
        let (key, now) = ((workspace, path.clone(), selector), inner.clock.now());
        if let Some(known) = inner.targets.knows(&key, now) {
            return Ok(known);
        }
        let found = inner.targets.find(inner.store.scripts.as_ref(), key, now).await.map_err(|error| refuse(&error))?;
        Ok(found.is_some_and(|target| target.reads_http))
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::Digest;

    use super::*;

    #[test]
    fn one_workspace_does_not_push_out_targets_of_others() {
        let now = Timestamp::from_micros(0);
        let (greedy, other) = (WorkspaceId::new(now), WorkspaceId::new(now));
        let path: ScriptPath = "f/demo/hello".parse().unwrap();
        let target = Target {
            path: path.clone(),
            number: 1,
            version: Digest::of(b"version"),
            limits: Limits::default(),
            dispatch: Arc::default(),
            labels: Arc::default(),
            takes_events: false,
            reads_http: false,
            run_as: None,
            deployed_by: "u/test".into(),
        };
        let key = |workspace, number| (workspace, path.clone(), Selector::Number(number));
        let mut known = Known::default();
        let mut put = |key: Key| {
            known.make_room(&key, now);
            known.targets.insert(key, (target.clone(), now));
            assert!(known.targets.len() <= TARGETS_MAX);
            known.targets.len()
        };
        let mut kept = put(key(other, 1));
        for number in 0..i64::try_from(TARGETS_MAX).unwrap() {
            kept = put(key(greedy, number));
        }
        assert_eq!(kept, 2, "it was full, and what others have stayed");
        assert!(known.targets.contains_key(&key(other, 1)));
    }
}
