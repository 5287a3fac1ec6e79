//! Who executes what: runs are found by workspace and tag, taken for a lease, and given back.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
    fmt::Write as _,
    sync::Arc,
};

use sandmill_model::{RunId, WorkspaceId};

use super::{
    dialect::Conn,
    nodes, places,
    queued::{self, Lease, Queued, queued_columns},
    value::{Row, RunKey, Value, run_key, values},
    workspaces,
};
use crate::{
    StoreError,
    nodes::Incarnation,
    queue::{Claimed, Claims, HandedBack, Head, Heads, Ready, Share},
    workspaces::{Status, running_runs_max},
};

/// Inputs from their own table that one claim takes along: they are in memory until their runs have a slot.
const LARGE_INPUTS_MAX: usize = 16;
/// Overdue runs that are taken at once.
const OVERDUE_MAX: u32 = 100;

const PICK: &str = "SELECT workspace, id, has_input FROM queue WHERE state = 0 AND workspace = $1 AND tag = $2
    ORDER BY priority DESC, due_at, id LIMIT $3 {lock free queue}";

const PICK_OVERDUE: &str = "SELECT workspace, id, has_input FROM queue WHERE ends_by <= $1 AND state <> 3
    ORDER BY ends_by LIMIT $2 {lock free queue}";

const TAKE: &str = concat!(
    "UPDATE queue SET state = 3, lease = $1, started_at = $2, attempt = attempt + 1, asleep = 0 WHERE (workspace, id) IN {keys $3} RETURNING ",
    queued_columns!("arguments, event, origin, payload")
);

/// From one workspace to the next by the index of what is ready: as many steps as there are workspaces, however many runs and tags each has.
pub(super) async fn heads(tags: &[Arc<str>], after: Option<WorkspaceId>, limit: u32, mut conn: Conn<'_>) -> Result<Heads, StoreError> {
    let mut next = "SELECT next.workspace, workspaces.settings, workspaces.status, workspaces.overrides, plans.quotas".to_owned();
    for (index, _) in tags.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(
            next,
            ", CAST(CASE WHEN EXISTS (SELECT 1 FROM queue WHERE state = 0 AND workspace = next.workspace AND tag = ${}) THEN 1 ELSE 0 END AS BIGINT)",
            index + 2
        );
    }
    next.push_str(
        " FROM (SELECT workspace FROM queue WHERE state = 0 AND workspace > $1 ORDER BY workspace LIMIT 1) AS next
         LEFT JOIN workspaces ON workspaces.id = next.workspace LEFT JOIN plans ON plans.name = workspaces.plan",
    );
    let mut heads = Heads { ready: Vec::new(), after };
    for _ in 0..limit {
        let mut values = values![heads.after.map_or(Vec::new(), |workspace| workspace.0.as_bytes().to_vec())];
        values.extend(tags.iter().map(Value::from));
        let rows = conn.rows(next.clone(), values).await?;
        let Some(row) = rows.first() else {
            heads.after = None;
            break;
        };
        let workspace = WorkspaceId(row.uuid(0)?);
        let settings = workspaces::read_settings(row, 1)?;
        // What waits in one that is archived goes on once it is not any more.
        let is_active = workspaces::read_status(row, 2)? == Status::Active;
        let running_max = running_runs_max(&settings, &workspaces::read_quotas(row, 3)?);
        for (index, tag) in tags.iter().enumerate() {
            if is_active && row.int(index + 5)? != 0 {
                heads.ready.push(Ready {
                    head: Head { workspace, tag: Arc::clone(tag) },
                    weight: settings.weight.unwrap_or(1),
                    running_max,
                });
            }
        }
        heads.after = Some(workspace);
    }
    Ok(heads)
}

