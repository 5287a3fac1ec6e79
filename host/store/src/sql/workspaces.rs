//! Workspaces.

use std::sync::Arc;

use sandmill_model::{
    BoxFuture, Timestamp, WorkspaceId, WorkspaceSettings,
    settings::{InvalidSettings, Patch},
};

use super::{
    Sql,
    dialect::Conn,
    value::{Row, to_json, values},
};
use crate::{
    StoreError,
    workspaces::{Workspace, Workspaces},
};

/// What [`read`] reads; conditions come after it.
macro_rules! select_workspace {
    () => {
        "SELECT id, name, created_at, settings FROM workspaces "
    };
}

impl Workspaces for Sql {
    fn ensure<'a>(&'a self, id: WorkspaceId, name: &'a str, now: Timestamp) -> BoxFuture<'a, Result<Workspace, StoreError>> {
        let new = Workspace { id, name: name.into(), created_at: now, settings: Arc::default() };
        Box::pin(self.db.write(new, |new, conn| Box::pin(ensure(new, conn))))
    }

    fn by_name<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Workspace>, StoreError>> {
        let name: Arc<str> = name.into();
        Box::pin(self.db.read(name, |name, mut conn| Box::pin(async move { by_name(name, &mut conn).await })))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Workspace>, StoreError>> {
        Box::pin(self.db.read((), |(), mut conn| {
            Box::pin(async move {
                let rows = conn.rows(concat!(select_workspace!(), "ORDER BY created_at, id"), values![]).await?;
                rows.iter().map(read).collect()
            })
        }))
    }

    fn set(&self, id: WorkspaceId, patch: Patch) -> BoxFuture<'_, Result<Result<WorkspaceSettings, InvalidSettings>, StoreError>> {
        Box::pin(self.db.write((id, patch), |(id, patch), conn| Box::pin(set(*id, patch, conn))))
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
    conn.row(concat!(select_workspace!(), "WHERE name = $1"), values![name]).await?.as_ref().map(read).transpose()
}

async fn set(id: WorkspaceId, patch: &Patch, mut conn: Conn<'_>) -> Result<Result<WorkspaceSettings, InvalidSettings>, StoreError> {
    let row = conn.row(concat!(select_workspace!(), "WHERE id = $1 {lock workspaces}"), values![id]).await?;
    let Some(row) = row else { return Err(StoreError::Conflict("the workspace is gone".to_owned())) };
    let settings = match read(&row)?.settings.patched(patch) {
        Ok(settings) => settings,
        Err(invalid) => return Ok(Err(invalid)),
    };
    conn.execute("UPDATE workspaces SET settings = $2 WHERE id = $1", values![id, to_json(&settings)?]).await?;
    Ok(Ok(settings))
}

/// None are set for a workspace that is not there.
pub(super) fn read_settings(row: &Row, column: usize) -> Result<WorkspaceSettings, StoreError> {
    match row.opt_text(column)? {
        None | Some("{}") => Ok(WorkspaceSettings::default()),
        Some(text) => WorkspaceSettings::stored(text).map_err(|error| StoreError::Corrupt(format!("settings: {error}"))),
    }
}

fn read(row: &Row) -> Result<Workspace, StoreError> {
    let settings = read_settings(row, 3)?;
    Ok(Workspace { id: WorkspaceId(row.uuid(0)?), name: row.text(1)?.into(), created_at: row.time(2)?, settings: settings.into() })
}
