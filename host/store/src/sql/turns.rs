//! Transactions that take keys, rates, dedup keys or state of many runs take turns first, each for all that it knows of: locking the rows themselves in
//! the order of the runs, two of them could wait for each other. After its turns a transaction locks triggers, nodes, and seats, each in
//! their order, and then all else.
//!
//! A turn is of a bucket, not of a key: the database's table of locks is bounded. What is handed on to runs with further keys is not known
//! beforehand; where that still makes two wait for each other, the database ends one, which is tried again.

use std::collections::BTreeSet;

use sandmill_model::{
    Digest, ScriptPath, WorkspaceId,
    run::{Dedup, NewRun},
};

use super::{dialect::Conn, value::values};
use crate::{StoreError, state::StateScope};

/// Any number of which no other program makes locks: "turn" in ASCII.
const CLASS: i64 = 0x7475_726e;
const BUCKETS: u8 = 64;
/// Buckets of state come after those of runs, and are none of them: whoever starts a run does not wait for state.
const STATE: u8 = BUCKETS;
/// And those of the audit log after them.
const AUDIT: u8 = 2 * BUCKETS;

/// What a transaction will need.
#[derive(Default)]
pub(super) struct Turns(BTreeSet<u8>);

impl Turns {
    /// What accepting `run` needs.
    pub(super) fn accepts(&mut self, run: &NewRun) {
        if let Some(dedup) = &run.dedup {
            self.claims(run.workspace, dedup);
        }
        for rate in &run.policy.rates {
            self.add(run.workspace, &[b"rate", rate.name.as_bytes()]);
        }
        self.ends(run);
    }

    /// What claiming a dedup key needs.
    pub(super) fn claims(&mut self, workspace: WorkspaceId, dedup: &Dedup) {
        self.add(workspace, &[b"dedup", dedup.scope.as_bytes(), dedup.key.as_bytes()]);
    }

    /// What looking needs whether runs of a trigger have ended.
    pub(super) fn overlaps(&mut self, workspace: WorkspaceId, trigger: &ScriptPath) {
        self.add(workspace, &[b"overlap", trigger.as_str().as_bytes()]);
    }

    /// What writing state needs.
    pub(super) fn state(scope: &StateScope) -> Self {
        let mut turns = Self::default();
        turns.0.insert(STATE + bucket(scope.workspace, &[scope.path.as_str().as_bytes(), scope.trigger.as_bytes()]));
        turns
    }

    /// What appending to the audit log of a workspace needs.
    pub(super) fn audit(workspace: WorkspaceId) -> Self {
        let mut turns = Self::default();
        turns.0.insert(AUDIT + bucket(workspace, &[b"audit"]));
        turns
    }

    pub(super) fn join(&mut self, others: &Self) {
        self.0.extend(&others.0);
    }

    /// What the end of `run` needs.
    pub(super) fn ends(&mut self, run: &NewRun) {
        for key in &run.policy.keys {
            self.add(run.workspace, &[b"key", key.name.as_bytes()]);
        }
    }

    fn add(&mut self, workspace: WorkspaceId, parts: &[&[u8]]) {
        self.0.insert(bucket(workspace, parts));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits for all of them, in their order; they are over with the transaction. SQLite has one writer, so nothing is needed.
    pub(super) async fn wait(self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        if self.0.is_empty() || matches!(conn, Conn::Sqlite(_)) {
            return Ok(());
        }
        let buckets: Vec<String> = self.0.iter().map(u8::to_string).collect();
        conn.rows(
            "SELECT pg_advisory_xact_lock($1::BIGINT::INT, bucket) FROM (
                 SELECT bucket::INT AS bucket FROM string_to_table($2, ',') AS bucket ORDER BY bucket::INT
             ) AS buckets",
            values![CLASS, buckets.join(",")],
        )
        .await
        .map(drop)
    }
}

fn bucket(workspace: WorkspaceId, parts: &[&[u8]]) -> u8 {
    let mut all: Vec<&[u8]> = vec![workspace.0.as_bytes()];
    all.extend(parts);
    Digest::of_parts(&all).as_bytes()[0] % BUCKETS
}
