//! What is PostgreSQL's own: sessions, binding, batches, error codes.

use std::{str::FromStr, time::Duration};

use futures_util::{StreamExt, stream::BoxStream};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool, Postgres, SqlStr,
    pool::PoolOptions,
    postgres::{PgArguments, PgConnectOptions, PgDatabaseError, PgListener},
    query::Query,
};

use super::{Insert, error};
use crate::{
    StoreError,
    sql::{
        Durability,
        value::{Kind, Row, Value},
    },
};

/// Connections of one node.
const CONNECTIONS_MAX: u32 = 16;
/// How long an operation waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that has rested this long is tried before it is used again.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// Rows in one INSERT.
const INSERT_ROWS_MAX: usize = 1024;
/// Bytes in one INSERT, unless one row alone is larger.
const INSERT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Prepared statements that a connection keeps.
const STATEMENTS_MAX: usize = 256;

/// Operations rely on READ COMMITTED; waiting for a lock has an end. What a machine held that died in the midst of a transaction is free before its
/// lease is over: no row of such a node could be taken from it otherwise, and the server may not notice its death for hours. `local`: on this server's disk; `on`: on its synchronous standbys' too.
/// Notices say nothing that we do not know, and each that comes makes the next line of our own log disappear: sqlx asks whether it would
/// be logged, and tracing takes that for an event.
const SESSION_FULL: &str =
    "SET default_transaction_isolation = 'read committed'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '2s';
    SET client_min_messages = warning; SET synchronous_commit = on";
const SESSION_NORMAL: &str =
    "SET default_transaction_isolation = 'read committed'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '2s';
    SET client_min_messages = warning; SET synchronous_commit = local";
const SESSION_VOICE: &str = "SET client_min_messages = warning; SET synchronous_commit = off";

pub(in crate::sql) async fn open(url: &str, durability: Durability) -> Result<PgPool, StoreError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| StoreError::Other(format!("the database's URL: {error}")))?
        .application_name("sandmill")
        .statement_cache_capacity(STATEMENTS_MAX)
        .disable_statement_logging();
    let session = match durability {
        Durability::Full => SESSION_FULL,
        Durability::Normal => SESSION_NORMAL,
    };
    PoolOptions::<Postgres>::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_FOR {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |conn, _| Box::pin(async move { conn.execute(sqlx::raw_sql(session)).await.map(drop) }))
        .connect_with(options)
        .await
        .map_err(error)
}

/// A pool with one connection to the same database, whose socket belongs to the runtime that calls.
pub(in crate::sql) async fn small(pool: &PgPool) -> Result<PgPool, StoreError> {
    let session = SESSION_NORMAL;
    PoolOptions::<Postgres>::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |conn, _| Box::pin(async move { conn.execute(sqlx::raw_sql(session)).await.map(drop) }))
        .connect_with(PgConnectOptions::clone(&pool.connect_options()))
        .await
        .map_err(error)
}

/// A pool with one connection for what nodes tell each other, made when it is first needed. What is said need not be on any disk: whoever is to
/// hear it hears nothing any more once the server has died.
pub(in crate::sql) fn voice(pool: &PgPool) -> PgPool {
    PoolOptions::<Postgres>::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(|conn, _| Box::pin(async move { conn.execute(sqlx::raw_sql(SESSION_VOICE)).await.map(drop) }))
        .connect_lazy_with(PgConnectOptions::clone(&pool.connect_options()))
}

/// Payloads of notifications, until the connection breaks.
pub(in crate::sql) async fn listen(pool: &PgPool, channel: &str) -> Result<BoxStream<'static, Result<String, StoreError>>, StoreError> {
    // A pool of its own: a connection that listens does nothing else.
    let pool = small(pool).await?;
    let mut listener = PgListener::connect_with(&pool).await.map_err(error)?;
    listener.ignore_pool_close_event(true);
    listener.listen(channel).await.map_err(error)?;
    let payloads = futures_util::stream::try_unfold(listener, async |mut listener| {
        // None: the connection broke, and what was sent meanwhile is lost.
        let heard = listener.try_recv().await.map_err(error)?;
        Ok(heard.map(|notification| (notification.payload().to_owned(), listener)))
    });
    Ok(payloads.boxed())
}

pub(super) fn word(name: &str) -> String {
    if let Some(bind) = name.strip_prefix("keys ") {
        format!("(SELECT substring(key FROM 1 FOR 16), substring(key FROM 17) FROM unnest({bind}::bytea[]) AS keys (key))")
    } else if let Some(bind) = name.strip_prefix("any ") {
        format!("= ANY({bind}::bytea[])")
    } else if let Some((column, bind)) = name.split_once(" like ") {
        format!(r"{column} LIKE replace(replace(replace(replace({bind}, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')")
    } else if let Some(table) = name.strip_prefix("lock free ") {
        format!("FOR UPDATE OF {table} SKIP LOCKED")
    } else if let Some(table) = name.strip_prefix("lock present ") {
        format!("FOR KEY SHARE OF {table}")
    } else if let Some(table) = name.strip_prefix("lock ") {
        format!("FOR UPDATE OF {table}")
    } else {
        String::new()
    }
}

