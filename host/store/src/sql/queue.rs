//! The queue's operations. Every one that takes many rows passes over those that another transaction has locked, so none waits in a circle.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, hash_map::Entry},
};

use sandmill_model::{
    BoxFuture, Outcome, OutcomeKind, RunError, RunId, Timestamp, WorkspaceId,
    run::{FinishedRun, NewRun},
};

use super::{
    Sql, dedup,
    dialect::Conn,
    finished, keys,
    logs::Chunks,
    nodes,
    queued::{self, Lease, Queued, State, queued_columns},
    rates,
    value::{RunKey, Value, run_key, values},
    waiting::{Waiting, select_waiting},
    workspaces,
};
use crate::{
    StoreError,
    nodes::Incarnation,
    queue::{Cancelled, Claimed, Claims, Completion, Enqueued, Head, Logged, Queue, Ready, Share, Woken},
};

/// Delayed runs that are woken at once.
const WOKEN_MAX: u32 = 500;

impl Queue for Sql {
    fn enqueue(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Enqueued>, StoreError>> {
        Box::pin(self.db.writer().enqueue(runs))
    }

    fn adopt(&self, lease: Incarnation, run: NewRun, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.db.write((Lease { node: lease, from: now }, run), |(lease, run), mut conn| {
            Box::pin(async move {
                if !nodes::is_alive(&mut conn, lease.node).await? {
                    return Err(StoreError::Unavailable("the other nodes thought that this one was dead; it joins again".to_owned()));
                }
                queued::adopt(&mut conn, run, *lease).await
            })
        }))
    }

    fn heads(&self, after: Option<Head>, limit: u32) -> BoxFuture<'_, Result<Vec<Ready>, StoreError>> {
        Box::pin(self.db.read((after, limit), |(after, limit), conn| Box::pin(heads(after.clone(), *limit, conn))))
    }

    fn claim(&self, lease: Incarnation, now: Timestamp, shares: Vec<Share>) -> BoxFuture<'_, Result<Claims, StoreError>> {
        Box::pin(self.db.write((Lease { node: lease, from: now }, shares), |(lease, shares), conn| Box::pin(claim(*lease, shares, conn))))
    }

    fn unclaim(&self, lease: Incarnation, from: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.db.write(Lease { node: lease, from }, |lease, mut conn| {
            Box::pin(async move {
                conn.execute(
                    "UPDATE queue SET state = 0, lease = NULL, attempt = attempt - 1 WHERE lease = $1 AND state = 3 AND started_at = $2",
                    values![lease.node.0, lease.from],
                )
                .await
            })
        }))
    }

    fn complete(&self, lease: Incarnation, mut runs: Vec<Completion>) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        Box::pin(async move {
            self.put_away(runs.iter_mut().map(|each| &mut each.done)).await?;
            self.db.writer().complete(lease, runs).await
        })
    }

    fn wake_due(&self, now: Timestamp) -> BoxFuture<'_, Result<Woken, StoreError>> {
        Box::pin(self.db.write(now, |now, conn| Box::pin(wake_due(*now, conn))))
    }

    fn cancel(&self, workspace: WorkspaceId, run: RunId, now: Timestamp) -> BoxFuture<'_, Result<Cancelled, StoreError>> {
        Box::pin(self.db.write((workspace, run, now), |(workspace, run, now), conn| Box::pin(cancel(*workspace, *run, *now, conn))))
    }

    fn children(
        &self,
        workspace: WorkspaceId,
        parent: RunId,
        after: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        let after = after.map_or(uuid::Uuid::nil(), |id| id.0);
        Box::pin(self.db.read((workspace, parent, after, limit), |(workspace, parent, after, limit), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        "SELECT id FROM queue WHERE workspace = $1 AND cause = $2 AND cause_kind = 0 AND id > $3 ORDER BY id LIMIT $4",
                        values![*workspace, *parent, *after, *limit],
                    )
                    .await?;
                rows.iter().map(|row| row.uuid(0).map(RunId)).collect()
            })
        }))
    }

    fn length(&self, workspace: WorkspaceId, at_most: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
        Box::pin(self.db.read((workspace, at_most), |(workspace, at_most), mut conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        "SELECT COUNT(*) FROM (SELECT 1 FROM queue WHERE workspace = $1 LIMIT $2) AS counted",
                        values![*workspace, *at_most],
                    )
                    .await?;
                row.map_or(Ok(0), |row| row.count(0))
            })
        }))
    }

    fn forget_dedup_keys(&self, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.db.write(now, |now, mut conn| {
            Box::pin(async move { Ok(dedup::forget(&mut conn, *now).await? + rates::forget(&mut conn, *now).await?) })
        }))
    }
}

