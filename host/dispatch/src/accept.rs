//! Accepting: rights, limits, and making the run durable.

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    Input, OutcomeKind, RunError, RunId,
    auth::{Action, Domain, Principal},
    code::{Code, Refusal},
    run::NewRun,
    version::Selector,
};
use sandmill_store::{
    queue::{Cancelled, Enqueued},
    workspaces::Workspace,
};

use crate::{Accepted, Dispatch, StartRequest, StartTerms, Waited, policy::dedup, refuse, signals::outcome_of};

impl Dispatch {
    /// Makes a run durable; it executes as soon as a worker is free.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `payload_too_large`, `bad_request`, `idempotency_mismatch`, `too_many_requests`, `storage_full`, `unavailable`.
    pub async fn accept(&self, request: StartRequest) -> Result<Accepted, Refused> {
        let run = self.new_run(request).await?;
        self.inner.executor.check(run.workspace, run.version, &run.input).await.map_err(Refused::Arguments)?;
        Ok(self.enqueue(run).await?)
    }

    /// Starts a run and waits for its outcome, at most `wait_limit`.
    ///
    /// # Errors
    /// As [`Dispatch::accept`], but arguments that do not fit are an outcome here.
    pub async fn run(&self, request: StartRequest, wait_limit: Duration) -> Result<Waited, Refusal> {
        let run = self.new_run(request).await?;
        if self.may_use_fast_lane(&run) {
            return self.run_in_fast_lane(run, wait_limit).await;
        }
        let (workspace, mut id) = (run.workspace, run.id);
        let mut ended = self.inner.waiters.register(workspace, id);
        let accepted = self.enqueue(run).await?;
        if accepted.is_repetition {
            id = accepted.run;
            ended = self.inner.waiters.register(workspace, id);
            // It may have ended long ago.
            let first = self.record(workspace, id).await?.filter(|record| record.summary.status.has_ended());
            if let Some(first) = first {
                return Ok(Waited::Ended { run: id, outcome: Arc::new(outcome_of(first)) });
            }
        }
        Ok(match tokio::time::timeout(wait_limit, ended.outcome()).await {
            Ok(Some(outcome)) => Waited::Ended { run: id, outcome },
            Ok(None) | Err(_) => Waited::StillRunning(id),
        })
    }

    /// Asks for the end of a run: at once if it waits, soon if it executes.
    ///
    /// # Errors
    /// `storage_full`, `unavailable`.
    pub async fn cancel(&self, workspace: sandmill_model::WorkspaceId, run: RunId) -> Result<Cancelled, Refusal> {
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
            inner.waiters.wake(run, Arc::new(sandmill_model::Outcome::failed(OutcomeKind::Cancelled, error)));
            inner.tell_ended([run]);
            // Its key may have gone to another.
            inner.ready.notify_one();
        }
        Ok(cancelled)
    }

    /// Starts the newest version of a run's script with the arguments that the run had.
    ///
    /// # Errors
    /// `not_found` for an unknown run; else as [`Dispatch::accept`].
    pub async fn rerun(
        &self,
        principal: Arc<Principal>,
        workspace: Workspace,
        run: RunId,
        idempotency_key: Option<String>,
    ) -> Result<Accepted, Refused> {
        let record = self.record(workspace.id, run).await?.ok_or_else(|| Refusal::new(Code::NotFound, format!("there is no run {run}")))?;
        let request = StartRequest {
            principal,
            workspace,
            path: record.summary.path,
            selector: Selector::Newest,
            input: Input::Arguments(record.arguments),
            terms: StartTerms { idempotency_key, ..StartTerms::default() },
        };
        self.accept(request).await
    }

    async fn enqueue(&self, run: NewRun) -> Result<Accepted, Refusal> {
        let inner = &self.inner;
        let (id, is_delayed) = (run.id, run.scheduled_for > run.created_at);
        inner.backlogs.admit(inner.store.queue.as_ref(), run.workspace, inner.options.backlog_max, run.created_at).await?;
        let enqueued = inner.store.queue.enqueue(vec![run]).await.map_err(|error| refuse(&error))?;
        match enqueued.first() {
            Some(Enqueued::Duplicate(first)) => return Ok(Accepted { run: *first, is_repetition: true }),
            Some(Enqueued::Mismatch(first)) => {
                let detail =
                    format!("run {first} was started with this idempotency key and another body; choose a new key for a new request");
                return Err(Refusal::new(Code::IdempotencyMismatch, detail));
            }
            Some(Enqueued::New) | None => {}
        }
        if is_delayed {
            inner.delayed.notify_one();
        } else {
            inner.ready.notify_one();
            inner.tell_ready();
        }
        Ok(Accepted { run: id, is_repetition: false })
    }

    async fn new_run(&self, request: StartRequest) -> Result<NewRun, Refusal> {
        let StartRequest { principal, workspace, path, selector, input, terms } = request;
        if self.inner.draining.is_cancelled() {
            return Err(Refusal::new(Code::Unavailable, "this node is shutting down"));
        }
        if !principal.may(workspace.id, Domain::Runs, Action::Start, Some(path.as_str())) {
            return Err(Refusal::new(Code::Forbidden, format!("the token does not allow runs:start:{path}")));
        }
        let now = self.inner.clock.now();
        let key = (workspace.id, path, selector);
        let found = self.inner.targets.find(self.inner.store.scripts.as_ref(), key.clone(), now).await.map_err(|error| refuse(&error))?;
        let target = found.ok_or_else(|| Refusal::new(Code::NotFound, format!("nothing is deployed at {}", key.1)))?;
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
        let policy = self.inner.policy(&target, &input, &terms, now)?;
        Ok(NewRun {
            id: RunId::new(now),
            dedup: dedup(&target.path, &input, &terms, &principal),
            policy,
            workspace: workspace.id,
            workspace_name: workspace.name,
            path: target.path,
            number: target.number,
            version: target.version,
            input,
            limits: target.limits,
            run_as: Arc::clone(&principal.identity),
            created_at: now,
            scheduled_for: terms.scheduled_for.unwrap_or(now).max(now),
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
