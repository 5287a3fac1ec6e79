//! What is promised, checked on what is observed, without the model: limits, order, attempts.

use std::collections::HashMap;

use sandmill_model::{OutcomeKind, RunId, WorkspaceId, run::NewRun};
use sandmill_store::{nodes::Incarnation, queue::Claimed};

/// Beginning of the name of a key by which order is kept.
pub(super) const ORDER: &str = "order";

#[derive(Default)]
pub(super) struct Observed {
    /// Runs that somebody executes whose outcome would count.
    executing: HashMap<RunId, (Incarnation, NewRun)>,
    /// Attempts that began and were not given back.
    attempts: HashMap<RunId, u32>,
    /// The last run of each ordering key that began, of those that were due when they were accepted.
    last_begun: HashMap<(WorkspaceId, String), RunId>,
    /// How each run ended that did.
    pub(super) ended: HashMap<RunId, OutcomeKind>,
}

impl Observed {
    pub(super) fn begins(&mut self, lease: Incarnation, claimed: &Claimed) {
        let (run, before) = (&claimed.run, self.attempts.get(&claimed.run.id).copied().unwrap_or(0));
        // Not the next one where a node died before it knew that it had the run.
        assert!(claimed.attempt > before, "attempt {} of {} after {before}", claimed.attempt, run.id);
        assert!(!self.executing.contains_key(&run.id), "{} executes twice", run.id);
        assert!(!self.ended.contains_key(&run.id), "{} has ended and executes", run.id);
        for key in &run.policy.keys {
            let others = self.executing.values().filter(|(_, other)| {
                other.workspace == run.workspace && other.policy.keys.iter().any(|of_other| of_other.name == key.name)
            });
            assert!(others.count() < key.limit as usize, "more than {} hold {:?}", key.limit, key.name);
        }
        let is_first = before == 0 && claimed.lost == 0;
        if let Some(key) = run.policy.keys.first().filter(|key| key.name.starts_with(ORDER))
            && is_first
            && run.scheduled_for <= run.created_at
        {
            let last = self.last_begun.entry((run.workspace, key.name.clone())).or_insert(run.id);
            assert!(*last <= run.id, "{} overtook {last}", run.id);
            *last = run.id;
        }
        self.attempts.insert(run.id, claimed.attempt);
        self.executing.insert(run.id, (lease, run.clone()));
    }

    /// An attempt's outcome counted; `kind` if the run ended by it.
    pub(super) fn counted(&mut self, run: RunId, kind: Option<OutcomeKind>) {
        assert!(self.executing.remove(&run).is_some(), "the outcome of {run} counted, which was not executed");
        if let Some(kind) = kind {
            self.ends(run, kind);
        }
    }

    pub(super) fn ends(&mut self, run: RunId, kind: OutcomeKind) {
        assert_eq!(self.ended.insert(run, kind), None, "{run} ended twice");
    }

    /// What this life makes of its runs does not count any more.
    pub(super) fn dies(&mut self, life: Incarnation) {
        self.executing.retain(|_, (lease, _)| *lease != life);
    }

    /// What this life held goes back as if it had not been tried.
    pub(super) fn leaves(&mut self, life: Incarnation) {
        let attempts = &mut self.attempts;
        self.executing.retain(|run, (lease, _)| {
            if *lease == life {
                attempts.entry(*run).and_modify(|attempt| *attempt -= 1);
            }
            *lease != life
        });
    }
}
