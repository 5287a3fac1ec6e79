//! Places that nodes lease. All who count them do so under the workspace's lock, as all who count runs do.

use std::time::Duration;

use sandmill_model::{BoxFuture, WorkspaceId};

use super::{Sql, claims, dialect::Conn, nodes, seats, value::values, workspaces};
use crate::{
    StoreError,
    nodes::Incarnation,
    places::{Excess, Held, Hold, Places, Taken},
    workspaces::running_runs_max,
};

/// How long it is known that a node wanted more, by its own signs of life: who still does says so again before.
const ASKED_FOR: Duration = Duration::from_secs(3);

/// Of every node but one. A life that a node of an earlier release ended left its places here: they are nobody's.
const OTHERS: &str = "SELECT held.places, CAST(CASE WHEN held.asked_at > nodes.seen_at - $3 THEN 1 ELSE 0 END AS BIGINT)
    FROM running_places AS held JOIN nodes ON nodes.incarnation = held.node WHERE held.workspace = $1 AND held.node <> $2";

impl Places for Sql {
    fn exchange(&self, node: Incarnation, hold: Hold) -> BoxFuture<'_, Result<Option<Held>, StoreError>> {
        Box::pin(self.db.write((node, hold), |(node, hold), conn| Box::pin(exchange(*node, *hold, conn))))
    }

    fn excess(&self, node: Incarnation) -> BoxFuture<'_, Result<Vec<Excess>, StoreError>> {
        Box::pin(self.db.read(node, |node, conn| Box::pin(excess(*node, conn))))
    }
}

async fn exchange(node: Incarnation, hold: Hold, mut conn: Conn<'_>) -> Result<Option<Held>, StoreError> {
    const OWN: &str = "SELECT places, number FROM running_places WHERE workspace = $1 AND node = $2";
    const WRITE: &str = "INSERT INTO running_places (workspace, node, places, number, asked_at)
        VALUES ($1, $2, $3, $4, CASE WHEN $5 = 0 THEN NULL ELSE (SELECT seen_at FROM nodes WHERE incarnation = $2) END)
        ON CONFLICT (workspace, node) DO UPDATE SET places = excluded.places, number = excluded.number, asked_at = excluded.asked_at";
    if !nodes::is_alive(&mut conn, node).await? {
        return Ok(None);
    }
    let of = hold.workspace;
    claims::lock(&mut conn, of).await?;
    let limit = claims::limit(&mut conn, of).await?;
    let own = conn.row(OWN, values![of, node.0]).await?;
    let (written, number) = match &own {
        Some(row) => (row.small_count(0)?, row.int(1)?),
        None => (0, 0),
    };
    if number >= hold.number {
        return Ok(None);
    }
    let keeps = hold.keeps.min(written);
    let places = match limit {
        Some(limit) => taken(&mut conn, of, node, limit).await?.grant(keeps, hold.needs),
        None => 0,
    };
    let asks = u32::from(limit.is_some() && places < hold.needs);
    conn.execute(WRITE, values![of, node.0, places, hold.number, asks]).await?;
    Ok(Some(Held { places, limit }))
}

