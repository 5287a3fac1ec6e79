//! Runs that runs start. A child is accepted as any other run is: by [`Dispatch::accept`], with the rights that its parent's script was
//! granted and no others. It takes its parent's place in the queue, so that what was begun first is finished first.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use sandmill_model::{
    BoxFuture, Cause, CauseKind, Input, Outcome, OutcomeKind, RunId, Timestamp, TokenId, WorkspaceId,
    auth::Principal,
    children::{ChildError, ChildRequest, Children, Parent, Until},
    code::{Code, Refusal},
    limits::{CHILD_DEPTH_MAX, CHILDREN_MAX},
    run::Lineage,
};
use sandmill_store::{history::Kin, queue::Cancelled};
use tracing::Instrument as _;

use crate::{Dispatch, Due, Inner, LiveRuns, Refused, StartRequest, StartTerms, families::Starting, refuse};

/// Children that are looked up at once to be cancelled.
const CANCEL_BATCH: u32 = 500;

/// What a child has from its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildOf {
    pub(crate) parent: RunId,
    pub(crate) lineage: Lineage,
    /// Holds where neither the child's script nor whoever starts it says another.
    pub(crate) priority: i32,
}

impl Children for LiveRuns {
    fn start(&self, parent: Parent, child: ChildRequest) -> BoxFuture<'_, Result<RunId, ChildError>> {
        Box::pin(async move { self.dispatch()?.start_child(parent, child).await })
    }

    fn wait(&self, parent: Parent, children: Vec<RunId>, until: Until, limit: Duration) -> BoxFuture<'_, Result<Vec<RunId>, ChildError>> {
        Box::pin(async move { self.dispatch()?.inner.wait_for_children(&parent, children, until, limit).await })
    }

    fn outcome(&self, parent: Parent, child: RunId) -> BoxFuture<'_, Result<Option<Outcome>, ChildError>> {
        Box::pin(async move {
            let inner = self.dispatch()?.inner;
            let kin = inner.kin(&parent, vec![child]).await?;
            if kin.iter().any(|kin| !kin.has_ended) {
                return Ok(None);
            }
            let record = inner.store.history.run(parent.workspace, child).await.map_err(|error| ChildError::from(refuse(&error)))?;
            let record = record.ok_or_else(|| no_child(child))?;
            Ok(Some(inner.outcome_of(parent.workspace, record).await?))
        })
    }

    fn cancel(&self, parent: Parent, child: RunId) -> BoxFuture<'_, Result<bool, ChildError>> {
        Box::pin(async move {
            let dispatch = self.dispatch()?;
            let kin = dispatch.inner.kin(&parent, vec![child]).await?;
            if kin.iter().any(|kin| kin.has_ended) {
                return Ok(false);
            }
            Ok(dispatch.cancel(parent.workspace, child).await? != Cancelled::TooLate)
        })
    }
}

impl LiveRuns {
    fn dispatch(&self) -> Result<Dispatch, ChildError> {
        let inner = self.dispatch.get().and_then(std::sync::Weak::upgrade);
        inner.map(|inner| Dispatch { inner }).ok_or_else(|| ChildError::Unavailable("this node is shutting down".to_owned()))
    }
}

fn too_deep() -> String {
    format!("{CHILD_DEPTH_MAX} runs stand above each other already, which is the most")
}

impl Dispatch {
    async fn start_child(self, parent: Parent, child: ChildRequest) -> Result<RunId, ChildError> {
        let inner = &self.inner;
        let now = inner.clock.now();
        // The fast lane's runs are not known before they have waited once; nothing stands above them.
        let (above, priority) = inner.live.standing(parent.run).unwrap_or((Lineage { depth: 0, since: now }, 0));
        let lineage = Lineage { depth: above.depth + 1, ..above };
        if lineage.depth > CHILD_DEPTH_MAX {
            return Err(ChildError::TooMany(too_deep()));
        }
        let workspace = inner.store.workspaces.by_name(&parent.workspace_name).await.map_err(|error| refuse(&error))?;
        let workspace = workspace.filter(|workspace| workspace.id == parent.workspace);
        let workspace = workspace.ok_or_else(|| ChildError::Unavailable("the workspace has another name by now".to_owned()))?;
        let ChildRequest { path, selector, arguments, grants, terms } = child;
        let scopes = grants.scopes().into();
        let principal = Principal { token: TokenId(parent.run.0), workspace: Some(parent.workspace), identity: parent.run_as, scopes };
        let request = StartRequest {
            principal: Arc::new(principal),
            workspace,
            path,
            selector,
            input: Input::Arguments(arguments),
            terms: StartTerms {
                due: terms.delay.map(Due::In),
                priority: terms.priority,
                tag: terms.tag,
                idempotency_key: terms.key,
                cause: Some(Cause { kind: CauseKind::Parent, run: parent.run }),
                child_of: Some(ChildOf { parent: parent.run, lineage, priority }),
                ..StartTerms::default()
            },
        };
        // In a task of its own: a parent that ends must not leave a child behind of which nobody knows whether it was started.
        let (dispatch, starting) = (self.clone(), Starting::of(inner, parent.run));
        let started = inner.tasks.spawn(
            async move {
                let accepted = dispatch.accept(request).await?;
                if starting.is_too_late() {
                    dispatch.cancel(parent.workspace, accepted.run).await?;
                }
                Ok::<RunId, Refused>(accepted.run)
            }
            .in_current_span(),
        );
        match started.await {
            Ok(started) => Ok(started?),
            Err(error) => Err(ChildError::Unavailable(error.to_string())),
        }
    }
}

