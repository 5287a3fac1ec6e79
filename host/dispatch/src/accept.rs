//! Accepting: rights, limits, and making the run durable.

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    Cause, CauseKind, Input, OutcomeKind, RunError, RunId, Timestamp, TokenId, WorkspaceId,
    auth::{Action, Domain, Principal},
    code::{Code, Refusal},
    run::NewRun,
    telling::Telling,
    version::{Selector, Target},
};
use sandmill_store::{
    queue::{Cancelled, Enqueued},
    workspaces::{Allotment, Status, Workspace},
};

use crate::{
    Accepted, DRAIN, Dispatch, Inner, RerunTerms, StartRequest, StartTerms, Waited, meters::Left, policy::dedup, refuse, run_as::Acting,
    trace,
};

impl Dispatch {
    /// Makes a run durable; it executes as soon as a worker is free.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `workspace_archived`, `quota_exceeded`, `payload_too_large`, `bad_request`, `idempotency_mismatch`,
    /// `too_many_requests`, `storage_full`, `unavailable`.
    pub async fn accept(&self, request: StartRequest) -> Result<Accepted, Refused> {
        let limits = self.limits(&request.workspace);
        let run = self.new_run(request).await?;
        self.inner.executor.check(run.workspace, run.version, &run.input).await.map_err(Refused::Arguments)?;
        Ok(self.enqueue(run, limits).await?)
    }

    /// Starts a run and waits for its outcome, at most `wait_limit`.
    ///
    /// # Errors
    /// As [`Dispatch::accept`], but arguments that do not fit are an outcome here; and as [`Dispatch::output`], where the run did not
    /// execute for this call.
    pub async fn run(&self, request: StartRequest, wait_limit: Duration) -> Result<Waited, Refusal> {
        self.run_heard(request, wait_limit, None).await
    }

    /// The same, where the run may be heard before it ends.
    pub(crate) async fn run_heard(&self, request: StartRequest, wait_limit: Duration, telling: Option<Telling>) -> Result<Waited, Refusal> {
        let limits = self.limits(&request.workspace);
        let run = self.new_run(request).await?;
        let _hears = telling.map(|telling| self.inner.live.hears(run.id, telling));
        self.run_made(run, limits, wait_limit).await
    }

    /// As [`Dispatch::run`], where nobody else wants the outcome: a run whose caller goes away while it waits is cancelled.
    pub(crate) async fn run_while_wanted(&self, request: StartRequest, wait_limit: Duration) -> Result<Waited, Refusal> {
        let limits = self.limits(&request.workspace);
        let run = self.new_run(request).await?;
        let mut wanted = Wanted { dispatch: self, workspace: run.workspace, run: Some(run.id) };
        let waited = self.run_made(run, limits, wait_limit).await;
        wanted.run = None;
        waited
    }

