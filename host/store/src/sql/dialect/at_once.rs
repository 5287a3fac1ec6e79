//! Reading SQLite on the thread that asks. The way to a connection's own thread and back takes several times as long as a look at a row of which the pages are
//! in memory; where they are not, a thread that executes guests waits for the disk, as it may at any page that it touches.

use std::{
    path::Path,
    sync::{Mutex, TryLockError},
};

use rusqlite::{Connection, OpenFlags, params_from_iter, types};

use super::sqlite::{CACHE_KIB, MMAP_BYTES};
use crate::sql::value::Value;

pub(in crate::sql) struct Reader(Mutex<Connection>);

impl Reader {
    /// None if the file cannot be opened so; others say why.
    pub(in crate::sql) fn open(file: &Path) -> Option<Self> {
        let opened =
            Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX).and_then(|conn| {
                // It waits for nobody: who would have to asks in the usual way.
                conn.busy_timeout(std::time::Duration::ZERO)?;
                conn.pragma_update(None, "query_only", true)?;
                conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
                conn.pragma_update(None, "mmap_size", MMAP_BYTES)?;
                Ok(conn)
            });
        opened
            .inspect_err(|error| tracing::warn!(%error, "the database is read by way of other threads only"))
            .ok()
            .map(|conn| Self(Mutex::new(conn)))
    }

    /// The text in the first column of the first row; within, none if there is no row. None if it cannot be told at once: another thread reads, or something
    /// fails.
    pub(in crate::sql) fn text(&self, sql: &'static str, values: &[Value]) -> Option<Option<String>> {
        let conn = match self.0.try_lock() {
            Ok(conn) => conn,
            Err(TryLockError::Poisoned(conn)) => conn.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let values: Vec<types::Value> = values.iter().map(value).collect::<Option<_>>()?;
        let mut statement = conn.prepare_cached(sql).ok()?;
        let mut rows = statement.query(params_from_iter(values)).ok()?;
        rows.next().ok()?.map_or(Some(None), |row| row.get(0).ok().map(Some))
    }
}

/// None for what is not bound as it is.
fn value(value: &Value) -> Option<types::Value> {
    value.check().ok()?;
    Some(match value {
        Value::Int(Some(number)) => types::Value::Integer(*number),
        Value::Text(Some(text)) => types::Value::Text(text.to_string()),
        Value::Bytes(Some(bytes)) => types::Value::Blob(bytes.clone()),
        Value::Int(None) | Value::Text(None) | Value::Bytes(None) => types::Value::Null,
        Value::Keys(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("test.db");
        assert!(Reader::open(&file).is_none(), "it makes no file");
        let writer = Connection::open(&file).unwrap();
        writer
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (k BLOB PRIMARY KEY, v TEXT); INSERT INTO t VALUES (x'01', 'one')")
            .unwrap();
        let reader = Reader::open(&file).unwrap();
        let text = |key: u8| reader.text("SELECT v FROM t WHERE k = $1", &[Value::Bytes(Some(vec![key]))]);
        assert_eq!(text(1), Some(Some("one".to_owned())));
        assert_eq!(text(2), Some(None));
        writer.execute("INSERT INTO t VALUES (x'02', 'two')", []).unwrap();
        assert_eq!(text(2), Some(Some("two".to_owned())), "what was committed is seen");
        assert_eq!(reader.text("SELECT v FROM nowhere", &[]), None);
        assert_eq!(reader.text("DELETE FROM t RETURNING v", &[]), None, "it only reads");
        assert_eq!(reader.text("SELECT $1", &[Value::Text(Some("a\0b".into()))]), None);
        let held = reader.0.lock().unwrap();
        assert_eq!(text(1), None, "nobody waits");
        drop(held);
        assert_eq!(text(1), Some(Some("one".to_owned())));
        // No snapshot is kept, or the log of what was written would grow for ever.
        let (busy, log, done): (i64, i64, i64) =
            writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        assert_eq!((busy, log, done), (0, 0, 0));
    }
}
