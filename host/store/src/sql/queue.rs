//! The queue's operations. Every one that takes many rows passes over those that another transaction has locked; what needs the rows of keys
//! and rates, too, locks these in one order first ([`super::turns`]).

use std::{collections::BTreeMap, sync::Arc};

use sandmill_model::{
    BoxFuture, Outcome, OutcomeKind, RunError, RunId, Timestamp, WorkspaceId,
    run::{FinishedRun, NewRun},
};

use super::{
    Sql, claims, dedup,
    dialect::Conn,
    finished, keys,
    logs::Chunks,
    nodes,
    queued::{self, Lease, State},
    rates,
    usage::{ALONE, Tally},
    value::{RunKey, Value, run_key, values},
    waiting::{Waiting, select_waiting},
};
use crate::{
    StoreError,
    nodes::Incarnation,
    queue::{Cancelled, Claimed, Claims, Completion, Enqueued, HandedBack, Heads, Logged, Queue, Share, Woken},
};

/// Delayed runs that are woken at once.
const WOKEN_MAX: u32 = 500;

impl Queue for Sql {
    fn enqueue(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Enqueued>, StoreError>> {
        Box::pin(self.db.writer().enqueue(runs, None))
    }

    fn begin(&self, lease: Incarnation, run: NewRun) -> BoxFuture<'_, Result<Enqueued, StoreError>> {
        Box::pin(async move {
            let enqueued = self.db.writer().enqueue(vec![run], Some(lease)).await?;
            enqueued.first().copied().ok_or_else(|| StoreError::Other("a run that was enqueued without an answer".to_owned()))
        })
    }

    fn adopt(&self, lease: Incarnation, run: NewRun, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let adopted = self.db.write((Lease { node: lease, from: now }, run), |(lease, run), mut conn| {
                Box::pin(async move {
                    let is_alive = nodes::is_alive(&mut conn, lease.node).await?;
                    if is_alive {
                        queued::adopt(&mut conn, run, *lease).await?;
                    }
                    Ok(is_alive)
                })
            });
            // Not an error of the operation, which would be one of the whole commit.
            match adopted.await? {
                true => Ok(()),
                false => Err(StoreError::Unavailable("the other nodes thought that this one was dead; it joins again".to_owned())),
            }
        })
    }

    fn heads(&self, tags: Vec<Arc<str>>, after: Option<WorkspaceId>, limit: u32) -> BoxFuture<'_, Result<Heads, StoreError>> {
        Box::pin(self.db.read((tags, after, limit), |(tags, after, limit), conn| Box::pin(claims::heads(tags, *after, *limit, conn))))
    }

    fn claim(&self, lease: Incarnation, now: Timestamp, shares: Vec<Share>) -> BoxFuture<'_, Result<Claims, StoreError>> {
        let lease = Lease { node: lease, from: now };
        Box::pin(self.db.write((lease, shares), |(lease, shares), conn| Box::pin(claims::claim(*lease, shares, conn))))
    }

    fn claim_overdue(&self, lease: Incarnation, now: Timestamp) -> BoxFuture<'_, Result<Vec<Claimed>, StoreError>> {
        Box::pin(self.db.write(Lease { node: lease, from: now }, |lease, conn| Box::pin(claims::overdue(*lease, conn))))
    }

    fn unclaim(&self, lease: Incarnation, from: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.db.write(Lease { node: lease, from }, |lease, conn| Box::pin(claims::unclaim(*lease, conn))))
    }

    fn hand_back(&self, lease: Incarnation, runs: Vec<(WorkspaceId, RunId)>) -> BoxFuture<'_, Result<HandedBack, StoreError>> {
        Box::pin(self.db.write((lease, runs), |(lease, runs), conn| Box::pin(claims::hand_back(*lease, runs, conn))))
    }

    fn sleeps(&self, lease: Incarnation, workspace: WorkspaceId, run: RunId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(
            self.db
                .write((lease, workspace, run), |(lease, workspace, run), conn| Box::pin(claims::sleeps(*lease, *workspace, *run, conn))),
        )
    }

    fn wakes(&self, lease: Incarnation, workspace: WorkspaceId, run: RunId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(
            self.db.write((lease, workspace, run), |(lease, workspace, run), conn| Box::pin(claims::wakes(*lease, *workspace, *run, conn))),
        )
    }

    fn complete(&self, lease: Incarnation, mut runs: Vec<Completion>) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        Box::pin(async move {
            self.put_away(runs.iter_mut().map(|each| &mut each.done)).await;
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
            chunks.add_rest(done, *logged).await?;
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
    let mut tally = Tally::default();
    tally.never_tried(&finished);
    tally.write(&mut conn, ALONE).await?;
    keys::release(&mut conn, held, now).await?;
    Ok(Cancelled::AtOnce)
}
