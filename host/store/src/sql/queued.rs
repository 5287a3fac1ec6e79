//! Rows of the queue: how a run is written there, taken out, and read back.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sandmill_model::{
    Cause, Event, Policy, RunId, RunRecord, RunStatus, RunSummary, Timestamp, Usage, WorkspaceId, attempt::Input, event::TriggerRef,
    run::NewRun,
};
use serde::{Deserialize, Serialize};

use super::{
    codes,
    dedup::{self, Repeated, Wanted},
    dialect::{Conn, Insert},
    keys::Holder,
    labels, nodes,
    value::{Kind, Row, RunKey, Value, run_key, to_json, values},
    waiting::{Lacking, Standing, Terms, Waiting},
};
use crate::{StoreError, nodes::Incarnation, queue::Enqueued};

/// Values of the column `state`; migrations document them, and statements name the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Ready = 0,
    Delayed = 1,
    Parked = 2,
    Running = 3,
    /// It waits for its release, and holds and takes nothing until then.
    Held = 4,
}

impl State {
    fn status(self) -> RunStatus {
        match self {
            Self::Ready | Self::Delayed => RunStatus::Queued,
            Self::Parked => RunStatus::Parked,
            Self::Running => RunStatus::Running,
            Self::Held => RunStatus::Held,
        }
    }

    fn read(code: i64) -> Result<Self, StoreError> {
        [Self::Ready, Self::Delayed, Self::Parked, Self::Running, Self::Held]
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
        ("cause_kind", Kind::Int),
        ("cause", Kind::Bytes),
        ("labels", Kind::Text),
        ("has_place", Kind::Int),
        ("ends_by", Kind::Int),
        ("has_input", Kind::Int),
        ("arguments", Kind::Text),
        ("event", Kind::Text),
        ("origin", Kind::Text),
        ("payload", Kind::Bytes),
        ("trigger_path", Kind::Text),
    ],
    on_conflict: "",
};

/// An input of so many bytes stands in the queue's own row: claims rewrite it, but nothing else is written and read for it.
const INPUT_BYTES_INLINE_MAX: usize = 1024;

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

/// What counts as the moment from which a run waits: a child's is that of the first run above it.
fn due_at(run: &NewRun) -> Timestamp {
    let is_delayed = run.scheduled_for > run.created_at;
    run.lineage.filter(|_| !is_delayed).map_or(run.scheduled_for, |lineage| lineage.since)
}

/// Who runs a run from the moment that it is in the queue.
#[derive(Clone, Copy)]
pub(super) struct Lease {
    pub(super) node: Incarnation,
    pub(super) from: Timestamp,
}

/// Writes runs, but for those whose dedup key is another's, each with the node that executes it at once if it waits for nothing.
pub(super) async fn enqueue(conn: &mut Conn<'_>, runs: &[(&NewRun, Option<Incarnation>)]) -> Result<Vec<Enqueued>, StoreError> {
    let mut answers = Vec::with_capacity(runs.len());
    let mut rows = Vec::with_capacity(runs.len());
    // Nodes that were asked for, and whether each may take leases.
    let mut alive: HashMap<Incarnation, bool> = HashMap::new();
    let wanted: Vec<Wanted<'_>> = runs.iter().map(|(run, _)| Wanted { run, also: &[] }).collect();
    let repeated = dedup::claim(conn, &wanted).await?;
    for ((run, node), repeated) in runs.iter().zip(repeated) {
        let mut answer = repeated.first().map_or(Enqueued::New, Repeated::as_answer);
        if answer == Enqueued::New {
            let mut standing = standing(conn, run, run.created_at).await?;
            let node = node.filter(|_| standing.state == State::Ready);
            if let Some(node) = node
                && is_alive(conn, node, &mut alive).await?
            {
                standing.state = State::Running;
                answer = Enqueued::Begun;
                rows.push((*run, standing, Some(Lease { node, from: run.created_at })));
            } else {
                rows.push((*run, standing, None));
            }
        }
        answers.push(answer);
    }
    insert(conn, &rows).await?;
    Ok(answers)
}

async fn is_alive(conn: &mut Conn<'_>, node: Incarnation, known: &mut HashMap<Incarnation, bool>) -> Result<bool, StoreError> {
    if let Some(is_alive) = known.get(&node) {
        return Ok(*is_alive);
    }
    let is_alive = nodes::is_alive(conn, node).await?;
    known.insert(node, is_alive);
    Ok(is_alive)
}

