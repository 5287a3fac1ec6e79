//! Rows of the queue: how a run is written there, taken out, and read back.

use std::collections::HashSet;

use sandmill_model::{
    Event, RunId, RunRecord, RunStatus, RunSummary, Timestamp, Usage, WorkspaceId, attempt::Input, event::TriggerRef, run::NewRun,
};
use serde::{Deserialize, Serialize};

use super::{
    dialect::{Conn, Insert},
    finished,
    value::{Kind, Row, RunKey, Value, run_key, to_json, values},
};
use crate::StoreError;

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
        ("lease_node", Kind::Text),
        ("lease_until", Kind::Int),
        ("cancel_requested", Kind::Int),
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

/// Who runs a run from the moment that it is in the queue.
pub(super) struct Lease<'a> {
    pub(super) node: &'a str,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

pub(super) async fn insert(conn: &mut Conn<'_>, runs: &[&NewRun], lease: Option<&Lease<'_>>) -> Result<(), StoreError> {
    if runs.is_empty() {
        return Ok(());
    }
    let mut queue = Vec::with_capacity(runs.len() * QUEUE.columns.len());
    let mut inputs = Vec::with_capacity(runs.len() * INPUTS.columns.len());
    for run in runs {
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
            lease.map(|lease| lease.node),
            lease.map(|lease| lease.until),
            0_i64,
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

/// Takes runs that `node` holds out of the queue; returns those that it held.
pub(super) async fn take(conn: &mut Conn<'_>, node: &str, keys: Vec<RunKey>) -> Result<HashSet<RunKey>, StoreError> {
    let held = |keys: &[RunKey]| vec![node.into(), Value::Keys(keys.to_vec())];
    let gone = conn.execute("DELETE FROM queue WHERE lease_node = $1 AND (workspace, id) IN {keys $2}", held(&keys)).await?;
    let mut taken: HashSet<RunKey> = keys.iter().copied().collect();
    if gone != taken.len() as u64 {
        // Rarely it held less. Those that are gone have left only their input behind.
        let rows = conn
            .rows(
                "SELECT workspace, id FROM queue_inputs WHERE (workspace, id) IN {keys $1} AND NOT EXISTS (
                     SELECT 1 FROM queue WHERE queue.workspace = queue_inputs.workspace AND queue.id = queue_inputs.id
                 )",
                vec![Value::Keys(keys)],
            )
            .await?;
        taken = rows.iter().map(read_key).collect::<Result<_, _>>()?;
    }
    if !taken.is_empty() {
        conn.execute("DELETE FROM queue_inputs WHERE (workspace, id) IN {keys $1}", vec![Value::Keys(taken.iter().copied().collect())])
            .await?;
    }
    Ok(taken)
}

pub(super) fn read_key(row: &Row) -> Result<RunKey, StoreError> {
    Ok(run_key(WorkspaceId(row.uuid(0)?), RunId(row.uuid(1)?)))
}

/// What [`read`] reads; conditions on `queue` come after it.
macro_rules! select_queued {
    () => {
        "SELECT queue.workspace, queue.id, workspace_name, path, number, version, limits, run_as, created_at, scheduled_for, attempt, started_at,
             lease_node, arguments, event, origin, payload
         FROM queue JOIN queue_inputs ON queue_inputs.workspace = queue.workspace AND queue_inputs.id = queue.id "
    };
}
pub(super) use select_queued;

/// A run of the queue beside what it starts from.
pub(super) struct Queued {
    pub(super) run: NewRun,
    pub(super) attempt: u32,
    pub(super) started_at: Option<Timestamp>,
    pub(super) is_leased: bool,
}

pub(super) fn read(row: &Row) -> Result<Queued, StoreError> {
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
    };
    Ok(Queued { run, attempt: row.small_count(10)?, started_at: row.opt_time(11)?, is_leased: row.opt_text(12)?.is_some() })
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
                status: if self.is_leased { RunStatus::Running } else { RunStatus::Queued },
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
