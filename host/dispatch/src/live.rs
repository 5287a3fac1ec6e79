//! Runs that execute on this node now: whose they are and how far they say they are.

mod tokens;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use sandmill_model::{
    RunId, RunRecord, RunStatus, RunSummary, Timestamp, Usage, WorkspaceId,
    run::{Lineage, NewRun},
    telling::Telling,
};
use sandmill_store::{nodes::Incarnation, queue::Logged};

use crate::asleep::Berth;
pub use tokens::RunCaller;

/// Characters of a progress text that are kept.
const PROGRESS_CHARS_MAX: usize = 1_000;
/// Cancels that are remembered for runs that begin here in a moment. Past it a run learns of its cancel at the next sign of life.
const CANCELLED_EARLY_MAX: usize = 1_000;

/// How far a run says it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// 0 to 100.
    pub percent: f64,
    pub text: String,
}

#[derive(Default)]
pub(crate) struct Live {
    runs: Mutex<HashMap<RunId, LiveRun>>,
    /// Runs that are to be ended and were not here yet: their claim may be on its way. Locked after `runs`.
    cancelled_early: Mutex<VecDeque<RunId>>,
    /// Where runs that answer HTTP themselves are heard here, until they begin to.
    audiences: Mutex<HashMap<RunId, Telling>>,
}

/// Whether a run was marked as cancelled now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marked {
    Now,
    Before,
}

struct LiveRun {
    run: NewRun,
    start: Start,
    /// Under which its log may be written while it goes on; none as long as it is not durable.
    writes_as: Option<Incarnation>,
    logged: Logged,
    /// It has ended: what is left of its log is written with its end.
    is_settled: bool,
    /// Its slot, from the moment that it has one.
    berth: Weak<Berth>,
    /// It waits for others without a slot.
    is_asleep: bool,
    progress: Option<Progress>,
    is_cancelled: bool,
    /// Once it has called the API.
    token: Option<tokens::Token>,
}

/// How an attempt began.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) attempt: u32,
    /// How often the run was begun, this time included.
    pub(crate) begun: u32,
    pub(crate) at: Timestamp,
    /// None on the fast lane.
    pub(crate) lease: Option<Incarnation>,
}

/// A run whose log may have more than is written.
pub(crate) struct Unwritten {
    pub(crate) lease: Incarnation,
    pub(crate) workspace: WorkspaceId,
    pub(crate) run: RunId,
    pub(crate) begun: u32,
    pub(crate) logged: Logged,
}

/// Until it is dropped a run may begin to tell.
pub(crate) struct Hears<'a> {
    live: &'a Live,
    run: RunId,
}

impl Drop for Hears<'_> {
    fn drop(&mut self) {
        drop(self.live.telling(self.run));
    }
}

