//! A connection while a call or a transaction has it. Dropping it cleans up: what was begun is undone, what is still at work is ended, and only a
//! session that is as new goes back.

use std::{sync::Arc, time::Duration};

use futures_util::TryStreamExt as _;
use sandmill_model::grants::Mode;
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Either, Executor as _, SqlSafeStr as _, Statement as _, TypeInfo as _};
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit};

use super::{
    Pool,
    connection::{Backend, Connection},
    decode, encode,
    failure::{Cause, failure},
    limit_to,
};
use crate::sql::{
    Answered, Call, Error, Wants,
    rows::{Rows, too_large},
};

/// How long cleaning up may take before the connection is given up.
const CLEAN_LIMIT: Duration = Duration::from_secs(5);
/// How often ending a process of the server is tried.
const TERMINATE_TRIES: u32 = 3;
/// The server stops a statement itself; if it has not so much later, it is stopped from here.
const GRACE: Duration = Duration::from_millis(250);

pub(crate) struct Lease {
    /// Some until it is dropped.
    connection: Option<Connection>,
    pool: Arc<Pool>,
    slot: Option<OwnedSemaphorePermit>,
    /// The server may be at work.
    is_busy: bool,
    transaction: Option<Mode>,
}

impl Lease {
    pub(super) fn new(connection: Connection, pool: Arc<Pool>, slot: OwnedSemaphorePermit) -> Self {
        Self { connection: Some(connection), pool, slot: Some(slot), is_busy: false, transaction: None }
    }

    pub(super) fn is_in_transaction(&mut self, mode: Mode) {
        self.transaction = Some(mode);
    }

    /// One statement of a transaction.
    pub(in crate::sql) async fn call(&mut self, call: &Call) -> Result<Answered, Error> {
        self.say(&limit_to(call.limit, "true"), call.limit).await?;
        self.call_alone(call).await
    }

    /// One statement; its time has been set.
    pub(super) async fn call_alone(&mut self, call: &Call) -> Result<Answered, Error> {
        self.guarded(call.limit, async |connection| run(connection, call).await).await
    }

    /// What was read only is undone all the same: what a transaction that reads only may still do, such as making large objects in older
    /// servers, is not to stay.
    pub(in crate::sql) async fn commit(mut self, limit: Duration) -> Result<(), Error> {
        if self.transaction == Some(Mode::Write) {
            self.say("COMMIT", limit).await?;
            self.transaction = None;
        }
        Ok(())
    }

    /// Our own words, without any answer.
    pub(super) async fn say(&mut self, text: &str, limit: Duration) -> Result<(), Error> {
        let text = AssertSqlSafe(text);
        self.guarded(limit, async |connection| {
            sqlx::raw_sql(text).execute(&mut connection.client).await.map_err(Failed::At)?;
            Ok(())
        })
        .await
    }

    /// Knows, whenever it is dropped, whether the server may still be at work.
    async fn guarded<T>(&mut self, limit: Duration, work: impl AsyncFnOnce(&mut Connection) -> Result<T, Failed>) -> Result<T, Error> {
        let Some(connection) = &mut self.connection else { return Err(Error::Unavailable("the connection is gone".to_owned())) };
        self.is_busy = true;
        connection.wire.reset();
        let Ok(done) = tokio::time::timeout(limit + GRACE, work(connection)).await else {
            return Err(Error::Timeout("the statement took too long and was stopped".to_owned()));
        };
        match done {
            Ok(done) => {
                self.is_busy = false;
                Ok(done)
            }
            Err(Failed::Between(error)) => {
                self.is_busy = false;
                Err(error)
            }
            Err(Failed::Within(error)) => Err(error),
            Err(Failed::At(_)) if connection.wire.is_exceeded() => Err(too_large()),
            Err(Failed::At(cause)) => {
                self.is_busy = !matches!(cause, sqlx::Error::Database(_));
                Err(failure(&cause))
            }
        }
    }
}

