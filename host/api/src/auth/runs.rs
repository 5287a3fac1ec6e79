//! Runs that call the API, each by a token of its own (ADR 20). What one may is what its script was granted and, as of now, whom it acts
//! as may.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, header, request::Parts};
use sandmill_dispatch::{Dispatch, RunCaller};
use sandmill_model::{
    Code, RunAs, RunId, Timestamp, WorkspaceId,
    auth::{Principal, Scope, SharedScopes},
    recent::Moment,
};
use sandmill_store::StoreError;

use super::{BELIEVED, Caller, Shown, unauthorized};
use crate::{
    app::{App, Within},
    on_behalf::OnBehalf,
    problem::Problem,
    request::url,
};

/// As whom the operator's token acts, which no user is called.
const OPERATOR: &str = "u/admin";

/// The token of a run in `Authorization: Bearer`, good or not; it is taken nowhere else.
pub(crate) fn in_header(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && Dispatch::is_token_of_run(token))
}

fn ended() -> Problem {
    unauthorized("the token is not valid: its run has ended, or does not execute on this node")
}

/// What a run never does, whatever its scopes: it gives and takes no grants, and what ran before it does not start on others' terms.
fn is_for_runs(parts: &Parts) -> bool {
    let is_look = matches!(parts.method, Method::GET | Method::HEAD);
    let is_of_runs = matches!(url::resource(parts), "runs" | "dead-letters");
    let starts_again = is_of_runs && ["/rerun", "/replay"].iter().any(|end| parts.uri.path().ends_with(end));
    is_look || (url::resource(parts) != "grants" && !starts_again)
}

impl Caller {
    /// The run that has this token, of a request about a workspace.
    pub(super) async fn of_run(parts: &Parts, token: &str, app: &App) -> Result<Self, Problem> {
        // No failure of its address: it costs no look-up, and runs share the address with whoever else is on this machine.
        let run = app.dispatch.run_of_token(token).ok_or_else(ended)?;
        let principal = app.principal_of_run(&run, BELIEVED).await?;
        let workspace = app.workspace(url::workspace(parts), &principal).await?;
        OnBehalf::note(&parts.extensions, workspace.id);
        if !is_for_runs(parts) {
            return Err(Problem::new(Code::Forbidden, "this is not for runs: people do it, with tokens of their own"));
        }
        Ok(Self { principal, workspace, shown: Shown::Run(token.into()) })
    }

    /// The run that calls. A principal that is one has its id as that of its token.
    pub(crate) fn run(&self) -> Option<RunId> {
        matches!(self.shown, Shown::Run(_)).then_some(RunId(self.principal.token.0))
    }
}

impl App {
    /// Whether the run goes on that has this token.
    pub(super) fn must_go_on(&self, token: &str) -> Result<(), Problem> {
        self.dispatch.run_of_token(token).map(drop).ok_or_else(ended)
    }

    /// Whether the run goes on that has this token, and may what it might.
    pub(super) async fn is_same_run(&self, token: &str, principal: &Arc<Principal>, believed: Duration) -> bool {
        let Some(run) = self.dispatch.run_of_token(token) else { return false };
        self.principal_of_run(&run, believed).await.is_ok_and(|present| present == *principal)
    }

    /// As whom a run acts, within what its script was granted; by what was looked up within `believed`.
    async fn principal_of_run(&self, run: &RunCaller, believed: Duration) -> Result<Arc<Principal>, Problem> {
        let own = self.scopes_of(run.workspace, &run.identity, believed).await?;
        Ok(Arc::new(run.principal(own)))
    }

    async fn scopes_of(&self, workspace: WorkspaceId, identity: &Arc<str>, believed: Duration) -> Result<SharedScopes, Problem> {
        let (key, now, believed) = ((workspace, Arc::clone(identity)), self.clock.now(), self.dispatch.believed(believed));
        if let Some(scopes) = self.identities.get_within(&key, now, believed) {
            return Ok(scopes);
        }
        let began = self.identities.moment();
        // One for all who need it at the same time.
        self.identity_look_ups.join((key.clone(), began.number()), believed, || self.find_scopes(key, began, now)).await
    }

    async fn find_scopes(&self, key: Within, began: Moment, now: Timestamp) -> Result<SharedScopes, Problem> {
        let scopes: SharedScopes = self.present_scopes(key.0, &key.1).await?.into();
        // What they still may stays where it is: their requests that are under way hold no other copy of it.
        let scopes = self.identities.last(&key).filter(|last| *last == scopes).unwrap_or(scopes);
        self.identities.put_of(began, key, Arc::clone(&scopes), now);
        Ok(scopes)
    }

    /// What an identity may in a workspace. A group has no role, and so may nothing by itself.
    async fn present_scopes(&self, workspace: WorkspaceId, identity: &str) -> Result<Vec<Scope>, StoreError> {
        if identity == OPERATOR {
            return Ok(vec![Scope::all()]);
        }
        match identity.parse::<RunAs>() {
            Ok(RunAs::User(name)) => {
                let user = self.store.users.find(&name).await?.filter(|user| !user.is_disabled);
                let Some(user) = user else { return Ok(Vec::new()) };
                if user.is_instance_admin {
                    return Ok(vec![Scope::all()]);
                }
                let standing = self.store.members.standing(workspace, &name).await?;
                Ok(standing.map(|standing| standing.scopes(&name)).unwrap_or_default())
            }
            Ok(RunAs::ServiceAccount(name)) => {
                let found = self.store.service_accounts.find(workspace, &name).await?;
                Ok(found.map(|(account, _)| account.scopes).unwrap_or_default())
            }
            Ok(RunAs::Group(_)) | Err(_) => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_runs_come_in_the_header() {
        let check = |value: &str, expected: Option<&str>| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            assert_eq!(in_header(&headers), expected, "{value}");
        };
        check("Bearer sr_a_b", Some("sr_a_b"));
        check("bearer  sr_a_b", Some("sr_a_b"));
        check("Bearer sm_a", None);
        check("Basic sr_a_b", None);
        check("sr_a_b", None);
        assert_eq!(in_header(&HeaderMap::new()), None);
    }

    #[test]
    fn some_things_are_not_for_runs() {
        let check = |method: Method, uri: &str, expected: bool| {
            let (parts, ()) = http::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
            assert_eq!(is_for_runs(&parts), expected, "{uri}");
        };
        check(Method::GET, "/api/w/a/grants/f/x/rerun", true);
        check(Method::PATCH, "/api/w/a/grants/f/x/y", false);
        check(Method::POST, "/api/w/a/runs/1/rerun", false);
        check(Method::POST, "/api/w/a/runs/rerun", false);
        check(Method::POST, "/api/w/a/dead-letters/1/replay?x", false);
        check(Method::POST, "/api/w/a/runs", true);
        check(Method::PUT, "/api/w/a/variables/f/jobs/rerun", true);
        check(Method::POST, "/api/w/a/runs/1/cancel", true);
    }
}
