//! New data keys for all workspaces while others read and write: a key that seals what is new from now on, rows in batches, and at the end, with
//! the keys locked, what was written with an old one meanwhile.

use std::sync::Arc;

use sandmill_model::{BoxFuture, Timestamp, WorkspaceId};

use super::{
    Sql,
    data_keys::{self, Sealed, wrapped_columns},
    dialect::Conn,
    value::values,
};
use crate::{
    StoreError,
    keys::{Keys, Rotation},
    seal::{DataKey, Place, SealedKind, Seals},
};

/// Rows that one transaction seals anew.
const BATCH_ROWS: u32 = 100;
/// Transactions for one workspace: more than it can have rows.
const BATCHES_MAX: usize = 10_000;

/// What a step works with.
struct Step {
    seals: Arc<Seals>,
    workspace: WorkspaceId,
    now: Timestamp,
}

/// A table with sealed rows.
struct Table {
    kind: SealedKind,
    lock: &'static str,
    read: &'static str,
    update: &'static str,
    count: &'static str,
}

macro_rules! table {
    ($table:literal, $kind:expr) => {
        Table {
            kind: $kind,
            lock: concat!(
                "SELECT path FROM ",
                $table,
                " WHERE workspace = $1 AND key_number < $2 ORDER BY path LIMIT $3 {lock ",
                $table,
                "}"
            ),
            read: concat!(
                "SELECT r.sealed, ",
                wrapped_columns!(),
                " FROM ",
                $table,
                " r LEFT JOIN workspace_keys k ON k.workspace = r.workspace AND k.number = r.key_number
                 WHERE r.workspace = $1 AND r.path = $2"
            ),
            update: concat!("UPDATE ", $table, " SET sealed = $3, key_number = $4 WHERE workspace = $1 AND path = $2"),
            count: concat!("SELECT COUNT(*) FROM ", $table, " WHERE workspace = $1 AND key_number < $2"),
        }
    };
}

const TABLES: [Table; 2] = [table!("resources", SealedKind::Resource), table!("variables", SealedKind::Variable)];

impl Keys for Sql {
    fn reload(&self) -> BoxFuture<'_, Result<String, StoreError>> {
        Box::pin(async {
            let seals = self.seals()?;
            let needed = self.db.read((), |(), mut conn| Box::pin(async move { data_keys::needed(&mut conn).await })).await?;
            seals.reload(&needed)?;
            Ok(seals.active())
        })
    }

    fn rotate(&self, now: Timestamp) -> BoxFuture<'_, Result<Rotation, StoreError>> {
        Box::pin(async move {
            let Ok(_alone) = self.rotating.try_lock() else {
                return Err(StoreError::Conflict("keys are being rotated already".to_owned()));
            };
            let wrapped_by = self.reload().await?;
            let workspaces = self.db.read((), |(), mut conn| {
                Box::pin(async move {
                    let rows = conn.rows("SELECT DISTINCT workspace FROM workspace_keys ORDER BY workspace", values![]).await?;
                    rows.iter().map(|row| row.uuid(0).map(WorkspaceId)).collect::<Result<Vec<_>, _>>()
                })
            });
            let workspaces = workspaces.await?;
            let mut resealed = 0;
            for workspace in &workspaces {
                resealed += self.rotate_one(*workspace, now).await?;
            }
            // Not one of a workspace: it only shows which instance key is in use.
            let counted = workspaces.iter().filter(|workspace| !workspace.0.is_nil()).count();
            Ok(Rotation { workspaces: u64::try_from(counted).unwrap_or(u64::MAX), resealed, wrapped_by })
        })
    }
}

impl Sql {
    /// Returns how many rows were sealed anew.
    async fn rotate_one(&self, workspace: WorkspaceId, now: Timestamp) -> Result<u64, StoreError> {
        let step = || self.seals().map(|seals| Step { seals: Arc::clone(seals), workspace, now });
        self.db.write(step()?, |step, mut conn| Box::pin(async move { step.begin(&mut conn).await })).await?;
        let mut resealed = 0;
        for _ in 0..BATCHES_MAX {
            let rows = self.db.write(step()?, |step, mut conn| Box::pin(async move { step.reseal(&mut conn).await })).await?;
            resealed += rows;
            if rows > 0 {
                continue;
            }
            match self.db.write(step()?, |step, mut conn| Box::pin(async move { step.end(&mut conn).await })).await? {
                Some(rows) => return Ok(resealed + rows),
                None => tracing::debug!("another rotation goes on at the same time"),
            }
        }
        Err(StoreError::Contended("a rotation of keys does not come to its end".to_owned()))
    }
}

impl Step {
    /// A new key, which seals what is written from now on.
    async fn begin(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        let newest = data_keys::active(conn, &self.seals, self.workspace, self.now).await?;
        let number = newest.number.checked_add(1).ok_or_else(|| StoreError::Other("a workspace's keys are all used up".to_owned()))?;
        match data_keys::insert(conn, &self.seals.new_key(self.workspace, number)?, self.now).await? {
            1 => Ok(()),
            _ => Err(StoreError::Conflict("keys are being rotated by another node".to_owned())),
        }
    }

    /// Seals some rows of each table anew; returns how many.
    async fn reseal(&self, conn: &mut Conn<'_>) -> Result<u64, StoreError> {
        let key = data_keys::active(conn, &self.seals, self.workspace, self.now).await?;
        let mut count = 0;
        for table in &TABLES {
            count += self.reseal_rows(conn, table, &key).await?;
        }
        Ok(count)
    }

    async fn reseal_rows(&self, conn: &mut Conn<'_>, table: &Table, key: &DataKey) -> Result<u64, StoreError> {
        let rows = conn.rows(table.lock, values![self.workspace, key.number, BATCH_ROWS]).await?;
        for row in &rows {
            let path = row.path(0)?;
            // In two steps: what is read with a lock may be newer than the key that is joined to it.
            let Some(row) = conn.row(table.read, values![self.workspace, &path]).await? else { continue };
            let Some(sealed) = Sealed::read(&row, self.workspace, 0)? else { continue };
            let place = Place { workspace: self.workspace, kind: table.kind, path: path.as_str() };
            let plain = self.seals.unwrap(&sealed.key)?.open(place, &sealed.bytes)?;
            conn.execute(table.update, values![self.workspace, &path, key.seal(place, &plain)?, key.number]).await?;
        }
        Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
    }

    /// Forgets the old keys. Whoever writes has its key locked, so once all are ours nothing more comes that an old one seals. None if too much
    /// came meanwhile.
    async fn end(&self, conn: &mut Conn<'_>) -> Result<Option<u64>, StoreError> {
        conn.rows("SELECT number FROM workspace_keys WHERE workspace = $1 ORDER BY number {lock workspace_keys}", values![self.workspace])
            .await?;
        let key = data_keys::active(conn, &self.seals, self.workspace, self.now).await?;
        let mut count = 0;
        for table in &TABLES {
            let left = conn.row(table.count, values![self.workspace, key.number]).await?;
            if left.map(|row| row.int(0)).transpose()?.unwrap_or(0) > i64::from(BATCH_ROWS) {
                return Ok(None);
            }
        }
        for table in &TABLES {
            count += self.reseal_rows(conn, table, &key).await?;
        }
        conn.execute("DELETE FROM workspace_keys WHERE workspace = $1 AND number < $2", values![self.workspace, key.number]).await?;
        Ok(Some(count))
    }
}
