//! Keys by which a repetition is known.
//!
//! Whoever claims keys has the turns of all of them ([`super::turns`]): what is read is still so when it is written.

use std::collections::{BTreeMap, BTreeSet};

use sandmill_model::{
    RunId, Timestamp, WorkspaceId,
    run::{Dedup, NewRun},
};

use super::{
    dialect::{Conn, Insert},
    value::{Kind, Value, values},
};
use crate::{StoreError, queue::Enqueued};

/// Keys that are forgotten at once.
const FORGOTTEN_MAX: u32 = 500;
/// Keys of one scope that one statement looks up.
const KEYS_AT_ONCE: usize = 1_024;

const KEYS: Insert = Insert {
    table: "dedup_keys",
    columns: &[
        ("workspace", Kind::Bytes),
        ("scope", Kind::Text),
        ("key", Kind::Bytes),
        ("fingerprint", Kind::Bytes),
        ("run", Kind::Bytes),
        ("expires_at", Kind::Int),
    ],
    on_conflict: "",
};

/// A run that is to have its keys: all of them or none.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) run: &'a NewRun,
    /// Keys beside its own.
    pub(super) also: &'a [Dedup],
}

impl<'a> Wanted<'a> {
    /// With their numbers: 0 is the run's own.
    fn keys(self) -> impl Iterator<Item = (usize, &'a Dedup)> {
        let also = self.also.iter().enumerate().map(|(index, key)| (index + 1, key));
        self.run.dedup.iter().map(|key| (0, key)).chain(also)
    }
}

/// A key that is another run's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeated {
    /// Of the key.
    pub(super) number: usize,
    pub(super) run: RunId,
    pub(super) asked_the_same: bool,
}

impl Repeated {
    pub(super) fn as_answer(&self) -> Enqueued {
        if self.asked_the_same { Enqueued::Duplicate(self.run) } else { Enqueued::Mismatch(self.run) }
    }
}

/// Workspace, scope, key.
type Id<'a> = (WorkspaceId, &'a str, Vec<u8>);

/// Who has a key.
struct Owner {
    run: RunId,
    fingerprint: Vec<u8>,
    expires_at: Timestamp,
    /// Whether a row says so.
    is_stored: bool,
    /// Whether a row says that of another whose time is over.
    was_stored: bool,
}

fn id<'a>(run: &NewRun, key: &'a Dedup) -> Id<'a> {
    (run.workspace, &*key.scope, key.key.as_bytes().to_vec())
}

fn fingerprint(key: &Dedup) -> Vec<u8> {
    key.fingerprint.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default()
}

/// Gives runs their keys in their order; returns of each the keys that are others' within their window. A run of which one is has none.
pub(super) async fn claim(conn: &mut Conn<'_>, wanted: &[Wanted<'_>]) -> Result<Vec<Vec<Repeated>>, StoreError> {
    let mut owners = stored(conn, wanted).await?;
    let mut all = Vec::with_capacity(wanted.len());
    let mut is_changed = false;
    for each in wanted {
        let run = each.run;
        let of_another = |(number, key): (usize, &Dedup)| {
            let owner = owners.get(&id(run, key)).filter(|owner| owner.run != run.id && owner.expires_at > run.created_at)?;
            Some(Repeated { number, run: owner.run, asked_the_same: owner.fingerprint == fingerprint(key) })
        };
        let repeated: Vec<Repeated> = each.keys().filter_map(of_another).collect();
        if repeated.is_empty() {
            for (_, key) in each.keys() {
                is_changed |= give(&mut owners, run, key);
            }
        }
        all.push(repeated);
    }
    if is_changed {
        write(conn, &owners).await?;
    }
    Ok(all)
}

/// False: the run has the key already.
fn give<'a>(owners: &mut BTreeMap<Id<'a>, Owner>, run: &NewRun, key: &'a Dedup) -> bool {
    let before = owners.get(&id(run, key));
    if before.is_some_and(|owner| owner.run == run.id) {
        return false;
    }
    let was_stored = before.is_some_and(|owner| owner.is_stored || owner.was_stored);
    let expires_at = run.created_at.plus(key.window);
    owners.insert(id(run, key), Owner { run: run.id, fingerprint: fingerprint(key), expires_at, is_stored: false, was_stored });
    true
}

/// Who has the keys that are wanted, by one statement for each scope.
async fn stored<'a>(conn: &mut Conn<'_>, wanted: &[Wanted<'a>]) -> Result<BTreeMap<Id<'a>, Owner>, StoreError> {
    let mut scopes: BTreeMap<(WorkspaceId, &'a str), BTreeSet<&'a [u8]>> = BTreeMap::new();
    for each in wanted {
        for (_, key) in each.keys() {
            scopes.entry((each.run.workspace, &*key.scope)).or_default().insert(key.key.as_bytes());
        }
    }
    let mut owners = BTreeMap::new();
    for ((workspace, scope), keys) in scopes {
        let keys: Vec<Vec<u8>> = keys.into_iter().map(<[u8]>::to_vec).collect();
        for some in keys.chunks(KEYS_AT_ONCE) {
            let rows = conn
                .rows(
                    "SELECT key, run, fingerprint, expires_at FROM dedup_keys WHERE workspace = $1 AND scope = $2 AND key {any $3}",
                    vec![workspace.into(), scope.into(), Value::List(some.to_vec())],
                )
                .await?;
            for row in &rows {
                let owner = Owner {
                    run: RunId(row.uuid(1)?),
                    fingerprint: row.bytes(2)?.to_vec(),
                    expires_at: row.time(3)?,
                    is_stored: true,
                    was_stored: false,
                };
                owners.insert((workspace, scope, row.bytes(0)?.to_vec()), owner);
            }
        }
    }
    Ok(owners)
}

async fn write(conn: &mut Conn<'_>, owners: &BTreeMap<Id<'_>, Owner>) -> Result<(), StoreError> {
    let mut over: BTreeMap<(WorkspaceId, &str), Vec<Vec<u8>>> = BTreeMap::new();
    let mut rows = Vec::new();
    for ((workspace, scope, key), owner) in owners.iter().filter(|(_, owner)| !owner.is_stored) {
        if owner.was_stored {
            over.entry((*workspace, *scope)).or_default().push(key.clone());
        }
        rows.extend(values![*workspace, *scope, key.clone(), owner.fingerprint.clone(), owner.run, owner.expires_at]);
    }
    for ((workspace, scope), keys) in over {
        conn.execute(
            "DELETE FROM dedup_keys WHERE workspace = $1 AND scope = $2 AND key {any $3}",
            vec![workspace.into(), scope.into(), Value::List(keys)],
        )
        .await?;
    }
    conn.insert(&KEYS, rows).await
}

/// Forgets keys whose window is over, some hundreds at most.
pub(super) async fn forget(conn: &mut Conn<'_>, now: Timestamp) -> Result<u64, StoreError> {
    conn.execute(
        "DELETE FROM dedup_keys WHERE (workspace, scope, key) IN (
             SELECT workspace, scope, key FROM dedup_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 {lock free dedup_keys}
         ) AND expires_at <= $1",
        values![now, FORGOTTEN_MAX],
    )
    .await
}
