//! Seats of listeners. Rows of several seats are locked in the order of their keys; a node's row comes before them.

use sandmill_model::{
    BoxFuture, ScriptPath, Timestamp, WorkspaceId,
    trigger::{SeatState, SeatStatus},
};

use super::{
    Sql,
    dialect::Conn,
    nodes,
    value::{Row, to_json, values},
};
use crate::{
    StoreError,
    nodes::Incarnation,
    seats::{Seat, SeatCount, SeatKey, SeatOfNode, Seats},
    triggers::Trigger,
};

impl Seats for Sql {
    fn take(&self, node: Incarnation, limit: u32, now: Timestamp) -> BoxFuture<'_, Result<Vec<Seat>, StoreError>> {
        Box::pin(self.db.write((node, limit, now), |(node, limit, now), conn| Box::pin(take(*node, *limit, *now, conn))))
    }

    fn held(&self, node: Incarnation) -> BoxFuture<'_, Result<Vec<Seat>, StoreError>> {
        const HELD: &str = "SELECT workspace, path, number, fence, revision FROM seats WHERE node = $1 ORDER BY workspace, path, number";
        Box::pin(
            self.db
                .read(node, |node, mut conn| Box::pin(async move { conn.rows(HELD, values![node.0]).await?.iter().map(read).collect() })),
        )
    }

    fn count(&self, node: Incarnation) -> BoxFuture<'_, Result<SeatCount, StoreError>> {
        const COUNT: &str = "SELECT COUNT(*), COUNT(CASE WHEN node IS NULL THEN 1 END), COUNT(CASE WHEN node = $1 THEN 1 END)
            FROM seats WHERE node IS NULL OR node > 0";
        Box::pin(self.db.read(node, |node, mut conn| {
            Box::pin(async move {
                match conn.row(COUNT, values![node.0]).await? {
                    Some(row) => Ok(SeatCount { all: row.count(0)?, free: row.count(1)?, own: row.count(2)? }),
                    None => Ok(SeatCount::default()),
                }
            })
        }))
    }

    fn give_back(&self, node: Incarnation, mut seats: Vec<Seat>) -> BoxFuture<'_, Result<(), StoreError>> {
        const GIVE_BACK: &str = "UPDATE seats SET node = NULL, state = 0
            WHERE workspace = $1 AND path = $2 AND number = $3 AND node = $4 AND fence = $5";
        seats.sort_by_cached_key(|seat| seat.key.clone());
        Box::pin(self.db.write((node, seats), |(node, seats), mut conn| {
            Box::pin(async move {
                for Seat { key, fence, .. } in seats {
                    conn.execute(GIVE_BACK, values![key.workspace, &key.path, key.number, node.0, *fence]).await?;
                }
                Ok(())
            })
        }))
    }

    fn report(&self, node: Incarnation, mut statuses: Vec<(Seat, SeatStatus)>) -> BoxFuture<'_, Result<(), StoreError>> {
        statuses.sort_by_cached_key(|(seat, _)| seat.key.clone());
        Box::pin(self.db.write((node, statuses), |(node, statuses), conn| Box::pin(report(*node, statuses, conn))))
    }

    fn statuses<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Vec<SeatOfNode>, StoreError>> {
        const STATUSES: &str = "SELECT seats.number, nodes.name, seats.state, seats.status
            FROM seats LEFT JOIN nodes ON nodes.incarnation = seats.node WHERE seats.workspace = $1 AND seats.path = $2 ORDER BY seats.number";
        Box::pin(self.db.read((workspace, path.clone()), |(workspace, path), mut conn| {
            Box::pin(async move {
                let rows = conn.rows(STATUSES, values![*workspace, path]).await?;
                rows.iter().map(|row| Ok((row.small_count(0)?, row.opt_text(1)?.map(str::to_owned), read_status(row, 2)?))).collect()
            })
        }))
    }
}

fn read(row: &Row) -> Result<Seat, StoreError> {
    let key = SeatKey { workspace: WorkspaceId(row.uuid(0)?), path: row.path(1)?, number: row.small_count(2)? };
    Ok(Seat { key, fence: row.int(3)?, revision: row.int(4)? })
}

/// From two columns.
fn read_status(row: &Row, first: usize) -> Result<SeatStatus, StoreError> {
    let code = row.int(first)?;
    let state = SeatState::from_code(code).ok_or_else(|| StoreError::Corrupt(format!("a seat's state {code}")))?;
    Ok(SeatStatus { state, ..row.parsed(first + 1)? })
}

