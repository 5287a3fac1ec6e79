//! What runs are denied because of whom they act as: nobody asks for it over HTTP, so dispatch itself tells the audit log.

use std::sync::Arc;

use sandmill_model::{
    AuditId, RunId, Timestamp, TokenId, WorkspaceId,
    audit::{Actor, ActorKind, AuditOutcome, Origin, Record, TARGET_BYTES_MAX, bounded},
};

use crate::{Dispatch, Inner};

/// Whether an attempt gets an entry of its own.
pub(crate) type Admits = Box<dyn Fn(&Record, Timestamp) -> bool + Send + Sync>;

/// A run that was denied something.
pub(crate) struct DeniedRun<'a> {
    pub(crate) workspace: WorkspaceId,
    pub(crate) run: RunId,
    /// As whom it acts, or was to act.
    pub(crate) identity: &'a Arc<str>,
    /// The scope that it lacks, e.g. `runs:start:f/billing/x`.
    pub(crate) scope: String,
}

impl Dispatch {
    /// `admits` says of an attempt of a run that was denied whether it gets an entry in the audit log; else it counts it, and tells the
    /// count. Only the first who asks is asked; while nobody has, there are no entries.
    pub fn on_denied(&self, admits: impl Fn(&Record, Timestamp) -> bool + Send + Sync + 'static) {
        let _ = self.inner.on_denied.set(Box::new(admits));
    }
}

impl Inner {
    /// In the log of the run's workspace. One that cannot be written holds up no run.
    pub(crate) async fn tell_denied(&self, denied: DeniedRun<'_>) {
        let Some(admits) = self.on_denied.get() else { return };
        let DeniedRun { workspace, run, identity, scope } = denied;
        let now = self.clock.now();
        let record = Record {
            id: AuditId::new(now),
            workspace: Some(workspace),
            actor: Actor { kind: ActorKind::Run, identity: Some(Arc::clone(identity)), token: Some(TokenId(run.0)) },
            origin: Origin::default(),
            request_id: String::new(),
            action: "access.denied".to_owned(),
            target: bounded(&scope, TARGET_BYTES_MAX),
            outcome: AuditOutcome::Denied,
            attempts: 1,
            before: None,
            after: None,
        };
        if admits(&record, now)
            && let Err(error) = self.store.audit.append(record, now).await
        {
            tracing::error!(%error, %run, "the audit log lacks what a run was denied");
        }
    }
}