pub(super) async fn claim(lease: Lease, shares: &[Share], mut conn: Conn<'_>) -> Result<Claims, StoreError> {
    if !nodes::is_alive(&mut conn, lease.node).await? {
        return Ok(Claims::default());
    }
    let (mut runs, mut at_limit, mut large) = (Vec::new(), Vec::new(), 0);
    // Of workspaces with a limit: how many more may execute.
    let mut left: HashMap<WorkspaceId, u32> = HashMap::new();
    for Share { head: Head { workspace, tag }, runs_max, running_max } in shares {
        let mut runs_max = *runs_max;
        if let Some(limit) = running_max {
            let left = match left.entry(*workspace) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => *unknown.insert(places_left(&mut conn, *workspace, lease.node, *limit).await?),
            };
            runs_max = runs_max.min(left);
        }
        let keys =
            if runs_max == 0 { Vec::new() } else { picked(&conn.rows(PICK, values![*workspace, tag, runs_max]).await?, &mut large)? };
        if let Some(left) = left.get_mut(workspace) {
            *left = left.saturating_sub(u32::try_from(keys.len()).unwrap_or(u32::MAX));
            if *left == 0 && !at_limit.contains(workspace) {
                at_limit.push(*workspace);
            }
        }
        runs.extend(take(&mut conn, lease, keys).await?);
    }
    // A claim that is lost because the database died is made again, beside the attempt that is under way; what that did is written with its own
    // commit. Whatever others count or wait for must not happen twice at once.
    if left.is_empty() && runs.iter().all(|claimed: &Claimed| claimed.run.policy.keys.is_empty()) {
        conn.relax().await?;
    }
    Ok(Claims { runs, at_limit })
}

pub(super) async fn overdue(lease: Lease, mut conn: Conn<'_>) -> Result<Vec<Claimed>, StoreError> {
    if !nodes::is_alive(&mut conn, lease.node).await? {
        return Ok(Vec::new());
    }
    let keys = picked(&conn.rows(PICK_OVERDUE, values![lease.from, OVERDUE_MAX]).await?, &mut 0)?;
    take(&mut conn, lease, keys).await
}

/// Keys of the rows that a claim takes: up to the one whose input is one too many.
fn picked(rows: &[Row], large: &mut usize) -> Result<Vec<RunKey>, StoreError> {
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        if row.int(2)? != 0 {
            if *large == LARGE_INPUTS_MAX {
                break;
            }
            *large += 1;
        }
        keys.push(queued::read_key(row)?);
    }
    Ok(keys)
}

async fn take(conn: &mut Conn<'_>, lease: Lease, keys: Vec<RunKey>) -> Result<Vec<Claimed>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows = conn.rows(TAKE, vec![lease.node.0.into(), lease.from.into(), Value::Keys(keys)]).await?;
    let mut queued = queued::read_all(conn, &rows).await?;
    queued.sort_by_key(|queued| (Reverse(queued.run.policy.priority), queued.due_at, queued.run.id));
    let claimed = queued.into_iter().map(|queued| {
        let Queued { run, attempt, handed_back, lost, is_cancelled, .. } = queued;
        Claimed { run, attempt, begun: attempt + handed_back, lost, is_cancelled }
    });
    Ok(claimed.collect())
}

/// Values of `asleep`, of runs that execute. 0: it is awake.
const ASLEEP: i64 = 1;
/// It wants to go on, and there was no place for it: whoever claims leaves it the next.
const WANTS_PLACE: i64 = 2;

const SET_ASLEEP: &str = "UPDATE queue SET asleep = $4 WHERE workspace = $1 AND id = $2 AND lease = $3 AND state = 3";

pub(super) async fn sleeps(lease: Incarnation, workspace: WorkspaceId, run: RunId, mut conn: Conn<'_>) -> Result<(), StoreError> {
    // Lost with the database's machine it is lost with the run's attempt.
    conn.relax().await?;
    conn.execute(SET_ASLEEP, values![workspace, run, lease.0, ASLEEP]).await.map(drop)
}

pub(super) async fn wakes(lease: Incarnation, workspace: WorkspaceId, run: RunId, mut conn: Conn<'_>) -> Result<bool, StoreError> {
    const OTHERS: &str = "SELECT COUNT(*) FROM queue WHERE workspace = $1 AND state = 3 AND asleep = 0 AND id <> $2";
    let has_place = match limit(&mut conn, workspace).await? {
        Some(limit) => {
            lock(&mut conn, workspace).await?;
            let others = conn.row(OTHERS, values![workspace, run]).await?.map_or(Ok(0), |row| row.small_count(0))?;
            let (leased, elsewhere) = places::leased(&mut conn, workspace, lease).await?;
            let has_place = others.saturating_add(leased) < limit;
            if !has_place && elsewhere > 0 {
                places::ask(&mut conn, workspace, lease).await?;
            }
            has_place
        }
        None => true,
    };
    let asleep = if has_place { 0 } else { WANTS_PLACE };
    let held = conn.execute(SET_ASLEEP, values![workspace, run, lease.0, asleep]).await?;
    Ok(has_place || held == 0)
}