async fn excess(node: Incarnation, mut conn: Conn<'_>) -> Result<Vec<Excess>, StoreError> {
    // One statement, however many workspaces there are.
    const HELD: &str = "SELECT own.workspace, own.places, workspaces.settings, workspaces.overrides, plans.quotas,
            (SELECT COUNT(*) FROM queue WHERE queue.workspace = own.workspace AND queue.state = 3 AND queue.asleep <> 1),
            (SELECT CAST(COALESCE(SUM(held.places), 0) AS BIGINT) FROM running_places AS held JOIN nodes ON nodes.incarnation = held.node
                WHERE held.workspace = own.workspace AND held.node <> own.node),
            (SELECT COUNT(*) FROM running_places AS held JOIN nodes ON nodes.incarnation = held.node
                WHERE held.workspace = own.workspace AND held.node <> own.node AND (held.places > 0 OR held.asked_at > nodes.seen_at - $2)),
            (SELECT COUNT(*) FROM running_places AS held JOIN nodes ON nodes.incarnation = held.node
                WHERE held.workspace = own.workspace AND held.node <> own.node AND held.asked_at > nodes.seen_at - $2)
        FROM running_places AS own LEFT JOIN workspaces ON workspaces.id = own.workspace LEFT JOIN plans ON plans.name = workspaces.plan
        WHERE own.node = $1 AND own.places > 0 ORDER BY own.workspace";
    let mut all = Vec::new();
    for row in &conn.rows(HELD, values![node.0, asked_for()]).await? {
        let (workspace, holds) = (WorkspaceId(row.uuid(0)?), row.small_count(1)?);
        let keep = match running_runs_max(&workspaces::read_settings(row, 2)?, &workspaces::read_quotas(row, 3)?) {
            Some(limit) => {
                let (running, others, nodes) = (row.small_count(5)?, row.small_count(6)?, row.small_count(7)? + 1);
                Taken { limit, running, others, nodes, is_asked: row.int(8)? != 0 }.keep(holds)
            }
            None => 0,
        };
        if keep < holds {
            all.push(Excess { workspace, keep });
        }
    }
    Ok(all)
}

/// In microseconds.
fn asked_for() -> i64 {
    i64::try_from(ASKED_FOR.as_micros()).unwrap_or(i64::MAX)
}

/// What others than `node` have of a workspace's places, and runs of the queue.
async fn taken(conn: &mut Conn<'_>, of: WorkspaceId, node: Incarnation, limit: u32) -> Result<Taken, StoreError> {
    let running = claims::executing(conn, of).await?;
    let mut taken = Taken { limit, running, others: 0, nodes: 1, is_asked: false };
    for row in conn.rows(OTHERS, values![of, node.0, asked_for()]).await? {
        let (places, asks) = (row.small_count(0)?, row.int(1)? != 0);
        taken.others = taken.others.saturating_add(places);
        taken.nodes += u32::from(places > 0 || asks);
        taken.is_asked |= asks;
    }
    Ok(taken)
}

/// Places of a workspace that nodes hold, all and those of others than `node`.
pub(super) async fn leased(conn: &mut Conn<'_>, of: WorkspaceId, node: Incarnation) -> Result<(u32, u32), StoreError> {
    const LEASED: &str = "SELECT CAST(COALESCE(SUM(held.places), 0) AS BIGINT),
            CAST(COALESCE(SUM(CASE WHEN held.node = $2 THEN 0 ELSE held.places END), 0) AS BIGINT)
        FROM running_places AS held JOIN nodes ON nodes.incarnation = held.node WHERE held.workspace = $1";
    match conn.row(LEASED, values![of, node.0]).await? {
        Some(row) => Ok((row.small_count(0)?, row.small_count(1)?)),
        None => Ok((0, 0)),
    }
}

/// Says that a node wants a place for a run of the queue, and others hold those that there are.
pub(super) async fn ask(conn: &mut Conn<'_>, of: WorkspaceId, node: Incarnation) -> Result<(), StoreError> {
    const ASK: &str = "INSERT INTO running_places (workspace, node, places, number, asked_at)
        VALUES ($1, $2, 0, 0, (SELECT seen_at FROM nodes WHERE incarnation = $2))
        ON CONFLICT (workspace, node) DO UPDATE SET asked_at = excluded.asked_at";
    conn.execute(ASK, values![of, node.0]).await.map(drop)
}

/// Forgets the places of a life that ends, and frees its seats; those of which nobody lives any more, too.
pub(super) async fn end(conn: &mut Conn<'_>, node: Incarnation) -> Result<(), StoreError> {
    conn.execute("DELETE FROM running_places WHERE node = $1 OR node NOT IN (SELECT incarnation FROM nodes)", values![node.0]).await?;
    seats::end(conn, node).await
}
