//! Reading runs, queued and ended, and appending ended ones.

use sandmill_model::{BoxFuture, LogEntry, Output, RunId, RunRecord, RunStatus, RunSummary, Usage, WorkspaceId, run::FinishedRun};
use uuid::Uuid;

use super::{
    Sql, codes,
    dialect::Conn,
    finished, queued,
    value::{Row, Value, values},
};
use crate::{
    StoreError,
    history::{History, RunFilter},
};

/// Of a [`RunSummary`], in the order of [`read_summary`], as an ended run and as a queued one has them. Numbers: codes.rs.
const ENDED: &str =
    "id, path, number, version, status, outcome, trigger_kind, attempt, run_as, created_at, scheduled_for, started_at, ended_at";
const QUEUED: &str =
    "id, path, number, version, CAST(CASE state WHEN 3 THEN 3 WHEN 2 THEN 2 ELSE 1 END AS BIGINT) AS status, CAST(NULL AS BIGINT) AS outcome, trigger_kind, attempt,
    run_as, created_at, scheduled_for, started_at, CAST(NULL AS BIGINT) AS ended_at";
/// Columns in a summary.
const SUMMARY_COLUMNS: usize = 13;

impl History for Sql {
    fn append(&self, runs: Vec<FinishedRun>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.db.writer().append(runs))
    }

    fn run(&self, workspace: WorkspaceId, id: RunId) -> BoxFuture<'_, Result<Option<RunRecord>, StoreError>> {
        Box::pin(self.db.read((workspace, id), |(workspace, id), conn| Box::pin(run(*workspace, *id, conn))))
    }

    fn log(&self, workspace: WorkspaceId, id: RunId) -> BoxFuture<'_, Result<Option<Vec<LogEntry>>, StoreError>> {
        Box::pin(self.db.read((workspace, id), |(workspace, id), conn| Box::pin(log(*workspace, *id, conn))))
    }

    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        filter: &'a RunFilter,
        before: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<RunSummary>, StoreError>> {
        let before = before.map_or(Uuid::max(), |id| id.0);
        Box::pin(self.db.read((workspace, filter.clone(), before, limit), |(workspace, filter, before, limit), conn| {
            Box::pin(list(values![*workspace, *before, *limit], filter, conn))
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
                "SELECT {ENDED}, arguments, event, output, output_type, output_bytes, error, fuel, memory_peak_bytes, cpu_ns, wall_ns
                 FROM runs WHERE workspace = $1 AND id = $2"
            ),
            values![workspace, id],
        )
        .await?;
    rows.first().map(read_record).transpose()
}

async fn log(workspace: WorkspaceId, id: RunId, mut conn: Conn<'_>) -> Result<Option<Vec<LogEntry>>, StoreError> {
    const EXISTS: &str =
        "SELECT 1 FROM queue WHERE workspace = $1 AND id = $2 UNION ALL SELECT 1 FROM runs WHERE workspace = $1 AND id = $2";
    let exists = conn.row(EXISTS, values![workspace, id]).await?.is_some();
    if !exists {
        return Ok(None);
    }
    let chunks = conn.rows("SELECT lines FROM run_logs WHERE workspace = $1 AND run = $2 ORDER BY chunk", values![workspace, id]).await?;
    let mut entries = Vec::new();
    for chunk in &chunks {
        entries.extend(finished::read_lines(chunk.text(0)?)?);
    }
    Ok(Some(entries))
}

/// `values` are workspace, id and limit. One statement, so that a run that is just ending is seen exactly once.
async fn list(mut values: Vec<Value>, filter: &RunFilter, mut conn: Conn<'_>) -> Result<Vec<RunSummary>, StoreError> {
    let mut shared = String::from("workspace = $1 AND id < $2");
    if let Some(path) = &filter.path {
        values.push(path.into());
        shared.push_str(&format!(" AND path = ${}", values.len()));
    }
    let (queued, ended) = match filter.status {
        None => (Some(""), Some(String::new())),
        Some(RunStatus::Queued) => (Some(" AND state IN (0, 1)"), None),
        Some(RunStatus::Parked) => (Some(" AND state = 2"), None),
        Some(RunStatus::Running) => (Some(" AND state = 3"), None),
        Some(status) if status.has_ended() => {
            values.push(codes::status(status).into());
            // Said again with the number itself where the index of unusual runs serves.
            let unusual = if status == RunStatus::Succeeded { "" } else { " AND status <> 5" };
            (None, Some(format!(" AND status = ${}{unusual}", values.len())))
        }
        Some(_) => (None, None),
    };
    let queued = queued.map(|condition| format!("SELECT {QUEUED} FROM queue WHERE {shared}{condition} ORDER BY id DESC LIMIT $3"));
    let ended = ended.map(|condition| format!("SELECT {ENDED} FROM runs WHERE {shared}{condition} ORDER BY id DESC LIMIT $3"));
    let statement = match (queued, ended) {
        (Some(queued), Some(ended)) => {
            format!("SELECT * FROM ({queued}) AS queued UNION ALL SELECT * FROM ({ended}) AS ended ORDER BY id DESC LIMIT $3")
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return Ok(Vec::new()),
    };
    conn.rows(statement, values).await?.iter().map(read_summary).collect()
}

fn read_summary(row: &Row) -> Result<RunSummary, StoreError> {
    Ok(RunSummary {
        id: RunId(row.uuid(0)?),
        path: row.path(1)?,
        number: row.int(2)?,
        version: row.digest(3)?,
        status: codes::read_status(row.int(4)?)?,
        outcome: row.opt_int(5)?.map(codes::read_outcome).transpose()?,
        trigger_kind: row.opt_text(6)?.map(str::to_owned),
        attempt: row.small_count(7)?,
        run_as: row.text(8)?.to_owned(),
        created_at: row.time(9)?,
        scheduled_for: row.time(10)?,
        started_at: row.opt_time(11)?,
        ended_at: row.opt_time(12)?,
    })
}

fn read_record(row: &Row) -> Result<RunRecord, StoreError> {
    const NEXT: usize = SUMMARY_COLUMNS;
    let output = match (row.opt_json(NEXT + 2)?, row.opt_bytes(NEXT + 3)?, row.opt_bytes(NEXT + 4)?) {
        (Some(json), _, _) => Some(Output::Json(json)),
        (None, Some(content_type), Some(data)) => {
            Some(Output::Bytes { content_type: String::from_utf8_lossy(content_type).into_owned(), data: data.to_vec().into() })
        }
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
