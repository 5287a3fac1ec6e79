//! Workspaces.

use std::sync::Arc;

use sandmill_model::{BoxFuture, Timestamp, WorkspaceId};

use super::{
    Sql,
    dialect::Conn,
    value::{Row, values},
};
use crate::{
    StoreError,
    workspaces::{Workspace, Workspaces},
};

impl Workspaces for Sql {
    fn ensure<'a>(&'a self, id: WorkspaceId, name: &'a str, now: Timestamp) -> BoxFuture<'a, Result<Workspace, StoreError>> {
        let new = Workspace { id, name: name.into(), created_at: now };
        Box::pin(self.db.write(new, |new, conn| Box::pin(ensure(new, conn))))
    }

    fn by_name<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Workspace>, StoreError>> {
        let name: Arc<str> = name.into();
        Box::pin(self.db.read(name, |name, mut conn| Box::pin(async move { by_name(name, &mut conn).await })))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Workspace>, StoreError>> {
        Box::pin(self.db.read((), |(), mut conn| {
            Box::pin(async move {
                let rows = conn.rows("SELECT id, name, created_at FROM workspaces ORDER BY created_at, id", values![]).await?;
                rows.iter().map(read).collect()
            })
        }))
    }
}

async fn ensure(new: &Workspace, mut conn: Conn<'_>) -> Result<Workspace, StoreError> {
    if let Some(present) = by_name(&new.name, &mut conn).await? {
        return Ok(present);
    }
    conn.execute(
        "INSERT INTO workspaces (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
        values![new.id, &new.name, new.created_at],
    )
    .await?;
    by_name(&new.name, &mut conn).await?.ok_or_else(|| StoreError::Conflict(format!("the workspace {} is being deleted", new.name)))
}

async fn by_name(name: &Arc<str>, conn: &mut Conn<'_>) -> Result<Option<Workspace>, StoreError> {
    if name.contains('\0') {
        return Ok(None);
    }
    conn.row("SELECT id, name, created_at FROM workspaces WHERE name = $1", values![name]).await?.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<Workspace, StoreError> {
    Ok(Workspace { id: WorkspaceId(row.uuid(0)?), name: row.text(1)?.into(), created_at: row.time(2)? })
}
