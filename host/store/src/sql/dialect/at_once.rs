//! SQLite on the thread that asks, for one row. The way to a connection's own thread and back takes several times as long as the statement itself, if the pages are in
//! memory; where they are not, the thread waits for the disk.
//!
//! Nothing here waits for anybody: whoever would have to, or meets an error, takes the usual way.

use std::{
    path::Path,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Statement, types};

use super::sqlite::{CACHE_KIB, MMAP_BYTES};
use crate::sql::{Durability, value::Value};

/// Bytes that are written here before a write takes the usual way, where the write-ahead log is copied back into the file once it is long.
const WRITTEN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a short row takes of the write-ahead log: a page of the table and one of its index.
const ROW_BYTES: usize = 8 * 1024;

/// Connections of its own; none once it is closed.
pub(in crate::sql) struct AtOnce {
    reader: Mutex<Option<Connection>>,
    writer: Mutex<Option<Connection>>,
    written_bytes: AtomicUsize,
}

impl AtOnce {
    /// None if the file cannot be opened so; others say why.
    pub(in crate::sql) fn open(file: &Path, durability: Durability) -> Option<Self> {
        // A commit that waits for the disk shares it with others.
        let writer = (durability == Durability::Normal).then(|| open(file, false)).transpose();
        let opened = writer.and_then(|writer| Ok((open(file, true)?, writer)));
        let opened = opened.inspect_err(|error| tracing::warn!(%error, "state is read and written by way of other threads only"));
        let (reader, writer) = opened.ok()?;
        Some(Self { reader: Mutex::new(Some(reader)), writer: Mutex::new(writer), written_bytes: AtomicUsize::new(0) })
    }

    /// The text in the first column of the first row; within, none if there is no row. None if it cannot be told at once.
    pub(in crate::sql) fn text(&self, sql: &'static str, values: &[Value]) -> Option<Option<String>> {
        let reader = free(&self.reader)?;
        let mut statement = reader.as_ref()?.prepare_cached(sql).ok()?;
        bind(&mut statement, values)?;
        let mut rows = statement.raw_query();
        rows.next().ok()?.map_or(Some(None), |row| row.get(0).ok().map(Some))
    }

    /// Rows that a statement changed, which is committed. None if it cannot be done at once; then nothing was changed.
    pub(in crate::sql) fn execute(&self, sql: &'static str, values: &[Value]) -> Option<u64> {
        let bytes = ROW_BYTES + values.iter().map(Value::len_bytes).sum::<usize>();
        if self.written_bytes.fetch_add(bytes, Ordering::Relaxed) > WRITTEN_BYTES_MAX {
            self.written_bytes.store(0, Ordering::Relaxed);
            return None;
        }
        let writer = free(&self.writer)?;
        let mut statement = writer.as_ref()?.prepare_cached(sql).ok()?;
        bind(&mut statement, values)?;
        u64::try_from(statement.raw_execute().ok()?).ok()
    }

    pub(in crate::sql) fn close(&self) {
        for connection in [&self.reader, &self.writer] {
            connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        }
    }
}

fn free(connection: &Mutex<Option<Connection>>) -> Option<MutexGuard<'_, Option<Connection>>> {
    connection.try_lock().ok()
}

fn open(file: &Path, only_reads: bool) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(Duration::ZERO)?;
    conn.pragma_update(None, "query_only", only_reads)?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update(None, "mmap_size", MMAP_BYTES)?;
    Ok(conn)
}

/// By number: to SQLite `$2` is a name.
fn bind(statement: &mut Statement<'_>, values: &[Value]) -> Option<()> {
    for (number, bound) in values.iter().enumerate() {
        let index = statement.parameter_index(&format!("${}", number + 1)).ok()??;
        statement.raw_bind_parameter(index, value(bound)?).ok()?;
    }
    Some(())
}