/// Writes runs that are new, and whether each waits for its release.
pub(super) async fn accept(conn: &mut Conn<'_>, runs: &[(&NewRun, bool)]) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(runs.len());
    for (run, is_held) in runs {
        let standing = match *is_held {
            true => Standing { state: State::Held, ..Standing::default() },
            false => standing(conn, run, run.created_at).await?,
        };
        rows.push((*run, standing, None));
    }
    insert(conn, &rows).await
}

/// Lets a held run go that the transaction has locked: it stands as if it were accepted now, and so long as it was held its time did not run.
pub(super) async fn release(conn: &mut Conn<'_>, held: Queued, now: Timestamp) -> Result<(), StoreError> {
    let run = held.run;
    let Standing { state, keys_held, waits_for, has_place, due_at } = standing(conn, &run, now).await?;
    let ends_by = run.policy.ends_by.map(|end| end.plus(now.since(run.created_at)));
    let due_at = due_at.unwrap_or_else(|| run.scheduled_for.max(now));
    let run = NewRun { policy: Arc::new(Policy { ends_by, ..Policy::clone(&run.policy) }), ..run };
    conn.execute(
        "UPDATE queue SET state = $3, keys_held = $4, waits_for = $5, has_place = $6, due_at = $7, ends_by = $8, policy = $9
         WHERE workspace = $1 AND id = $2",
        values![
            run.workspace,
            run.id,
            state as i64,
            keys_held as i64,
            waits_for,
            i64::from(has_place),
            due_at,
            ends_by,
            Terms::column(&run)?
        ],
    )
    .await
    .map(drop)
}

async fn standing(conn: &mut Conn<'_>, run: &NewRun, now: Timestamp) -> Result<Standing, StoreError> {
    if run.scheduled_for > now {
        return Ok(Standing { state: State::Delayed, ..Standing::default() });
    }
    let (keys, rates) = (&*run.policy.keys, &*run.policy.rates);
    Lacking { workspace: run.workspace, keys, rates, keys_held: 0, has_place: false }.take(conn, now).await
}

/// Writes a run that a node executes already.
pub(super) async fn adopt(conn: &mut Conn<'_>, run: &NewRun, lease: Lease) -> Result<(), StoreError> {
    insert(conn, &[(run, Standing { state: State::Running, ..Standing::default() }, Some(lease))]).await
}

async fn insert(conn: &mut Conn<'_>, runs: &[(&NewRun, Standing, Option<Lease>)]) -> Result<(), StoreError> {
    if runs.is_empty() {
        return Ok(());
    }
    let mut queue = Vec::with_capacity(runs.len() * QUEUE.columns.len());
    let mut inputs = Vec::with_capacity(runs.len() * INPUTS.columns.len());
    for (run, standing, lease) in runs {
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
            standing.due_at.unwrap_or_else(|| due_at(run)),
            i64::from(run.policy.priority),
            &run.policy.tag,
            0_i64,
            lease.map(|lease| lease.node.0),
            Terms::column(run)?,
            standing.keys_held as i64,
            standing.waits_for.clone(),
            run.cause.map(|cause| codes::cause(cause.kind)),
            run.cause.map(|cause| cause.run),
            labels::column(&run.labels)?,
            i64::from(standing.has_place),
            // What is held is never overdue.
            run.policy.ends_by.filter(|_| standing.state != State::Held),
        ]);
        let input = input_values(&run.input)?;
        if input.iter().map(Value::len_bytes).sum::<usize>() <= INPUT_BYTES_INLINE_MAX {
            queue.push(0_i64.into());
            queue.extend(input);
        } else {
            queue.push(1_i64.into());
            queue.extend(values![None::<&str>, None::<&str>, None::<&str>, None::<&[u8]>]);
            inputs.extend(values![run.workspace, run.id]);
            inputs.extend(input);
        }
        queue.push(run.input.trigger().and_then(|trigger| trigger.path.as_ref()).into());
    }
    conn.insert(&QUEUE, queue).await?;
    if !inputs.is_empty() {
        conn.insert(&INPUTS, inputs).await?;
    }
    labels::insert(conn, runs.iter().map(|(run, ..)| *run)).await
}