/// From one to the next by the index of what is ready: as many steps as there are heads, however many runs each has.
async fn heads(after: Option<Head>, limit: u32, mut conn: Conn<'_>) -> Result<Vec<Ready>, StoreError> {
    let mut heads: Vec<Ready> = Vec::new();
    let (mut workspace, mut tag) = match after {
        Some(head) => (head.workspace.0.as_bytes().to_vec(), head.tag),
        None => (Vec::new(), "".into()),
    };
    for _ in 0..limit {
        let row = conn
            .row(
                // Not as one comparison of pairs: SQLite would look at all of the first workspace's runs.
                "SELECT workspace, tag, (SELECT settings FROM workspaces WHERE id = workspace) FROM (SELECT * FROM (
                     SELECT workspace, tag FROM queue WHERE state = 0 AND workspace = $1 AND tag > $2 ORDER BY tag LIMIT 1
                 ) AS same
                 UNION ALL SELECT * FROM (
                     SELECT workspace, tag FROM queue WHERE state = 0 AND workspace > $1 ORDER BY workspace, tag LIMIT 1
                 ) AS later
                 ORDER BY workspace, tag LIMIT 1) AS next",
                values![workspace.clone(), &tag],
            )
            .await?;
        let Some(row) = row else { break };
        workspace = row.bytes(0)?.to_vec();
        tag = row.text(1)?.into();
        let settings = workspaces::read_settings(&row, 2)?;
        heads.push(Ready {
            head: Head { workspace: WorkspaceId(row.uuid(0)?), tag: tag.clone() },
            weight: settings.weight.unwrap_or(1),
            running_max: settings.running_runs_max,
        });
    }
    Ok(heads)
}

async fn claim(lease: Lease, shares: &[Share], mut conn: Conn<'_>) -> Result<Claims, StoreError> {
    // A claim that is lost with the database's machine is made again; what was done meanwhile is written with its own commit.
    conn.relax().await?;
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
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(limit.saturating_sub(running(&mut conn, *workspace).await?)),
            };
            runs_max = runs_max.min(*left);
            *left -= runs_max;
            if *left == 0 && !at_limit.contains(workspace) {
                at_limit.push(*workspace);
            }
        }
        if runs_max == 0 {
            continue;
        }
        let picked = conn.rows(PICK, values![*workspace, tag, runs_max]).await?;
        let mut keys = Vec::with_capacity(picked.len());
        for row in &picked {
            if row.int(2)? != 0 {
                if large == LARGE_INPUTS_MAX {
                    break;
                }
                large += 1;
            }
            keys.push(queued::read_key(row)?);
        }
        if keys.is_empty() {
            continue;
        }
        let rows = conn.rows(TAKE, vec![lease.node.0.into(), lease.from.into(), Value::Keys(keys)]).await?;
        let mut queued = queued::read_all(&mut conn, &rows).await?;
        queued.sort_by_key(|queued| (Reverse(queued.run.policy.priority), queued.due_at, queued.run.id));
        runs.extend(queued.into_iter().map(|queued| {
            let Queued { run, attempt, handed_back, lost, is_cancelled, .. } = queued;
            Claimed { run, attempt, begun: attempt + handed_back, lost, is_cancelled }
        }));
    }
    Ok(Claims { runs, at_limit })
}

/// Inputs from their own table that one claim takes along: they are in memory until their runs have a slot.
const LARGE_INPUTS_MAX: usize = 16;

const PICK: &str = "SELECT workspace, id, has_input FROM queue WHERE state = 0 AND workspace = $1 AND tag = $2
    ORDER BY priority DESC, due_at, id LIMIT $3 {lock free queue}";

const TAKE: &str = concat!(
    "UPDATE queue SET state = 3, lease = $1, started_at = $2, attempt = attempt + 1 WHERE (workspace, id) IN {keys $3} RETURNING ",
    queued_columns!("arguments, event, origin, payload")
);

