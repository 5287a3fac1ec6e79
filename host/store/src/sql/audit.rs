//! The audit log. Whoever appends locks the end of the chain, so that entries come one after another whatever the node; appends that arrive
//! together share a commit.

use sandmill_model::{
    AuditId, BoxFuture, Timestamp, TokenId, WorkspaceId,
    audit::{Actor, ActorKind, AuditOutcome, Entry, Link, Origin, Record},
};
use uuid::Uuid;

use super::{
    AFTER_ALL_PATHS, Sql,
    dialect::Conn,
    turns::Turns,
    value::{Row, Value, big, to_json, values},
};
use crate::{
    StoreError,
    audit::{Audit, Chain, Ends, Filter, Page, Pattern},
};

/// Entries that one look at a list takes in, and looks for one page.
const WINDOW: u64 = 5_000;
const WINDOWS_MAX: usize = 4;
/// What one step closes or lets go.
const STEP: i64 = 200;

/// What [`read`] reads.
const COLUMNS: &str = "number, recorded_at, id, actor_kind, identity, token, address, user_agent, request_id, operation, target, outcome,
    attempts, value_before, value_after, previous, hash";

/// The installation's chain has the nil id, which no workspace has.
fn key(chain: Chain) -> WorkspaceId {
    chain.unwrap_or(WorkspaceId(Uuid::nil()))
}

impl Audit for Sql {
    fn begin(&self, record: Record, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.db.share((record, now), Turns::default(), |(record, now), mut conn| {
            Box::pin(async move {
                conn.execute(
                    "INSERT INTO audit_begun (workspace, id, begun_at, record) VALUES ($1, $2, $3, $4)",
                    values![key(record.workspace), record.id.0, *now, to_json(record)?],
                )
                .await
                .map(drop)
            })
        }))
    }

    fn append(&self, record: Record, now: Timestamp) -> BoxFuture<'_, Result<Link, StoreError>> {
        let turns = Turns::audit(key(record.workspace));
        Box::pin(self.db.share((record, now), turns, |(record, now), mut conn| {
            Box::pin(async move {
                delete_begun(key(record.workspace), record.id.0, &mut conn).await?;
                append(record.clone(), *now, &mut conn).await
            })
        }))
    }

    fn give_up(&self, chain: Chain, id: AuditId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.db.share((chain, id), Turns::default(), |(chain, id), mut conn| {
            Box::pin(async move { delete_begun(key(*chain), id.0, &mut conn).await.map(drop) })
        }))
    }

    fn close(&self, begun_before: Timestamp, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let old = self.db.read(begun_before, |before, mut conn| {
                Box::pin(async move {
                    let rows = conn
                        .rows("SELECT record FROM audit_begun WHERE begun_at < $1 ORDER BY begun_at LIMIT $2", values![*before, STEP])
                        .await?;
                    rows.iter().map(|row| row.parsed::<Record>(0)).collect::<Result<Vec<_>, _>>()
                })
            });
            let mut closed = 0;
            for record in old.await? {
                let record = Record { outcome: AuditOutcome::Unknown, ..record };
                let turns = Turns::audit(key(record.workspace));
                let is_closed = self.db.share((record, now), turns, |(record, now), mut conn| {
                    Box::pin(async move {
                        // Its request may have come to its end just now.
                        if delete_begun(key(record.workspace), record.id.0, &mut conn).await? == 0 {
                            return Ok(false);
                        }
                        append(record.clone(), *now, &mut conn).await.map(|_| true)
                    })
                });
                closed += u64::from(is_closed.await?);
            }
            Ok(closed)
        })
    }

    fn ends(&self, chain: Chain) -> BoxFuture<'_, Result<Ends, StoreError>> {
        Box::pin(self.db.read(chain, |chain, mut conn| Box::pin(async move { ends(key(*chain), &mut conn).await })))
    }

    fn list(&self, chain: Chain, filter: Filter, before: Option<u64>, limit: u32) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(self.db.read((chain, filter, before, limit), |(chain, filter, before, limit), mut conn| {
            Box::pin(async move { list(*chain, filter, (*before, *limit), &mut conn).await })
        }))
    }

    fn entries(&self, chain: Chain, after: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        Box::pin(self.db.read((chain, after, limit), |(chain, after, limit), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        format!("SELECT {COLUMNS} FROM audit_entries WHERE workspace = $1 AND number > $2 ORDER BY number LIMIT $3"),
                        values![key(*chain), big(*after), *limit],
                    )
                    .await?;
                rows.iter().map(|row| read(row, *chain)).collect()
            })
        }))
    }

    fn forget(&self, chain: Chain, recorded_before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        let turns = Turns::audit(key(chain));
        Box::pin(self.db.share((chain, recorded_before), turns, |(chain, before), mut conn| {
            Box::pin(async move { forget(key(*chain), *before, &mut conn).await })
        }))
    }
}