    async fn run_made(&self, run: NewRun, limits: Limits, wait_limit: Duration) -> Result<Waited, Refusal> {
        if self.may_use_fast_lane(&run) {
            let seat = if limits.is_counted { self.inner.seat(&run).await } else { None };
            if seat.is_some() || !limits.is_counted {
                let left = self.count(&run, &limits).await?;
                return self.run_in_fast_lane(run, left, seat, wait_limit).await;
            }
        }
        let (workspace, mut id) = (run.workspace, run.id);
        let mut ended = self.inner.waiters.register(workspace, id);
        let accepted = self.enqueue(run, limits).await?;
        if accepted.is_repetition {
            id = accepted.run;
            ended = self.inner.waiters.register(workspace, id);
            // It may have ended long ago.
            let first = self.record(workspace, id).await?.filter(|record| record.summary.status.has_ended());
            if let Some(first) = first {
                let outcome = self.inner.outcome_of(workspace, first).await?;
                return Ok(Waited::Ended { run: id, is_repetition: true, outcome: Arc::new(outcome) });
            }
        }
        // A node that stops takes nothing more from the queue: what does not end with what it executes ends elsewhere or later.
        let leaving = async {
            self.inner.draining.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        let outcome = tokio::select! {
            outcome = ended.outcome() => outcome,
            () = tokio::time::sleep(wait_limit) => None,
            () = leaving => None,
        };
        Ok(match outcome {
            Some(outcome) => Waited::Ended { run: id, is_repetition: accepted.is_repetition, outcome: outcome? },
            None => Waited::StillRunning(accepted),
        })
    }

    /// Asks for the end of a run: at once if it waits, soon if it executes.
    ///
    /// # Errors
    /// `storage_full`, `unavailable`.
    pub async fn cancel(&self, workspace: WorkspaceId, run: RunId) -> Result<Cancelled, Refusal> {
        let inner = &self.inner;
        let was_here = inner.live.belongs_to(run, workspace) && inner.end_here(run);
        // Written down in any case: should this node die now, the run is not tried again.
        let cancelled = match inner.store.queue.cancel(workspace, run, inner.clock.now()).await {
            Ok(Cancelled::TooLate) | Err(_) if was_here => Cancelled::Requested,
            cancelled => cancelled.map_err(|error| refuse(&error))?,
        };
        if cancelled == Cancelled::Requested {
            inner.end_here_or_soon(run);
            inner.tell_cancel(run);
        }
        if cancelled == Cancelled::AtOnce {
            let error = RunError::new(OutcomeKind::Cancelled.name(), "the run was cancelled before it started");
            inner.waiters.wake(workspace, run, Arc::new(sandmill_model::Outcome::failed(OutcomeKind::Cancelled, error)));
            inner.followers.wake(&[run]);
            inner.tell_ended([run]);
            inner.ended_so(workspace, run, OutcomeKind::Cancelled);
            // Its key may have gone to another, which is ready now or has to wait for its rate.
            inner.look_for_ready();
            inner.delayed.notify_one();
            inner.tell_ready();
        }
        Ok(cancelled)
    }

    /// Does a run again: with its arguments or others, by its own version or the newest.
    ///
    /// # Errors
    /// `not_found` for an unknown run; else as [`Dispatch::accept`].
    pub async fn rerun(&self, principal: Arc<Principal>, workspace: Workspace, run: RunId, terms: RerunTerms) -> Result<Accepted, Refused> {
        let record = self.record(workspace.id, run).await?.ok_or_else(|| Refusal::new(Code::NotFound, format!("there is no run {run}")))?;
        let RerunTerms { arguments, same_version, idempotency_key } = terms;
        let request = StartRequest {
            principal,
            workspace,
            path: record.summary.path,
            selector: if same_version { Selector::Number(record.summary.number) } else { Selector::Newest },
            input: Input::Arguments(arguments.unwrap_or(record.arguments)),
            terms: StartTerms { idempotency_key, cause: Some(Cause { kind: CauseKind::Rerun, run }), ..StartTerms::default() },
        };
        self.accept(request).await
    }

    fn limits(&self, workspace: &Workspace) -> Limits {
        self.inner.limits_of(workspace)
    }

    /// Counts one more run of a workspace that has limits; returns what it may use.
    async fn count(&self, run: &NewRun, limits: &Limits) -> Result<Left, Refusal> {
        self.inner.count_run(run, limits).await
    }

    async fn enqueue(&self, run: NewRun, limits: Limits) -> Result<Accepted, Refusal> {
        let inner = &self.inner;
        let has_rates = !run.policy.rates.is_empty();
        // A rate may put it off, or not.
        let (id, is_delayed) = (run.id, run.scheduled_for > run.created_at || has_rates);
        let (workspace, input_bytes) = (run.workspace, run.input.len_bytes() as u64);
        inner.backlogs.admit(inner.store.queue.as_ref(), workspace, limits.backlog_max).await?;
        self.count(&run, &limits).await.inspect_err(|_| inner.backlogs.was_none(workspace))?;
        let vacancy = inner.vacancy(&run, limits.is_counted);
        let enqueued = inner.enqueue_or_begin(run, vacancy).await.map_err(|error| refuse(&error));
        if !matches!(enqueued, Ok(Some(Enqueued::New | Enqueued::Begun))) {
            inner.backlogs.was_none(workspace);
            if limits.allotted.is_some() {
                inner.meters.was_none(workspace, input_bytes);
            }
        }
        match enqueued? {
            Some(Enqueued::Begun) => return Ok(Accepted { run: id, is_repetition: false }),
            Some(Enqueued::Duplicate(first)) => return Ok(Accepted { run: first, is_repetition: true }),
            Some(Enqueued::Mismatch(first)) => {
                let detail =
                    format!("run {first} was started with this idempotency key and another body; choose a new key for a new request");
                return Err(Refusal::new(Code::IdempotencyMismatch, detail));
            }
            Some(Enqueued::New) | None => {}
        }
        if is_delayed {
            inner.delayed.notify_one();
        }
        if !is_delayed || has_rates {
            inner.look_for_ready();
            inner.tell_ready();
        }
        Ok(Accepted { run: id, is_repetition: false })
    }

    async fn new_run(&self, request: StartRequest) -> Result<NewRun, Refusal> {
        // What executes here may go on to its end, and its children execute elsewhere or later.
        if self.inner.draining.is_cancelled() && request.terms.child_of.is_none() {
            return Err(Refusal::new(Code::Unavailable, "this node is shutting down"));
        }
        self.inner.make_run(request).await
    }
}

/// A run that somebody waits for, who alone wants it.
struct Wanted<'a> {
    dispatch: &'a Dispatch,
    workspace: WorkspaceId,
    /// None: its caller has heard of it.
    run: Option<RunId>,
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        let Some(run) = self.run else { return };
        let (dispatch, workspace) = (self.dispatch.clone(), self.workspace);
        self.dispatch.inner.tasks.spawn(async move {
            if let Err(refusal) = dispatch.cancel(workspace, run).await {
                tracing::warn!(%refusal, %run, "a run that nobody waits for any more could not be cancelled");
            }
        });
    }
}

