//! Attempts that were denied, one by one as long as they are few: a flood of them is counted, and one entry tells the count.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sandmill_model::{
    AuditId, Clock, Timestamp, TokenId, WorkspaceId,
    audit::{Actor, ActorKind, Origin, Record},
    auth::Principal,
};
use sandmill_store::Store;

/// Entries of one actor within [`WINDOW`]; what comes after is counted.
const EACH_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Actors of one group that are told apart within that time; all others of it are one.
const ACTORS_MAX: usize = 100;
/// The same of all groups. Past it those who come are the others of their own groups.
const ALL_MAX: usize = 1_000;
/// How often it is looked whose time is over.
const LOOK: Duration = Duration::from_secs(10);

/// By what attempts are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// A token or a session, in the workspace that it is good for.
    Token(TokenId),
    /// An identity, outside of any workspace: who has many sessions is still one.
    Known(Arc<str>),
    /// Nobody that is known.
    Address(IpAddr),
    Others,
}

impl Who {
    pub(super) fn of(principal: Option<&Principal>, address: Option<IpAddr>) -> Self {
        match principal {
            None => Self::at(address),
            Some(Principal { workspace: Some(_), token, .. }) => Self::Token(*token),
            Some(Principal { workspace: None, identity, .. }) => Self::Known(Arc::clone(identity)),
        }
    }

    /// One customer of a provider has a whole network of IPv6.
    fn at(address: Option<IpAddr>) -> Self {
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

/// Who push out only each other: a flood of one workspace is nothing to the others, and none of strangers to those who are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Group {
    Workspace(WorkspaceId),
    Known,
    Strangers,
}

impl Group {
    fn of(who: &Who, workspace: Option<WorkspaceId>) -> Self {
        match (workspace, who) {
            (Some(workspace), _) => Self::Workspace(workspace),
            (None, Who::Token(_) | Who::Known(_)) => Self::Known,
            (None, Who::Address(_) | Who::Others) => Self::Strangers,
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
pub struct Denials(Mutex<Table>);

#[derive(Default)]
struct Table {
    groups: HashMap<Group, HashMap<Who, Counted>>,
    /// Actors of all groups.
    all: usize,
}

impl Table {
    fn counted(&mut self, who: Who, group: Group, now: Timestamp) -> &mut Counted {
        let actors = self.groups.entry(group).or_default();
        let has_room = actors.len() < ACTORS_MAX && self.all < ALL_MAX;
        let who = if has_room || actors.contains_key(&who) { who } else { Who::Others };
        match actors.entry(who) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(room) => {
                self.all += 1;
                room.insert(Counted { since: now, recorded: 0, passed_over: None })
            }
        }
    }
}

impl Denials {
    /// Whether an attempt is recorded by itself; else it is counted.
    pub(super) fn admits(&self, who: Who, record: &Record, now: Timestamp) -> bool {
        let group = Group::of(&who, record.workspace);
        let mut table = self.lock();
        let counted = table.counted(who, group, now);
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

    /// The same of an attempt of a run: all that act as the same in a workspace are one actor, or a thousand runs that begin as one that was
    /// deleted would push out all others.
    pub(crate) fn admits_of_run(&self, record: &Record, now: Timestamp) -> bool {
        let who = record.actor.identity.clone().map_or(Who::Others, Who::Known);
        self.admits(who, record, now)
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
        let mut table = self.lock();
        table.groups.retain(|_, actors| {
            actors.retain(|who, counted| {
                let is_kept = !is_due(counted.since, now);
                if !is_kept {
                    records.extend(counted.passed_over.take().map(|passed_over| told(who, passed_over, now)));
                }
                is_kept
            });
            !actors.is_empty()
        });
        table.all = table.groups.values().map(HashMap::len).sum();
        records
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one entry of those that were not recorded.
fn told(who: &Who, (attempts, last): (u32, Record), now: Timestamp) -> Record {
    let record = Record { id: AuditId::new(now), attempts, ..last };
    // The last of many that have nothing in common but their workspace is none of them.
    if *who == Who::Others { Record { actor: Actor::nameless(ActorKind::Anonymous), origin: Origin::default(), ..record } } else { record }
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
        let admitted = (0..100).filter(|index| denials.admits(who.clone(), &record(&format!("t{index}")), at(1))).count();
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
        assert_eq!(denials.lock().all, 0);
    }

    #[test]
    fn a_flood_of_one_workspace_hides_no_other() {
        let denials = Denials::default();
        let workspace = || WorkspaceId::new(at(0));
        let of = |workspace: WorkspaceId| Record { workspace: Some(workspace), ..record("x") };
        let (loud, quiet) = (workspace(), workspace());
        let token = || Who::Token(TokenId::new(at(0)));
        let admitted = (0..10_000).filter(|_| denials.admits(token(), &of(loud), at(1))).count();
        assert_eq!(admitted, ACTORS_MAX + EACH_MAX as usize);
        // And as many loud ones as there may be.
        for _ in 0..100 {
            let loud = workspace();
            for _ in 0..2 * ACTORS_MAX {
                denials.admits(token(), &of(loud), at(1));
            }
        }
        assert!(denials.lock().all <= ALL_MAX + 101, "each has others of its own");
        let admitted = (0..100).filter(|_| denials.admits(token(), &of(quiet), at(1))).count();
        assert_eq!(admitted, EACH_MAX as usize);
        assert!(denials.admits(Who::Known("u/ann".into()), &record("x"), at(1)));
        let told = denials.take(at(61), is_over);
        let of_quiet: Vec<u32> = told.iter().filter(|told| told.workspace == Some(quiet)).map(|told| told.attempts).collect();
        assert_eq!(of_quiet, [100 - EACH_MAX], "it is told in its own log");
        assert!(told.iter().all(|told| told.workspace.is_some()));
    }

    #[test]
    fn runs_that_act_as_the_same_are_one_actor() {
        let denials = Denials::default();
        let workspace = WorkspaceId::new(at(0));
        let of = |identity: &str| {
            let actor = Actor { kind: ActorKind::Run, identity: Some(identity.into()), token: Some(TokenId::new(at(0))) };
            Record { workspace: Some(workspace), actor, ..record("x") }
        };
        let admitted = (0..1_000).filter(|_| denials.admits_of_run(&of("s/gone"), at(1))).count();
        assert_eq!(admitted, EACH_MAX as usize);
        assert!(denials.admits_of_run(&of("s/other"), at(1)));
        let told = denials.take(at(61), is_over);
        assert_eq!((told.len(), told[0].attempts, told[0].actor.identity.as_deref()), (1, 1_000 - EACH_MAX, Some("s/gone")));
    }

    #[test]
    fn a_network_is_one_actor() {
        let who = |address: &str| Who::at(Some(address.parse().unwrap()));
        assert_eq!(who("2001:db8:1:2::3"), who("2001:db8:1:2:3::4"));
        assert_ne!(who("2001:db8:1:2::3"), who("2001:db8:1:3::3"));
        assert_eq!(who("::ffff:192.0.2.7"), who("192.0.2.7"));
    }
}
