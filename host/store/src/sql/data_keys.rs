//! Data keys of workspaces: made with the first secret, read with each row that one seals.
//!
//! Whoever writes a sealed row locks its key first and the row after it, as whoever rotates keys does. With that order nobody waits in a circle.

use std::{collections::BTreeSet, sync::Arc};

use sandmill_model::{Timestamp, WorkspaceId};
use uuid::Uuid;

use super::{
    db::Db,
    dialect::Conn,
    value::{Row, values},
};
use crate::{
    StoreError,
    seal::{DataKey, Sealing, Seals, Wrapped},
};

/// Not a workspace: its key is there to show which instance key the installation has.
const INSTALLATION: WorkspaceId = WorkspaceId(Uuid::nil());

/// What [`read_wrapped`] reads, of table `k`.
macro_rules! wrapped_columns {
    () => {
        "k.number, k.wrapped_by, k.wrapped"
    };
}
pub(super) use wrapped_columns;

pub(super) fn no_keys() -> StoreError {
    StoreError::Keys("secrets need an instance key, and there is none here: `sandmill serve` has one".to_owned())
}

/// The keys of a store that is being opened.
pub(super) async fn open(db: &Db, sealing: Sealing) -> Result<Arc<Seals>, StoreError> {
    let needed = db.read((), |(), mut conn| Box::pin(async move { needed(&mut conn).await })).await?;
    let (seals, is_new) = Seals::load(sealing.source, &needed)?;
    let seals = Arc::new(seals);
    if !db.is_shared() || !needed.is_empty() {
        return Ok(seals);
    }
    // The nodes of one installation have the same key: each could not open what others seal.
    let first = (Arc::clone(&seals), sealing.now);
    db.write(first, |(seals, now), mut conn| Box::pin(async move { active(&mut conn, seals, INSTALLATION, *now).await.map(drop) }))
        .await
        .inspect_err(|error| {
        if is_new && matches!(error, StoreError::Keys(_)) {
            seals.forget_new();
        }
    })?;
    Ok(seals)
}

/// Ids of the instance keys that wrap something.
pub(super) async fn needed(conn: &mut Conn<'_>) -> Result<BTreeSet<String>, StoreError> {
    let rows = conn.rows("SELECT DISTINCT wrapped_by FROM workspace_keys", values![]).await?;
    rows.iter().map(|row| row.text(0).map(str::to_owned)).collect()
}

/// The key that seals what a workspace writes now, made if it has none. It stays until the transaction ends.
pub(super) async fn active(conn: &mut Conn<'_>, seals: &Seals, workspace: WorkspaceId, now: Timestamp) -> Result<DataKey, StoreError> {
    // The newest may be deleted while it is waited for; then there is a newer one.
    for _ in 0..2 {
        if let Some(newest) = newest(conn, workspace).await? {
            return seals.unwrap(&newest);
        }
    }
    insert(conn, &seals.new_key(workspace, 1)?, now).await?;
    let newest = newest(conn, workspace).await?;
    seals.unwrap(&newest.ok_or_else(|| StoreError::Contended("a workspace's first key is being made".to_owned()))?)
}

async fn newest(conn: &mut Conn<'_>, workspace: WorkspaceId) -> Result<Option<Wrapped>, StoreError> {
    let row = conn
        .row(
            concat!(
                "SELECT ",
                wrapped_columns!(),
                " FROM workspace_keys k WHERE k.workspace = $1 ORDER BY k.number DESC LIMIT 1 {lock present k}"
            ),
            values![workspace],
        )
        .await?;
    row.map(|row| read_wrapped(&row, workspace, 0)).transpose()
}

pub(super) async fn insert(conn: &mut Conn<'_>, key: &Wrapped, now: Timestamp) -> Result<u64, StoreError> {
    conn.execute(
        "INSERT INTO workspace_keys (workspace, number, wrapped_by, wrapped, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        values![key.workspace, key.number, key.by.as_str(), key.bytes.as_slice(), now],
    )
    .await
}

pub(super) fn read_wrapped(row: &Row, workspace: WorkspaceId, first: usize) -> Result<Wrapped, StoreError> {
    Ok(Wrapped { workspace, number: row.small_count(first)?, by: row.text(first + 1)?.to_owned(), bytes: row.bytes(first + 2)?.to_vec() })
}

/// What a row has sealed, with the key for it: columns `sealed` and those of [`wrapped_columns`].
#[derive(Clone)]
pub(super) struct Sealed {
    pub(super) bytes: Vec<u8>,
    pub(super) key: Wrapped,
}

impl Sealed {
    /// None if nothing is sealed.
    pub(super) fn read(row: &Row, workspace: WorkspaceId, first: usize) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = row.opt_bytes(first)? else { return Ok(None) };
        if row.opt_int(first + 1)?.is_none() {
            return Err(StoreError::Corrupt("the key of a sealed row is gone".to_owned()));
        }
        Ok(Some(Self { bytes: bytes.to_vec(), key: read_wrapped(row, workspace, first + 1)? }))
    }
}