/// None for what is not bound as it is.
fn value(value: &Value) -> Option<types::Value> {
    value.check().ok()?;
    Some(match value {
        Value::Int(Some(number)) => types::Value::Integer(*number),
        Value::Text(Some(text)) => types::Value::Text(text.to_string()),
        Value::Bytes(Some(bytes)) => types::Value::Blob(bytes.clone()),
        Value::Int(None) | Value::Text(None) | Value::Bytes(None) => types::Value::Null,
        Value::Keys(_) | Value::List(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = "SELECT v FROM t WHERE k = $1";
    const WRITE: &str = "UPDATE t SET v = $2 WHERE k = $1";

    fn file(folder: &tempfile::TempDir) -> (std::path::PathBuf, Connection) {
        let file = folder.path().join("test.db");
        assert!(AtOnce::open(&file, Durability::Normal).is_none(), "it makes no file");
        let other = Connection::open(&file).unwrap();
        let table = "PRAGMA journal_mode = WAL; CREATE TABLE t (k BLOB PRIMARY KEY, v TEXT); INSERT INTO t VALUES (x'01', 'one')";
        other.execute_batch(table).unwrap();
        (file, other)
    }

    fn key(key: u8) -> Value {
        Value::Bytes(Some(vec![key]))
    }

    fn text(text: &str) -> Value {
        Value::Text(Some(text.into()))
    }

    #[test]
    fn one_row_is_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = file(&folder);
        let at_once = AtOnce::open(&file, Durability::Normal).unwrap();
        let read = |of: u8| at_once.text(READ, &[key(of)]);
        assert_eq!((read(1), read(2)), (Some(Some("one".to_owned())), Some(None)));
        other.execute("INSERT INTO t VALUES (x'02', 'two')", []).unwrap();
        assert_eq!(read(2), Some(Some("two".to_owned())), "what was committed is seen");
        assert_eq!(at_once.execute(WRITE, &[key(1), text("eins")]), Some(1));
        assert_eq!(at_once.execute(WRITE, &[key(3), text("drei")]), Some(0));
        assert_eq!(
            other.query_row("SELECT v FROM t WHERE k = x'01'", [], |row| row.get::<_, String>(0)).unwrap(),
            "eins",
            "it is committed"
        );
        assert_eq!(read(1), Some(Some("eins".to_owned())));
        // No snapshot is kept, or the log of what was written would grow for ever.
        let busy: i64 = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
        assert_eq!(busy, 0);
        at_once.close();
        assert_eq!((read(1), at_once.execute(WRITE, &[key(1), text("x")])), (None, None));
    }

    #[test]
    fn what_would_wait_or_fail_is_not_done() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = file(&folder);
        let at_once = AtOnce::open(&file, Durability::Normal).unwrap();
        assert_eq!(at_once.text("SELECT v FROM nowhere", &[]), None);
        assert_eq!(at_once.text("DELETE FROM t RETURNING v", &[]), None, "it only reads");
        assert_eq!(at_once.text("SELECT $1", &[text("a\0b")]), None);
        let (reader, writer) = (at_once.reader.lock().unwrap(), at_once.writer.lock().unwrap());
        assert_eq!((at_once.text(READ, &[key(1)]), at_once.execute(WRITE, &[key(1), text("x")])), (None, None));
        drop((reader, writer));
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let began = std::time::Instant::now();
        assert_eq!(at_once.execute(WRITE, &[key(1), text("x")]), None, "another process writes");
        assert!(began.elapsed() < Duration::from_secs(1));
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(at_once.execute(WRITE, &[key(1), text("x")]), Some(1));
        // Now and then the usual way is taken, which shortens the log.
        let long = "x".repeat(1024 * 1024);
        let done = (0..20).filter(|_| at_once.execute(WRITE, &[key(1), text(&long)]).is_some()).count();
        assert!((16..=19).contains(&done), "{done}");
        let careful = AtOnce::open(&file, Durability::Full).unwrap();
        assert_eq!(
            (careful.execute(WRITE, &[key(1), text("y")]), careful.text(READ, &[key(2)])),
            (None, Some(None)),
            "a flush is shared with others"
        );
    }
}
