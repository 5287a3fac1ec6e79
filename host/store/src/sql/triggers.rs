//! Triggers that are configured. What is put is checked whole before anything of it is written, for what is refused is committed, too. The rows
//! of the workspace and of the trigger come first, then its keys, then its seats.

use std::sync::Arc;

use sandmill_model::{
    BoxFuture, RunId, ScriptPath, Timestamp, TriggerEventId, TriggerId, WorkspaceId,
    trigger::{Cursor, Mode},
};

use super::{
    AFTER_ALL_PATHS, Sql, claims, deliveries,
    dialect::{Conn, Insert},
    kept_events, queued,
    resources::next_revision,
    seats, state,
    turns::Turns,
    value::{Kind, Row, Value, to_json, values},
};
use crate::{
    StoreError,
    seats::SeatKey,
    state::StateScope,
    triggers::{
        DeliveryAnswer, KeptEvent, KeptSummary, Keyed, NewTrigger, TRIGGERS_MAX, Trigger, TriggerDelivery, TriggerFilter, Triggers, Unput,
    },
};

/// How often a trigger is put again that met another one in the same moment.
const TRIES_MAX: usize = 5;

/// What [`read`] reads.
const COLUMNS: &str =
    "path, id, kind, target, config, options, mode, description, answered_by, revision, created_at, updated_at, updated_by";
/// How many these are.
const COLUMNS_COUNT: usize = 13;

const ENDPOINTS: Insert = Insert {
    table: "trigger_endpoints",
    columns: &[("workspace", Kind::Bytes), ("kind", Kind::Text), ("key", Kind::Text), ("path", Kind::Text)],
    on_conflict: "",
};

