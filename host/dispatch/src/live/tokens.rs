//! Tokens of runs. One is made when a run first needs it, is known on this node alone, and is gone with the run: nothing of it is kept, so
//! there is nothing to forge, to expire or to take away.

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    RunId, TokenId, WorkspaceId,
    auth::{Principal, Scopes, SharedScopes, TokenHash, new_token},
};

use super::{Live, LiveRun};
use crate::{Dispatch, LiveRuns};

/// How tokens of runs begin; others begin with `sm_`.
const PREFIX: &str = "sr_";
/// Bytes of a token; ours have 92. Whoever may guess one must not have us read and hash more than it takes to tell that it is none.
const TOKEN_BYTES_MAX: usize = 128;
/// A run of the fast lane gets its place among the live runs once it has waited for the first time.
const PLACE_PAUSE: Duration = Duration::from_millis(1);
const PLACE_TRIES: u32 = 1_000;

pub(super) struct Token {
    text: String,
    hash: TokenHash,
    scopes: SharedScopes,
}

impl Token {
    fn of(run: RunId, scopes: SharedScopes) -> Self {
        let text = new_token().replacen("sm_", &format!("{PREFIX}{run}_"), 1);
        Self { hash: TokenHash::of(&text), text, scopes }
    }
}

/// A run that has shown its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCaller {
    pub run: RunId,
    pub workspace: WorkspaceId,
    /// As whom it acts.
    pub identity: Arc<str>,
    /// What its script was granted; the identity must be allowed it, too.
    pub scopes: SharedScopes,
}

impl RunCaller {
    /// As whom it calls: within what its script was granted, and within `own`, which are the scopes of whom it acts as.
    #[must_use]
    pub fn principal(&self, own: SharedScopes) -> Principal {
        Principal {
            token: TokenId(self.run.0),
            workspace: Some(self.workspace),
            identity: Arc::clone(&self.identity),
            scopes: Scopes::of_both(own, Arc::clone(&self.scopes)),
        }
    }
}

impl LiveRun {
    /// It may still do something.
    fn goes_on(&self) -> bool {
        !self.is_cancelled && !self.is_settled
    }
}

impl Live {
    /// The token of a run that goes on here, from now on with these scopes.
    pub(crate) fn token(&self, run: RunId, scopes: &SharedScopes) -> Option<String> {
        let mut runs = self.runs();
        let live = runs.get_mut(&run).filter(|live| live.goes_on())?;
        let token = live.token.get_or_insert_with(|| Token::of(run, Arc::clone(scopes)));
        // The same in another place is the same, and what was made of it is kept.
        if !Arc::ptr_eq(&token.scopes, scopes) && *token.scopes != **scopes {
            token.scopes = Arc::clone(scopes);
        }
        Some(token.text.clone())
    }

    /// Whose token it is. Hashes are compared, not tokens; made before the lock of all runs is taken.
    pub(crate) fn by_token(&self, text: &str) -> Option<RunCaller> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (run, _) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let (id, hash): (RunId, _) = (run.parse().ok()?, TokenHash::of(text));
        let runs = self.runs();
        let live = runs.get(&id).filter(|live| live.goes_on())?;
        let token = live.token.as_ref().filter(|token| token.hash == hash)?;
        let (workspace, identity) = (live.run.workspace, Arc::clone(&live.run.run_as));
        Some(RunCaller { run: id, workspace, identity, scopes: Arc::clone(&token.scopes) })
    }
}

impl LiveRuns {
    /// The token by which a run that executes here calls the API of this node, with no more than these scopes. It is good until the run
    /// ends or is cancelled. None: it has.
    pub async fn token(&self, run: RunId, scopes: SharedScopes) -> Option<String> {
        for _ in 0..PLACE_TRIES {
            if let Some(token) = self.runs.token(run, &scopes) {
                return Some(token);
            }
            tokio::time::sleep(PLACE_PAUSE).await;
        }
        None
    }
}