/// How work on a connection failed.
enum Failed {
    /// By what the database said.
    At(Cause),
    /// By us, while the database was not at work.
    Between(Error),
    /// By us, in the middle of an answer.
    Within(Error),
}

async fn run(connection: &mut Connection, call: &Call) -> Result<Answered, Failed> {
    let client = &mut connection.client;
    let text = AssertSqlSafe(call.statement.as_str()).into_sql_str();
    let statement = client.prepare(text).await.map_err(Failed::At)?;
    let types = match statement.parameters() {
        Some(Either::Left(types)) => types,
        _ => &[],
    };
    let arguments = encode::arguments(types, &call.parameters).map_err(|text| Failed::Between(Error::Invalid(text)))?;
    let columns: Vec<_> = statement.columns().iter().map(|column| column.type_info().clone()).collect();
    let names =
        statement.columns().iter().map(|column| (column.name().to_owned(), column.type_info().name().to_ascii_lowercase())).collect();
    let mut rows = if call.wants == Wants::Rows {
        for (column, kind) in statement.columns().iter().zip(&columns) {
            decode::check(kind).map_err(|fault| Failed::Between(Error::Invalid(format!("the column `{}`: {fault}", column.name()))))?;
        }
        Some(Rows::new(names).map_err(Failed::Between)?)
    } else {
        None
    };
    let mut written = 0;
    let mut answers = client.fetch_many(statement.query_with(arguments));
    while let Some(answer) = answers.try_next().await.map_err(Failed::At)? {
        match (answer, &mut rows) {
            (Either::Left(done), _) => written += done.rows_affected(),
            (Either::Right(row), Some(rows)) => {
                rows.push(|number, out| decode::column(&row, number, &columns[number], out)).map_err(Failed::Within)?;
            }
            (Either::Right(_), None) => {}
        }
    }
    match rows {
        Some(rows) => rows.finish(written).map_err(Failed::Between),
        None => Ok(Answered { columns: Vec::new(), rows: String::new(), written }),
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let (pool, slot, is_busy, is_open) = (Arc::clone(&self.pool), self.slot.take(), self.is_busy, self.transaction.is_some());
        let Ok(runtime) = Handle::try_current() else {
            // The process ends; the server sees that the connection is gone.
            return;
        };
        let tracker = pool.common.tracker.clone();
        tracker.spawn_on(
            async move {
                let backend = connection.backend();
                let cleaned = if is_busy { None } else { clean(connection, is_open).await };
                match cleaned {
                    Some(connection) => pool.keep(connection),
                    None => terminate(&pool, &backend).await,
                }
                drop(slot);
            },
            &runtime,
        );
    }
}

/// Makes the session as new.
async fn clean(mut connection: Connection, is_open: bool) -> Option<Connection> {
    connection.wire.reset();
    let cleaned = async {
        let client = &mut connection.client;
        if is_open {
            sqlx::raw_sql("ROLLBACK").execute(&mut *client).await?;
        }
        // What the client knows of statements goes first: the server forgets them next.
        client.clear_cached_statements().await?;
        sqlx::raw_sql("DISCARD ALL").execute(&mut *client).await?;
        client.shrink_buffers();
        Ok::<(), Cause>(())
    };
    let cleaned = tokio::time::timeout(CLEAN_LIMIT, cleaned).await;
    matches!(cleaned, Ok(Ok(()))).then_some(connection)
}

/// Ends a process of the server: that its connection is gone it would notice only once its statement has ended.
async fn terminate(pool: &Pool, backend: &Backend) {
    for _ in 0..TERMINATE_TRIES {
        let Ok(mut other) = pool.connect().await else { continue };
        if let Ok(Ok(())) = tokio::time::timeout(CLEAN_LIMIT, other.terminate(backend)).await {
            return;
        }
    }
    tracing::warn!("a statement that was given up could not be ended on its database; it ends when its time is up");
}