impl Triggers for Sql {
    fn put(&self, new: NewTrigger) -> BoxFuture<'_, Result<Result<Trigger, Unput>, StoreError>> {
        Box::pin(async move {
            for _ in 1..TRIES_MAX {
                let put = self.db.write(new.clone(), |new, mut conn| Box::pin(async move { put(new, &mut conn).await }));
                match put.await {
                    Err(StoreError::Conflict(why)) => tracing::debug!(why, "two put the same at once"),
                    done => return done,
                }
            }
            self.db.write(new, |new, mut conn| Box::pin(async move { put(new, &mut conn).await })).await
        })
    }

    fn find<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<Trigger>, StoreError>> {
        Box::pin(self.db.read((workspace, path.clone()), |(workspace, path), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(format!("SELECT {COLUMNS} FROM triggers WHERE workspace = $1 AND path = $2"), values![*workspace, path])
                    .await?;
                rows.first().map(|row| read(*workspace, row)).transpose()
            })
        }))
    }

    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        filter: &'a TriggerFilter,
        after: Option<&'a ScriptPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Trigger>, StoreError>> {
        let after = after.map_or_else(String::new, ToString::to_string);
        Box::pin(self.db.read((workspace, filter.clone(), after, limit), |(workspace, filter, after, limit), conn| {
            Box::pin(list(*workspace, filter, (after.as_str(), *limit), conn))
        }))
    }

    fn endpoints<'a>(
        &'a self,
        workspace: WorkspaceId,
        after: Option<&'a ScriptPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Keyed>, StoreError>> {
        let after = after.map_or_else(String::new, ToString::to_string);
        Box::pin(self.db.read((workspace, after, limit), |(workspace, after, limit), conn| {
            Box::pin(endpoints(*workspace, (after.as_str(), *limit), conn))
        }))
    }

    fn delete<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.db.write((workspace, path.clone()), |(workspace, path), conn| Box::pin(delete(*workspace, path, conn))))
    }

    fn count(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.db.read(workspace, |workspace, mut conn| Box::pin(async move { count(&mut conn, *workspace).await })))
    }

    fn deliver(&self, mut delivery: TriggerDelivery) -> BoxFuture<'_, Result<DeliveryAnswer, StoreError>> {
        Box::pin(async move {
            deliveries::queue_up(&mut delivery);
            let mut turns = deliveries::turns(&delivery);
            if let Some(run) = delivery.adopts_state_of
                && let Some(scope) = self.staged_for(delivery.workspace, run).await?
            {
                turns.join(&Turns::state(&scope));
            }
            self.db.writer().deliver(delivery, turns).await
        })
    }

    fn release(&self, workspace: WorkspaceId, run: RunId, now: Timestamp) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.db.write((workspace, run, now), |(workspace, run, now), conn| Box::pin(release(*workspace, *run, *now, conn))))
    }

    fn held<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        after: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<RunId>, StoreError>> {
        const HELD: &str = "SELECT id FROM queue WHERE workspace = $1 AND trigger_path = $2 AND state = 4 AND id > $3 ORDER BY id LIMIT $4";
        let after = after.map_or(uuid::Uuid::nil(), |id| id.0);
        Box::pin(self.db.read((workspace, path.clone(), after, limit), |(workspace, path, after, limit), mut conn| {
            Box::pin(async move {
                let rows = conn.rows(HELD, values![*workspace, path, *after, *limit]).await?;
                rows.iter().map(|row| row.uuid(0).map(RunId)).collect()
            })
        }))
    }

    fn events<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        before: Option<TriggerEventId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<KeptSummary>, StoreError>> {
        Box::pin(self.db.read((workspace, path.clone(), before, limit), |(workspace, path, before, limit), conn| {
            Box::pin(kept_events::list((*workspace, path), *before, *limit, conn))
        }))
    }

    fn event<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        id: TriggerEventId,
    ) -> BoxFuture<'a, Result<Option<KeptEvent>, StoreError>> {
        Box::pin(
            self.db.read((workspace, path.clone(), id), |(workspace, path, id), conn| {
                Box::pin(kept_events::find((*workspace, path), *id, conn))
            }),
        )
    }

    fn discard_event<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        id: TriggerEventId,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.db.write((workspace, path.clone(), id), |(workspace, path, id), conn| {
            Box::pin(kept_events::discard((*workspace, path), *id, conn))
        }))
    }

    fn forget(&self, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.db.write(now, |now, conn| Box::pin(kept_events::forget(*now, conn))))
    }

    fn cursor(&self, seat: SeatKey) -> BoxFuture<'_, Result<Option<Cursor>, StoreError>> {
        Box::pin(self.db.read(seat, |SeatKey { workspace, path, number }, mut conn| {
            Box::pin(async move {
                const CURSOR: &str = "SELECT cursor FROM seats WHERE workspace = $1 AND path = $2 AND number = $3";
                let row = conn.row(CURSOR, values![*workspace, path, *number]).await?;
                Ok(row.map(|row| row.opt_json(0)).transpose()?.flatten().map(Cursor))
            })
        }))
    }
}

impl Sql {
    async fn staged_for(&self, workspace: WorkspaceId, run: RunId) -> Result<Option<StateScope>, StoreError> {
        let scope = self.db.read((workspace, run), |(workspace, run), mut conn| {
            Box::pin(async move { state::scope_of(&mut conn, *workspace, *run).await })
        });
        scope.await
    }
}

fn read(workspace: WorkspaceId, row: &Row) -> Result<Trigger, StoreError> {
    let code = row.int(6)?;
    Ok(Trigger {
        workspace,
        path: row.path(0)?,
        id: TriggerId(row.uuid(1)?),
        kind: row.text(2)?.into(),
        target: row.path(3)?,
        config: row.json(4)?,
        options: Arc::new(row.parsed(5)?),
        mode: Mode::from_code(code).ok_or_else(|| StoreError::Corrupt(format!("a trigger's mode {code}")))?,
        description: row.text(7)?.to_owned(),
        answered_by: row.text(8)?.into(),
        revision: row.int(9)?,
        created_at: row.time(10)?,
        updated_at: row.time(11)?,
        updated_by: row.text(12)?.into(),
    })
}