impl Live {
    fn audiences(&self) -> MutexGuard<'_, HashMap<RunId, Telling>> {
        self.audiences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody waits here for what a run answers.
    pub(crate) fn hears(&self, run: RunId, telling: Telling) -> Hears<'_> {
        self.audiences().insert(run, telling);
        Hears { live: self, run }
    }

    /// Where a run tells what it answers; once.
    pub(crate) fn telling(&self, run: RunId) -> Option<Telling> {
        self.audiences().remove(&run)
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, LiveRun>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, run: NewRun, start: Start) {
        let mut runs = self.runs();
        let is_cancelled = self.cancelled_early().contains(&run.id);
        let logged = Logged { begun: Some(start.begun), ..Logged::default() };
        let live = LiveRun {
            run,
            start,
            writes_as: start.lease,
            logged,
            is_settled: false,
            berth: Weak::new(),
            is_asleep: false,
            progress: None,
            is_cancelled,
            token: None,
        };
        runs.insert(live.run.id, live);
    }

    /// A run got a slot.
    pub(crate) fn occupies(&self, run: RunId, berth: &Arc<Berth>) {
        if let Some(live) = self.runs().get_mut(&run) {
            live.berth = Arc::downgrade(berth);
        }
    }

    pub(crate) fn sleeps(&self, run: RunId, sleeps: bool) {
        if let Some(live) = self.runs().get_mut(&run) {
            live.is_asleep = sleeps;
        }
    }

    pub(crate) fn berth(&self, run: RunId) -> Option<Arc<Berth>> {
        self.runs().get(&run)?.berth.upgrade()
    }

    /// Under which lease a run that executes here is in the queue.
    pub(crate) fn lease(&self, run: RunId) -> Option<Incarnation> {
        self.runs().get(&run)?.writes_as
    }

    /// Where a run stands below others, and its priority.
    pub(crate) fn standing(&self, run: RunId) -> Option<(Lineage, i32)> {
        let runs = self.runs();
        let run = &runs.get(&run)?.run;
        Some((run.lineage.unwrap_or(Lineage { depth: 0, since: run.scheduled_for }), run.policy.priority))
    }

    /// Who answers for whom a run acts as that executes here.
    pub(crate) fn answered_by(&self, run: RunId) -> Option<Arc<str>> {
        self.runs().get(&run)?.run.answered_by.clone()
    }

    fn cancelled_early(&self) -> MutexGuard<'_, VecDeque<RunId>> {
        self.cancelled_early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a run as cancelled; none if it is not here.
    pub(crate) fn cancel(&self, run: RunId) -> Option<Marked> {
        self.runs().get_mut(&run).map(LiveRun::cancel)
    }

    /// The same, and a run that is not here is marked as soon as it is.
    pub(crate) fn cancel_early(&self, run: RunId) -> Option<Marked> {
        let mut runs = self.runs();
        if let Some(live) = runs.get_mut(&run) {
            return Some(live.cancel());
        }
        let mut early = self.cancelled_early();
        if early.len() >= CANCELLED_EARLY_MAX {
            early.pop_front();
        }
        early.push_back(run);
        None
    }

    pub(crate) fn is_cancelled(&self, run: RunId) -> bool {
        self.runs().get(&run).is_some_and(|live| live.is_cancelled)
    }

    pub(crate) fn has(&self, run: RunId) -> bool {
        self.runs().contains_key(&run)
    }

    /// A run of the fast lane has become durable.
    pub(crate) fn promised(&self, run: RunId, lease: Incarnation) {
        if let Some(live) = self.runs().get_mut(&run) {
            live.writes_as = Some(lease);
        }
    }

    /// How often a run was begun that executes here.
    pub(crate) fn begun(&self, run: RunId, workspace: WorkspaceId) -> Option<u32> {
        self.runs().get(&run).filter(|live| live.run.workspace == workspace).map(|live| live.start.begun)
    }

    /// Runs that began before `age` ago and whose log may be written.
    pub(crate) fn unwritten(&self, now: Timestamp, age: Duration) -> Vec<Unwritten> {
        let runs = self.runs();
        let old = runs.iter().filter(|(_, live)| !live.is_settled && now.since(live.start.at) >= age);
        old.filter_map(|(run, live)| {
            let (workspace, begun, logged) = (live.run.workspace, live.start.begun, live.logged);
            live.writes_as.map(|lease| Unwritten { lease, workspace, run: *run, begun, logged })
        })
        .collect()
    }

    /// A part of a run's log is about to be written, as far as it says; false if the run has ended.
    pub(crate) fn writes(&self, unwritten: &Unwritten) -> bool {
        let mut runs = self.runs();
        let live = runs.get_mut(&unwritten.run).filter(|live| live.start.begun == unwritten.begun && !live.is_settled);
        live.map(|live| live.logged.perhaps = unwritten.logged.perhaps).is_some()
    }

    /// It is written.
    pub(crate) fn wrote(&self, unwritten: &Unwritten) {
        if let Some(live) = self.runs().get_mut(&unwritten.run).filter(|live| live.start.begun == unwritten.begun) {
            live.logged.entries = live.logged.entries.max(unwritten.logged.perhaps);
        }
    }

    /// A run has ended: from now on nobody begins to write a part of its log. Returns how much is written.
    pub(crate) fn settle(&self, run: RunId, begun: u32) -> Logged {
        let mut runs = self.runs();
        let live = runs.get_mut(&run).filter(|live| live.start.begun == begun);
        live.map_or(Logged { begun: Some(begun), ..Logged::default() }, |live| {
            live.is_settled = true;
            live.logged
        })
    }

    pub(crate) fn count_of(&self, workspace: WorkspaceId) -> usize {
        self.runs().values().filter(|live| live.run.workspace == workspace).count()
    }

    /// The runs of these workspaces.
    pub(crate) fn of_any(&self, workspaces: &[WorkspaceId]) -> Vec<(RunId, WorkspaceId)> {
        if workspaces.is_empty() {
            return Vec::new();
        }
        let workspaces: HashSet<WorkspaceId> = workspaces.iter().copied().collect();
        let runs = self.runs();
        let of = runs.iter().filter(|(_, live)| workspaces.contains(&live.run.workspace));
        of.map(|(run, live)| (*run, live.run.workspace)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.runs().len()
    }

    /// Runs that are in the queue: from there, or promised.
    pub(crate) fn leased(&self) -> Vec<RunId> {
        self.runs().iter().filter(|(_, live)| live.writes_as.is_some()).map(|(run, _)| *run).collect()
    }

    /// How many runs from the queue each workspace has at work here. Those that sleep are not: they wait for others of theirs.
    pub(crate) fn at_work(&self) -> HashMap<WorkspaceId, u32> {
        let mut counts = HashMap::new();
        for live in self.runs().values().filter(|live| live.start.lease.is_some() && !live.is_asleep) {
            *counts.entry(live.run.workspace).or_default() += 1;
        }
        counts
    }

    /// Ends what was begun for the time `begun`; it may have been begun again since.
    pub(crate) fn end(&self, run: RunId, begun: u32) {
        let mut runs = self.runs();
        if runs.get(&run).is_some_and(|live| live.start.begun == begun) {
            runs.remove(&run);
        }
    }

    pub(crate) fn report(&self, run: RunId, percent: f64, text: &str) {
        if let Some(live) = self.runs().get_mut(&run) {
            live.progress = Some(Progress { percent, text: text.chars().take(PROGRESS_CHARS_MAX).collect() });
        }
    }

    pub(crate) fn progress(&self, run: RunId) -> Option<Progress> {
        self.runs().get(&run).and_then(|live| live.progress.clone())
    }

    pub(crate) fn belongs_to(&self, run: RunId, workspace: WorkspaceId) -> bool {
        self.runs().get(&run).is_some_and(|live| live.run.workspace == workspace)
    }

    /// A run of the fast lane has no row anywhere while it executes; this is what is known of it.
    pub(crate) fn record(&self, run: RunId, workspace: WorkspaceId) -> Option<RunRecord> {
        let runs = self.runs();
        let live = runs.get(&run).filter(|live| live.run.workspace == workspace)?;
        let (arguments, event) = (live.run.input.arguments(), live.run.input.metadata());
        Some(RunRecord { summary: live.summary(), arguments, event, output: None, error: None, usage: Usage::default() })
    }

    pub(crate) fn summaries(&self, workspace: WorkspaceId) -> Vec<RunSummary> {
        self.runs().values().filter(|live| live.run.workspace == workspace).map(LiveRun::summary).collect()
    }
}

impl LiveRun {
    fn cancel(&mut self) -> Marked {
        if std::mem::replace(&mut self.is_cancelled, true) { Marked::Before } else { Marked::Now }
    }

    fn summary(&self) -> RunSummary {
        let run = &self.run;
        RunSummary {
            id: run.id,
            path: run.path.clone(),
            number: run.number,
            version: run.version,
            status: if self.is_asleep { RunStatus::Suspended } else { RunStatus::Running },
            outcome: None,
            trigger_kind: run.input.trigger().map(|trigger| trigger.kind.to_string()),
            trigger_path: run.input.trigger().and_then(|trigger| trigger.path.clone()),
            attempt: self.start.attempt,
            run_as: run.run_as.to_string(),
            created_at: run.created_at,
            scheduled_for: run.scheduled_for,
            started_at: Some(self.start.at),
            ended_at: None,
            tag: Arc::clone(&run.policy.tag),
            cause: run.cause,
            labels: Arc::clone(&run.labels),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