/// Runs of a workspace that execute. Whoever counts waits for others who do, so that together they keep to its limit.
async fn running(conn: &mut Conn<'_>, workspace: WorkspaceId) -> Result<u32, StoreError> {
    conn.rows("SELECT id FROM workspaces WHERE id = $1 {lock workspaces}", values![workspace]).await?;
    let row = conn.row("SELECT COUNT(*) FROM queue WHERE workspace = $1 AND state = 3", values![workspace]).await?;
    row.map_or(Ok(0), |row| row.small_count(0))
}

/// Takes ended runs out of the queue; returns those that `lease` held, and what they held. Each in the attempt that ended: the same life may
/// have claimed a run again whose earlier outcome it writes once more, because it heard no answer.
pub(super) async fn take_ended(conn: &mut Conn<'_>, lease: Incarnation, ended: &[&FinishedRun]) -> Result<queued::Taken, StoreError> {
    let mut of_attempts: BTreeMap<u32, Vec<RunKey>> = BTreeMap::new();
    for done in ended {
        of_attempts.entry(done.attempt).or_default().push(run_key(done.run.workspace, done.run.id));
    }
    let mut all = queued::Taken::default();
    for (attempt, keys) in of_attempts {
        let taken = queued::take(conn, lease, attempt, keys).await?;
        all.runs.extend(taken.runs);
        all.holders.extend(taken.holders);
    }
    Ok(all)
}

/// Puts runs back that `lease` holds, each until its next try; returns those that it held. They keep their keys: what is ordered stays so.
pub(super) async fn try_again(
    conn: &mut Conn<'_>,
    lease: Incarnation,
    runs: &[(&FinishedRun, Logged, Timestamp)],
) -> Result<Vec<RunKey>, StoreError> {
    let (mut held, mut chunks) = (Vec::new(), Chunks::default());
    for (done, logged, at) in runs {
        let changed = conn
            .execute(
                "UPDATE queue SET state = 1, due_at = CASE WHEN cancel_requested = 1 THEN $5 ELSE $1 END, lease = NULL, has_place = cancel_requested
                 WHERE lease = $2 AND workspace = $3 AND id = $4 AND attempt = $6",
                values![*at, lease.0, done.run.workspace, done.run.id, done.ended_at, done.attempt],
            )
            .await?;
        if changed > 0 {
            chunks.add_rest(done, *logged)?;
            held.push(run_key(done.run.workspace, done.run.id));
        }
    }
    chunks.insert(conn).await?;
    Ok(held)
}

async fn wake_due(now: Timestamp, mut conn: Conn<'_>) -> Result<Woken, StoreError> {
    let rows = conn
        .rows(
            concat!(select_waiting!(), "WHERE state = 1 AND due_at <= $1 ORDER BY due_at LIMIT $2 {lock free queue}"),
            values![now, WOKEN_MAX],
        )
        .await?;
    let mut plain = Vec::new();
    for row in &rows {
        let waiting = Waiting::read(row)?;
        if waiting.lacks_nothing() {
            plain.push(waiting.key());
        } else {
            waiting.go_on(&mut conn, waiting.keys_held, now).await?;
        }
    }
    if !plain.is_empty() {
        conn.execute("UPDATE queue SET state = 0 WHERE (workspace, id) IN {keys $1}", vec![Value::Keys(plain)]).await?;
    }
    let next = conn.row("SELECT MIN(due_at) FROM queue WHERE state = 1", values![]).await?;
    Ok(Woken { runs: rows.len() as u64, next: next.map(|row| row.opt_time(0)).transpose()?.flatten() })
}

async fn cancel(workspace: WorkspaceId, id: RunId, now: Timestamp, mut conn: Conn<'_>) -> Result<Cancelled, StoreError> {
    let Some(queued) = queued::lock(&mut conn, workspace, id).await? else { return Ok(Cancelled::TooLate) };
    if queued.state == State::Running {
        conn.execute("UPDATE queue SET cancel_requested = 1 WHERE workspace = $1 AND id = $2", values![workspace, id]).await?;
        return Ok(Cancelled::Requested);
    }
    queued::take_one(&mut conn, &queued).await?;
    let held = vec![queued.holder()];
    let finished = FinishedRun {
        run: queued.run,
        attempt: queued.attempt,
        started_at: queued.started_at,
        ended_at: now,
        outcome: Outcome::failed(OutcomeKind::Cancelled, RunError::new("cancelled", "the run was cancelled before it started")),
    };
    finished::insert(&mut conn, &[(&finished, Logged::default())]).await?;
    keys::release(&mut conn, held, now).await?;
    Ok(Cancelled::AtOnce)
}
