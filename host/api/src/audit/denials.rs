//! Attempts that were denied, one by one as long as they are few: a flood of them is counted, and one entry tells the count.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sandmill_model::{
    AuditId, Clock, Timestamp, TokenId,
    audit::{Actor, ActorKind, Origin, Record},
};
use sandmill_store::Store;

/// Entries of one actor within [`WINDOW`]; what comes after is counted.
const EACH_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Actors that are told apart within that time; all others are one.
const ACTORS_MAX: usize = 200;
/// How often it is looked whose time is over.
const LOOK: Duration = Duration::from_secs(10);

/// By what attempts are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    Token(TokenId),
    /// Nobody that is known.
    Address(IpAddr),
    Others,
}

impl Who {
    /// One customer of a provider has a whole network of IPv6.
    pub(super) fn at(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::Others,
            Some(IpAddr::V4(address)) => Self::Address(address.into()),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Self::Address(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }
}

struct Counted {
    since: Timestamp,
    recorded: u32,
    /// Those that were not recorded, and the last of them.
    passed_over: Option<(u32, Record)>,
}

/// Who was denied something in the last minute, and how often.
#[derive(Default)]
pub struct Denials(Mutex<HashMap<Who, Counted>>);

impl Denials {
    /// Whether an attempt is recorded by itself; else it is counted.
    pub(super) fn admits(&self, who: Who, record: &Record, now: Timestamp) -> bool {
        let mut all = self.lock();
        let who = if all.len() >= ACTORS_MAX && !all.contains_key(&who) { Who::Others } else { who };
        let counted = all.entry(who).or_insert(Counted { since: now, recorded: 0, passed_over: None });
        if is_over(counted.since, now) && counted.passed_over.is_none() {
            (counted.since, counted.recorded) = (now, 0);
        }
        if counted.recorded < EACH_MAX {
            counted.recorded += 1;
            return true;
        }
        match &mut counted.passed_over {
            Some((count, last)) => {
                *count = count.saturating_add(1);
                last.clone_from(record);
            }
            None => counted.passed_over = Some((1, record.clone())),
        }
        false
    }

    /// Writes entries for those that were counted, until `stop`, and then for all that are left.
    pub async fn run(&self, store: &Store, clock: &dyn Clock, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => self.tell(store, clock.now(), is_over).await,
                () = stop.as_mut() => return self.tell(store, clock.now(), |_, _| true).await,
            }
        }
    }

    /// Tells of those whose time is over.
    async fn tell(&self, store: &Store, now: Timestamp, is_due: fn(Timestamp, Timestamp) -> bool) {
        for record in self.take(now, is_due) {
            if let Err(error) = store.audit.append(record, now).await {
                tracing::error!(%error, "the audit log lacks attempts that were denied");
            }
        }
    }

    fn take(&self, now: Timestamp, is_due: fn(Timestamp, Timestamp) -> bool) -> Vec<Record> {
        let mut records = Vec::new();
        self.lock().retain(|who, counted| {
            if !is_due(counted.since, now) {
                return true;
            }
            if let Some((attempts, last)) = counted.passed_over.take() {
                let record = Record { id: AuditId::new(now), attempts, ..last };
                // The last of many that have nothing in common is none of them.
                let is_of_many = *who == Who::Others;
                records.push(if is_of_many {
                    Record { actor: Actor::nameless(ActorKind::Anonymous), origin: Origin::default(), workspace: None, ..record }
                } else {
                    record
                });
            }
            false
        });
        records
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Who, Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that was set back ends it, too.
fn is_over(since: Timestamp, now: Timestamp) -> bool {
    now < since || now.since(since) >= WINDOW
}

#[cfg(test)]
mod tests {
    use sandmill_model::audit::AuditOutcome;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn record(target: &str) -> Record {
        Record {
            id: AuditId::new(at(0)),
            workspace: None,
            actor: Actor::nameless(ActorKind::Anonymous),
            origin: Origin { address: Some("192.0.2.7".to_owned()), user_agent: None },
            request_id: String::new(),
            action: "auth.failed".to_owned(),
            target: target.to_owned(),
            outcome: AuditOutcome::Denied,
            attempts: 1,
            before: None,
            after: None,
        }
    }

    #[test]
    fn a_flood_is_one_entry() {
        let denials = Denials::default();
        let who = Who::at(Some([192, 0, 2, 7].into()));
        let admitted = (0..100).filter(|index| denials.admits(who, &record(&format!("t{index}")), at(1))).count();
        assert_eq!(admitted, EACH_MAX as usize);
        assert!(denials.admits(Who::Token(TokenId::new(at(0))), &record("x"), at(1)), "others are counted apart");
        assert_eq!(denials.take(at(60), is_over), []);
        let told = denials.take(at(61), is_over);
        assert_eq!(told.iter().map(|record| (record.attempts, record.target.as_str())).collect::<Vec<_>>(), [(90, "t99")]);
        assert_eq!(denials.take(at(61), is_over), [], "once");
        assert!(denials.admits(who, &record("x"), at(62)), "it starts anew");
    }

    #[test]
    fn actors_are_bounded() {
        let denials = Denials::default();
        let who = |index: u32| Who::at(Some(IpAddr::V4(index.into())));
        let admitted = (0..10_000).filter(|index| denials.admits(who(*index), &record("x"), at(1))).count();
        assert_eq!(admitted, ACTORS_MAX + EACH_MAX as usize);
        let told = denials.take(at(61), is_over);
        assert_eq!((told.len(), told[0].attempts as usize, &told[0].origin), (1, 10_000 - admitted, &Origin::default()));
    }

    #[test]
    fn a_network_is_one_actor() {
        let who = |address: &str| Who::at(Some(address.parse().unwrap()));
        assert_eq!(who("2001:db8:1:2::3"), who("2001:db8:1:2:3::4"));
        assert_ne!(who("2001:db8:1:2::3"), who("2001:db8:1:3::3"));
        assert_eq!(who("::ffff:192.0.2.7"), who("192.0.2.7"));
    }
}
