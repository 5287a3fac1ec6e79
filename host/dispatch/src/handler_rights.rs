//! Whether an error handler may be started on account of a run that failed: whoever deployed the script, and so named the handler, must
//! still be allowed to start it; and so must the service account as which both act. By what is so at present: a manifest may be old.

use sandmill_model::{
    RunAs, ScriptPath, WorkspaceId,
    auth::{Action, Domain, Scope},
    run::{FinishedRun, NewRun},
    version::Selector,
};
use sandmill_store::StoreError;

use crate::Inner;

/// As whom the operator's token acts, which no user is called.
const OPERATOR: &str = "u/admin";
const START: (Domain, Action) = (Domain::Runs, Action::Start);

impl Inner {
    /// What stands against starting the handler at `path`; none: it may be started.
    pub(crate) async fn against_handler(&self, done: &FinishedRun, path: &ScriptPath) -> Result<Option<String>, StoreError> {
        let run = &done.run;
        let key = (run.workspace, run.path.clone(), Selector::Number(run.number));
        let deployed = self.targets.find(self.store.scripts.as_ref(), key, done.ended_at).await?;
        // What the manifest does not name is the workspace's, and was chosen by who administers that.
        if let Some(deployed) = deployed.filter(|deployed| deployed.dispatch.error_handler.as_ref() == Some(path))
            && !self.identity_may(run.workspace, &deployed.deployed_by, START, path).await?
        {
            return Ok(Some("whoever deployed the script may not start it any more".to_owned()));
        }
        if !self.trigger_may_name(run, path).await? {
            return Ok(Some("whoever set the trigger up may not start it any more".to_owned()));
        }
        if RunAs::service_account(&run.run_as).is_some() && !self.identity_may(run.workspace, &run.run_as, START, path).await? {
            return Ok(Some(format!("the run acts as {}, which may not start it", run.run_as)));
        }
        Ok(None)
    }

    /// Whether the trigger of a run may have named the handler: whoever answers for the trigger as it is now, if it still names it, else whoever
    /// answered for the run. Of a run without a stored trigger there is nothing to ask.
    async fn trigger_may_name(&self, run: &NewRun, path: &ScriptPath) -> Result<bool, StoreError> {
        let Some(trigger) = run.input.trigger().and_then(|trigger| trigger.path.as_deref()?.parse::<ScriptPath>().ok()) else {
            return Ok(true);
        };
        let found = self.store.triggers.find(run.workspace, &trigger).await?;
        let who = match &found {
            Some(trigger) if trigger.options.error_handler.as_ref() == Some(path) => Some(&trigger.answered_by),
            // The script's, or the workspace's.
            Some(_) => None,
            None => run.answered_by.as_ref(),
        };
        match who {
            Some(who) => self.identity_may(run.workspace, who, START, path).await,
            None => Ok(true),
        }
    }

    /// Whether an identity may do something with what is at `path`. A token may act as somebody who is no user: nothing but the token says what they may.
    pub(crate) async fn identity_may(
        &self,
        workspace: WorkspaceId,
        identity: &str,
        (domain, action): (Domain, Action),
        path: &ScriptPath,
    ) -> Result<bool, StoreError> {
        if identity == OPERATOR {
            return Ok(true);
        }
        let covers = |scopes: &[Scope]| scopes.iter().any(|scope| scope.covers(domain, action, Some(path.as_str())));
        match identity.parse::<RunAs>() {
            Ok(RunAs::User(name)) => {
                let Some(user) = self.store.users.find(&name).await? else { return Ok(true) };
                if user.is_disabled || user.is_instance_admin {
                    return Ok(!user.is_disabled);
                }
                let standing = self.store.members.standing(workspace, &name).await?;
                Ok(standing.is_some_and(|standing| covers(&standing.scopes(&name))))
            }
            Ok(RunAs::ServiceAccount(name)) => {
                let found = self.store.service_accounts.find(workspace, &name).await?;
                Ok(found.is_some_and(|(account, _)| covers(&account.scopes)))
            }
            Ok(RunAs::Group(_)) | Err(_) => Ok(true),
        }
    }
}