async fn delete_begun(chain: WorkspaceId, id: Uuid, conn: &mut Conn<'_>) -> Result<u64, StoreError> {
    conn.execute("DELETE FROM audit_begun WHERE workspace = $1 AND id = $2", values![chain, id]).await
}

async fn append(record: Record, now: Timestamp, conn: &mut Conn<'_>) -> Result<Link, StoreError> {
    let chain = key(record.workspace);
    conn.execute(
        "INSERT INTO audit_heads (workspace, number, hash, anchor_number, anchor_hash) VALUES ($1, $2, $3, $2, $3) ON CONFLICT DO NOTHING",
        values![chain, big(Link::START.number), Link::START.hash],
    )
    .await?;
    let row = conn.row("SELECT number, hash FROM audit_heads WHERE workspace = $1 {lock audit_heads}", values![chain]).await?;
    let row = row.ok_or_else(|| StoreError::Contended("the audit log of a workspace that is being deleted".to_owned()))?;
    let entry = Entry::after(Link { number: row.count(0)?, hash: row.digest(1)? }, now, record);
    insert(&entry, chain, conn).await?;
    let head = entry.link();
    let values = values![chain, big(head.number), head.hash];
    conn.execute("UPDATE audit_heads SET number = $2, hash = $3 WHERE workspace = $1", values).await?;
    Ok(head)
}

async fn insert(entry: &Entry, chain: WorkspaceId, conn: &mut Conn<'_>) -> Result<(), StoreError> {
    let Record { id, workspace: _, actor, origin, request_id, action, target, outcome, attempts, before, after } = &entry.record;
    conn.execute(
        "INSERT INTO audit_entries (workspace, number, recorded_at, id, actor_kind, identity, token, address, user_agent, request_id, operation,
             target, outcome, attempts, value_before, value_after, previous, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        values![
            chain,
            big(entry.number),
            entry.at,
            id.0,
            actor.kind.name(),
            actor.identity.clone(),
            actor.token,
            origin.address.as_deref(),
            origin.user_agent.as_deref(),
            request_id.as_str(),
            action.as_str(),
            target.as_str(),
            outcome.name(),
            *attempts,
            before.as_ref(),
            after.as_ref(),
            entry.previous,
            entry.hash,
        ],
    )
    .await
    .map(drop)
}

async fn ends(chain: WorkspaceId, conn: &mut Conn<'_>) -> Result<Ends, StoreError> {
    let row = conn.row("SELECT number, hash, anchor_number, anchor_hash FROM audit_heads WHERE workspace = $1", values![chain]).await?;
    let Some(row) = row else { return Ok(Ends { anchor: Link::START, head: Link::START }) };
    let link = |column| Ok::<_, StoreError>(Link { number: row.count(column)?, hash: row.digest(column + 1)? });
    Ok(Ends { anchor: link(2)?, head: link(0)? })
}

