//! What is SQLite's own: opening a file, binding, batches, error codes.

use std::{fmt::Write as _, path::Path, time::Duration};

use sqlx::{
    Arguments, AssertSqlSafe, ConnectOptions, SqlStr, SqliteConnection,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteError, SqliteJournalMode, SqliteSynchronous},
};

use super::{Insert, error};
use crate::{
    StoreError,
    sql::{
        Durability,
        value::{Row, Value},
    },
};

/// Rows in one INSERT. More would only make its prepared form outgrow the processor's caches.
const INSERT_ROWS_MAX: usize = 64;
/// Bytes in one INSERT, unless one row alone is larger.
const INSERT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a statement waits for another process's lock.
pub(in crate::sql) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Page cache of one connection.
pub(super) const CACHE_KIB: i64 = 16 * 1024;
/// How much of the file is read through a memory map.
pub(super) const MMAP_BYTES: i64 = 256 * 1024 * 1024;
/// Pages (4 KiB) in the write-ahead log before it is copied back into the file.
const CHECKPOINT_PAGES: i64 = 4000;
/// The write-ahead log is cut back to this after it was larger.
const JOURNAL_BYTES_MAX: i64 = 64 * 1024 * 1024;
/// Prepared statements that a connection keeps.
const STATEMENTS_MAX: usize = 256;
/// Rows and commands on the way to and from a connection's own thread.
const THREAD_BUFFER: usize = 256;

/// How connections to the file are opened; `None` is a database in memory.
pub(in crate::sql) fn options(file: Option<&Path>, durability: Durability) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .synchronous(match durability {
            Durability::Full => SqliteSynchronous::Full,
            Durability::Normal => SqliteSynchronous::Normal,
        })
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENTS_MAX)
        .command_buffer_size(THREAD_BUFFER)
        .row_buffer_size(THREAD_BUFFER)
        .pragma("cache_size", (-CACHE_KIB).to_string())
        .pragma("mmap_size", MMAP_BYTES.to_string())
        .pragma("temp_store", "MEMORY")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
        .pragma("journal_size_limit", JOURNAL_BYTES_MAX.to_string())
        .disable_statement_logging();
    match file {
        Some(file) => options.filename(file).create_if_missing(true).journal_mode(SqliteJournalMode::Wal),
        None => options.in_memory(true),
    }
}

pub(super) fn word(name: &str) -> String {
    if let Some(bind) = name.strip_prefix("keys ") {
        format!("(SELECT unhex(substr(value, 1, 32)), unhex(substr(value, 33)) FROM json_each({bind}))")
    } else if let Some(bind) = name.strip_prefix("any ") {
        format!("IN (SELECT unhex(value) FROM json_each({bind}))")
    } else if let Some((column, bind)) = name.split_once(" like ") {
        // Not LIKE, to which `a` and `A` are the same.
        format!("{column} GLOB replace(replace({bind}, '[', '[[]'), '?', '[?]')")
    } else {
        String::new()
    }
}

fn bind(arguments: &mut SqliteArguments, value: Value) -> Result<(), StoreError> {
    value.check()?;
    match value {
        Value::Int(value) => arguments.add(value),
        Value::Text(value) => arguments.add(value),
        Value::Bytes(value) => arguments.add(value),
        Value::Keys(keys) => arguments.add(hex_array(&keys)),
        Value::List(list) => arguments.add(hex_array(&list)),
    }
    .map_err(|error| StoreError::Other(error.to_string()))
}

fn arguments(values: impl ExactSizeIterator<Item = Value>) -> Result<SqliteArguments, StoreError> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        bind(&mut arguments, value)?;
    }
    Ok(arguments)
}

fn hex_array<K: AsRef<[u8]>>(keys: &[K]) -> String {
    let mut text = String::with_capacity(keys.iter().map(|key| key.as_ref().len() * 2 + 3).sum::<usize>() + 2);
    text.push('[');
    for (index, key) in keys.iter().enumerate() {
        text.push_str(if index > 0 { ",\"" } else { "\"" });
        for byte in key.as_ref() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push('"');
    }
    text.push(']');
    text
}

pub(super) async fn execute(conn: &mut SqliteConnection, sql: SqlStr, values: Vec<Value>) -> Result<u64, StoreError> {
    let done = sqlx::query_with(sql, arguments(values.into_iter())?).execute(conn).await.map_err(error)?;
    Ok(done.rows_affected())
}

pub(super) async fn rows(conn: &mut SqliteConnection, sql: SqlStr, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
    let rows = sqlx::query_with(sql, arguments(values.into_iter())?).fetch_all(conn).await.map_err(error)?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

/// Rows as one `VALUES` list with bare `?`, which bind by position, without a look-up of each name. Lists are powers of two long, so few prepared statements serve all lengths.
pub(super) async fn insert(conn: &mut SqliteConnection, insert: &Insert, values: Vec<Value>) -> Result<(), StoreError> {
    let width = insert.columns.len();
    let mut row = String::from("(?");
    row.push_str(&", ?".repeat(width - 1));
    row.push(')');
    let mut left = values.len() / width;
    let mut values = values.into_iter();
    while left > 0 {
        let rows = rows_that_fit(values.as_slice(), width);
        let mut sql = insert.head();
        sql.push_str("VALUES ");
        for index in 0..rows {
            if index > 0 {
                sql.push_str(", ");
            }
            sql.push_str(&row);
        }
        sql.push(' ');
        sql.push_str(insert.on_conflict);
        let arguments = arguments(values.by_ref().take(rows * width))?;
        sqlx::query_with(AssertSqlSafe(sql), arguments).execute(&mut *conn).await.map_err(error)?;
        left -= rows;
    }
    Ok(())
}

/// The greatest power of two of rows that one statement may take.
fn rows_that_fit(values: &[Value], width: usize) -> usize {
    let mut bytes = 0;
    let mut fitting: usize = 0;
    for row in values.chunks(width).take(INSERT_ROWS_MAX) {
        bytes += row.iter().map(Value::len_bytes).sum::<usize>();
        if bytes > INSERT_BYTES_MAX && fitting > 0 {
            break;
        }
        fitting += 1;
    }
    1 << fitting.max(1).ilog2()
}

/// By SQLite's result codes; an extended code has the plain one in its low byte.
pub(super) fn classify(error: &SqliteError) -> StoreError {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    /// Statements of scripts have what there is for the moment.
    const NO_MEMORY: i32 = 7;
    const READ_ONLY: i32 = 8;
    const IO_ERROR: i32 = 10;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANNOT_OPEN: i32 = 14;
    const CONSTRAINT: i32 = 19;
    const NOT_A_DATABASE: i32 = 26;
    let text = error.to_string();
    let code = sqlx::error::DatabaseError::code(error).and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
    match code & 0xff {
        FULL => StoreError::Full(text),
        BUSY | LOCKED | NO_MEMORY | READ_ONLY | IO_ERROR | CANNOT_OPEN => StoreError::Unavailable(text),
        CORRUPT | NOT_A_DATABASE => StoreError::Corrupt(text),
        CONSTRAINT if sqlx::error::DatabaseError::is_unique_violation(error) => StoreError::Conflict(text),
        _ => StoreError::Other(text),
    }
}
