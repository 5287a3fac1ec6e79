//! Reading runs, queued and ended, and appending ended ones.

use sandmill_model::{BoxFuture, KeptOutput, Output, RunId, RunRecord, Usage, WorkspaceId, run::FinishedRun};

use super::{
    Sql,
    dialect::Conn,
    list::{self, ENDED, SUMMARY_COLUMNS, read_summary},
    logs, queued,
    turns::Turns,
    value::{Row, Value, run_key, values},
};
use crate::{
    StoreError,
    history::{History, Kin, LogCursor, LogPage, LogPart, RunFilter, RunPage},
    nodes::Incarnation,
};

impl History for Sql {
    fn append(&self, mut runs: Vec<FinishedRun>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.put_away(runs.iter_mut()).await;
            self.db.writer().append(runs).await
        })
    }

    fn append_again(&self, mut runs: Vec<FinishedRun>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let there = self.ended(runs.iter().map(|done| (done.run.workspace, done.run.id)).collect()).await?;
            runs.retain(|done| !there.contains(&done.run.id));
            self.append(runs).await
        })
    }

    fn run(&self, workspace: WorkspaceId, id: RunId) -> BoxFuture<'_, Result<Option<RunRecord>, StoreError>> {
        Box::pin(self.db.read((workspace, id), |(workspace, id), conn| Box::pin(run(*workspace, *id, conn))))
    }

    fn kin(&self, workspace: WorkspaceId, parent: RunId, runs: Vec<RunId>) -> BoxFuture<'_, Result<Vec<Kin>, StoreError>> {
        Box::pin(self.db.read((workspace, parent, runs), |(workspace, parent, runs), conn| Box::pin(kin(*workspace, *parent, runs, conn))))
    }

    fn ended(&self, runs: Vec<(WorkspaceId, RunId)>) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        Box::pin(self.db.read(runs, |runs, conn| Box::pin(ended(runs, conn))))
    }

    fn append_logs(&self, lease: Incarnation, parts: Vec<LogPart>) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        Box::pin(self.db.share((lease, parts), Turns::default(), |(lease, parts), conn| Box::pin(logs::append(*lease, parts, conn))))
    }

    fn log(&self, workspace: WorkspaceId, id: RunId, from: LogCursor) -> BoxFuture<'_, Result<Option<LogPage>, StoreError>> {
        Box::pin(self.db.read((workspace, id, from), |(workspace, id, from), conn| Box::pin(logs::page(*workspace, *id, *from, conn))))
    }

    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        filter: &'a RunFilter,
        before: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<RunPage, StoreError>> {
        Box::pin(self.db.read((workspace, filter.clone(), before, limit), |(workspace, filter, before, limit), conn| {
            Box::pin(list::list(*workspace, filter, *before, *limit, conn))
        }))
    }
}

async fn run(workspace: WorkspaceId, id: RunId, mut conn: Conn<'_>) -> Result<Option<RunRecord>, StoreError> {
    // The queue first: a run moves from there to history and never back, so it cannot be missed.
    if let Some(queued) = queued::read_one(&mut conn, workspace, id).await? {
        return Ok(Some(queued.into_record()));
    }
    let rows = conn
        .rows(
            format!(
                "SELECT {ENDED}, arguments, event, output, output_type, output_bytes, error, fuel, memory_peak_bytes, cpu_ns, wall_ns,
                     kept_digest, kept_bytes
                 FROM runs WHERE workspace = $1 AND id = $2"
            ),
            values![workspace, id],
        )
        .await?;
    rows.first().map(read_record).transpose()
}

async fn ended(runs: &[(WorkspaceId, RunId)], mut conn: Conn<'_>) -> Result<Vec<RunId>, StoreError> {
    let ids = || runs.iter().map(|(_, run)| *run);
    // The range says which partitions to look into.
    let (Some(first), Some(last)) = (ids().min(), ids().max()) else { return Ok(Vec::new()) };
    let keys = runs.iter().map(|(workspace, run)| run_key(*workspace, *run)).collect();
    let rows = conn
        .rows(
            "SELECT id FROM runs WHERE id >= $1 AND id <= $2 AND (workspace, id) IN {keys $3}",
            vec![first.into(), last.into(), Value::Keys(keys)],
        )
        .await?;
    rows.iter().map(|row| row.uuid(0).map(RunId)).collect()
}

async fn kin(workspace: WorkspaceId, parent: RunId, runs: &[RunId], mut conn: Conn<'_>) -> Result<Vec<Kin>, StoreError> {
    // One statement, so that a run that is just ending is seen exactly once.
    const KIN: &str =
        "SELECT id, CAST(0 AS BIGINT) FROM queue WHERE workspace = $1 AND cause = $2 AND cause_kind = 0 AND (workspace, id) IN {keys $3}
        UNION ALL SELECT id, CAST(1 AS BIGINT) FROM runs
            WHERE workspace = $1 AND cause = $2 AND cause_kind = 0 AND id >= $4 AND id <= $5 AND (workspace, id) IN {keys $3}";
    // The range says which partitions to look into.
    let (Some(first), Some(last)) = (runs.iter().min(), runs.iter().max()) else { return Ok(Vec::new()) };
    let keys = runs.iter().map(|run| run_key(workspace, *run)).collect();
    let rows = conn.rows(KIN, vec![workspace.into(), parent.into(), Value::Keys(keys), (*first).into(), (*last).into()]).await?;
    rows.iter().map(|row| Ok(Kin { run: RunId(row.uuid(0)?), has_ended: row.int(1)? != 0 })).collect()
}

fn read_record(row: &Row) -> Result<RunRecord, StoreError> {
    const NEXT: usize = SUMMARY_COLUMNS;
    let content_type = row.opt_bytes(NEXT + 3)?.map(|content_type| String::from_utf8_lossy(content_type).into_owned());
    let kept = row.opt_bytes(NEXT + 10)?.map(|_| row.digest(NEXT + 10)).transpose()?;
    let output = match (row.opt_json(NEXT + 2)?, content_type, row.opt_bytes(NEXT + 4)?, kept) {
        (Some(json), _, _, _) => Some(Output::Json(json)),
        (None, Some(content_type), Some(data), _) => Some(Output::Bytes { content_type, data: data.to_vec().into() }),
        (None, content_type, None, Some(digest)) => Some(Output::Kept(KeptOutput { content_type, bytes: row.count(NEXT + 11)?, digest })),
        _ => None,
    };
    Ok(RunRecord {
        summary: read_summary(row)?,
        arguments: row.json(NEXT)?,
        event: row.opt_json(NEXT + 1)?,
        output,
        error: row.opt_text(NEXT + 5)?.map(|_| row.parsed(NEXT + 5)).transpose()?,
        usage: Usage {
            fuel: row.count(NEXT + 6)?,
            memory_peak_bytes: row.count(NEXT + 7)?,
            cpu_ns: row.count(NEXT + 8)?,
            wall_ns: row.count(NEXT + 9)?,
        },
    })
}
