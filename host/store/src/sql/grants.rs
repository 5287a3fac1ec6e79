//! What was granted to scripts.

use sandmill_model::{BoxFuture, Digest, ScriptPath, WorkspaceId};

use super::{
    Sql,
    dialect::Conn,
    value::{Row, values},
};
use crate::{
    StoreError,
    grants::{GrantChange, GrantRow, Grants},
};

impl Grants for Sql {
    fn list<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Vec<GrantRow>, StoreError>> {
        Box::pin(self.db.read((workspace, path.clone()), |(workspace, path), mut conn| {
            Box::pin(async move { list(*workspace, path, &mut conn).await })
        }))
    }

    fn given<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        version: Digest,
    ) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        Box::pin(self.db.read((workspace, path.clone(), version), |(workspace, path, version), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        "SELECT granted FROM grants WHERE workspace = $1 AND path = $2 AND since_number <= (
                             SELECT MAX(number) FROM deployments WHERE workspace = $1 AND path = $2 AND version = $3
                         ) ORDER BY granted",
                        values![*workspace, path, *version],
                    )
                    .await?;
                rows.iter().map(|row| row.text(0).map(str::to_owned)).collect()
            })
        }))
    }

    fn change<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        change: GrantChange,
    ) -> BoxFuture<'a, Result<Vec<GrantRow>, StoreError>> {
        let mut change = change;
        // In one order, so that two that change the same script do not wait for each other.
        change.give.sort();
        change.take.sort();
        Box::pin(self.db.write((workspace, path.clone(), change), |(workspace, path, change), mut conn| {
            Box::pin(async move {
                for taken in change.take.iter().filter(|taken| !change.give.contains(taken)) {
                    let row = values![*workspace, path, taken.as_str()];
                    conn.execute("DELETE FROM grants WHERE workspace = $1 AND path = $2 AND granted = $3", row).await?;
                }
                for given in &change.give {
                    conn.execute(
                        "INSERT INTO grants (workspace, path, granted, granted_by, granted_at, since_number)
                         VALUES ($1, $2, $3, $4, $5, COALESCE((SELECT newest FROM scripts WHERE workspace = $1 AND path = $2), 0))
                         ON CONFLICT DO NOTHING",
                        values![*workspace, path, given.as_str(), &change.by, change.now],
                    )
                    .await?;
                }
                list(*workspace, path, &mut conn).await
            })
        }))
    }
}

async fn list(workspace: WorkspaceId, path: &ScriptPath, conn: &mut Conn<'_>) -> Result<Vec<GrantRow>, StoreError> {
    let rows = conn
        .rows(
            "SELECT granted, granted_by, granted_at FROM grants WHERE workspace = $1 AND path = $2 ORDER BY granted",
            values![workspace, path],
        )
        .await?;
    let read = |row: &Row| Ok(GrantRow { granted: row.text(0)?.to_owned(), granted_by: row.text(1)?.into(), granted_at: row.time(2)? });
    rows.iter().map(read).collect()
}