async fn list(
    workspace: WorkspaceId,
    filter: &TriggerFilter,
    (after, limit): (&str, u32),
    mut conn: Conn<'_>,
) -> Result<Vec<Trigger>, StoreError> {
    let TriggerFilter { prefix, kind, target } = filter;
    if prefix.contains('\0') || kind.as_ref().is_some_and(|kind| kind.contains('\0')) {
        return Ok(Vec::new());
    }
    let mut values = values![workspace, prefix.as_str(), format!("{prefix}{AFTER_ALL_PATHS}"), after, limit];
    let mut more = String::new();
    let mut and = |column: &str, value: Value| {
        values.push(value);
        more.push_str(&format!(" AND {column} = ${}", values.len()));
    };
    if let Some(kind) = kind {
        and("kind", kind.into());
    }
    if let Some(target) = target {
        and("target", target.into());
    }
    let statement = format!(
        "SELECT {COLUMNS} FROM triggers WHERE workspace = $1 AND path >= $2 AND path < $3 AND path > $4{more} ORDER BY path LIMIT $5"
    );
    conn.rows(statement, values).await?.iter().map(|row| read(workspace, row)).collect()
}

async fn endpoints(workspace: WorkspaceId, (after, limit): (&str, u32), mut conn: Conn<'_>) -> Result<Vec<Keyed>, StoreError> {
    // One statement, so that keys and configs are of one moment.
    let columns: Vec<String> = COLUMNS.split(", ").map(|column| format!("own.{column}")).collect();
    let statement = format!(
        "SELECT {}, taken.key FROM
            (SELECT * FROM triggers AS those WHERE those.workspace = $1 AND those.path > $2 AND those.mode <> 1 AND EXISTS
                (SELECT 1 FROM trigger_endpoints AS keys WHERE keys.workspace = those.workspace AND keys.path = those.path)
            ORDER BY those.path LIMIT $3) AS own
         JOIN trigger_endpoints AS taken ON taken.workspace = own.workspace AND taken.path = own.path
         ORDER BY own.path, taken.key",
        columns.join(", ")
    );
    let mut all: Vec<Keyed> = Vec::new();
    for row in &conn.rows(statement, values![workspace, after, limit]).await? {
        let key = row.text(COLUMNS_COUNT)?.to_owned();
        match all.last_mut() {
            Some((last, keys)) if last.path.as_str() == row.text(0)? => keys.push(key),
            _ => all.push((read(workspace, row)?, vec![key])),
        }
    }
    Ok(all)
}

async fn count(conn: &mut Conn<'_>, workspace: WorkspaceId) -> Result<u64, StoreError> {
    let row = conn.row("SELECT COUNT(*) FROM triggers WHERE workspace = $1", values![workspace]).await?;
    row.map_or(Ok(0), |row| row.count(0))
}

async fn put(new: &NewTrigger, conn: &mut Conn<'_>) -> Result<Result<Trigger, Unput>, StoreError> {
    // Triggers are counted, and keys looked up, by one after the other.
    claims::lock(conn, new.workspace).await?;
    let statement = format!("SELECT {COLUMNS} FROM triggers WHERE workspace = $1 AND path = $2 {{lock triggers}}");
    let rows = conn.rows(statement, values![new.workspace, &new.path]).await?;
    let present = rows.first().map(|row| read(new.workspace, row)).transpose()?;
    if let Some(unput) = refused(new, present.as_ref(), conn).await? {
        return Ok(Err(unput));
    }
    let trigger = Trigger {
        workspace: new.workspace,
        path: new.path.clone(),
        id: present.as_ref().map_or_else(|| TriggerId::new(new.now), |present| present.id),
        kind: Arc::clone(&new.kind),
        target: new.target.clone(),
        config: new.config.clone(),
        options: Arc::new(new.options.clone()),
        mode: new.mode,
        description: new.description.clone(),
        answered_by: Arc::clone(&new.by),
        revision: next_revision(present.as_ref().map(|present| present.revision), new.now),
        created_at: present.as_ref().map_or(new.now, |present| present.created_at),
        updated_at: new.now,
        updated_by: Arc::clone(&new.by),
    };
    write(&trigger, present.is_none(), conn).await?;
    conn.execute("DELETE FROM trigger_endpoints WHERE workspace = $1 AND path = $2", values![new.workspace, &new.path]).await?;
    let keys = new.keys.iter().flat_map(|key| values![new.workspace, &new.kind, key.as_str(), &new.path]);
    let keys: Vec<Value> = keys.collect();
    if !keys.is_empty() {
        conn.insert(&ENDPOINTS, keys).await?;
    }
    seats::set(conn, &trigger, new.seats).await?;
    Ok(Ok(trigger))
}