impl Dispatch {
    /// Whether a text may be the token of a run.
    #[must_use]
    pub fn is_token_of_run(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// The run that goes on here and has this token.
    #[must_use]
    pub fn run_of_token(&self, text: &str) -> Option<RunCaller> {
        self.inner.live.by_token(text)
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::{
        Timestamp,
        auth::{Action, Domain},
    };

    use super::*;
    use crate::live::{Start, tests::run};

    fn begun(live: &Live, begun: u32) -> RunId {
        let run = run();
        let id = run.id;
        live.begin(run, Start { attempt: 1, begun, at: Timestamp::from_micros(0), lease: None });
        id
    }

    fn scopes(texts: &[&str]) -> SharedScopes {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_token_is_good_as_long_as_its_run() {
        let live = Live::default();
        let (first, other) = (begun(&live, 1), begun(&live, 1));
        let wide = scopes(&["runs:start:f/*"]);
        let token = live.token(first, &wide).unwrap();
        assert!(token.starts_with(&format!("sr_{first}_")) && token.len() <= TOKEN_BYTES_MAX);
        let caller = live.by_token(&token).unwrap();
        assert_eq!((caller.run, &*caller.identity, &caller.scopes), (first, "u/test", &wide));
        // What it may follows what its script was granted.
        let narrow = scopes(&["runs:start:f/a"]);
        assert_eq!(live.token(first, &narrow).as_ref(), Some(&token));
        assert_eq!(live.by_token(&token).unwrap().scopes, narrow);
        let others = live.token(other, &wide).unwrap();
        assert_ne!(live.by_token(&others).unwrap().workspace, caller.workspace);
        live.end(first, 1);
        assert!(live.by_token(&token).is_none() && live.token(first, &wide).is_none());
        assert!(live.by_token(&others).is_some());
        live.cancel(other);
        assert!(live.by_token(&others).is_none() && live.token(other, &wide).is_none());
    }

    #[test]
    fn a_run_may_what_its_script_was_granted_and_whom_it_acts_as_may() {
        let live = Live::default();
        let run = begun(&live, 1);
        let (own, granted) = (scopes(&["runs:*", "scripts:read"]), scopes(&["runs:start:f/*", "variables:read:f/*"]));
        let token = live.token(run, &granted).unwrap();
        let caller = live.by_token(&token).unwrap();
        let principal = |own: &SharedScopes| live.by_token(&token).unwrap().principal(Arc::clone(own));
        let first = principal(&own);
        assert_eq!((first.token, first.workspace, &*first.identity), (TokenId(run.0), Some(caller.workspace), "u/test"));
        let may = |principal: &Principal, domain, action, path| principal.may(caller.workspace, domain, action, Some(path));
        assert!(may(&first, Domain::Runs, Action::Start, "f/a") && !may(&first, Domain::Runs, Action::Start, "u/test/a"));
        assert!(!may(&first, Domain::Scripts, Action::Read, "f/a"), "its script was not granted it");
        assert!(!may(&first, Domain::Variables, Action::Read, "f/a"), "who it acts as may not");
        live.token(run, &scopes(&["runs:start:f/*", "variables:read:f/*"])).unwrap();
        assert!(Arc::ptr_eq(&granted, &live.by_token(&token).unwrap().scopes), "the same was granted");
        assert!(!may(&principal(&scopes(&["scripts:read"])), Domain::Runs, Action::Start, "f/a"), "who it acts as may less");
        live.token(run, &scopes(&["runs:start:f/b"])).unwrap();
        assert!(!may(&principal(&own), Domain::Runs, Action::Start, "f/a"), "its script was granted less");
    }

    #[test]
    fn one_that_is_begun_again_has_another() {
        let live = Live::default();
        let run = run();
        let start = |begun| Start { attempt: begun, begun, at: Timestamp::from_micros(0), lease: None };
        live.begin(run.clone(), start(1));
        let first = live.token(run.id, &scopes(&[])).unwrap();
        live.begin(run.clone(), start(2));
        assert!(live.by_token(&first).is_none());
        let second = live.token(run.id, &scopes(&[])).unwrap();
        assert_ne!(first, second);
        live.settle(run.id, 2);
        assert!(live.by_token(&second).is_none());
    }

    #[test]
    fn nothing_else_is_a_token() {
        let live = Live::default();
        let (run, other) = (begun(&live, 1), begun(&live, 1));
        let without = format!("sr_{run}_{}", "a".repeat(52));
        assert!(live.by_token(&without).is_none(), "it never asked for one");
        let token = live.token(run, &scopes(&["*:*"])).unwrap();
        for index in 0..token.len() {
            assert!(live.by_token(&token[..index]).is_none(), "cut at {index}");
            let mut forged = token.clone().into_bytes();
            forged[index] ^= 1;
            assert!(live.by_token(&String::from_utf8(forged).unwrap()).is_none(), "byte {index}");
        }
        live.token(other, &scopes(&["*:*"])).unwrap();
        for bad in [
            token.replace(&run.to_string(), &other.to_string()),
            token.replacen("sr_", "sm_", 1),
            format!("{token}a"),
            without,
            format!("{token}{}", "a".repeat(120 * 1024)),
        ] {
            assert!(live.by_token(&bad).is_none(), "{bad}");
        }
        for bad in ["", "sr_", "sr__", "sr_x_y"] {
            assert!(live.by_token(bad).is_none(), "{bad}");
        }
    }
}
