//! What is promised, checked on what is observed, without the model: limits, order, attempts.

use std::collections::{HashMap, HashSet};

use sandmill_model::{OutcomeKind, RunId, Timestamp, WorkspaceId, run::NewRun};
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
    /// Runs of a workspace that may execute at once, where there is a limit.
    pub(super) running_max: HashMap<WorkspaceId, u32>,
    /// Of each rate: when it was first asked for a place, and how many attempts have started.
    starts: HashMap<(WorkspaceId, String), (Timestamp, i64)>,
    /// Runs that have started by the place that they took: a node's death or stop costs them no other.
    placed: HashSet<RunId>,
    /// How each run ended that did.
    pub(super) ended: HashMap<RunId, OutcomeKind>,
}

impl Observed {
    pub(super) fn accepted(&mut self, run: &NewRun) {
        for rate in &run.policy.rates {
            self.starts.entry((run.workspace, rate.name.clone())).or_insert((run.created_at, 0));
        }
    }

    pub(super) fn begins(&mut self, lease: Incarnation, claimed: &Claimed, now: Timestamp) {
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
        if let Some(most) = self.running_max.get(&run.workspace) {
            let running = self.executing.values().filter(|(_, other)| other.workspace == run.workspace).count();
            assert!(running < *most as usize, "more than {most} of {} execute", run.workspace);
        }
        self.starts(claimed, now);
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

    /// No more have started than all the time so far allows.
    fn starts(&mut self, claimed: &Claimed, now: Timestamp) {
        let run = &claimed.run;
        if claimed.is_cancelled || !self.placed.insert(run.id) {
            return;
        }
        for rate in &run.policy.rates {
            let (since, count) = self.starts.get_mut(&(run.workspace, rate.name.clone())).unwrap();
            *count += 1;
            let allowed = (now.micros() - since.micros()) / rate.interval_us + i64::from(rate.burst);
            assert!(*count <= allowed, "{} starts by {:?} since {since}, not {allowed}", *count, rate.name);
        }
    }

    /// An attempt's outcome counted; `kind` if the run ended by it.
    pub(super) fn counted(&mut self, run: RunId, kind: Option<OutcomeKind>) {
        assert!(self.executing.remove(&run).is_some(), "the outcome of {run} counted, which was not executed");
        self.placed.remove(&run);
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
