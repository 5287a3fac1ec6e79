//! Logs of runs, in chunks of some lines of JSON. A chunk's number is the position of its first entry, and once written a chunk never
//! changes: whoever writes the same entries again finds the same chunks there.

use std::collections::HashSet;

use sandmill_model::{LogEntry, LogPosition, RunId, WorkspaceId, run::FinishedRun};

use super::{
    dialect::{Conn, Insert},
    value::{Kind, Row, RunKey, Value, run_key, to_json, values},
};
use crate::{
    StoreError,
    history::{LogCursor, LogPage, LogPart},
    nodes::Incarnation,
    queue::Logged,
};

/// Bytes of lines in one chunk, unless one line alone is longer.
const CHUNK_BYTES: usize = 256 * 1024;
/// Bytes of lines in one page, unless one chunk alone is longer.
const PAGE_BYTES: i64 = 256 * 1024;
/// Chunks that are looked at for one page.
const PAGE_CHUNKS_MAX: u32 = 64;

const LOGS: Insert = Insert {
    table: "run_logs",
    columns: &[("workspace", Kind::Bytes), ("run", Kind::Bytes), ("chunk", Kind::Int), ("lines", Kind::Text)],
    on_conflict: "ON CONFLICT DO NOTHING",
};

/// Chunks on their way into the database.
#[derive(Default)]
pub(super) struct Chunks(Vec<Value>);

impl Chunks {
    /// What of an attempt's log is not written yet.
    pub(super) async fn add_rest(&mut self, done: &FinishedRun, logged: Logged) -> Result<(), StoreError> {
        let log = &done.outcome.log;
        // An attempt that was stopped harshly may have lost its log.
        let (written, perhaps) = (logged.entries.min(log.len()), logged.perhaps.min(log.len()));
        let start = LogPosition::of(logged.begun.unwrap_or(done.attempt), 0);
        let (workspace, run) = (done.run.workspace, done.run.id);
        // What may be there and what is not in chunks of their own.
        self.add(workspace, run, start.plus(written), log.get(written..perhaps).unwrap_or_default()).await?;
        let from = written.max(perhaps);
        self.add(workspace, run, start.plus(from), log.get(from..).unwrap_or_default()).await
    }

    /// A long log takes milliseconds: after each chunk others have the thread.
    async fn add(&mut self, workspace: WorkspaceId, run: RunId, from: LogPosition, entries: &[LogEntry]) -> Result<(), StoreError> {
        let (mut lines, mut first) = (String::new(), 0);
        for (index, entry) in entries.iter().enumerate() {
            let line = to_json(entry)?;
            if !lines.is_empty() && lines.len() + line.len() > CHUNK_BYTES {
                self.0.extend(values![workspace, run, from.plus(first).number(), std::mem::take(&mut lines)]);
                first = index;
                tokio::task::yield_now().await;
            }
            lines.push_str(&line);
            lines.push('\n');
        }
        if !lines.is_empty() {
            self.0.extend(values![workspace, run, from.plus(first).number(), lines]);
        }
        Ok(())
    }

    pub(super) async fn insert(self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        if self.0.is_empty() { Ok(()) } else { conn.insert(&LOGS, self.0).await }
    }
}

/// Writes parts of the logs of runs that `lease` holds; returns whose.
pub(super) async fn append(lease: Incarnation, parts: &[LogPart], mut conn: Conn<'_>) -> Result<Vec<RunId>, StoreError> {
    let keys = parts.iter().map(|part| run_key(part.workspace, part.run)).collect();
    // Their ends wait until this is written. One that is ending passes this over: it writes the whole log itself.
    let rows = conn
        .rows(
            "SELECT workspace, id FROM queue WHERE lease = $1 AND state = 3 AND (workspace, id) IN {keys $2} {lock free queue}",
            vec![lease.0.into(), Value::Keys(keys)],
        )
        .await?;
    let held: HashSet<RunKey> = rows.iter().map(super::queued::read_key).collect::<Result<_, _>>()?;
    let mut chunks = Chunks::default();
    let mut written = Vec::with_capacity(held.len());
    for part in parts {
        if !held.contains(&run_key(part.workspace, part.run)) {
            continue;
        }
        chunks.add(part.workspace, part.run, part.from, &part.entries).await?;
        written.push(part.run);
    }
    chunks.insert(&mut conn).await?;
    Ok(written)
}

