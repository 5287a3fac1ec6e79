//! Deleting what a workspace has. [`TABLES`] and [`USAGE`] are all that have a column `workspace`; a test holds them against the schema.

use std::collections::{BTreeSet, HashSet};

use sandmill_model::{BoxFuture, RunId, Timestamp, WorkspaceId};

use super::{
    Sql,
    dialect::Conn,
    value::{Row, Value, run_key, values},
};
use crate::{
    StoreError,
    removal::{Deleted, Removals, Step},
};

/// Objects with large results that one step deletes.
const STEP_OBJECTS_MAX: usize = 100;

/// One table, with what is asked of it and done to it.
#[derive(Clone, Copy)]
struct Table {
    any: &'static str,
    delete: &'static str,
}

macro_rules! tables {
    ($($table:literal $key:literal $rows:literal,)*) => {
        &[$(Table {
            any: concat!("SELECT 1 FROM ", $table, " WHERE workspace = $1 LIMIT 1"),
            delete: concat!(
                "DELETE FROM ", $table, " WHERE workspace = $1 AND (", $key, ") IN (SELECT ", $key, " FROM ", $table,
                " WHERE workspace = $1 LIMIT ", $rows, ")"
            ),
        }),*]
    };
}

/// Each with the rest of its key, and how many rows one step deletes: fewer where they are large. In this order, so that what is left when a
/// step fails is never referred to.
const TABLES: &[Table] = tables![
    "tokens" "hash" 200,
    "invitations" "id" 200,
    "members" "user_name" 200,
    "group_members" "group_name, user_name" 200,
    "people_groups" "name" 200,
    "access_lists" "path, who, kind" 200,
    "folders" "name" 200,
    "service_accounts" "name" 200,
    "grants" "path, granted" 200,
    "trigger_endpoints" "kind, key" 200,
    "seats" "path, number" 200,
    "trigger_events" "path, id" 50,
    "triggers" "path" 100,
    "staged_state" "run, key" 100,
    "queue_inputs" "id" 50,
    "queue_keys" "key" 200,
    "queue_rates" "name" 200,
    "running_places" "node" 200,
    "dedup_keys" "scope, key" 200,
    "dead_letters" "run" 50,
    "run_labels" "name, value, run" 200,
    "run_logs" "run, chunk" 50,
    "runs" "id" 100,
    "state" "path, trigger, key" 100,
    "state_scopes" "path, trigger" 200,
    "resources" "path" 100,
    "database_names" "name" 200,
    "variables" "path" 100,
    "resource_types" "name" 100,
    "scripts" "path" 200,
    "deployments" "path, number" 200,
    "versions" "digest" 20,
    "components" "digest" 2,
    "workspace_keys" "number" 200,
    "audit_begun" "id" 200,
    "audit_entries" "number" 200,
    "audit_heads" "number" 1,
];

/// What bills are made from. It stays for a while after the workspace.
const USAGE: &[Table] = tables![
    "usage_runs" "day, outcome, part" 200,
    "usage_counts" "span, number" 200,
    "usage_days" "day" 200,
];

/// Runs that wait: those that execute end first.
const WAITING: &str = "DELETE FROM queue WHERE workspace = $1 AND id IN
    (SELECT id FROM queue WHERE workspace = $1 AND state <> 3 ORDER BY id LIMIT 200 {lock free queue})";

