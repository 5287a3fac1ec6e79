//! As whom a run acts. Nobody comes by more than they may: a child acts as its parent; who starts a run may name an identity that they may
//! use themselves; and what a manifest names must be free for whoever deployed it, at each start anew. Who answered for it is kept with the
//! run, and is asked for once more when it begins: what was taken away while a run waited nothing acts as.

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    Outcome, OutcomeKind, RunAs, RunError, RunId, ScriptPath, TokenId, WorkspaceId,
    auth::{Action, Domain, Principal},
    code::{Code, Refusal},
    people::Name,
    recent::Recent,
    run::NewRun,
    version::Target,
};
use sandmill_store::{StoreError, signals::Signal};

use crate::{Dispatch, Inner, StartTerms, denied::DeniedRun, refuse};

/// An attempt that begins no later than this after its run was accepted acts as the user who started it, and nobody asks again.
const SOON: Duration = Duration::from_secs(60);
/// A run of the fast lane gets its place among the live runs once it has waited for the first time.
const PLACE_PAUSE: Duration = Duration::from_millis(1);
const PLACE_TRIES: u32 = 1_000;

/// How long it is believed that a user may act; a change on this node is seen at once, one on another within this time.
const ACTING_TTL: Duration = Duration::from_secs(1);
const ACTING_MAX: usize = 10_000;

/// Users who may act in runs of a workspace, as was found a moment ago.
pub(crate) struct UsersActing {
    acting: Recent<(WorkspaceId, Arc<str>), ()>,
    /// What those may who answer for triggers: an identity, and what was asked of it.
    answering: Recent<(WorkspaceId, Arc<str>, Arc<str>), ()>,
}

impl Default for UsersActing {
    fn default() -> Self {
        Self {
            acting: Recent::new(ACTING_MAX, ACTING_TTL).of_workspaces(|(workspace, _)| *workspace),
            answering: Recent::new(ACTING_MAX, ACTING_TTL).of_workspaces(|(workspace, ..)| *workspace),
        }
    }
}

impl UsersActing {
    /// What may have changed is not believed any more.
    pub(crate) fn hear(&self, signal: &Signal) {
        match signal {
            Signal::People(users) => self.outdate_people(users),
            Signal::Members(workspaces) => self.outdate_members(workspaces),
            _ => {}
        }
    }

    pub(crate) fn outdate_people(&self, users: &[Name]) {
        let is_one = |who: &str| users.iter().any(|user| who.strip_prefix("u/") == Some(user.as_str()));
        self.acting.outdate(|(_, who), ()| is_one(who));
        self.answering.outdate(|(_, who, _), ()| is_one(who));
    }

    pub(crate) fn outdate_members(&self, workspaces: &[WorkspaceId]) {
        self.acting.outdate(|(workspace, _), ()| workspaces.contains(workspace));
        self.answering.outdate(|(workspace, ..), ()| workspaces.contains(workspace));
    }
}

