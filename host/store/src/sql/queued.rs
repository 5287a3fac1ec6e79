//! Rows of the queue: how a run is written there, taken out, and read back.

use std::{collections::HashSet, sync::Arc};

use sandmill_model::{
    Event, Policy, RunId, RunRecord, RunStatus, RunSummary, Timestamp, Usage, WorkspaceId,
    attempt::Input,
    event::TriggerRef,
    policy::{Key, Retry},
    run::NewRun,
};
use serde::{Deserialize, Serialize};

use super::{
    dedup,
    dialect::{Conn, Insert},
    finished,
    keys::{self, Holder},
    value::{Kind, Row, RunKey, Value, run_key, to_json, values},
};
use crate::{StoreError, nodes::Incarnation, queue::Enqueued};

/// Values of the column `state`; migrations document them, and statements name the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready = 0,
    Delayed = 1,
    Parked = 2,
    Running = 3,
}

impl State {
    fn status(self) -> RunStatus {
        match self {
            Self::Ready | Self::Delayed => RunStatus::Queued,
            Self::Parked => RunStatus::Parked,
            Self::Running => RunStatus::Running,
        }
    }

    fn read(code: i64) -> Result<Self, StoreError> {
        [Self::Ready, Self::Delayed, Self::Parked, Self::Running]
            .into_iter()
            .find(|state| *state as i64 == code)
            .ok_or_else(|| StoreError::Corrupt(format!("a queued run's state {code}")))
    }
}

const QUEUE: Insert = Insert {
    table: "queue",
    columns: &[
        ("workspace", Kind::Bytes),
        ("id", Kind::Bytes),
        ("workspace_name", Kind::Text),
        ("path", Kind::Text),
        ("number", Kind::Int),
        ("version", Kind::Bytes),
        ("limits", Kind::Text),
        ("run_as", Kind::Text),
        ("trigger_kind", Kind::Text),
        ("created_at", Kind::Int),
        ("scheduled_for", Kind::Int),
        ("attempt", Kind::Int),
        ("started_at", Kind::Int),
        ("cancel_requested", Kind::Int),
        ("state", Kind::Int),
        ("due_at", Kind::Int),
        ("priority", Kind::Int),
        ("tag", Kind::Text),
        ("lost", Kind::Int),
        ("lease", Kind::Int),
        ("policy", Kind::Text),
        ("keys_held", Kind::Int),
        ("waits_for", Kind::Bytes),
    ],
    on_conflict: "",
};

const INPUTS: Insert = Insert {
    table: "queue_inputs",
    columns: &[
        ("workspace", Kind::Bytes),
        ("id", Kind::Bytes),
        ("arguments", Kind::Text),
        ("event", Kind::Text),
        ("origin", Kind::Text),
        ("payload", Kind::Bytes),
    ],
    on_conflict: "",
};

/// What is kept of an event beside its metadata and payload.
#[derive(Serialize, Deserialize)]
struct Origin {
    trigger: TriggerRef,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dedup_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ordering_key: Option<String>,
}

/// What is kept of a policy beside priority and tag, which are columns.
#[derive(Serialize, Deserialize)]
struct Terms {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<Retry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_by: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<Key>,
}

fn terms(policy: &Policy) -> Result<Option<String>, StoreError> {
    if policy.retry.is_none() && policy.ends_by.is_none() && policy.keys.is_empty() {
        return Ok(None);
    }
    let terms = Terms { retry: policy.retry.clone(), ends_by: policy.ends_by, keys: policy.keys.clone() };
    to_json(&terms).map(Some)
}

/// Who runs a run from the moment that it is in the queue.
#[derive(Clone, Copy)]
pub(super) struct Lease {
    pub(super) node: Incarnation,
    pub(super) from: Timestamp,
}

/// Where a run stands that nobody executes yet.
pub(super) struct Standing {
    state: State,
    keys_held: usize,
    waits_for: Option<Vec<u8>>,
}