/// Looks at stretches of the chain, so that a page costs the same however few entries fit.
async fn list(chain: Chain, filter: &Filter, (before, limit): (Option<u64>, u32), conn: &mut Conn<'_>) -> Result<Page, StoreError> {
    let Ends { anchor, head } = ends(key(chain), conn).await?;
    let mut before = before.unwrap_or(u64::MAX).min(head.number.saturating_add(1));
    let mut entries = Vec::new();
    let limit = limit as usize;
    for _ in 0..WINDOWS_MAX {
        let floor = before.saturating_sub(WINDOW).max(anchor.number.saturating_add(1));
        let mut values = values![key(chain), big(before), big(floor), filter.from, filter.until];
        values.extend(values![filter.actor.as_deref(), filter.outcome.map(AuditOutcome::name)]);
        values.extend(bounds(filter.action.as_ref()));
        values.extend(bounds(filter.target.as_ref()));
        values.push(Value::from(big((limit - entries.len()) as u64)));
        let rows = conn
            .rows(
                format!(
                    "SELECT {COLUMNS} FROM audit_entries WHERE workspace = $1 AND number < $2 AND number >= $3
                         AND ($4 IS NULL OR recorded_at >= $4) AND ($5 IS NULL OR recorded_at < $5)
                         AND ($6 IS NULL OR identity = $6) AND ($7 IS NULL OR outcome = $7)
                         AND (operation = $8 OR (operation >= $9 AND operation < $10))
                         AND (target = $11 OR (target >= $12 AND target < $13))
                     ORDER BY number DESC LIMIT $14"
                ),
                values,
            )
            .await?;
        for row in &rows {
            entries.push(read(row, chain)?);
        }
        let is_full = entries.len() >= limit;
        before = entries.last().filter(|_| is_full).map_or(floor, |last: &Entry| last.number);
        if before <= anchor.number.saturating_add(1) {
            return Ok(Page { entries, next: None });
        }
        if is_full {
            break;
        }
    }
    Ok(Page { entries, next: Some(before) })
}

/// The text that fits, and the bounds of those that do.
fn bounds(pattern: Option<&Pattern>) -> [Value; 3] {
    match pattern {
        None => [Value::Text(None), Value::from(""), Value::from(AFTER_ALL_PATHS)],
        Some(Pattern { text, is_prefix: false }) => [Value::from(text.as_str()), Value::from(""), Value::from("")],
        Some(Pattern { text, is_prefix: true }) => {
            [Value::Text(None), Value::from(text.as_str()), Value::from(format!("{text}{AFTER_ALL_PATHS}"))]
        }
    }
}

async fn forget(chain: WorkspaceId, before: Timestamp, conn: &mut Conn<'_>) -> Result<u64, StoreError> {
    let row = conn.row("SELECT anchor_number FROM audit_heads WHERE workspace = $1 {lock audit_heads}", values![chain]).await?;
    let Some(row) = row else { return Ok(0) };
    let anchor = row.int(0)?;
    let rows = conn
        .rows(
            "SELECT number, hash, recorded_at FROM audit_entries WHERE workspace = $1 AND number > $2 ORDER BY number LIMIT $3",
            values![chain, anchor, STEP],
        )
        .await?;
    let mut last = None;
    for row in &rows {
        if row.time(2)? >= before {
            break;
        }
        last = Some((row.int(0)?, row.digest(1)?));
    }
    let Some((number, hash)) = last else { return Ok(0) };
    let gone = conn.execute("DELETE FROM audit_entries WHERE workspace = $1 AND number <= $2", values![chain, number]).await?;
    let values = values![chain, number, hash];
    conn.execute("UPDATE audit_heads SET anchor_number = $2, anchor_hash = $3 WHERE workspace = $1", values).await?;
    Ok(gone)
}

fn read(row: &Row, chain: Chain) -> Result<Entry, StoreError> {
    let unknown = |what: &str| StoreError::Corrupt(format!("an entry of the audit log has an unknown {what}"));
    let text = |column| Ok::<_, StoreError>(row.opt_text(column)?.map(str::to_owned));
    let record = Record {
        id: AuditId(row.uuid(2)?),
        workspace: chain,
        actor: Actor {
            kind: ActorKind::from_name(row.text(3)?).ok_or_else(|| unknown("kind of actor"))?,
            identity: row.opt_text(4)?.map(Into::into),
            token: row.opt_bytes(5)?.map(|_| row.uuid(5)).transpose()?.map(TokenId),
        },
        origin: Origin { address: text(6)?, user_agent: text(7)? },
        request_id: row.text(8)?.to_owned(),
        action: row.text(9)?.to_owned(),
        target: row.text(10)?.to_owned(),
        outcome: AuditOutcome::from_name(row.text(11)?).ok_or_else(|| unknown("outcome"))?,
        attempts: row.small_count(12)?,
        before: row.opt_json(13)?,
        after: row.opt_json(14)?,
    };
    Ok(Entry { number: row.count(0)?, at: row.time(1)?, record, previous: row.digest(15)?, hash: row.digest(16)? })
}