impl Removals for Sql {
    fn under_way(&self) -> BoxFuture<'_, Result<Vec<WorkspaceId>, StoreError>> {
        Box::pin(self.db.read((), |(), mut conn| {
            Box::pin(async move {
                let rows = conn.rows("SELECT id FROM workspaces WHERE status = 2 ORDER BY status_since, id", values![]).await?;
                rows.iter().map(|row| row.uuid(0).map(WorkspaceId)).collect()
            })
        }))
    }

    fn step(&self, workspace: WorkspaceId, now: Timestamp) -> BoxFuture<'_, Result<Step, StoreError>> {
        Box::pin(async move {
            let of_queue = self.db.read(workspace, |workspace, conn| Box::pin(any(QUEUED, *workspace, conn)));
            if of_queue.await? {
                return self.db.write(workspace, |workspace, conn| Box::pin(end_runs(*workspace, conn))).await;
            }
            for table in TABLES {
                if self.clear(workspace, *table).await? {
                    return Ok(Step::More);
                }
            }
            if self.remove_results(workspace, STEP_OBJECTS_MAX).await? > 0 {
                return Ok(Step::More);
            }
            self.db.write((workspace, now), |(workspace, now), conn| Box::pin(forget(*workspace, *now, conn))).await?;
            Ok(Step::Gone)
        })
    }

    fn deleted(&self, since: Timestamp) -> BoxFuture<'_, Result<Vec<Deleted>, StoreError>> {
        Box::pin(self.db.read(since, |since, mut conn| {
            Box::pin(async move {
                let rows = conn.rows("SELECT id, deleted_at FROM deleted_workspaces WHERE deleted_at > $1", values![*since]).await?;
                rows.iter().map(read_deleted).collect()
            })
        }))
    }

    fn forget(&self, before: Timestamp) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let old = self.db.read(before, |before, mut conn| {
                Box::pin(async move {
                    let row = conn.row("SELECT id FROM deleted_workspaces WHERE deleted_at < $1 LIMIT 1", values![*before]).await?;
                    row.map(|row| row.uuid(0).map(WorkspaceId)).transpose()
                })
            });
            let Some(workspace) = old.await? else { return Ok(false) };
            for table in USAGE {
                if self.clear(workspace, *table).await? {
                    return Ok(true);
                }
            }
            let forget = self.db.write(workspace, |workspace, mut conn| {
                Box::pin(async move { conn.execute("DELETE FROM deleted_workspaces WHERE id = $1", values![*workspace]).await })
            });
            forget.await?;
            Ok(true)
        })
    }
}

impl Sql {
    /// Deletes some of what a workspace has in one table; false if there is nothing.
    async fn clear(&self, workspace: WorkspaceId, table: Table) -> Result<bool, StoreError> {
        let has_rows = self.db.read((workspace, table), |(workspace, table), conn| Box::pin(any(table.any, *workspace, conn))).await?;
        if has_rows {
            let delete = self.db.write((workspace, table), |(workspace, table), mut conn| {
                Box::pin(async move { conn.execute(table.delete, values![*workspace]).await })
            });
            delete.await?;
        }
        Ok(has_rows)
    }
}

const QUEUED: &str = "SELECT 1 FROM queue WHERE workspace = $1 LIMIT 1";

/// Which of some workspaces are being deleted, or were: nothing is written for them any more. A workspace that never was is none of them.
pub(super) async fn gone(conn: &mut Conn<'_>, of: BTreeSet<WorkspaceId>) -> Result<HashSet<WorkspaceId>, StoreError> {
    // Keys are pairs; here of the same twice.
    const GONE: &str = "SELECT id FROM workspaces WHERE status = 2 AND (id, id) IN {keys $1}
        UNION ALL SELECT id FROM deleted_workspaces WHERE (id, id) IN {keys $1}";
    if of.is_empty() {
        return Ok(HashSet::new());
    }
    let keys = of.into_iter().map(|workspace| run_key(workspace, RunId(workspace.0))).collect();
    let rows = conn.rows(GONE, vec![Value::Keys(keys)]).await?;
    rows.iter().map(|row| row.uuid(0).map(WorkspaceId)).collect()
}

async fn any(statement: &'static str, workspace: WorkspaceId, mut conn: Conn<'_>) -> Result<bool, StoreError> {
    Ok(conn.row(statement, values![workspace]).await?.is_some())
}

/// Tells runs that execute to end, which their nodes hear with their next sign of life, and deletes those that wait.
async fn end_runs(workspace: WorkspaceId, mut conn: Conn<'_>) -> Result<Step, StoreError> {
    // Nobody may come in any more.
    conn.execute("DELETE FROM tokens WHERE workspace = $1", values![workspace]).await?;
    conn.execute("UPDATE queue SET cancel_requested = 1 WHERE workspace = $1 AND state = 3 AND cancel_requested = 0", values![workspace])
        .await?;
    let deleted = conn.execute(WAITING, values![workspace]).await?;
    Ok(if deleted > 0 { Step::More } else { Step::Waits })
}

async fn forget(workspace: WorkspaceId, now: Timestamp, mut conn: Conn<'_>) -> Result<(), StoreError> {
    conn.execute(
        "INSERT INTO deleted_workspaces (id, name, deleted_at) SELECT id, name, CAST($2 AS BIGINT) FROM workspaces WHERE id = $1 AND status = 2
         ON CONFLICT DO NOTHING",
        values![workspace, now],
    )
    .await?;
    conn.execute("DELETE FROM workspaces WHERE id = $1 AND status = 2", values![workspace]).await.map(drop)
}

fn read_deleted(row: &Row) -> Result<Deleted, StoreError> {
    Ok(Deleted { id: WorkspaceId(row.uuid(0)?), at: row.time(1)? })
}
