//! What the interfaces of one run have in common: the facts of the run and the ports.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use sandmill_model::{Attempt, Grants, Input, children::Children, limits::CHILDREN_MAX};

use crate::{OutputPort, StatePort, StateScope};

/// Progress reports that a run may make each second, and at once.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);
const PROGRESS_BURST: u32 = 20;

/// The `host` of a run's data.
#[derive(Clone)]
pub struct Host {
    pub run: Arc<RunFacts>,
    pub ports: Ports,
}

/// The world as the interfaces see it.
#[derive(Clone)]
pub struct Ports {
    pub state: Arc<dyn StatePort>,
    pub output: Arc<dyn OutputPort>,
    pub runs: Arc<dyn Children>,
}

/// What is known of a run.
pub struct RunFacts {
    pub attempt: Attempt,
    /// What its script was granted.
    pub grants: Arc<Grants>,
    /// Runs that it started.
    children: AtomicUsize,
    /// When the next progress report would be due if all came evenly.
    progress_due: Mutex<Option<Instant>>,
}

impl RunFacts {
    #[must_use]
    pub fn of(attempt: Attempt, grants: Arc<Grants>) -> Self {
        Self { attempt, grants, children: AtomicUsize::new(0), progress_due: Mutex::new(None) }
    }

    /// The event's payload; empty for a run that no event started.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        match &self.attempt.input {
            Input::Arguments(_) => Bytes::new(),
            Input::Event(event) => event.payload.clone(),
        }
    }

    /// State is kept per script and trigger.
    #[must_use]
    pub fn state_scope(&self) -> StateScope {
        let trigger = self.attempt.input.trigger().and_then(|trigger| trigger.path.as_deref());
        StateScope { workspace: self.attempt.workspace, path: self.attempt.path.clone(), trigger: trigger.unwrap_or_default().to_owned() }
    }

    /// Counts one more run that this one starts; false if there may be no more.
    pub(crate) fn may_start_another(&self) -> bool {
        self.children.try_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < CHILDREN_MAX).then_some(count + 1)).is_ok()
    }

    /// What was counted last was not started.
    pub(crate) fn started_none(&self) {
        self.children.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether one more progress report may be made now.
    pub(crate) fn may_report_progress(&self) -> bool {
        let now = Instant::now();
        let mut due = self.progress_due.lock().unwrap_or_else(PoisonError::into_inner);
        let next = due.unwrap_or(now).max(now);
        if next.duration_since(now) > PROGRESS_INTERVAL * PROGRESS_BURST {
            return false;
        }
        *due = Some(next + PROGRESS_INTERVAL);
        true
    }
}
