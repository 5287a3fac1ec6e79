//! Keys that a bounded number of runs hold at once.
//!
//! A run takes its keys in their order and is parked for the first that is not free, keeping those before it: since all take them in
//! one order, no two wait for each other. Who frees a key hands it on to the oldest run that waits, so nobody overtakes.
//!
//! Whoever looks at a key locks its row first: who parks is then seen by who frees.

use sandmill_model::{Timestamp, WorkspaceId, policy::Key};

use super::{
    dialect::Conn,
    value::values,
    waiting::{Waiting, select_waiting},
};
use crate::StoreError;

/// Runs that one free place may wake: more only where a limit was raised.
const WOKEN_MAX: usize = 16;

/// Keys of a run that is gone.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) workspace: WorkspaceId,
    pub(super) keys: Vec<Key>,
}

/// Takes `keys` from number `from` on; returns how many are held then, all of them or up to the first that is not free.
pub(super) async fn acquire(conn: &mut Conn<'_>, workspace: WorkspaceId, keys: &[Key], from: usize) -> Result<usize, StoreError> {
    for (index, key) in keys.iter().enumerate().skip(from) {
        if !acquire_one(conn, workspace, key).await? {
            return Ok(index);
        }
    }
    Ok(keys.len())
}

async fn acquire_one(conn: &mut Conn<'_>, workspace: WorkspaceId, key: &Key) -> Result<bool, StoreError> {
    let taken = conn
        .execute(
            "INSERT INTO queue_keys (workspace, key, held) VALUES ($1, $2, 1)
             ON CONFLICT (workspace, key) DO UPDATE SET held = queue_keys.held + 1 WHERE queue_keys.held < $3",
            values![workspace, key.name.as_bytes(), key.limit],
        )
        .await?;
    Ok(taken > 0)
}

/// Frees what runs held that are gone, and hands it on.
pub(super) async fn release(conn: &mut Conn<'_>, holders: Vec<Holder>, now: Timestamp) -> Result<(), StoreError> {
    for Holder { workspace, keys } in holders {
        for key in keys {
            conn.execute(
                "UPDATE queue_keys SET held = held - 1 WHERE workspace = $1 AND key = $2",
                values![workspace, key.name.as_bytes()],
            )
            .await?;
            hand_on(conn, workspace, &key.name, now).await?;
        }
    }
    Ok(())
}

/// Wakes the oldest of those who wait for a key, as far as it is free.
async fn hand_on(conn: &mut Conn<'_>, workspace: WorkspaceId, name: &str, now: Timestamp) -> Result<(), StoreError> {
    for _ in 0..WOKEN_MAX {
        let row = conn
            .row(
                concat!(select_waiting!(), "WHERE workspace = $1 AND waits_for = $2 AND state = 2 ORDER BY id LIMIT 1 {lock queue}"),
                values![workspace, name.as_bytes()],
            )
            .await?;
        let Some(row) = row else { break };
        let waiting = Waiting::read(&row)?;
        let Some(key) = waiting.keys.get(waiting.keys_held) else { break };
        if !acquire_one(conn, workspace, key).await? {
            return Ok(());
        }
        waiting.go_on(conn, waiting.keys_held + 1, now).await?;
    }
    conn.execute("DELETE FROM queue_keys WHERE workspace = $1 AND key = $2 AND held <= 0", values![workspace, name.as_bytes()])
        .await
        .map(drop)
}
