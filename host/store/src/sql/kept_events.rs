//! Events that started no run.

use std::collections::BTreeSet;

use bytes::Bytes;
use sandmill_model::{RunId, ScriptPath, Timestamp, TriggerEventId, WorkspaceId};

use super::{
    dialect::{Conn, Insert},
    queued,
    value::{Kind, Row, Value, big, values},
};
use crate::{
    StoreError,
    triggers::{EVENTS_KEPT, EVENTS_KEPT_MAX, KeptAs, KeptEvent, KeptSummary, PAYLOAD_START_BYTES, STAGED_KEPT},
};

/// Events that are forgotten at once, and rows of what was staged: each may be large.
const FORGOTTEN_MAX: u32 = 200;

/// Characters of a reason that are kept.
const REASON_CHARS_MAX: usize = 1_000;

const CAPTURED: i64 = 0;
const DEAD: i64 = 1;

const EVENTS: Insert = Insert {
    table: "trigger_events",
    columns: &[
        ("workspace", Kind::Bytes),
        ("path", Kind::Text),
        ("id", Kind::Bytes),
        ("state", Kind::Int),
        ("payload_bytes", Kind::Int),
        ("reason", Kind::Text),
        ("event", Kind::Text),
        ("origin", Kind::Text),
        ("payload", Kind::Bytes),
    ],
    on_conflict: "",
};

/// Writes events of triggers, and lets the oldest go where there are too many.
pub(super) async fn insert(conn: &mut Conn<'_>, events: &[((WorkspaceId, &str), &KeptEvent)]) -> Result<(), StoreError> {
    // Of each state the newest stay.
    const TRIM: &str = "DELETE FROM trigger_events WHERE workspace = $1 AND path = $2 AND state = $3 AND id <= (
        SELECT id FROM trigger_events WHERE workspace = $1 AND path = $2 AND state = $3 ORDER BY id DESC LIMIT 1 OFFSET $4)";
    if events.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(events.len() * EVENTS.columns.len());
    let mut written = BTreeSet::new();
    for ((workspace, path), KeptEvent { id, event, payload_bytes, has_payload, kept_as }) in events {
        let (state, reason) = match kept_as {
            KeptAs::Captured => (CAPTURED, None),
            // Whatever a source says: what cannot be kept would be delivered again for ever.
            KeptAs::Dead(reason) => {
                let shown = |character| if character == '\0' { char::REPLACEMENT_CHARACTER } else { character };
                (DEAD, Some(reason.chars().take(REASON_CHARS_MAX).map(shown).collect::<String>()))
            }
        };
        rows.extend(values![*workspace, *path, id.0, state, big(*payload_bytes), reason]);
        let mut values = queued::event_values(event)?;
        if !has_payload {
            values.pop();
            values.push(Value::Bytes(None));
        }
        rows.extend(values);
        written.insert((*workspace, *path, state));
    }
    conn.insert(&EVENTS, rows).await?;
    for (workspace, path, state) in written {
        conn.execute(TRIM, values![workspace, path, state, EVENTS_KEPT_MAX]).await?;
    }
    Ok(())
}

pub(super) async fn list(
    (workspace, path): (WorkspaceId, &ScriptPath),
    before: Option<TriggerEventId>,
    limit: u32,
    mut conn: Conn<'_>,
) -> Result<Vec<KeptSummary>, StoreError> {
    const LIST: &str = "SELECT id, event, payload_bytes, state, reason, substr(payload, 1, CAST($5 AS INTEGER)) FROM trigger_events
        WHERE workspace = $1 AND path = $2 AND id < $3 ORDER BY id DESC LIMIT $4";
    let before = before.map_or(uuid::Uuid::max(), |id| id.0);
    let rows = conn.rows(LIST, values![workspace, path, before, limit, PAYLOAD_START_BYTES]).await?;
    let read = |row: &Row| {
        Ok(KeptSummary {
            id: TriggerEventId(row.uuid(0)?),
            metadata: row.json(1)?,
            payload_start: row.opt_bytes(5)?.map(Bytes::copy_from_slice).unwrap_or_default(),
            payload_bytes: row.count(2)?,
            kept_as: read_kept_as(row, 3)?,
        })
    };
    rows.iter().map(read).collect()
}

pub(super) async fn find(
    (workspace, path): (WorkspaceId, &ScriptPath),
    id: TriggerEventId,
    mut conn: Conn<'_>,
) -> Result<Option<KeptEvent>, StoreError> {
    const FIND: &str = "SELECT event, origin, payload, payload_bytes, state, reason FROM trigger_events
        WHERE workspace = $1 AND path = $2 AND id = $3";
    let row = conn.row(FIND, values![workspace, path, id.0]).await?;
    let read = |row: &Row| {
        Ok(KeptEvent {
            id,
            event: queued::read_event(row, 0)?,
            payload_bytes: row.count(3)?,
            has_payload: row.opt_bytes(2)?.is_some(),
            kept_as: read_kept_as(row, 4)?,
        })
    };
    row.as_ref().map(read).transpose()
}

/// From two columns.
fn read_kept_as(row: &Row, first: usize) -> Result<KeptAs, StoreError> {
    match row.int(first)? {
        CAPTURED => Ok(KeptAs::Captured),
        DEAD => Ok(KeptAs::Dead(row.opt_text(first + 1)?.unwrap_or_default().to_owned())),
        other => Err(StoreError::Corrupt(format!("a kept event's state {other}"))),
    }
}

pub(super) async fn discard(
    (workspace, path): (WorkspaceId, &ScriptPath),
    id: TriggerEventId,
    mut conn: Conn<'_>,
) -> Result<bool, StoreError> {
    const DISCARD: &str = "DELETE FROM trigger_events WHERE workspace = $1 AND path = $2 AND id = $3";
    Ok(conn.execute(DISCARD, values![workspace, path, id.0]).await? > 0)
}

/// Forgets what is too old, some hundreds of rows at most.
pub(super) async fn forget(now: Timestamp, mut conn: Conn<'_>) -> Result<u64, StoreError> {
    const OLD_EVENTS: &str = "DELETE FROM trigger_events WHERE (workspace, path, id) IN (
        SELECT workspace, path, id FROM trigger_events WHERE id < $1 ORDER BY id LIMIT $2 {lock free trigger_events})";
    const OLD_STAGED: &str = "DELETE FROM staged_state WHERE (workspace, run, key) IN (
        SELECT workspace, run, key FROM staged_state WHERE run < $1 LIMIT $2 {lock free staged_state})";
    // All ids begin with their time.
    let first = |kept: std::time::Duration| {
        let micros = i64::try_from(kept.as_micros()).unwrap_or(i64::MAX);
        RunId::first_of(Timestamp::from_micros(now.micros().saturating_sub(micros)))
    };
    let events = conn.execute(OLD_EVENTS, values![first(EVENTS_KEPT), FORGOTTEN_MAX]).await?;
    let staged = conn.execute(OLD_STAGED, values![first(STAGED_KEPT), FORGOTTEN_MAX]).await?;
    Ok(events + staged)
}