impl Standing {
    /// Takes the keys of a run that is due, as far as they are free.
    async fn of(conn: &mut Conn<'_>, run: &NewRun) -> Result<Self, StoreError> {
        if run.scheduled_for > run.created_at {
            return Ok(Self { state: State::Delayed, keys_held: 0, waits_for: None });
        }
        let held = keys::acquire(conn, run.workspace, &run.policy.keys, 0).await?;
        Ok(Self::with(&run.policy.keys, held))
    }

    /// Ready with all its keys, or parked for the next.
    pub(super) fn with(keys: &[Key], held: usize) -> Self {
        let waits_for = keys.get(held).map(|key| key.name.clone().into_bytes());
        Self { state: if waits_for.is_some() { State::Parked } else { State::Ready }, keys_held: held, waits_for }
    }
}

/// What [`Waiting::read`] reads; conditions come after it. Without the input, which may be long.
macro_rules! select_waiting {
    () => {
        "SELECT workspace, id, keys_held, policy FROM queue "
    };
}
pub(super) use select_waiting;

/// A run that waits for its time or for a key.
pub(super) struct Waiting {
    workspace: WorkspaceId,
    id: RunId,
    pub(super) keys: Vec<Key>,
    pub(super) keys_held: usize,
}

impl Waiting {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        let terms = row.opt_text(3)?.map(|_| row.parsed::<Terms>(3)).transpose()?;
        Ok(Self {
            workspace: WorkspaceId(row.uuid(0)?),
            id: RunId(row.uuid(1)?),
            keys: terms.map(|terms| terms.keys).unwrap_or_default(),
            keys_held: usize::try_from(row.int(2)?).unwrap_or(0),
        })
    }

    pub(super) fn key(&self) -> RunKey {
        run_key(self.workspace, self.id)
    }

    /// Takes the keys that it lacks, as far as they are free.
    pub(super) async fn acquire(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        let held = keys::acquire(conn, self.workspace, &self.keys, self.keys_held).await?;
        self.stand(conn, &Standing::with(&self.keys, held)).await
    }

    pub(super) async fn stand(&self, conn: &mut Conn<'_>, standing: &Standing) -> Result<(), StoreError> {
        conn.execute(
            "UPDATE queue SET state = $3, keys_held = $4, waits_for = $5 WHERE workspace = $1 AND id = $2",
            values![self.workspace, self.id, standing.state as i64, standing.keys_held as i64, standing.waits_for.clone()],
        )
        .await
        .map(drop)
    }

    /// What it holds.
    fn into_holder(mut self) -> Option<Holder> {
        self.keys.truncate(self.keys_held);
        (!self.keys.is_empty()).then_some(Holder { workspace: self.workspace, keys: self.keys })
    }
}

/// Writes runs that nobody executes yet, but for those whose dedup key is another's.
pub(super) async fn enqueue(conn: &mut Conn<'_>, runs: &[&NewRun]) -> Result<Vec<Enqueued>, StoreError> {
    let mut answers = Vec::with_capacity(runs.len());
    let mut rows = Vec::with_capacity(runs.len());
    for run in runs {
        let answer = match &run.dedup {
            Some(key) => dedup::claim(conn, run, key).await?,
            None => Enqueued::New,
        };
        answers.push(answer);
        if answer == Enqueued::New {
            rows.push((*run, Standing::of(conn, run).await?));
        }
    }
    insert(conn, &rows, None).await?;
    Ok(answers)
}

/// Writes a run that a node executes already.
pub(super) async fn adopt(conn: &mut Conn<'_>, run: &NewRun, lease: Lease) -> Result<(), StoreError> {
    insert(conn, &[(run, Standing { state: State::Running, keys_held: 0, waits_for: None })], Some(lease)).await
}