type Bound<'q> = Query<'q, Postgres, PgArguments>;

fn bound<'q>(sql: SqlStr, values: Vec<Value>) -> Result<Bound<'q>, StoreError> {
    let mut query = sqlx::query(sql);
    for value in values {
        value.check()?;
        query = match value {
            Value::Int(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
            Value::Keys(keys) => query.bind(keys.iter().map(|key| key.to_vec()).collect::<Vec<_>>()),
            Value::List(list) => query.bind(list),
        };
    }
    Ok(query)
}

pub(super) async fn execute(conn: &mut PgConnection, sql: SqlStr, values: Vec<Value>) -> Result<u64, StoreError> {
    let done = bound(sql, values)?.execute(conn).await.map_err(error)?;
    Ok(done.rows_affected())
}

pub(super) async fn rows(conn: &mut PgConnection, sql: SqlStr, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
    let rows = bound(sql, values)?.fetch_all(conn).await.map_err(error)?;
    Ok(rows.into_iter().map(Row::Postgres).collect())
}

/// Whole columns as arrays: one statement text whatever the number of rows.
pub(super) async fn insert(conn: &mut PgConnection, insert: &Insert, values: Vec<Value>) -> Result<(), StoreError> {
    let width = insert.columns.len();
    let mut sql = insert.head();
    sql.push_str("SELECT * FROM unnest(");
    for (index, (_, kind)) in insert.columns.iter().enumerate() {
        let separator = if index > 0 { ", " } else { "" };
        let kind = match kind {
            Kind::Int => "bigint",
            Kind::Text => "text",
            Kind::Bytes => "bytea",
        };
        sql.push_str(&format!("{separator}${}::{kind}[]", index + 1));
    }
    sql.push_str(") ");
    sql.push_str(insert.on_conflict);
    let sql: std::sync::Arc<str> = sql.into();
    let mut rest = values.as_slice();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rows_that_fit(rest, width) * width);
        let mut query = sqlx::query(AssertSqlSafe(std::sync::Arc::clone(&sql)));
        for (index, (_, kind)) in insert.columns.iter().enumerate() {
            query = bind_column(query, *kind, now.iter().skip(index).step_by(width))?;
        }
        query.execute(&mut *conn).await.map_err(error)?;
        rest = later;
    }
    Ok(())
}

fn bind_column<'q>(query: Bound<'q>, kind: Kind, column: impl Iterator<Item = &'q Value>) -> Result<Bound<'q>, StoreError> {
    let column = column.map(|value| value.check().map(|()| value));
    let mismatch = || StoreError::Other("a value of another type than its column".to_owned());
    Ok(match kind {
        Kind::Int => query.bind(
            column
                .map(|value| match value? {
                    Value::Int(int) => Ok(*int),
                    _ => Err(mismatch()),
                })
                .collect::<Result<Vec<_>, _>>()?,
        ),
        Kind::Text => query.bind(
            column
                .map(|value| match value? {
                    Value::Text(text) => Ok(text.as_deref()),
                    _ => Err(mismatch()),
                })
                .collect::<Result<Vec<_>, _>>()?,
        ),
        Kind::Bytes => query.bind(
            column
                .map(|value| match value? {
                    Value::Bytes(bytes) => Ok(bytes.as_deref()),
                    _ => Err(mismatch()),
                })
                .collect::<Result<Vec<_>, _>>()?,
        ),
    })
}

fn rows_that_fit(values: &[Value], width: usize) -> usize {
    let mut bytes = 0;
    let fitting = values.chunks(width).take(INSERT_ROWS_MAX).take_while(|row| {
        bytes += row.iter().map(Value::len_bytes).sum::<usize>();
        bytes <= INSERT_BYTES_MAX
    });
    fitting.count().max(1)
}

/// By SQLSTATE.
pub(super) fn classify(error: &PgDatabaseError) -> StoreError {
    let text = error.to_string();
    let code = error.code();
    match code {
        "23505" => StoreError::Conflict(text),
        // disk full
        "53100" => StoreError::Full(text),
        // deadlock, serialization failure, lock not available
        "40P01" | "40001" | "55P03" => StoreError::Contended(text),
        // the database is read-only, as a standby is, or one that its operator has made so
        "25006" => StoreError::Unavailable(text),
        // data corrupted, index corrupted
        "XX001" | "XX002" => StoreError::Corrupt(text),
        // connection, resources, the server is starting or stopping
        _ if code.starts_with("08") || code.starts_with("53") || code.starts_with("57") => StoreError::Unavailable(text),
        _ => StoreError::Other(text),
    }
}
