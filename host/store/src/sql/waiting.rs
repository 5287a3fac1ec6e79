//! Runs of the queue that nobody executes: what they still lack, and where they stand for it.
//!
//! A run that is due takes its ordering keys, then its place in the rates, then its other keys. In this order: what comes later in an
//! order does not overtake what waits for a rate, and what waits for a rate holds no place of those that could run.

use std::sync::Arc;

use sandmill_model::{
    Policy, RunId, ScriptPath, Timestamp, WorkspaceId,
    policy::{Key, Retry},
    rate::Rate,
    run::{Lineage, NewRun},
};
use serde::{Deserialize, Serialize};

use super::{
    dialect::Conn,
    keys::{self, Holder},
    queued::State,
    rates,
    value::{Row, RunKey, run_key, to_json, values},
};
use crate::StoreError;

/// What is kept of a policy beside priority and tag, which are columns; of a child, where it stands; where its spans belong; who
/// answers for whom it acts as; and where its state goes.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Terms {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retry: Option<Retry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ends_by: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) keys: Vec<Key>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) rates: Vec<Rate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error_handler: Option<ScriptPath>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lineage: Option<Lineage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) answered_by: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) stages_state: bool,
}

impl Terms {
    /// What the column `policy` holds: NULL where nothing was said.
    pub(super) fn column(run: &NewRun) -> Result<Option<String>, StoreError> {
        // All of it is named, so that nothing that is added is forgotten here.
        let Policy { priority: _, tag: _, retry, ends_by, keys, rates, error_handler } = &*run.policy;
        let is_plain = retry.is_none() && ends_by.is_none() && keys.is_empty() && rates.is_empty() && error_handler.is_none();
        if is_plain && run.lineage.is_none() && run.trace.is_none() && run.answered_by.is_none() && !run.stages_state {
            return Ok(None);
        }
        let terms = Self {
            retry: retry.clone(),
            ends_by: *ends_by,
            keys: keys.clone(),
            rates: rates.clone(),
            error_handler: error_handler.clone(),
            lineage: run.lineage,
            trace: run.trace.clone(),
            answered_by: run.answered_by.clone(),
            stages_state: run.stages_state,
        };
        to_json(&terms).map(Some)
    }

    pub(super) fn read(row: &Row, column: usize) -> Result<Self, StoreError> {
        row.opt_text(column)?.map_or_else(|| Ok(Self::default()), |_| row.parsed(column))
    }
}

/// Where a run stands that nobody executes yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) state: State,
    pub(super) keys_held: usize,
    pub(super) waits_for: Option<Vec<u8>>,
    /// It has its place in the rates.
    pub(super) has_place: bool,
    /// When that is, if it has to wait for it.
    pub(super) due_at: Option<Timestamp>,
}

/// What a run has of what it needs.
pub(super) struct Lacking<'a> {
    pub(super) workspace: WorkspaceId,
    pub(super) keys: &'a [Key],
    pub(super) rates: &'a [Rate],
    pub(super) keys_held: usize,
    pub(super) has_place: bool,
}

impl Lacking<'_> {
    /// Takes what the run lacks, as far as it is to be had.
    pub(super) async fn take(self, conn: &mut Conn<'_>, now: Timestamp) -> Result<Standing, StoreError> {
        let Self { workspace, keys, rates, mut keys_held, mut has_place } = self;
        let ordering = keys.iter().take_while(|key| key.is_ordering()).count();
        keys_held = keys::acquire(conn, workspace, &keys[..ordering.max(keys_held)], keys_held).await?;
        if keys_held >= ordering && !has_place && !rates.is_empty() {
            has_place = true;
            let due_at = rates::take_place(conn, workspace, rates, now).await?;
            if due_at > now {
                return Ok(Standing { state: State::Delayed, keys_held, waits_for: None, has_place, due_at: Some(due_at) });
            }
        }
        if keys_held >= ordering {
            keys_held = keys::acquire(conn, workspace, keys, keys_held).await?;
        }
        let waits_for = keys.get(keys_held).map(|key| key.name.clone().into_bytes());
        let state = if waits_for.is_some() { State::Parked } else { State::Ready };
        Ok(Standing { state, keys_held, waits_for, has_place, due_at: None })
    }
}

/// What [`Waiting::read`] reads; conditions come after it. Without the input, which may be long.
macro_rules! select_waiting {
    () => {
        "SELECT workspace, id, keys_held, policy, has_place FROM queue "
    };
}
pub(super) use select_waiting;

/// A run that waits for its time or for a key.
pub(super) struct Waiting {
    workspace: WorkspaceId,
    id: RunId,
    pub(super) keys: Vec<Key>,
    pub(super) keys_held: usize,
    rates: Vec<Rate>,
    has_place: bool,
}

impl Waiting {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        let Terms { keys, rates, .. } = Terms::read(row, 3)?;
        Ok(Self {
            workspace: WorkspaceId(row.uuid(0)?),
            id: RunId(row.uuid(1)?),
            keys,
            keys_held: usize::try_from(row.int(2)?).unwrap_or(0),
            rates,
            has_place: row.int(4)? != 0,
        })
    }

    pub(super) fn key(&self) -> RunKey {
        run_key(self.workspace, self.id)
    }

    pub(super) fn lacks_nothing(&self) -> bool {
        self.keys_held == self.keys.len() && (self.has_place || self.rates.is_empty())
    }

    /// Takes what it lacks beside the first `keys_held` of its keys, as far as it is to be had.
    pub(super) async fn go_on(&self, conn: &mut Conn<'_>, keys_held: usize, now: Timestamp) -> Result<(), StoreError> {
        let (workspace, keys, rates, has_place) = (self.workspace, &*self.keys, &*self.rates, self.has_place);
        let Standing { state, keys_held, waits_for, has_place, due_at } =
            Lacking { workspace, keys, rates, keys_held, has_place }.take(conn, now).await?;
        conn.execute(
            "UPDATE queue SET state = $3, keys_held = $4, waits_for = $5, has_place = $6, due_at = COALESCE($7, due_at)
             WHERE workspace = $1 AND id = $2",
            values![self.workspace, self.id, state as i64, keys_held as i64, waits_for, i64::from(has_place), due_at],
        )
        .await
        .map(drop)
    }

    /// What it holds.
    pub(super) fn into_holder(mut self) -> Option<Holder> {
        self.keys.truncate(self.keys_held);
        (!self.keys.is_empty()).then_some(Holder { workspace: self.workspace, keys: self.keys })
    }
}