async fn insert(conn: &mut Conn<'_>, runs: &[(&NewRun, Standing)], lease: Option<Lease>) -> Result<(), StoreError> {
    if runs.is_empty() {
        return Ok(());
    }
    let mut queue = Vec::with_capacity(runs.len() * QUEUE.columns.len());
    let mut inputs = Vec::with_capacity(runs.len() * INPUTS.columns.len());
    for (run, standing) in runs {
        queue.extend(values![
            run.workspace,
            run.id,
            &run.workspace_name,
            &run.path,
            run.number,
            run.version,
            to_json(&run.limits)?,
            &run.run_as,
            run.input.trigger().map(|trigger| &trigger.kind),
            run.created_at,
            run.scheduled_for,
            i64::from(lease.is_some()),
            lease.map(|lease| lease.from),
            0_i64,
            standing.state as i64,
            run.scheduled_for,
            i64::from(run.policy.priority),
            &run.policy.tag,
            0_i64,
            lease.map(|lease| lease.node.0),
            terms(&run.policy)?,
            standing.keys_held as i64,
            standing.waits_for.clone(),
        ]);
        inputs.extend(values![run.workspace, run.id]);
        inputs.extend(input_values(&run.input)?);
    }
    conn.insert(&QUEUE, queue).await?;
    conn.insert(&INPUTS, inputs).await
}

fn input_values(input: &Input) -> Result<Vec<Value>, StoreError> {
    Ok(match input {
        Input::Arguments(arguments) => values![arguments, None::<&str>, None::<&str>, None::<&[u8]>],
        Input::Event(event) => {
            let origin =
                Origin { trigger: event.trigger.clone(), dedup_key: event.dedup_key.clone(), ordering_key: event.ordering_key.clone() };
            values![None::<&str>, &event.metadata, to_json(&origin)?, &event.payload]
        }
    })
}

/// Runs that were taken out of the queue.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) runs: HashSet<RunKey>,
    /// What some of them held.
    pub(super) holders: Vec<Holder>,
}

/// Takes runs out of the queue that `lease` holds in this attempt.
pub(super) async fn take(conn: &mut Conn<'_>, lease: Incarnation, attempt: u32, keys: Vec<RunKey>) -> Result<Taken, StoreError> {
    if keys.is_empty() {
        return Ok(Taken::default());
    }
    let rows = conn
        .rows(
            "DELETE FROM queue WHERE lease = $1 AND attempt = $3 AND (workspace, id) IN {keys $2}
             RETURNING workspace, id, keys_held, CASE WHEN keys_held > 0 THEN policy END",
            vec![lease.0.into(), Value::Keys(keys), attempt.into()],
        )
        .await?;
    let mut taken = Taken::default();
    for row in &rows {
        taken.runs.insert(read_key(row)?);
        taken.holders.extend(Waiting::read(row)?.into_holder());
    }
    forget_inputs(conn, taken.runs.iter().copied().collect()).await?;
    Ok(taken)
}

/// Takes a run out of the queue that the transaction has locked.
pub(super) async fn take_one(conn: &mut Conn<'_>, queued: &Queued) -> Result<(), StoreError> {
    let key = vec![run_key(queued.run.workspace, queued.run.id)];
    conn.execute("DELETE FROM queue WHERE (workspace, id) IN {keys $1}", vec![Value::Keys(key.clone())]).await?;
    forget_inputs(conn, key).await
}

async fn forget_inputs(conn: &mut Conn<'_>, keys: Vec<RunKey>) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    conn.execute("DELETE FROM queue_inputs WHERE (workspace, id) IN {keys $1}", vec![Value::Keys(keys)]).await.map(drop)
}

pub(super) fn read_key(row: &Row) -> Result<RunKey, StoreError> {
    Ok(run_key(WorkspaceId(row.uuid(0)?), RunId(row.uuid(1)?)))
}

/// What [`read`] reads; conditions on `queue` come after it.
macro_rules! select_queued {
    () => {
        "SELECT queue.workspace, queue.id, workspace_name, path, number, version, limits, run_as, created_at, scheduled_for, attempt, started_at,
             state, arguments, event, origin, payload, priority, tag, policy, lost, cancel_requested, keys_held
         FROM queue JOIN queue_inputs ON queue_inputs.workspace = queue.workspace AND queue_inputs.id = queue.id "
    };
}
pub(super) use select_queued;