impl Inner {
    /// Where a run stands that another one asks for and that is due at `since`: it waits like all others. Else a script that starts itself
    /// would go on for ever, and take twice as much with each generation.
    ///
    /// # Errors
    /// `forbidden` if so many stand above each other already, or if the one that asks has ended.
    pub(crate) fn below(&self, asking: RunId, since: Timestamp) -> Result<Lineage, Refusal> {
        let forbidden = |detail: String| Refusal::new(Code::Forbidden, detail);
        let (above, _) = self.live.standing(asking).ok_or_else(|| forbidden("the run that asks for it has ended".to_owned()))?;
        if above.depth >= CHILD_DEPTH_MAX {
            return Err(forbidden(too_deep()));
        }
        Ok(Lineage { depth: above.depth + 1, since })
    }

    /// Those of `runs` that are children of `parent`.
    ///
    /// # Errors
    /// `NotFound` if one is not.
    async fn kin(&self, parent: &Parent, runs: Vec<RunId>) -> Result<Vec<Kin>, ChildError> {
        let kin = self.store.history.kin(parent.workspace, parent.run, runs.clone()).await.map_err(|error| refuse(&error))?;
        let known: HashSet<RunId> = kin.iter().map(|kin| kin.run).collect();
        match runs.into_iter().find(|run| !known.contains(run)) {
            None => Ok(kin),
            Some(run) if run == parent.run => Err(ChildError::Invalid("a run cannot wait for itself, nor steer itself".to_owned())),
            Some(run) => Err(no_child(run)),
        }
    }

    async fn wait_for_children(
        self: &Arc<Self>,
        parent: &Parent,
        children: Vec<RunId>,
        until: Until,
        limit: Duration,
    ) -> Result<Vec<RunId>, ChildError> {
        let mut seen = HashSet::new();
        let children: Vec<RunId> = children.into_iter().filter(|child| seen.insert(*child)).collect();
        if children.len() > CHILDREN_MAX {
            return Err(ChildError::TooMany(format!("a run waits for at most {CHILDREN_MAX} others at once")));
        }
        // Before they are looked up: of those that end in between one hears.
        let waits: Vec<_> = children.iter().map(|child| (*child, self.waiters.register(parent.workspace, *child))).collect();
        let mut ended: HashSet<RunId> =
            self.kin(parent, children.clone()).await?.into_iter().filter(|kin| kin.has_ended).map(|kin| kin.run).collect();
        let mut rest: FuturesUnordered<_> = waits
            .into_iter()
            .filter(|(child, _)| !ended.contains(child))
            .map(|(child, wait)| async move { wait.outcome().await.map(|_| child) })
            .collect();
        let is_over = |ended: &HashSet<RunId>| ended.len() == children.len() || until == Until::Any && !ended.is_empty();
        if !is_over(&ended) && !limit.is_zero() {
            let waiting = async {
                while let Some(child) = rest.next().await {
                    ended.extend(child);
                    if is_over(&ended) {
                        break;
                    }
                }
            };
            self.asleep(parent, async { drop(tokio::time::timeout(limit, waiting).await) }).await?;
        }
        Ok(children.into_iter().filter(|child| ended.contains(child)).collect())
    }

    /// What a run takes along that ended so: if somebody or its own time cut it short, whatever it started and has not ended.
    pub(crate) fn ended_so(self: &Arc<Self>, workspace: WorkspaceId, run: RunId, kind: OutcomeKind) {
        if matches!(kind, OutcomeKind::Cancelled | OutcomeKind::Timeout | OutcomeKind::Poisoned) {
            self.families.end(run);
            self.tasks.spawn(Arc::clone(self).cancel_children(workspace, run));
        }
    }

    /// Cancels the children of `parent`, and with each that waits for its turn what it started in earlier attempts. Those that execute take
    /// their own along as they end.
    fn cancel_children(self: Arc<Self>, workspace: WorkspaceId, parent: RunId) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut after = None;
            loop {
                let children = match self.store.queue.children(workspace, parent, after, CANCEL_BATCH).await {
                    Ok(children) => children,
                    Err(error) => {
                        tracing::error!(%error, run = %parent, "the children of a run that was cut short could not be cancelled; they go on");
                        return;
                    }
                };
                let Some(last) = children.last() else { return };
                after = Some(*last);
                for child in children {
                    let dispatch = Dispatch { inner: Arc::clone(&self) };
                    if let Err(error) = dispatch.cancel(workspace, child).await {
                        tracing::error!(%error, run = %child, "a run whose parent was cut short could not be cancelled; it goes on");
                    }
                }
            }
        })
    }
}

fn no_child(run: RunId) -> ChildError {
    ChildError::NotFound(format!("this run has started no run {run}"))
}

impl From<Refused> for ChildError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Refusal(refusal) => refusal.into(),
            Refused::Arguments(error) => Self::InvalidArguments(error),
        }
    }
}
