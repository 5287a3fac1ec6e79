//! Letting go of old runs.

use std::sync::Arc;

use sandmill_model::{BoxFuture, Labels, RunId, Timestamp, WorkspaceId};
use uuid::Uuid;

use super::{
    Sql,
    dialect::Conn,
    labels, partitions,
    value::{RunKey, Value, run_key, values},
};
use crate::{
    StoreError,
    retention::{Old, Retention, Step},
};

/// Runs that one step looks at.
const STEP_RUNS_MAX: usize = 200;
/// Chunks of logs and labels that one step deletes, unless one run alone has more.
const STEP_PARTS_MAX: i64 = 64;

impl Retention for Sql {
    fn hold(&self, duty: &'static str, holder: Arc<str>, now: Timestamp, until: Timestamp) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.db.write((duty, holder, now, until), |(duty, holder, now, until), mut conn| {
            Box::pin(async move {
                let held = conn
                    .execute(
                        "INSERT INTO duties (name, holder, held_until) VALUES ($1, $2, $3)
                         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
                         WHERE duties.holder = excluded.holder OR duties.held_until <= $4",
                        values![*duty, holder, *until, *now],
                    )
                    .await?;
                Ok(held > 0)
            })
        }))
    }

    fn make_room(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            if self.db.is_shared() {
                for day in partitions::missing(&self.db, now).await? {
                    self.db.write(day, |day, conn| Box::pin(partitions::make(*day, conn))).await?;
                }
            }
            Ok(())
        })
    }

    fn has_partitions(&self) -> bool {
        self.db.is_shared()
    }

    fn drop_before(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut dropped = 0;
            if self.db.is_shared() {
                for name in partitions::old(&self.db, before).await? {
                    let is_gone = self.db.write((name, before), |(name, before), conn| Box::pin(partitions::drop(name, *before, conn)));
                    dropped += u64::from(is_gone.await?);
                }
            }
            Ok(dropped)
        })
    }

    fn forget(&self, old: Old, after: Option<RunId>) -> BoxFuture<'_, Result<Step, StoreError>> {
        let after = after.map_or(Uuid::nil(), |id| id.0);
        Box::pin(async move {
            // Read apart from the transaction that deletes: what is in history only goes away.
            let (runs, next) = self.db.read((old, after), |(old, after), conn| Box::pin(some(*old, *after, conn))).await?;
            if !runs.is_empty() {
                self.db.write((old.workspace, runs.clone()), |(workspace, runs), conn| Box::pin(delete(*workspace, runs, conn))).await?;
            }
            let runs = runs.len() as u64;
            Ok(Step { runs, next })
        })
    }
}

/// A run that is to be forgotten, and by what it is found.
#[derive(Clone)]
struct Forgotten {
    key: RunKey,
    labels: Arc<Labels>,
}

/// The oldest runs that are to be forgotten, and where to go on.
async fn some(old: Old, after: Uuid, mut conn: Conn<'_>) -> Result<(Vec<Forgotten>, Option<RunId>), StoreError> {
    let rows = conn
        .rows(
            "SELECT id, ended_at, labels,
                 (SELECT COUNT(*) FROM run_logs WHERE run_logs.workspace = runs.workspace AND run_logs.run = runs.id) AS chunks
             FROM runs WHERE workspace = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4",
            values![old.workspace, after, RunId::first_of(old.accepted_before), STEP_RUNS_MAX as i64],
        )
        .await?;
    let (mut runs, mut parts, mut next) = (Vec::new(), 0, None);
    for row in &rows {
        let labels = labels::read(row, 2)?;
        parts += row.int(3)? + labels.iter().count() as i64;
        if parts > STEP_PARTS_MAX && next.is_some() {
            return Ok((runs, next));
        }
        let id = RunId(row.uuid(0)?);
        if row.time(1)? < old.ended_before {
            runs.push(Forgotten { key: run_key(old.workspace, id), labels });
        }
        next = Some(id);
    }
    Ok((runs, next.filter(|_| rows.len() == STEP_RUNS_MAX)))
}

/// Deletes runs, which are in the order of their ids, with all that is theirs.
async fn delete(workspace: WorkspaceId, runs: &[Forgotten], mut conn: Conn<'_>) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Ok(()) };
    for Forgotten { key, labels } in runs {
        for (name, value) in labels.iter() {
            conn.execute(
                "DELETE FROM run_labels WHERE workspace = $1 AND name = $2 AND value = $3 AND run = $4",
                values![workspace, name.as_str(), value.as_str(), &key[16..]],
            )
            .await?;
        }
    }
    // The range is for the database's sake: it says which partitions to look into.
    let keys = Value::Keys(runs.iter().map(|each| each.key).collect());
    let values = || vec![workspace.into(), first.key[16..].into(), last.key[16..].into(), keys.clone()];
    for statement in [
        "DELETE FROM run_logs WHERE workspace = $1 AND run >= $2 AND run <= $3 AND (workspace, run) IN {keys $4}",
        "DELETE FROM dead_letters WHERE workspace = $1 AND run >= $2 AND run <= $3 AND (workspace, run) IN {keys $4}",
        "DELETE FROM runs WHERE workspace = $1 AND id >= $2 AND id <= $3 AND (workspace, id) IN {keys $4}",
    ] {
        conn.execute(statement, values()).await?;
    }
    Ok(())
}