/// A run of the queue beside what it starts from.
pub(super) struct Queued {
    pub(super) run: NewRun,
    pub(super) attempt: u32,
    pub(super) started_at: Option<Timestamp>,
    pub(super) state: State,
    pub(super) lost: u32,
    pub(super) is_cancelled: bool,
    pub(super) keys_held: usize,
}

pub(super) fn read(row: &Row) -> Result<Queued, StoreError> {
    let terms = row.opt_text(19)?.map(|_| row.parsed::<Terms>(19)).transpose()?;
    let Terms { retry, ends_by, keys } = terms.unwrap_or(Terms { retry: None, ends_by: None, keys: Vec::new() });
    let priority = i32::try_from(row.int(17)?).map_err(|_| StoreError::Corrupt("a priority out of range".to_owned()))?;
    let run = NewRun {
        id: RunId(row.uuid(1)?),
        workspace: WorkspaceId(row.uuid(0)?),
        workspace_name: row.text(2)?.into(),
        path: row.path(3)?,
        number: row.int(4)?,
        version: row.digest(5)?,
        input: read_input(row)?,
        limits: row.parsed(6)?,
        run_as: row.text(7)?.into(),
        created_at: row.time(8)?,
        scheduled_for: row.time(9)?,
        policy: Arc::new(Policy { priority, tag: row.text(18)?.into(), retry, ends_by, keys }),
        // Its work was done when the run was accepted.
        dedup: None,
    };
    Ok(Queued {
        run,
        attempt: row.small_count(10)?,
        started_at: row.opt_time(11)?,
        state: State::read(row.int(12)?)?,
        lost: row.small_count(20)?,
        is_cancelled: row.int(21)? != 0,
        keys_held: usize::try_from(row.int(22)?).unwrap_or(0),
    })
}

fn read_input(row: &Row) -> Result<Input, StoreError> {
    if let Some(arguments) = row.opt_json(13)? {
        return Ok(Input::Arguments(arguments));
    }
    let origin: Origin = row.parsed(15)?;
    Ok(Input::Event(Event {
        trigger: origin.trigger,
        metadata: row.json(14)?,
        payload: row.opt_bytes(16)?.unwrap_or_default().to_vec().into(),
        dedup_key: origin.dedup_key,
        ordering_key: origin.ordering_key,
    }))
}

/// One run.
pub(super) async fn read_one(conn: &mut Conn<'_>, workspace: WorkspaceId, id: RunId) -> Result<Option<Queued>, StoreError> {
    let row = conn.row(concat!(select_queued!(), "WHERE queue.workspace = $1 AND queue.id = $2"), values![workspace, id]).await?;
    row.as_ref().map(read).transpose()
}

/// The same, locked until the transaction ends.
pub(super) async fn lock(conn: &mut Conn<'_>, workspace: WorkspaceId, id: RunId) -> Result<Option<Queued>, StoreError> {
    let row =
        conn.row(concat!(select_queued!(), "WHERE queue.workspace = $1 AND queue.id = $2 {lock queue}"), values![workspace, id]).await?;
    row.as_ref().map(read).transpose()
}

impl Queued {
    /// The keys that it holds.
    pub(super) fn holder(&self) -> Holder {
        let keys = self.run.policy.keys.iter().take(self.keys_held).cloned().collect();
        Holder { workspace: self.run.workspace, keys }
    }

    pub(super) fn into_record(self) -> RunRecord {
        let run = self.run;
        RunRecord {
            arguments: finished::arguments(&run.input),
            event: finished::event(&run.input).cloned(),
            output: None,
            error: None,
            usage: Usage::default(),
            summary: RunSummary {
                id: run.id,
                number: run.number,
                version: run.version,
                status: self.state.status(),
                outcome: None,
                trigger_kind: run.input.trigger().map(|trigger| trigger.kind.to_string()),
                attempt: self.attempt,
                run_as: run.run_as.to_string(),
                created_at: run.created_at,
                scheduled_for: run.scheduled_for,
                started_at: self.started_at,
                ended_at: None,
                path: run.path,
            },
        }
    }
}
