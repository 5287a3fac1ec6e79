//! How often runs start: each takes the next place in the row of its rate, and waits until then.
//!
//! The row is the virtual schedule of the generic cell rate algorithm (ITU-T I.371): one number for each rate.

use sandmill_model::{Timestamp, WorkspaceId, rate::Rate};

use super::{dialect::Conn, value::values};
use crate::StoreError;

/// Rates that are forgotten at once.
const FORGOTTEN_MAX: u32 = 500;

/// Takes the next place in each of `rates`; returns when all of them allow a start, `now` at the earliest.
pub(super) async fn take_place(
    conn: &mut Conn<'_>,
    workspace: WorkspaceId,
    rates: &[Rate],
    now: Timestamp,
) -> Result<Timestamp, StoreError> {
    let mut at = now;
    for rate in rates {
        let row = conn
            .row(
                "INSERT INTO queue_rates (workspace, name, next_at) VALUES ($1, $2, $3 + $4)
                 ON CONFLICT (workspace, name) DO UPDATE SET
                     next_at = CASE WHEN queue_rates.next_at > $3 THEN queue_rates.next_at ELSE $3 END + $4
                 RETURNING next_at",
                values![workspace, rate.name.as_bytes(), now, rate.interval_us],
            )
            .await?
            .ok_or_else(|| StoreError::Other("a rate that was written is not there".to_owned()))?;
        let place = row.int(0)?.saturating_sub(rate.interval_us).saturating_sub(rate.lead_us());
        at = at.max(Timestamp::from_micros(place));
    }
    Ok(at)
}

/// Forgets rates that hold nobody back any more, some hundreds at most.
pub(super) async fn forget(conn: &mut Conn<'_>, now: Timestamp) -> Result<u64, StoreError> {
    conn.execute(
        "DELETE FROM queue_rates WHERE (workspace, name) IN (
             SELECT workspace, name FROM queue_rates WHERE next_at <= $1 ORDER BY next_at LIMIT $2 {lock free queue_rates}
         ) AND next_at <= $1",
        values![now, FORGOTTEN_MAX],
    )
    .await
}
