//! What the interfaces of one run have in common: the facts of the run and the ports.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use sandmill_model::{Attempt, Grant, Grants, Input, auth::SharedScopes, children::Children, grants::Granted, limits::CHILDREN_MAX};
use tokio::sync::Semaphore;

use crate::{
    GrantsPort, OutputPort, Placeholders, Publishers, ResourcesPort, StatePort, StateScope, VariablesPort, blob,
    http::{CredentialsPort, HttpState, Outbound},
    sql,
};

/// Progress reports that a run may make each second, and at once.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);
const PROGRESS_BURST: u32 = 20;

/// The `host` of a run's data.
#[derive(Clone)]
pub struct Host {
    pub run: Arc<RunFacts>,
    pub ports: Ports,
    pub http: HttpState,
}

impl Host {
    #[must_use]
    pub fn new(run: Arc<RunFacts>, ports: Ports) -> Self {
        Self { run, ports, http: HttpState::default() }
    }
}

/// The world as the interfaces see it.
#[derive(Clone)]
pub struct Ports {
    pub grants: Arc<dyn GrantsPort>,
    pub state: Arc<dyn StatePort>,
    pub output: Arc<dyn OutputPort>,
    pub runs: Arc<dyn Children>,
    pub variables: Arc<dyn VariablesPort>,
    pub http: Arc<Outbound>,
    pub credentials: Arc<dyn CredentialsPort>,
    pub resources: Arc<dyn ResourcesPort>,
    pub sql: sql::Databases,
    pub blob: blob::Blobs,
    pub publish: Publishers,
}

/// What is known of a run.
pub struct RunFacts {
    pub attempt: Attempt,
    /// What its script's manifest asks for; what of it was granted is looked up when it matters.
    pub asked: Arc<Grants>,
    /// Runs that it started.
    children: AtomicUsize,
    /// When the next progress report would be due if all came evenly.
    progress_due: Mutex<Option<Instant>>,
    placeholders: OnceLock<Placeholders>,
    /// Made when a script first asks, as the others.
    transactions: OnceLock<Arc<Semaphore>>,
    blob: OnceLock<blob::Room>,
    /// What it may ask the API when it was given this.
    api: Mutex<Option<(Arc<[Grant]>, SharedScopes)>>,
}

impl RunFacts {
    #[must_use]
    pub fn of(attempt: Attempt, asked: Arc<Grants>) -> Self {
        Self {
            attempt,
            asked,
            children: AtomicUsize::new(0),
            progress_due: Mutex::new(None),
            placeholders: OnceLock::new(),
            transactions: OnceLock::new(),
            blob: OnceLock::new(),
            api: Mutex::new(None),
        }
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
        let Attempt { run, workspace, path, input, stages_state, .. } = &self.attempt;
        let trigger = input.trigger().and_then(|trigger| trigger.path.as_deref()).unwrap_or_default();
        StateScope { workspace: *workspace, path: path.clone(), trigger: trigger.to_owned(), staged_by: stages_state.then_some(*run) }
    }

    /// One for each transaction on a database.
    pub(crate) fn transactions(&self) -> &Arc<Semaphore> {
        self.transactions.get_or_init(|| Arc::new(Semaphore::new(sql::TRANSACTIONS_MAX)))
    }

    /// For readers and writers of objects.
    pub(crate) fn blob(&self) -> &blob::Room {
        self.blob.get_or_init(blob::Room::default)
    }

    /// The scopes that it may use the API with, by what its script was granted. They are made once for each list of what was given: what a
    /// run asks for and what it was given are compared as a whole, and it may send many requests.
    pub(crate) fn api_scopes(&self, granted: &Granted) -> SharedScopes {
        let mut kept = self.api.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((given, scopes)) = &mut *kept {
            if !Arc::ptr_eq(given, granted.given()) && **given == **granted.given() {
                // Looked up once more, and unchanged.
                *given = Arc::clone(granted.given());
            }
            if Arc::ptr_eq(given, granted.given()) {
                return Arc::clone(scopes);
            }
        }
        let scopes: SharedScopes = granted.api().into();
        *kept = Some((Arc::clone(granted.given()), Arc::clone(&scopes)));
        scopes
    }

    /// Texts that stand for secrets in this run.
    pub fn placeholders(&self) -> &Placeholders {
        self.placeholders.get_or_init(Placeholders::default)
    }

    /// None if no interface has asked for them yet.
    pub(crate) fn made_placeholders(&self) -> Option<&Placeholders> {
        self.placeholders.get()
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

#[cfg(test)]
mod tests {
    use sandmill_model::{Clock as _, Digest, JsonText, Limits, RunId, SystemClock, WorkspaceId, auth::Scope};

    use super::*;

    #[test]
    fn scopes_of_the_api_are_made_once_for_each_list_of_grants() {
        let now = SystemClock.now();
        let attempt = Attempt {
            run: RunId::new(now),
            number: 1,
            workspace: WorkspaceId::new(now),
            workspace_name: "default".into(),
            path: "f/test/script".parse().unwrap(),
            version: Digest::of(b"version"),
            input: Input::Arguments(JsonText::empty_object()),
            limits: Limits::default(),
            started_at: now,
            run_as: "u/somebody".into(),
            stages_state: false,
        };
        let asked = Arc::new(Grants { api: vec!["runs:start:f/*".parse().unwrap()], ..Grants::default() });
        let run = RunFacts::of(attempt, Arc::clone(&asked));
        let scopes = |given: &[&str]| {
            let given = given.iter().map(|text| text.parse::<Grant>().unwrap()).collect();
            run.api_scopes(&Granted::of(Arc::clone(&asked), given))
        };
        let texts = |scopes: &[Scope]| scopes.iter().map(ToString::to_string).collect::<Vec<_>>();
        let first = scopes(&["api:runs:start:f/a"]);
        assert_eq!(texts(&first), ["runs:start:f/a"]);
        assert!(Arc::ptr_eq(&first, &scopes(&["api:runs:start:f/a"])), "looked up again");
        assert_eq!(texts(&scopes(&["api:runs:start:f/b"])), ["runs:start:f/b"]);
        assert!(scopes(&[]).is_empty(), "taken away");
        assert_eq!(texts(&scopes(&["api:runs:start:f/a"])), ["runs:start:f/a"]);
    }
}