/// What a workspace may have and use.
pub(crate) struct Limits {
    backlog_max: u64,
    is_counted: bool,
    /// None: it has no quotas.
    allotted: Option<Arc<Allotment>>,
}

/// What a run is made of.
pub(crate) struct Parts {
    pub(crate) workspace: WorkspaceId,
    pub(crate) workspace_name: Arc<str>,
    pub(crate) target: Target,
    pub(crate) input: Input,
    pub(crate) acting: Acting,
}

impl Inner {
    pub(crate) fn limits_of(&self, workspace: &Workspace) -> Limits {
        let is_unlimited = workspace.allotted.quotas.is_unlimited();
        Limits {
            backlog_max: workspace.settings.backlog_max.unwrap_or(self.options.backlog_max),
            // Whether what executes of a workspace is counted, which all nodes must see.
            is_counted: workspace.running_runs_max().is_some(),
            allotted: (!is_unlimited).then(|| Arc::clone(&workspace.allotted)),
        }
    }

    async fn count_run(&self, run: &NewRun, limits: &Limits) -> Result<Left, Refusal> {
        match &limits.allotted {
            Some(allotted) => self.meters.admit(run.workspace, &allotted.quotas, run.input.len_bytes() as u64).await,
            None => Ok(Left::default()),
        }
    }

    /// Room in the backlog and in the quotas of a workspace for one more run, which is to be written by a delivery.
    ///
    /// # Errors
    /// `too_many_requests`, `quota_exceeded`; as the store says.
    pub(crate) async fn make_room(&self, run: &NewRun, limits: &Limits) -> Result<(), Refusal> {
        self.backlogs.admit(self.store.queue.as_ref(), run.workspace, limits.backlog_max).await?;
        self.count_run(run, limits).await.inspect_err(|_| self.backlogs.was_none(run.workspace))?;
        Ok(())
    }

    /// What [`Self::make_room`] counted came to nothing: it was a repetition, or could not be written.
    pub(crate) fn give_room_back(&self, workspace: WorkspaceId, input_bytes: u64, limits: &Limits) {
        self.backlogs.was_none(workspace);
        if limits.allotted.is_some() {
            self.meters.was_none(workspace, input_bytes);
        }
    }

