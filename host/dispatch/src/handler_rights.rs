//! Whether an error handler may be started on account of a run that failed: whoever deployed the script, and so named the handler, must
//! still be allowed to start it; and so must the service account as which both act. By what is so at present: a manifest may be old.

use sandmill_model::{
    RunAs, ScriptPath, WorkspaceId,
    auth::{Action, Domain, Scope},
    run::FinishedRun,
    version::Selector,
};
use sandmill_store::StoreError;

use crate::Inner;

/// As whom the operator's token acts, which no user is called.
const OPERATOR: &str = "u/admin";

impl Inner {
    /// What stands against starting the handler at `path`; none: it may be started.
    pub(crate) async fn against_handler(&self, done: &FinishedRun, path: &ScriptPath) -> Result<Option<String>, StoreError> {
        let run = &done.run;
        let key = (run.workspace, run.path.clone(), Selector::Number(run.number));
        let deployed = self.targets.find(self.store.scripts.as_ref(), key, done.ended_at).await?;
        // What the manifest does not name is the workspace's, and was chosen by who administers that.
        if let Some(deployed) = deployed.filter(|deployed| deployed.dispatch.error_handler.as_ref() == Some(path))
            && !self.may_start(run.workspace, &deployed.deployed_by, path).await?
        {
            return Ok(Some("whoever deployed the script may not start it any more".to_owned()));
        }
        if RunAs::service_account(&run.run_as).is_some() && !self.may_start(run.workspace, &run.run_as, path).await? {
            return Ok(Some(format!("the run acts as {}, which may not start it", run.run_as)));
        }
        Ok(None)
    }

    /// Whether an identity may start runs of `path`. A token may act as somebody who is no user: nothing but the token says what they may.
    async fn may_start(&self, workspace: WorkspaceId, identity: &str, path: &ScriptPath) -> Result<bool, StoreError> {
        if identity == OPERATOR {
            return Ok(true);
        }
        let covers = |scopes: &[Scope]| scopes.iter().any(|scope| scope.covers(Domain::Runs, Action::Start, Some(path.as_str())));
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
