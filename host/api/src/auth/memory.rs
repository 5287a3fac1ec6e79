//! Tokens that were looked up a moment ago, so that few requests wait for the database.
//!
//! What a look-up found is believed for [`BELIEVED`], counted from before it began and by two clocks: the machine's, which somebody may set
//! back, and one that only goes on. Whoever revokes a token on this node has it forgotten at once, and no look-up that began before brings
//! it back.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use sandmill_model::{
    Timestamp, TokenId,
    auth::{Principal, TokenHash},
    recent::who_gives_up,
};
use sandmill_store::tokens::Known;

/// How long a token that was looked up is believed: a revocation on another node is seen within this time even if its signal is lost. A
/// node that does not hear the others believes nothing (see `Dispatch::believed`).
pub(crate) const BELIEVED: Duration = Duration::from_secs(1);
/// Tokens kept in memory.
const TOKENS_MAX: usize = 10_000;
/// Tokens of which it is remembered that they were forgotten.
const FORGOTTEN_MAX: usize = 10_000;

#[derive(Default)]
pub(crate) struct Memory(RwLock<Entries>);

#[derive(Default)]
struct Entries {
    by_hash: HashMap<TokenHash, Entry>,
    /// Counts each time that tokens were forgotten.
    moment: u64,
    /// At what moment tokens were forgotten: a look-up that began before it says nothing of them. So nobody who revokes one after the other
    /// makes anybody wait who has another token.
    forgotten: HashMap<TokenId, u64>,
    /// Of what was forgotten until this moment nothing is remembered: no look-up that began before counts.
    oldest: u64,
}

struct Entry {
    at: Timestamp,
    began: Instant,
    moment: u64,
    principal: Arc<Principal>,
    expires_at: Option<Timestamp>,
}

impl Entry {
    fn is_fresh(&self, now: Timestamp, believed: Duration) -> bool {
        self.at <= now && now.since(self.at) < believed && self.began.elapsed() < believed
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// What is remembered of a token.
pub(crate) enum Remembered {
    Valid(Arc<Principal>),
    /// Too little: it has to be looked up.
    LookUp(LookUp),
}

/// A look-up that begins.
pub(crate) struct LookUp {
    at: Timestamp,
    began: Instant,
    moment: u64,
    /// It was valid when it was looked up before, so it is no guess.
    pub(crate) was_valid: bool,
}

impl LookUp {
    /// How often something was forgotten before it began.
    pub(crate) fn moment(&self) -> u64 {
        self.moment
    }
}

impl Entries {
    fn is_forgotten(&self, entry: &Entry) -> bool {
        !self.forgotten.is_empty() && self.forgotten.get(&entry.principal.token).is_some_and(|moment| *moment > entry.moment)
    }
}

impl Memory {
    /// What was looked up within `believed`, which is [`BELIEVED`] at most.
    pub(crate) fn get(&self, hash: &TokenHash, now: Timestamp, believed: Duration) -> Remembered {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.by_hash.get(hash);
        match entry.filter(|entry| entry.is_fresh(now, believed) && !entry.has_expired(now) && !entries.is_forgotten(entry)) {
            Some(entry) => Remembered::Valid(Arc::clone(&entry.principal)),
            None => {
                let (began, moment) = (Instant::now(), entries.moment);
                Remembered::LookUp(LookUp { at: now, began, moment, was_valid: entry.is_some() })
            }
        }
    }

    /// Keeps what a look-up found.
    pub(crate) fn put(&self, hash: TokenHash, known: &Known, principal: Arc<Principal>, look_up: LookUp) {
        let LookUp { at, began, moment, was_valid: _ } = look_up;
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if moment < entries.oldest {
            return;
        }
        let by_hash = &mut entries.by_hash;
        if by_hash.len() >= TOKENS_MAX && !by_hash.contains_key(&hash) {
            by_hash.retain(|_, entry| entry.is_fresh(at, BELIEVED));
            // All fresh: what goes costs each one look-up more, and is of the workspaces whose tokens fill it.
            if by_hash.len() >= TOKENS_MAX {
                let owners = who_gives_up(by_hash.values().map(|entry| (entry.principal.workspace, 1)), TOKENS_MAX / 8);
                by_hash.retain(|_, entry| !owners.contains(&entry.principal.workspace));
            }
        }
        by_hash.insert(hash, Entry { at, began, moment, principal, expires_at: known.expires_at });
    }

    /// A secret is good for nothing any more.
    pub(crate) fn forget_secret(&self, hash: &TokenHash) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).by_hash.remove(hash);
    }

    /// Tokens were revoked, or have other secrets now.
    pub(crate) fn forget(&self, tokens: &[TokenId]) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.moment += 1;
        let moment = entries.moment;
        if entries.forgotten.len() + tokens.len() > FORGOTTEN_MAX {
            entries.by_hash.clear();
            entries.forgotten.clear();
            entries.oldest = moment;
        } else {
            entries.forgotten.extend(tokens.iter().map(|token| (*token, moment)));
        }
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::{WorkspaceId, auth::Scopes};

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    fn known(expires_at: Option<Timestamp>) -> Known {
        let principal = Principal { token: TokenId::new(at(0)), workspace: None, identity: "u/ann".into(), scopes: Scopes::default() };
        Known { principal, expires_at, last_used_at: None }
    }