async fn take(node: Incarnation, limit: u32, now: Timestamp, mut conn: Conn<'_>) -> Result<Vec<Seat>, StoreError> {
    // Seats of a trigger go to as many nodes as there are: the first of each before the second of any.
    const FREE: &str = "SELECT seats.workspace, seats.path, seats.number, seats.fence, seats.revision, seats.state, seats.status FROM seats
        WHERE seats.node IS NULL ORDER BY
            CASE WHEN EXISTS (SELECT 1 FROM seats AS own
                WHERE own.node = $1 AND own.workspace = seats.workspace AND own.path = seats.path) THEN 1 ELSE 0 END,
            seats.number, seats.workspace, seats.path
        LIMIT $2 {lock free seats}";
    const TAKE: &str = "UPDATE seats SET node = $4, fence = $5, state = 1, status = $6 WHERE workspace = $1 AND path = $2 AND number = $3";
    if !nodes::is_alive(&mut conn, node).await? {
        return Ok(Vec::new());
    }
    let rows = conn.rows(FREE, values![node.0, limit]).await?;
    let mut taken = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut seat = read(row)?;
        seat.fence += 1;
        // How it fared before goes on with whoever has it now.
        let status = SeatStatus { state: SeatState::Starting, since: now, ..read_status(row, 5)? };
        let SeatKey { workspace, path, number } = &seat.key;
        conn.execute(TAKE, values![*workspace, path, *number, node.0, seat.fence, to_json(&status)?]).await?;
        taken.push(seat);
    }
    Ok(taken)
}

async fn report(node: Incarnation, statuses: &[(Seat, SeatStatus)], mut conn: Conn<'_>) -> Result<(), StoreError> {
    const REPORT: &str = "UPDATE seats SET state = $6, status = $7
        WHERE workspace = $1 AND path = $2 AND number = $3 AND node = $4 AND fence = $5";
    // What is lost with the database's machine is said again.
    conn.relax().await?;
    for (Seat { key, fence, .. }, status) in statuses {
        let row = values![key.workspace, &key.path, key.number, node.0, *fence, status.state.code(), to_json(status)?];
        conn.execute(REPORT, row).await?;
    }
    Ok(())
}

/// Gives a trigger so many seats. With none they are shut, and keep where their listeners were.
pub(super) async fn set(conn: &mut Conn<'_>, trigger: &Trigger, seats: u32) -> Result<(), StoreError> {
    const LOCK: &str = "SELECT number FROM seats WHERE workspace = $1 AND path = $2 ORDER BY number {lock seats}";
    const SHUT: &str = "UPDATE seats SET node = 0, state = 0, revision = $3 WHERE workspace = $1 AND path = $2";
    // A fence that no seat of an earlier trigger had.
    const OPEN: &str = "INSERT INTO seats (workspace, path, number, revision, fence, state, status) VALUES ($1, $2, $3, $4, $4, 0, $5)
        ON CONFLICT (workspace, path, number) DO UPDATE SET revision = excluded.revision, node = CASE WHEN seats.node > 0 THEN seats.node END";
    let of = || values![trigger.workspace, &trigger.path];
    conn.rows(LOCK, of()).await?;
    if seats == 0 {
        let mut shut = of();
        shut.push(trigger.revision.into());
        return conn.execute(SHUT, shut).await.map(drop);
    }
    let mut more = of();
    more.push(seats.into());
    conn.execute("DELETE FROM seats WHERE workspace = $1 AND path = $2 AND number >= $3", more).await?;
    let status = to_json(&SeatStatus { since: trigger.updated_at, ..SeatStatus::default() })?;
    for number in 0..seats {
        conn.execute(OPEN, values![trigger.workspace, &trigger.path, number, trigger.revision, status.as_str()]).await?;
    }
    Ok(())
}

/// Frees what a life had that ends; what is of lives that nobody knows any more, too.
pub(super) async fn end(conn: &mut Conn<'_>, node: Incarnation) -> Result<(), StoreError> {
    const FREE: &str = "UPDATE seats SET node = NULL, state = 0
        WHERE node = $1 OR (node > 0 AND node NOT IN (SELECT incarnation FROM nodes))";
    conn.execute(FREE, values![node.0]).await.map(drop)
}