/// Why a trigger is not put.
async fn refused(new: &NewTrigger, present: Option<&Trigger>, conn: &mut Conn<'_>) -> Result<Option<Unput>, StoreError> {
    const TAKEN: &str = "SELECT path FROM trigger_endpoints WHERE workspace = $1 AND kind = $2 AND key = $3 AND path <> $4";
    let revision = present.map_or(0, |present| present.revision);
    if new.over.is_some_and(|over| over != revision) {
        return Ok(Some(Unput::Changed(revision)));
    }
    match present {
        Some(present) if present.kind != new.kind => return Ok(Some(Unput::OtherKind(Arc::clone(&present.kind)))),
        Some(_) => {}
        None => {
            let count = count(conn, new.workspace).await?;
            if new.triggers_max.is_some_and(|quota| count >= quota) {
                return Ok(Some(Unput::TooMany { of_quota: true }));
            }
            if count >= u64::from(TRIGGERS_MAX) {
                return Ok(Some(Unput::TooMany { of_quota: false }));
            }
        }
    }
    for key in &new.keys {
        if let Some(row) = conn.row(TAKEN, values![new.workspace, &new.kind, key.as_str(), &new.path]).await? {
            return Ok(Some(Unput::Taken { key: key.clone(), path: row.path(0)? }));
        }
    }
    Ok(None)
}

async fn write(trigger: &Trigger, is_new: bool, conn: &mut Conn<'_>) -> Result<(), StoreError> {
    const INSERT: &str =
        "INSERT INTO triggers (workspace, path, kind, target, config, options, mode, description, answered_by, revision, updated_at,
            updated_by, id, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    const UPDATE: &str =
        "UPDATE triggers SET kind = $3, target = $4, config = $5, options = $6, mode = $7, description = $8, answered_by = $9,
            revision = $10, updated_at = $11, updated_by = $12
        WHERE workspace = $1 AND path = $2";
    let mut row = values![
        trigger.workspace,
        &trigger.path,
        &trigger.kind,
        &trigger.target,
        &trigger.config,
        to_json(&*trigger.options)?,
        trigger.mode.code(),
        trigger.description.as_str(),
        &trigger.answered_by,
        trigger.revision,
        trigger.updated_at,
        &trigger.updated_by,
    ];
    if is_new {
        row.extend(values![trigger.id.0, trigger.created_at]);
    }
    conn.execute(if is_new { INSERT } else { UPDATE }, row).await.map(drop)
}

async fn delete(workspace: WorkspaceId, path: &ScriptPath, mut conn: Conn<'_>) -> Result<bool, StoreError> {
    let of = || values![workspace, path];
    // First, so that nobody delivers meanwhile.
    let gone = conn.execute("DELETE FROM triggers WHERE workspace = $1 AND path = $2", of()).await?;
    for statement in [
        "DELETE FROM trigger_endpoints WHERE workspace = $1 AND path = $2",
        "DELETE FROM seats WHERE workspace = $1 AND path = $2",
        "DELETE FROM trigger_events WHERE workspace = $1 AND path = $2",
    ] {
        conn.execute(statement, of()).await?;
    }
    Ok(gone > 0)
}

async fn release(workspace: WorkspaceId, run: RunId, now: Timestamp, mut conn: Conn<'_>) -> Result<bool, StoreError> {
    match queued::lock(&mut conn, workspace, run).await? {
        Some(queued) if queued.is_held() => queued::release(&mut conn, queued, now).await.map(|()| true),
        _ => Ok(false),
    }
}