/// As whom a run acts.
pub(crate) struct Acting {
    pub(crate) run_as: Arc<str>,
    /// See [`NewRun::answered_by`].
    pub(crate) answered_by: Option<Arc<str>>,
}

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
    pub(crate) async fn may_run_as(&self, principal: &Principal, workspace: WorkspaceId, wanted: &RunAs) -> Result<(), Refusal> {
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

    /// As whom a run acts that is about to be accepted.
    pub(crate) async fn identity(
        &self,
        principal: &Principal,
        workspace: WorkspaceId,
        target: &Target,
        terms: &StartTerms,
    ) -> Result<Acting, Refusal> {
        if terms.child_of.is_some() {
            return Ok(self.acting_as_oneself(principal, terms).await);
        }
        if let Some(wanted) = &terms.run_as {
            let run_as = wanted.identity();
            if run_as == principal.identity {
                return Ok(self.acting_as_oneself(principal, terms).await);
            }
            self.may_run_as(principal, workspace, wanted).await?;
            return Ok(Acting { run_as, answered_by: Some(Arc::clone(&principal.identity)) });
        }
        if let Some(trigger) = &terms.trigger
            && let Some(wanted) = &trigger.options.run_as
        {
            // Whoever set the trigger up chose it, and answers for it, whosever request it is.
            let run_as = wanted.identity();
            self.owner_must_lend(workspace, &trigger.answered_by, wanted).await?;
            return Ok(Acting { run_as, answered_by: Some(Arc::clone(&trigger.answered_by)) });
        }
        let Some(wanted) = &target.run_as else { return Ok(self.acting_as_oneself(principal, terms).await) };
        let accounts = &self.store.service_accounts;
        if accounts.may_use(workspace, wanted, &target.deployed_by).await.map_err(|error| refuse(&error))? {
            return Ok(Acting { run_as: wanted.identity(), answered_by: Some(Arc::clone(&target.deployed_by)) });
        }
        // Who starts it need not know who deployed it, nor as whom it was to act.
        let detail = format!(
            "{}@{} has a `run_as` that whoever deployed it may not use any more: somebody who may must deploy it again",
            target.path, target.number
        );
        Err(Refusal::new(Code::Forbidden, detail))
    }

    /// As whoever starts it. Where that is a run, whoever answers for it answers for what it starts, too.
    async fn acting_as_oneself(&self, principal: &Principal, terms: &StartTerms) -> Acting {
        let run_as = Arc::clone(&principal.identity);
        if principal.token == TokenId::NONE {
            // A trigger's own run: whoever set it up must be allowed to act when it begins, however long that is after.
            return Acting { answered_by: Some(Arc::clone(&run_as)), run_as };
        }
        if run_as.starts_with("u/") {
            return Acting { run_as, answered_by: None };
        }
        // A principal that is a run has its id as that of its token.
        let run = RunId(principal.token.0);
        for _ in 0..PLACE_TRIES {
            if terms.child_of.is_none() || self.live.has(run) {
                break;
            }
            tokio::time::sleep(PLACE_PAUSE).await;
        }
        Acting { run_as, answered_by: self.live.answered_by(run) }
    }

    /// The end of an attempt that cannot begin, by what is so at present: who answered for whom it acts as may not use that any more, or it
    /// was deleted. The audit log tells of it. Of runs that act as the user who started them a moment before, as most do, nothing is read.
    /// What they waited for does not matter: their time, a rate, a key, fuel of the next day, or the next try.
    pub(crate) async fn may_not_act(&self, run: &NewRun) -> Option<Outcome> {
        let identity = run.run_as.parse::<RunAs>().ok()?;
        let accounts = &self.store.service_accounts;
        let may_act = match (&identity, &run.answered_by) {
            (RunAs::User(_), Some(who)) if **who == *run.run_as => self.user_may_act(run, &identity).await,
            (_, Some(who)) => accounts.may_use(run.workspace, &identity, who).await,
            (RunAs::User(_), None) if self.clock.now() > run.created_at.plus(SOON) => self.user_may_act(run, &identity).await,
            (RunAs::User(_), None) => return None,
            // A token acts so by itself, or the run was accepted by a release that did not keep who answers.
            (RunAs::ServiceAccount(name), None) => accounts.find(run.workspace, name).await.map(|found| found.is_some()),
            (RunAs::Group(name), None) => self.store.groups.find(run.workspace, name).await.map(|found| found.is_some()),
        };
        match may_act {
            Ok(true) => None,
            Ok(false) => {
                let why = match identity {
                    RunAs::User(_) => "who is disabled or has left the workspace",
                    _ => "which is not there any more, or which whoever had the right to that may not use any more",
                };
                let scope = format!("identities:start:{}", run.run_as);
                self.tell_denied(DeniedRun { workspace: run.workspace, run: run.id, identity: &run.run_as, scope }).await;
                let message = format!("the run was to act as {}, {why}", run.run_as);
                Some(Outcome::failed(OutcomeKind::Denied, RunError::new(OutcomeKind::Denied.name(), message)))
            }
            Err(error) => {
                tracing::error!(%error, run = %run.id, "whether a run may act as it was to could not be read");
                Some(Outcome::host_fault("whether the run may act as it was to could not be read"))
            }
        }
    }

    /// Whether the user as whom a run acts may do so. Of many runs that waited long, few ask.
    async fn user_may_act(&self, run: &NewRun, user: &RunAs) -> Result<bool, StoreError> {
        let UsersActing { acting, .. } = &self.users_acting;
        let (key, now) = ((run.workspace, Arc::clone(&run.run_as)), self.clock.now());
        if acting.get(&key, now).is_some() {
            return Ok(true);
        }
        let began = acting.moment();
        let may_act = self.store.service_accounts.may_use(run.workspace, user, &run.run_as).await?;
        if may_act {
            acting.put_of(began, key, (), now);
        }
        Ok(may_act)
    }

    /// Whoever set a trigger up must be allowed to start what it starts, at each start anew.
    ///
    /// # Errors
    /// `forbidden`, which tells nobody who that is; `unavailable`.
    pub(crate) async fn owner_must_be_allowed(&self, workspace: WorkspaceId, owner: &Arc<str>, path: &ScriptPath) -> Result<(), Refusal> {
        let asked: Arc<str> = format!("start {path}").into();
        let look_up = self.identity_may(workspace, owner, (Domain::Runs, Action::Start), path);
        if self.owner_may((workspace, Arc::clone(owner), asked), look_up).await? {
            return Ok(());
        }
        let detail = format!("whoever set this trigger up may not start runs of {path} any more: somebody who may must save it again");
        Err(Refusal::new(Code::Forbidden, detail))
    }

    /// Whoever set a trigger up must be allowed to have runs act as `wanted`.
    async fn owner_must_lend(&self, workspace: WorkspaceId, owner: &Arc<str>, wanted: &RunAs) -> Result<(), Refusal> {
        let asked: Arc<str> = format!("as {wanted}").into();
        let look_up = self.store.service_accounts.may_use(workspace, wanted, owner);
        if self.owner_may((workspace, Arc::clone(owner), asked), look_up).await? {
            return Ok(());
        }
        let detail = "this trigger has a `run_as` that whoever set it up may not use any more: somebody who may must save it again";
        Err(Refusal::new(Code::Forbidden, detail))
    }

    /// What was found a moment ago, else what `look_up` finds: a trigger may start thousands of runs in a second.
    pub(crate) async fn owner_may(
        &self,
        key: (WorkspaceId, Arc<str>, Arc<str>),
        look_up: impl Future<Output = Result<bool, StoreError>>,
    ) -> Result<bool, Refusal> {
        let UsersActing { answering, .. } = &self.users_acting;
        let now = self.clock.now();
        if answering.get(&key, now).is_some() {
            return Ok(true);
        }
        let began = answering.moment();
        let may = look_up.await.map_err(|error| refuse(&error))?;
        if may {
            answering.put_of(began, key, (), now);
        }
        Ok(may)
    }

    /// What a run that acts as a service account starts, the account must allow, too: a grant of its script is not enough. The audit log
    /// tells of what it does not allow.
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
        // A principal that is a run has its id as that of its token.
        let (run, identity) = (RunId(principal.token.0), &principal.identity);
        self.tell_denied(DeniedRun { workspace, run, identity, scope: format!("runs:start:{path}") }).await;
        let detail = format!("the run acts as {}, which may not start runs of {path}", principal.identity);
        Err(Refusal::new(Code::Forbidden, detail))
    }
}
