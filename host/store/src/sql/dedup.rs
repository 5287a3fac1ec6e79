//! Keys by which a repetition is known.

use sandmill_model::{
    RunId, Timestamp,
    run::{Dedup, NewRun},
};

use super::{dialect::Conn, value::values};
use crate::{StoreError, queue::Enqueued};

/// Keys that are forgotten at once.
const FORGOTTEN_MAX: u32 = 500;

/// Gives a key to `run`, unless another has it within its window.
pub(super) async fn claim(conn: &mut Conn<'_>, run: &NewRun, dedup: &Dedup) -> Result<Enqueued, StoreError> {
    let fingerprint: Vec<u8> = dedup.fingerprint.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default();
    let row = conn
        .row(
            "INSERT INTO dedup_keys (workspace, scope, key, fingerprint, run, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (workspace, scope, key) DO UPDATE SET
                 fingerprint = CASE WHEN dedup_keys.expires_at <= $7 THEN excluded.fingerprint ELSE dedup_keys.fingerprint END,
                 run = CASE WHEN dedup_keys.expires_at <= $7 THEN excluded.run ELSE dedup_keys.run END,
                 expires_at = CASE WHEN dedup_keys.expires_at <= $7 THEN excluded.expires_at ELSE dedup_keys.expires_at END
             RETURNING run, fingerprint",
            values![
                run.workspace,
                &dedup.scope,
                dedup.key.as_bytes(),
                fingerprint.clone(),
                run.id,
                run.created_at.plus(dedup.window),
                run.created_at
            ],
        )
        .await?
        .ok_or_else(|| StoreError::Other("a dedup key that was written is not there".to_owned()))?;
    let first = RunId(row.uuid(0)?);
    Ok(if first == run.id {
        Enqueued::New
    } else if row.bytes(1)? == fingerprint {
        Enqueued::Duplicate(first)
    } else {
        Enqueued::Mismatch(first)
    })
}

pub(super) async fn forget(conn: &mut Conn<'_>, now: Timestamp) -> Result<u64, StoreError> {
    conn.execute(
        "DELETE FROM dedup_keys WHERE (workspace, scope, key) IN (
             SELECT workspace, scope, key FROM dedup_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 {lock free dedup_keys}
         ) AND expires_at <= $1",
        values![now, FORGOTTEN_MAX],
    )
    .await
}
