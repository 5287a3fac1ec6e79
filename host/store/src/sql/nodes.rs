//! Lives of nodes.

use std::{sync::Arc, time::Duration};

use sandmill_model::{BoxFuture, RunId, Timestamp};

use super::{
    Sql,
    dialect::Conn,
    places,
    value::{big, to_json, values},
};
use crate::{
    StoreError,
    nodes::{About, Incarnation, Node, Nodes},
};

impl Nodes for Sql {
    fn join(&self, about: About, now: Timestamp, lease: Duration) -> BoxFuture<'_, Result<Incarnation, StoreError>> {
        Box::pin(self.db.write((about, now, lease), |(about, now, lease), conn| Box::pin(join(about, *now, *lease, conn))))
    }

    fn heartbeat(
        &self,
        node: Incarnation,
        running: u64,
        now: Timestamp,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Option<Vec<RunId>>, StoreError>> {
        Box::pin(self.db.write((node, running, now, lease), |(node, running, now, lease), conn| {
            Box::pin(heartbeat(*node, *running, *now, *lease, conn))
        }))
    }

    fn bury(&self, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.db.write(now, |now, mut conn| {
            Box::pin(async move {
                // A heartbeat that comes meanwhile waits for the row, and finds it gone.
                let dead = conn
                    .rows("SELECT incarnation FROM nodes WHERE alive_until < $1 ORDER BY incarnation {lock free nodes}", values![*now])
                    .await?;
                let mut runs = 0;
                for row in &dead {
                    runs += requeue(&mut conn, Incarnation(row.int(0)?)).await?;
                }
                Ok(runs)
            })
        }))
    }

    fn leave(&self, node: Incarnation) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.db.write(node, |node, mut conn| {
            Box::pin(async move {
                // First, as all who end a life: it waits for whoever is giving the node runs, and what they gave is then seen.
                conn.execute("DELETE FROM nodes WHERE incarnation = $1", values![node.0]).await?;
                places::end(&mut conn, *node).await?;
                conn.execute(
                    "UPDATE queue SET state = 0, lease = NULL, attempt = attempt - 1, handed_back = handed_back + 1
                     WHERE lease = $1 AND state = 3",
                    values![node.0],
                )
                .await
            })
        }))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Node>, StoreError>> {
        Box::pin(self.db.read((), |(), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        "SELECT incarnation, name, about, running, started_at, seen_at, alive_until FROM nodes ORDER BY incarnation",
                        values![],
                    )
                    .await?;
                let read = |row: &super::value::Row| {
                    let mut about: About = row.parsed(2)?;
                    about.name = row.text(1)?.into();
                    Ok(Node {
                        incarnation: Incarnation(row.int(0)?),
                        about,
                        running: row.count(3)?,
                        started_at: row.time(4)?,
                        seen_at: row.time(5)?,
                        alive_until: row.time(6)?,
                    })
                };
                rows.iter().map(read).collect()
            })
        }))
    }

    fn apart(&self) -> BoxFuture<'_, Result<Arc<dyn Nodes>, StoreError>> {
        Box::pin(async move { Ok(Arc::new(Sql::new(self.db.apart().await?, None, None)) as Arc<dyn Nodes>) })
    }
}

async fn join(about: &About, now: Timestamp, lease: Duration, mut conn: Conn<'_>) -> Result<Incarnation, StoreError> {
    let earlier =
        conn.rows("SELECT incarnation FROM nodes WHERE name = $1 ORDER BY incarnation {lock nodes}", values![&about.name]).await?;
    for row in &earlier {
        requeue(&mut conn, Incarnation(row.int(0)?)).await?;
    }
    let row = conn
        .row(
            "INSERT INTO nodes (name, about, running, started_at, seen_at, alive_until) VALUES ($1, $2, 0, $3, $3, $4) RETURNING incarnation",
            values![&about.name, to_json(about)?, now, now.plus(lease)],
        )
        .await?;
    row.map(|row| row.int(0).map(Incarnation)).unwrap_or_else(|| Err(StoreError::Other("a node that joined is not there".to_owned())))
}

/// Whether a node may take leases: one that was thought dead may not, for nobody would ever take them from it.
pub(super) async fn is_alive(conn: &mut Conn<'_>, node: Incarnation) -> Result<bool, StoreError> {
    let row = conn.row("SELECT incarnation FROM nodes WHERE incarnation = $1 {lock present nodes}", values![node.0]).await?;
    Ok(row.is_some())
}

/// Ends a life: what it held is ready again, as lost once more.
async fn requeue(conn: &mut Conn<'_>, node: Incarnation) -> Result<u64, StoreError> {
    let runs =
        conn.execute("UPDATE queue SET state = 0, lease = NULL, lost = lost + 1 WHERE lease = $1 AND state = 3", values![node.0]).await?;
    conn.execute("DELETE FROM nodes WHERE incarnation = $1", values![node.0]).await?;
    places::end(conn, node).await?;
    Ok(runs)
}

async fn heartbeat(
    node: Incarnation,
    running: u64,
    now: Timestamp,
    lease: Duration,
    mut conn: Conn<'_>,
) -> Result<Option<Vec<RunId>>, StoreError> {
    let alive = conn
        .execute(
            "UPDATE nodes SET running = $2, seen_at = $3, alive_until = $4 WHERE incarnation = $1",
            values![node.0, big(running), now, now.plus(lease)],
        )
        .await?;
    if alive == 0 {
        return Ok(None);
    }
    let rows = conn.rows("SELECT id FROM queue WHERE lease = $1 AND state = 3 AND cancel_requested = 1", values![node.0]).await?;
    rows.iter().map(|row| row.uuid(0).map(RunId)).collect::<Result<_, _>>().map(Some)
}
