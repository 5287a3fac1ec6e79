//! Runs that execute on this node now: whose they are and how far they say they are.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sandmill_model::{RunId, RunRecord, RunStatus, RunSummary, Timestamp, Usage, WorkspaceId, run::NewRun};
use sandmill_store::nodes::Incarnation;

/// Characters of a progress text that are kept.
const PROGRESS_CHARS_MAX: usize = 1_000;

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
}

struct LiveRun {
    run: NewRun,
    attempt: u32,
    started_at: Timestamp,
    /// None on the fast lane.
    lease: Option<Incarnation>,
    progress: Option<Progress>,
}

impl Live {
    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, LiveRun>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, run: NewRun, attempt: u32, started_at: Timestamp, lease: Option<Incarnation>) {
        self.runs().insert(run.id, LiveRun { run, attempt, started_at, lease, progress: None });
    }

    pub(crate) fn len(&self) -> usize {
        self.runs().len()
    }

    /// Runs that came from the queue.
    pub(crate) fn leased(&self) -> Vec<RunId> {
        self.runs().iter().filter(|(_, live)| live.lease.is_some()).map(|(run, _)| *run).collect()
    }

    /// How many runs from the queue each workspace has at work here.
    pub(crate) fn at_work(&self) -> HashMap<WorkspaceId, u32> {
        let mut counts = HashMap::new();
        for live in self.runs().values().filter(|live| live.lease.is_some()) {
            *counts.entry(live.run.workspace).or_default() += 1;
        }
        counts
    }

    pub(crate) fn end(&self, run: RunId) {
        self.runs().remove(&run);
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
        let (arguments, event) = match &live.run.input {
            sandmill_model::Input::Arguments(json) => (json.clone(), None),
            sandmill_model::Input::Event(event) => (event.arguments(), Some(event.metadata.clone())),
        };
        Some(RunRecord { summary: live.summary(), arguments, event, output: None, error: None, usage: Usage::default() })
    }

    pub(crate) fn summaries(&self, workspace: WorkspaceId) -> Vec<RunSummary> {
        self.runs().values().filter(|live| live.run.workspace == workspace).map(LiveRun::summary).collect()
    }
}

impl LiveRun {
    fn summary(&self) -> RunSummary {
        let run = &self.run;
        RunSummary {
            id: run.id,
            path: run.path.clone(),
            number: run.number,
            version: run.version,
            status: RunStatus::Running,
            outcome: None,
            trigger_kind: run.input.trigger().map(|trigger| trigger.kind.to_string()),
            attempt: self.attempt,
            run_as: run.run_as.to_string(),
            created_at: run.created_at,
            scheduled_for: run.scheduled_for,
            started_at: Some(self.started_at),
            ended_at: None,
        }
    }
}
