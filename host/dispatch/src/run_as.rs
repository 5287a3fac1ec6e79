//! As whom a run acts. Nobody comes by more than they may: a child acts as its parent; who starts a run may name an identity that they may
//! use themselves; and what a manifest names must be free for whoever deployed it, at each start anew. What was deleted while a run waited
//! nothing acts as.

use std::sync::Arc;

use sandmill_model::{
    Outcome, OutcomeKind, RunAs, RunError, ScriptPath, WorkspaceId,
    auth::{Action, Domain, Principal},
    code::{Code, Refusal},
    run::NewRun,
    version::Target,
};

use crate::{Dispatch, Inner, StartTerms, refuse};

impl Dispatch {
    /// Whether `principal` may have runs act as `wanted`: its token must say so, and the lists of the workspace.
    ///
    /// # Errors
    /// `forbidden` if it may not, in the same words if there is no such identity; `unavailable`.
    pub async fn may_run_as(&self, principal: &Principal, workspace: WorkspaceId, wanted: &RunAs) -> Result<(), Refusal> {
        self.inner.may_run_as(principal, workspace, wanted).await
    }
}

impl Inner {
    async fn may_run_as(&self, principal: &Principal, workspace: WorkspaceId, wanted: &RunAs) -> Result<(), Refusal> {
        let identity = wanted.identity();
        if !principal.may(workspace, Domain::Identities, Action::Start, Some(&identity)) {
            return Err(Refusal::new(Code::Forbidden, format!("the token lacks the scope identities:start:{identity}")));
        }
        let accounts = &self.store.service_accounts;
        if accounts.may_use(workspace, wanted, &principal.identity).await.map_err(|error| refuse(&error))? {
            return Ok(());
        }
        let detail = format!("{} may not have runs act as {identity}, or there is no such identity", principal.identity);
        Err(Refusal::new(Code::Forbidden, detail))
    }

    /// The identity of a run that is about to be accepted.
    pub(crate) async fn identity(
        &self,
        principal: &Principal,
        workspace: WorkspaceId,
        target: &Target,
        terms: &StartTerms,
    ) -> Result<Arc<str>, Refusal> {
        let own = || Ok(Arc::clone(&principal.identity));
        if terms.child_of.is_some() {
            return own();
        }
        if let Some(wanted) = &terms.run_as {
            let identity = wanted.identity();
            if identity == principal.identity {
                return own();
            }
            self.may_run_as(principal, workspace, wanted).await?;
            return Ok(identity);
        }
        let Some(wanted) = &target.run_as else { return own() };
        let accounts = &self.store.service_accounts;
        if accounts.may_use(workspace, wanted, &target.deployed_by).await.map_err(|error| refuse(&error))? {
            return Ok(wanted.identity());
        }
        // Who starts it need not know who deployed it, nor as whom it was to act.
        let detail = format!(
            "{}@{} has a `run_as` that whoever deployed it may not use any more: somebody who may must deploy it again",
            target.path, target.number
        );
        Err(Refusal::new(Code::Forbidden, detail))
    }

    /// The end of an attempt that cannot begin: what it was to act as was deleted since the run was accepted. Of runs that act as users,
    /// as most do, nothing is read.
    pub(crate) async fn identity_is_gone(&self, run: &NewRun) -> Option<Outcome> {
        let is_there = match run.run_as.parse::<RunAs>() {
            Ok(RunAs::ServiceAccount(name)) => self.store.service_accounts.find(run.workspace, &name).await.map(|found| found.is_some()),
            Ok(RunAs::Group(name)) => self.store.groups.find(run.workspace, &name).await.map(|found| found.is_some()),
            Ok(RunAs::User(_)) | Err(_) => return None,
        };
        match is_there {
            Ok(true) => None,
            Ok(false) => {
                let message = format!("the run was to act as {}, which is not there any more", run.run_as);
                Some(Outcome::failed(OutcomeKind::Denied, RunError::new(OutcomeKind::Denied.name(), message)))
            }
            Err(error) => {
                tracing::error!(%error, run = %run.id, "whether the identity of a run is there could not be read");
                Some(Outcome::host_fault("whether the identity of the run is there could not be read"))
            }
        }
    }

    /// What a run that acts as a service account starts, the account must allow, too: a grant of its script is not enough.
    ///
    /// # Errors
    /// `forbidden`, also if the account is not there any more; `unavailable`.
    pub(crate) async fn account_must_allow(&self, workspace: WorkspaceId, principal: &Principal, path: &ScriptPath) -> Result<(), Refusal> {
        let Some(name) = RunAs::service_account(&principal.identity) else { return Ok(()) };
        let found = self.store.service_accounts.find(workspace, &name).await.map_err(|error| refuse(&error))?;
        let allows = found
            .is_some_and(|(account, _)| account.scopes.iter().any(|scope| scope.covers(Domain::Runs, Action::Start, Some(path.as_str()))));
        if allows {
            return Ok(());
        }
        let detail = format!("the run acts as {}, which may not start runs of {path}", principal.identity);
        Err(Refusal::new(Code::Forbidden, detail))
    }
}