/// How many runs of a workspace may be claimed: what executes, and what nodes have leased, is taken.
async fn places_left(conn: &mut Conn<'_>, workspace: WorkspaceId, node: Incarnation, limit: u32) -> Result<u32, StoreError> {
    lock(conn, workspace).await?;
    let executing = executing(conn, workspace).await?;
    let (leased, elsewhere) = places::leased(conn, workspace, node).await?;
    let left = limit.saturating_sub(executing).saturating_sub(leased);
    if left == 0 && elsewhere > 0 {
        places::ask(conn, workspace, node).await?;
    }
    Ok(left)
}

/// How many runs of a workspace may execute at once.
pub(super) async fn limit(conn: &mut Conn<'_>, workspace: WorkspaceId) -> Result<Option<u32>, StoreError> {
    const LIMITS: &str = "SELECT workspaces.settings, workspaces.overrides, plans.quotas
        FROM workspaces LEFT JOIN plans ON plans.name = workspaces.plan WHERE workspaces.id = $1";
    match conn.row(LIMITS, values![workspace]).await? {
        Some(row) => Ok(running_runs_max(&workspaces::read_settings(&row, 0)?, &workspaces::read_quotas(&row, 1)?)),
        None => Ok(None),
    }
}

/// Runs of a workspace in the queue that execute and do not sleep, and those that are about to wake.
pub(super) async fn executing(conn: &mut Conn<'_>, workspace: WorkspaceId) -> Result<u32, StoreError> {
    let row = conn.row("SELECT COUNT(*) FROM queue WHERE workspace = $1 AND state = 3 AND asleep <> 1", values![workspace]).await?;
    row.map_or(Ok(0), |row| row.small_count(0))
}

/// Whoever counts waits for others who do, so that together they keep to the workspace's limit.
pub(super) async fn lock(conn: &mut Conn<'_>, workspace: WorkspaceId) -> Result<(), StoreError> {
    conn.rows("SELECT id FROM workspaces WHERE id = $1 {lock workspaces}", values![workspace]).await.map(drop)
}

/// Waits for transactions under way that give runs to a node, whoever has stopped listening to them. Each holds the node's row.
async fn settle(conn: &mut Conn<'_>, node: Incarnation) -> Result<(), StoreError> {
    conn.rows("SELECT incarnation FROM nodes WHERE incarnation = $1 {lock nodes}", values![node.0]).await.map(drop)
}

pub(super) async fn unclaim(lease: Lease, mut conn: Conn<'_>) -> Result<u64, StoreError> {
    settle(&mut conn, lease.node).await?;
    conn.execute(
        "UPDATE queue SET state = 0, lease = NULL, attempt = attempt - 1 WHERE lease = $1 AND state = 3 AND started_at = $2",
        values![lease.node.0, lease.from],
    )
    .await
}

pub(super) async fn hand_back(lease: Incarnation, runs: &[(WorkspaceId, RunId)], mut conn: Conn<'_>) -> Result<HandedBack, StoreError> {
    const BACK: &str = "UPDATE queue SET state = 0, lease = NULL, attempt = attempt - 1, handed_back = handed_back + 1
        WHERE lease = $1 AND state = 3 AND cancel_requested = 0 AND (workspace, id) IN {keys $2} RETURNING id";
    const LEFT: &str = "SELECT id FROM queue WHERE lease = $1 AND state = 3 AND cancel_requested = 1 AND (workspace, id) IN {keys $2}";
    settle(&mut conn, lease).await?;
    let keys: Vec<RunKey> = runs.iter().map(|(workspace, run)| run_key(*workspace, *run)).collect();
    let read = |rows: Vec<Row>| rows.iter().map(|row| row.uuid(0).map(RunId)).collect::<Result<Vec<_>, _>>();
    // After the other, which waits for cancels that are under way.
    let back = read(conn.rows(BACK, vec![lease.0.into(), Value::Keys(keys.clone())]).await?)?;
    let left = read(conn.rows(LEFT, vec![lease.0.into(), Value::Keys(keys)]).await?)?;
    Ok(HandedBack { runs: back, cancelled: left })
}