    /// A run that may be accepted: whoever starts it has the right, and its workspace is active. It is counted and written by others.
    pub(crate) async fn make_run(&self, request: StartRequest) -> Result<NewRun, Refusal> {
        let StartRequest { principal, workspace, path, selector, input, terms } = request;
        if !principal.may(workspace.id, Domain::Runs, Action::Start, Some(path.as_str())) {
            return Err(Refusal::new(
                Code::Forbidden,
                match terms.child_of {
                    None => format!("the token does not allow runs:start:{path}"),
                    Some(_) => format!("the manifest's `[grants]` do not allow to start runs of {path}"),
                },
            ));
        }
        match workspace.status {
            Status::Active => {}
            Status::Archived => {
                return Err(Refusal::new(Code::WorkspaceArchived, "the workspace is archived: nothing new starts in it"));
            }
            Status::Deleting => return Err(Refusal::new(Code::NotFound, "there is no such workspace")),
        }
        if terms.child_of.is_some() {
            self.account_must_allow(workspace.id, &principal, &path).await?;
        }
        if principal.token == TokenId::NONE {
            self.owner_must_be_allowed(workspace.id, &principal.identity, &path).await?;
        }
        let now = self.clock.now();
        let key = (workspace.id, path, selector);
        let found = self.targets.find(self.store.scripts.as_ref(), key.clone(), now).await.map_err(|error| refuse(&error))?;
        let target = found.ok_or_else(|| Refusal::new(Code::NotFound, format!("nothing is deployed at {}", key.1)))?;
        let acting = self.identity(&principal, workspace.id, &target, &terms).await?;
        let scheduled_for = terms.due.map_or(now, |due| due.at(now));
        let mut policy = self.policy(&target, &input, &terms, scheduled_for)?;
        // A handler that fails is not handled by itself.
        let handler = workspace.settings.error_handler.as_ref().filter(|handler| **handler != target.path);
        if policy.error_handler.is_none() && handler.is_some() {
            Arc::make_mut(&mut policy).error_handler = handler.cloned();
        }
        let dedup = dedup(&target.path, key.2, &input, &terms, &principal);
        let lineage = match (terms.child_of, terms.asked_by) {
            (Some(child), _) => Some(child.lineage),
            (None, Some(run)) => Some(self.below(run, scheduled_for)?),
            (None, None) => None,
        };
        let parts = Parts { workspace: workspace.id, workspace_name: workspace.name, target, input, acting };
        let run = self.assemble(parts, now)?;
        Ok(NewRun { policy, dedup, cause: terms.cause, lineage, scheduled_for, stages_state: terms.stages_state, ..run })
    }

    /// A run that is due now, on no special terms.
    pub(crate) fn assemble(&self, parts: Parts, now: Timestamp) -> Result<NewRun, Refusal> {
        let Parts { workspace, workspace_name, target, input, acting } = parts;
        let input_bytes = match &input {
            Input::Arguments(json) => json.as_str().len(),
            Input::Event(event) => event.payload.len(),
        };
        if input_bytes as u64 > target.limits.arguments_bytes {
            let limit = target.limits.arguments_bytes;
            return Err(Refusal::new(
                Code::PayloadTooLarge,
                format!("the arguments have {input_bytes} bytes; this script takes {limit} (limits.arguments_bytes)"),
            ));
        }
        Ok(NewRun {
            id: RunId::new(now),
            workspace,
            workspace_name,
            labels: self.labels(&target, &input),
            path: target.path,
            number: target.number,
            version: target.version,
            input,
            limits: target.limits,
            run_as: acting.run_as,
            answered_by: acting.answered_by,
            stages_state: false,
            created_at: now,
            scheduled_for: now,
            policy: Arc::clone(&self.plain_policy),
            dedup: None,
            cause: None,
            lineage: None,
            trace: trace::current(),
        })
    }
}

/// Why a run was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// The arguments do not fit the schema; details hold the faults.
    #[error("{}", .0.message)]
    Arguments(RunError),
}

impl Refused {
    /// Without the faults of arguments one by one.
    #[must_use]
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Refusal(refusal) => refusal,
            Self::Arguments(error) => Refusal::new(Code::InvalidArguments, error.message),
        }
    }
}
