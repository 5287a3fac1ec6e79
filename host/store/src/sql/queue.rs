//! The queue's operations. Every one that takes many rows passes over those that another transaction has locked, so none waits in a circle.

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    BoxFuture, Outcome, OutcomeKind, RunError, RunId, Timestamp, WorkspaceId,
    run::{FinishedRun, NewRun},
};

use super::{
    Sql,
    dialect::Conn,
    finished,
    queued::{self, Lease, select_queued},
    value::{RunKey, Value, run_key, values},
};
use crate::{
    StoreError,
    queue::{Cancelled, Claimed, Queue},
};

impl Queue for Sql {
    fn enqueue(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.db.writer().enqueue(runs))
    }

    fn adopt<'a>(&'a self, node: &'a str, run: NewRun, now: Timestamp, lease: Duration) -> BoxFuture<'a, Result<(), StoreError>> {
        let node: Arc<str> = node.into();
        Box::pin(self.db.write((node, run, now, lease), |(node, run, now, lease), mut conn| {
            Box::pin(async move {
                let lease = Lease { node, from: *now, until: now.plus(*lease) };
                queued::insert(&mut conn, &[run], Some(&lease)).await
            })
        }))
    }

    fn claim<'a>(&'a self, node: &'a str, now: Timestamp, lease: Duration, limit: u32) -> BoxFuture<'a, Result<Vec<Claimed>, StoreError>> {
        let node: Arc<str> = node.into();
        Box::pin(self.db.write((node, now, lease, limit), |(node, now, lease, limit), conn| {
            Box::pin(claim(Lease { node, from: *now, until: now.plus(*lease) }, *limit, conn))
        }))
    }

    fn complete<'a>(&'a self, node: &'a str, runs: Vec<FinishedRun>) -> BoxFuture<'a, Result<Vec<RunId>, StoreError>> {
        Box::pin(self.db.writer().complete(node.into(), runs))
    }

    fn heartbeat<'a>(&'a self, node: &'a str, now: Timestamp, lease: Duration) -> BoxFuture<'a, Result<Vec<RunId>, StoreError>> {
        let node: Arc<str> = node.into();
        Box::pin(self.db.write((node, now.plus(lease)), |(node, until), conn| Box::pin(heartbeat(node, *until, conn))))
    }

    fn recover<'a>(&'a self, returning: Option<&'a str>, now: Timestamp) -> BoxFuture<'a, Result<u64, StoreError>> {
        // No node is called that, so nothing is its.
        let returning: Arc<str> = returning.unwrap_or_default().into();
        Box::pin(self.db.write((returning, now), |(returning, now), mut conn| {
            Box::pin(async move {
                conn.execute(
                    "WITH lapsed AS MATERIALIZED (
                         SELECT workspace, id FROM queue WHERE lease_node IS NOT NULL AND (lease_until < $1 OR lease_node = $2) {lock free queue}
                     )
                     UPDATE queue SET lease_node = NULL, lease_until = NULL
                     FROM lapsed WHERE queue.workspace = lapsed.workspace AND queue.id = lapsed.id",
                    values![*now, returning],
                )
                .await
            })
        }))
    }

    fn hand_back<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<u64, StoreError>> {
        let node: Arc<str> = node.into();
        Box::pin(self.db.write(node, |node, mut conn| {
            Box::pin(async move {
                conn.execute(
                    "WITH held AS MATERIALIZED (SELECT workspace, id FROM queue WHERE lease_node = $1 {lock free queue})
                     UPDATE queue SET lease_node = NULL, lease_until = NULL, attempt = attempt - 1
                     FROM held WHERE queue.workspace = held.workspace AND queue.id = held.id",
                    values![node],
                )
                .await
            })
        }))
    }

    fn cancel(&self, workspace: WorkspaceId, run: RunId, now: Timestamp) -> BoxFuture<'_, Result<Cancelled, StoreError>> {
        Box::pin(self.db.write((workspace, run, now), |(workspace, run, now), conn| Box::pin(cancel(*workspace, *run, *now, conn))))
    }
}

async fn claim(lease: Lease<'_>, limit: u32, mut conn: Conn<'_>) -> Result<Vec<Claimed>, StoreError> {
    let rows = conn
        .rows(
            concat!(
                select_queued!(),
                "WHERE lease_node IS NULL AND scheduled_for <= $1 ORDER BY scheduled_for, queue.id LIMIT $2 {lock free queue}"
            ),
            values![lease.from, limit],
        )
        .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<RunKey> = rows.iter().map(queued::read_key).collect::<Result<_, _>>()?;
    conn.execute(
        "UPDATE queue SET lease_node = $1, lease_until = $2, started_at = $3, attempt = attempt + 1 WHERE (workspace, id) IN {keys $4}",
        vec![lease.node.into(), lease.until.into(), lease.from.into(), Value::Keys(keys)],
    )
    .await?;
    let claimed = rows.iter().map(queued::read).map(|queued| queued.map(|queued| Claimed { attempt: queued.attempt + 1, run: queued.run }));
    claimed.collect()
}

async fn heartbeat(node: &str, until: Timestamp, mut conn: Conn<'_>) -> Result<Vec<RunId>, StoreError> {
    let rows = conn
        .rows(
            "WITH held AS MATERIALIZED (SELECT workspace AS in_workspace, id AS run FROM queue WHERE lease_node = $1 {lock free queue})
             UPDATE queue SET lease_until = $2 FROM held WHERE workspace = held.in_workspace AND id = held.run
             RETURNING id, cancel_requested",
            values![node, until],
        )
        .await?;
    let mut cancelled = Vec::new();
    for row in &rows {
        if row.int(1)? != 0 {
            cancelled.push(RunId(row.uuid(0)?));
        }
    }
    Ok(cancelled)
}

async fn cancel(workspace: WorkspaceId, id: RunId, now: Timestamp, mut conn: Conn<'_>) -> Result<Cancelled, StoreError> {
    let Some(queued) = queued::lock(&mut conn, workspace, id).await? else { return Ok(Cancelled::TooLate) };
    if queued.is_leased {
        conn.execute("UPDATE queue SET cancel_requested = 1 WHERE workspace = $1 AND id = $2", values![workspace, id]).await?;
        return Ok(Cancelled::Requested);
    }
    let finished = FinishedRun {
        run: queued.run,
        attempt: queued.attempt,
        started_at: queued.started_at,
        ended_at: now,
        outcome: Outcome::failed(OutcomeKind::Cancelled, RunError::new("cancelled", "the run was cancelled before it started")),
    };
    conn.execute("DELETE FROM queue WHERE workspace = $1 AND id = $2", values![workspace, id]).await?;
    conn.execute("DELETE FROM queue_inputs WHERE (workspace, id) IN {keys $1}", vec![Value::Keys(vec![run_key(workspace, id)])]).await?;
    finished::insert(&mut conn, &[&finished]).await?;
    Ok(Cancelled::AtOnce)
}