    fn put(memory: &Memory, secret: &str, known: &Known, look_up: LookUp) {
        memory.put(TokenHash::of(secret), known, Arc::new(known.principal.clone()), look_up);
    }

    fn look_up(memory: &Memory, secret: &str, now: Timestamp) -> LookUp {
        match memory.get(&TokenHash::of(secret), now, BELIEVED) {
            Remembered::LookUp(look_up) => look_up,
            Remembered::Valid(principal) => panic!("{principal:?} is believed"),
        }
    }

    fn is_valid(memory: &Memory, secret: &str, now: Timestamp) -> bool {
        matches!(memory.get(&TokenHash::of(secret), now, BELIEVED), Remembered::Valid(_))
    }

    #[test]
    fn a_token_is_believed_for_a_second_from_before_it_was_looked_up() {
        let memory = Memory::default();
        let first = look_up(&memory, "a", at(5_000));
        assert!(!first.was_valid);
        put(&memory, "a", &known(None), first);
        assert!(is_valid(&memory, "a", at(5_000)) && is_valid(&memory, "a", at(5_999)));
        assert!(!is_valid(&memory, "a", at(6_000)) && !is_valid(&memory, "a", at(4_999)), "a clock that was set back makes it no younger");
        assert!(matches!(memory.get(&TokenHash::of("a"), at(5_000), Duration::ZERO), Remembered::LookUp(_)), "whoever cannot hear");
        assert!(look_up(&memory, "a", at(6_000)).was_valid && !look_up(&memory, "b", at(6_000)).was_valid);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_bring_it_back_later() {
        let memory = Memory::default();
        let began = Instant::now().checked_sub(BELIEVED).unwrap();
        put(&memory, "a", &known(None), LookUp { at: at(5_000), began, moment: 0, was_valid: false });
        assert!(!is_valid(&memory, "a", at(5_000)), "a second has gone by, whatever the clock says");
    }

    #[test]
    fn expiry_is_looked_at_each_time() {
        let memory = Memory::default();
        let first = look_up(&memory, "a", at(5_000));
        put(&memory, "a", &known(Some(at(5_500))), first);
        assert!(is_valid(&memory, "a", at(5_499)) && !is_valid(&memory, "a", at(5_500)));
    }

    #[test]
    fn what_is_revoked_is_forgotten_at_once_and_no_look_up_of_before_brings_it_back() {
        let memory = Memory::default();
        let (revoked, other) = (known(None), known(None));
        let (first, second) = (look_up(&memory, "a", at(1)), look_up(&memory, "b", at(1)));
        put(&memory, "a", &revoked, first);
        put(&memory, "b", &other, second);
        let slow = look_up(&memory, "c", at(2));
        memory.forget(&[revoked.principal.token]);
        assert!(!is_valid(&memory, "a", at(2)) && is_valid(&memory, "b", at(2)));
        put(&memory, "c", &revoked, slow);
        assert!(!is_valid(&memory, "c", at(2)));
        let fresh = look_up(&memory, "c", at(3));
        put(&memory, "c", &other, fresh);
        assert!(is_valid(&memory, "c", at(3)));
        memory.forget_secret(&TokenHash::of("c"));
        assert!(!look_up(&memory, "c", at(3)).was_valid);
    }

    #[test]
    fn a_storm_of_revocations_is_forgotten_as_a_whole() {
        let memory = Memory::default();
        let (revoked, early) = (known(None), look_up(&memory, "a", at(1)));
        let first = look_up(&memory, "b", at(1));
        put(&memory, "b", &known(None), first);
        memory.forget(&[revoked.principal.token]);
        for _ in 0..FORGOTTEN_MAX {
            memory.forget(&[TokenId::new(at(0))]);
            assert!(memory.0.read().unwrap().forgotten.len() <= FORGOTTEN_MAX);
        }
        assert!(!is_valid(&memory, "b", at(1)));
        put(&memory, "a", &revoked, early);
        assert!(!is_valid(&memory, "a", at(1)), "the database was read before it was revoked");
        let later = look_up(&memory, "b", at(1));
        put(&memory, "b", &known(None), later);
        assert!(is_valid(&memory, "b", at(1)));
    }

    #[test]
    fn it_stays_small() {
        let memory = Memory::default();
        for n in 0..2 * TOKENS_MAX {
            let secret = n.to_string();
            let begun = look_up(&memory, &secret, at(1));
            put(&memory, &secret, &known(None), begun);
            assert!(memory.0.read().unwrap().by_hash.len() <= TOKENS_MAX);
        }
    }

    #[test]
    fn one_workspace_does_not_push_out_tokens_of_others() {
        let memory = Memory::default();
        let of = |workspace| {
            let known = known(None);
            Known { principal: Principal { workspace: Some(workspace), ..known.principal }, ..known }
        };
        let (greedy, other) = (of(WorkspaceId::new(at(0))), of(WorkspaceId::new(at(0))));
        // None grows old while this goes on.
        let began = Instant::now() + Duration::from_secs(600);
        let begun = || LookUp { at: at(1), began, moment: 0, was_valid: false };
        put(&memory, "other", &other, begun());
        for n in 0..2 * TOKENS_MAX {
            put(&memory, &n.to_string(), &greedy, begun());
            assert!(memory.0.read().unwrap().by_hash.len() <= TOKENS_MAX);
        }
        assert!(is_valid(&memory, "other", at(1)));
    }
}