/// A page of the log; None if there is no such run.
pub(super) async fn page(workspace: WorkspaceId, run: RunId, from: LogCursor, mut conn: Conn<'_>) -> Result<Option<LogPage>, StoreError> {
    const ENDED: &str = "SELECT CAST(0 AS BIGINT) FROM queue WHERE workspace = $1 AND id = $2
        UNION ALL SELECT CAST(1 AS BIGINT) FROM runs WHERE workspace = $1 AND id = $2";
    // Before the chunks: what was logged until the end is then among them.
    let Some(row) = conn.row(ENDED, values![workspace, run]).await? else { return Ok(None) };
    let has_ended = row.int(0)? != 0;
    let (first, last, has_more) = match extent(workspace, run, from, &mut conn).await? {
        Some(extent) => extent,
        None => return Ok(Some(LogPage { entries: Vec::new(), next: from, has_more: false, has_ended })),
    };
    let rows = conn
        .rows(
            "SELECT chunk, lines FROM run_logs WHERE workspace = $1 AND run = $2 AND chunk >= $3 AND chunk <= $4 ORDER BY chunk",
            values![workspace, run, first, last],
        )
        .await?;
    let (mut entries, mut next) = (Vec::new(), from);
    for row in &rows {
        let start = position(row, 0)?;
        let lines = read_lines(row.text(1)?)?;
        let end = start.plus(lines.len());
        if end >= next.position {
            // Only then: who knows more than is written yet may stand within a chunk that is still to come.
            next = LogCursor { position: end, is_boundary: true };
        }
        let placed = lines.into_iter().enumerate().map(|(index, entry)| (start.plus(index), entry));
        entries.extend(placed.filter(|(position, _)| *position >= from.position));
    }
    Ok(Some(LogPage { entries, next, has_more, has_ended }))
}

/// The first and the last chunk of a page, and whether there are more behind it.
async fn extent(workspace: WorkspaceId, run: RunId, from: LogCursor, conn: &mut Conn<'_>) -> Result<Option<(i64, i64, bool)>, StoreError> {
    const WITHIN: &str = "SELECT chunk, CAST(octet_length(lines) AS BIGINT) FROM run_logs WHERE workspace = $1 AND run = $2
        AND chunk >= COALESCE((SELECT MAX(chunk) FROM run_logs WHERE workspace = $1 AND run = $2 AND chunk <= $3), $3)
        ORDER BY chunk LIMIT $4";
    const AFTER: &str = "SELECT chunk, CAST(octet_length(lines) AS BIGINT) FROM run_logs WHERE workspace = $1 AND run = $2 AND chunk >= $3
        ORDER BY chunk LIMIT $4";
    let statement = if from.is_boundary { AFTER } else { WITHIN };
    let rows = conn.rows(statement, values![workspace, run, from.position.number(), PAGE_CHUNKS_MAX]).await?;
    let mut extent: Option<(i64, i64, bool)> = None;
    let mut bytes = 0;
    for row in &rows {
        let (chunk, length) = (row.int(0)?, row.int(1)?);
        bytes += length;
        extent = match extent {
            None => Some((chunk, chunk, rows.len() >= PAGE_CHUNKS_MAX as usize)),
            Some((first, last, _)) if bytes > PAGE_BYTES => return Ok(Some((first, last, true))),
            Some((first, _, has_more)) => Some((first, chunk, has_more)),
        };
    }
    Ok(extent)
}

fn position(row: &Row, column: usize) -> Result<LogPosition, StoreError> {
    let number = row.int(column)?;
    LogPosition::from_number(number).ok_or_else(|| StoreError::Corrupt(format!("a chunk of a log at {number}")))
}

/// The entries in one chunk.
fn read_lines(lines: &str) -> Result<Vec<LogEntry>, StoreError> {
    // Not by line: fields are kept as the script wrote them, with their own line breaks.
    let entries = serde_json::Deserializer::from_str(lines).into_iter();
    entries.map(|entry| entry.map_err(|error| StoreError::Corrupt(format!("a log: {error}")))).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use sandmill_model::{Clock, LogLevel, LogStream, SystemClock};

    use super::*;

    #[test]
    fn a_long_log_lets_others_go_on_after_each_chunk() {
        let now = SystemClock.now();
        let message = "x".repeat(CHUNK_BYTES / 2);
        let entry = LogEntry { at: now, level: LogLevel::Info, stream: LogStream::Stdout, message, fields: None };
        let mut chunks = Chunks::default();
        let waits = {
            let entries = vec![entry; 4];
            let mut adding = pin!(chunks.add(WorkspaceId::new(now), RunId::new(now), LogPosition::of(1, 0), &entries));
            let mut waits = 0;
            while adding.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                waits += 1;
            }
            waits
        };
        // Two of them are more than one chunk has.
        assert_eq!((waits, chunks.0.len()), (3, 4 * LOGS.columns.len()));
    }
}