/// Of an event: metadata, origin, payload.
pub(super) fn event_values(event: &Event) -> Result<Vec<Value>, StoreError> {
    let origin = Origin { trigger: event.trigger.clone(), dedup_key: event.dedup_key.clone(), ordering_key: event.ordering_key.clone() };
    Ok(values![&event.metadata, to_json(&origin)?, &event.payload])
}

/// The same, read back from three columns.
pub(super) fn read_event(row: &Row, first: usize) -> Result<Event, StoreError> {
    let origin: Origin = row.parsed(first + 1)?;
    Ok(Event {
        trigger: origin.trigger,
        metadata: row.json(first)?,
        payload: row.opt_bytes(first + 2)?.unwrap_or_default().to_vec().into(),
        dedup_key: origin.dedup_key,
        ordering_key: origin.ordering_key,
    })
}

fn input_values(input: &Input) -> Result<Vec<Value>, StoreError> {
    Ok(match input {
        Input::Arguments(arguments) => values![arguments, None::<&str>, None::<&str>, None::<&[u8]>],
        Input::Event(event) => {
            let mut values = values![None::<&str>];
            values.extend(event_values(event)?);
            values
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
             RETURNING workspace, id, keys_held, CASE WHEN keys_held > 0 THEN policy END, has_place, has_input",
            vec![lease.0.into(), Value::Keys(keys), attempt.into()],
        )
        .await?;
    let mut taken = Taken::default();
    let mut inputs = Vec::new();
    for row in &rows {
        let key = read_key(row)?;
        taken.runs.insert(key);
        taken.holders.extend(Waiting::read(row)?.into_holder());
        if row.int(5)? != 0 {
            inputs.push(key);
        }
    }
    forget_inputs(conn, inputs).await?;
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

/// What [`read`] reads, with the four columns of the input from wherever they are.
macro_rules! queued_columns {
    ($input:literal) => {
        concat!(
            "queue.workspace, queue.id, workspace_name, path, number, version, limits, run_as, created_at, scheduled_for, attempt,
             started_at, state, ",
            $input,
            ", priority, tag, policy, lost, cancel_requested, keys_held, cause_kind, cause, labels, due_at, handed_back, asleep"
        )
    };
}
pub(super) use queued_columns;

/// A statement for what [`read`] reads; conditions on `queue` come after it.
macro_rules! select_queued {
    () => {
        concat!(
            "SELECT ",
            queued_columns!(
                "COALESCE(queue.arguments, input.arguments), COALESCE(queue.event, input.event), COALESCE(queue.origin, input.origin),
                 COALESCE(queue.payload, input.payload)"
            ),
            " FROM queue
             LEFT JOIN queue_inputs AS input ON has_input = 1 AND input.workspace = queue.workspace AND input.id = queue.id "
        )
    };
}

/// A run of the queue beside what it starts from.
pub(super) struct Queued {
    pub(super) run: NewRun,
    pub(super) attempt: u32,
    pub(super) started_at: Option<Timestamp>,
    pub(super) state: State,
    pub(super) lost: u32,
    pub(super) is_cancelled: bool,
    pub(super) keys_held: usize,
    pub(super) due_at: Timestamp,
    pub(super) handed_back: u32,
    is_asleep: bool,
}

pub(super) fn read(row: &Row) -> Result<Queued, StoreError> {
    let input = read_input(row, 13)?.ok_or_else(|| StoreError::Corrupt("a queued run without its input".to_owned()))?;
    read_with(row, input)
}

/// Runs of which the rows have all but some inputs, which are in a table of their own.
pub(super) async fn read_all(conn: &mut Conn<'_>, rows: &[Row]) -> Result<Vec<Queued>, StoreError> {
    let inputs = rows.iter().map(|row| read_input(row, 13)).collect::<Result<Vec<_>, _>>()?;
    let lacking = rows.iter().zip(&inputs).filter(|(_, input)| input.is_none()).map(|(row, _)| read_key(row));
    let lacking: Vec<RunKey> = lacking.collect::<Result<_, _>>()?;
    let mut apart = HashMap::new();
    if !lacking.is_empty() {
        const INPUTS: &str = "SELECT workspace, id, arguments, event, origin, payload FROM queue_inputs WHERE (workspace, id) IN {keys $1}";
        for row in conn.rows(INPUTS, vec![Value::Keys(lacking)]).await? {
            apart.extend(read_input(&row, 2)?.map(|input| Ok((read_key(&row)?, input))).transpose()?);
        }
    }
    let whole = |(row, input): (&Row, Option<Input>)| match input {
        Some(input) => read_with(row, input),
        None => {
            let input = apart.remove(&read_key(row)?);
            read_with(row, input.ok_or_else(|| StoreError::Corrupt("a queued run without its input".to_owned()))?)
        }
    };
    rows.iter().zip(inputs).map(whole).collect()
}

fn read_with(row: &Row, input: Input) -> Result<Queued, StoreError> {
    let Terms { retry, ends_by, keys, rates, error_handler, lineage, trace, answered_by, stages_state } = Terms::read(row, 19)?;
    let priority = i32::try_from(row.int(17)?).map_err(|_| StoreError::Corrupt("a priority out of range".to_owned()))?;
    let run = NewRun {
        id: RunId(row.uuid(1)?),
        workspace: WorkspaceId(row.uuid(0)?),
        workspace_name: row.text(2)?.into(),
        path: row.path(3)?,
        number: row.int(4)?,
        version: row.digest(5)?,
        input,
        limits: row.parsed(6)?,
        run_as: row.text(7)?.into(),
        answered_by,
        stages_state,
        created_at: row.time(8)?,
        scheduled_for: row.time(9)?,
        policy: Arc::new(Policy { priority, tag: row.text(18)?.into(), retry, ends_by, keys, rates, error_handler }),
        // Its work was done when the run was accepted.
        dedup: None,
        cause: read_cause(row, 23)?,
        labels: labels::read(row, 25)?,
        lineage,
        trace,
    };
    Ok(Queued {
        run,
        attempt: row.small_count(10)?,
        started_at: row.opt_time(11)?,
        state: State::read(row.int(12)?)?,
        lost: row.small_count(20)?,
        is_cancelled: row.int(21)? != 0,
        keys_held: usize::try_from(row.int(22)?).unwrap_or(0),
        due_at: row.time(26)?,
        handed_back: row.small_count(27)?,
        is_asleep: row.int(28)? != 0,
    })
}

/// From two columns.
pub(super) fn read_cause(row: &Row, first: usize) -> Result<Option<Cause>, StoreError> {
    let Some(code) = row.opt_int(first)? else { return Ok(None) };
    Ok(Some(Cause { kind: codes::read_cause(code)?, run: RunId(row.uuid(first + 1)?) }))
}

/// From four columns: none if it is elsewhere.
fn read_input(row: &Row, first: usize) -> Result<Option<Input>, StoreError> {
    if let Some(arguments) = row.opt_json(first)? {
        return Ok(Some(Input::Arguments(arguments)));
    }
    if row.opt_text(first + 2)?.is_none() {
        return Ok(None);
    }
    read_event(row, first + 1).map(|event| Some(Input::Event(event)))
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
    pub(super) fn is_held(&self) -> bool {
        self.state == State::Held
    }

    /// The keys that it holds.
    pub(super) fn holder(&self) -> Holder {
        let keys = self.run.policy.keys.iter().take(self.keys_held).cloned().collect();
        Holder { workspace: self.run.workspace, keys }
    }

    pub(super) fn into_record(self) -> RunRecord {
        let run = self.run;
        RunRecord {
            arguments: run.input.arguments(),
            event: run.input.metadata(),
            output: None,
            error: None,
            usage: Usage::default(),
            summary: RunSummary {
                id: run.id,
                number: run.number,
                version: run.version,
                status: if self.state == State::Running && self.is_asleep { RunStatus::Suspended } else { self.state.status() },
                outcome: None,
                trigger_kind: run.input.trigger().map(|trigger| trigger.kind.to_string()),
                trigger_path: run.input.trigger().and_then(|trigger| trigger.path.clone()),
                attempt: self.attempt,
                run_as: run.run_as.to_string(),
                created_at: run.created_at,
                scheduled_for: run.scheduled_for,
                started_at: self.started_at,
                ended_at: None,
                path: run.path,
                tag: Arc::clone(&run.policy.tag),
                cause: run.cause,
                labels: run.labels,
            },
        }
    }
}
