//! The open database: connections for reading, and the way to its writers.

use std::{path::Path, sync::Arc, time::Duration};

use futures_util::stream::BoxStream;
use sandmill_model::BoxFuture;
use sqlx::{ConnectOptions, PgPool, SqlitePool, pool::PoolOptions, sqlite::SqliteConnectOptions};
use tokio::time::Instant;

use super::{
    Durability, Options,
    dialect::{self, Conn, at_once::AtOnce},
    migrate,
    turns::Turns,
    value::{Value, values},
    writer::{CONTENDED_TRIES_MAX, Source, Writer},
};
use crate::StoreError;

/// Connections that read a SQLite file.
const READERS_MAX: u32 = 4;
/// Batches of runs that are written to PostgreSQL at the same time.
const POSTGRES_LANES: i64 = 4;
/// The same for what runs write while they go on: apart, so that whoever starts a run does not wait for it.
const POSTGRES_SIDE_LANES: i64 = 2;
/// How long opening waits for another process that is opening the same new file.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
const OPEN_PAUSE: Duration = Duration::from_millis(10);
/// How long the database may take for a signal.
const SAY_TIMEOUT: Duration = Duration::from_secs(2);

/// One whole operation on a connection lent to it. It may be run again after it failed, so it keeps nothing between.
pub(super) type Work<D, T> = for<'c> fn(&'c D, Conn<'c>) -> BoxFuture<'c, Result<T, StoreError>>;

enum Backend {
    /// A database in memory belongs to one connection, so it has no readers beside its writer.
    Sqlite {
        readers: Option<SqlitePool>,
        at_once: Option<Arc<AtOnce>>,
    },
    Postgres(PgPool),
}

pub(super) struct Db {
    backend: Backend,
    writer: Arc<Writer>,
    /// For what runs write while they go on. On SQLite it is the writer.
    side: Arc<Writer>,
    /// For what nodes tell each other: it does not wait for whatever keeps the other connections busy. None where there are no channels.
    voice: Option<PgPool>,
}

impl Db {
    pub(super) async fn open(options: &Options) -> Result<Self, StoreError> {
        match options.url.split_once(':') {
            Some(("sqlite", rest)) => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                let file = (path != ":memory:").then(|| Path::new(path));
                open_sqlite(file, options.durability).await
            }
            Some(("postgres" | "postgresql", _)) => open_postgres(&options.url, options.durability).await,
            _ => Err(StoreError::Other("a database's URL starts with `sqlite:` or `postgres:`".to_owned())),
        }
    }

    /// For operations that change nothing; they see what was committed before them.
    pub(super) async fn read<D, T>(&self, data: D, work: Work<D, T>) -> Result<T, StoreError>
    where
        D: Send + Sync + 'static,
        T: Send + 'static,
    {
        match &self.backend {
            Backend::Sqlite { readers: Some(readers), .. } => {
                let mut conn = readers.acquire().await.map_err(dialect::error)?;
                work(&data, Conn::Sqlite(&mut conn)).await
            }
            Backend::Sqlite { readers: None, .. } => self.writer.call(data, Turns::default(), work).await,
            Backend::Postgres(pool) => {
                let mut conn = pool.acquire().await.map_err(dialect::error)?;
                work(&data, Conn::Postgres(&mut conn)).await
            }
        }
    }

    /// The text in the first column of the first row, read on the thread that asks; within, none if there is no row. None where that is not possible:
    /// then by [`Db::read`].
    pub(super) fn text_at_once(&self, sql: &'static str, values: &[Value]) -> Option<Option<String>> {
        self.at_once()?.text(sql, values)
    }

    /// Runs one statement on the thread that asks and returns how many rows it changed. None where that is not possible, and then nothing was changed: then by
    /// [`Db::share`].
    pub(super) fn execute_at_once(&self, sql: &'static str, values: &[Value]) -> Option<u64> {
        let at_once = self.at_once()?;
        self.writer.between(|| at_once.execute(sql, values))
    }

    fn at_once(&self) -> Option<&AtOnce> {
        match &self.backend {
            Backend::Sqlite { at_once, .. } => at_once.as_deref(),
            Backend::Postgres(_) => None,
        }
    }

    /// Runs an operation in a transaction. On SQLite it shares the commit of others; if one of them fails, each is run again in a transaction of its own.
    pub(super) async fn write<D, T>(&self, data: D, work: Work<D, T>) -> Result<T, StoreError>
    where
        D: Send + Sync + 'static,
        T: Send + 'static,
    {
        match &self.backend {
            Backend::Sqlite { .. } => self.writer.call(data, Turns::default(), work).await,
            Backend::Postgres(pool) => {
                for _ in 1..CONTENDED_TRIES_MAX {
                    match transact(pool, &data, work).await {
                        Err(StoreError::Contended(why)) => tracing::debug!(why, "two transactions were in each other's way"),
                        done => return done,
                    }
                }
                transact(pool, &data, work).await
            }
        }
    }

    /// As [`Db::write`], and on PostgreSQL, too, it shares its commit with others that are written in this way. `turns` are for all that it locks
    /// and somebody else may lock in another order.
    pub(super) async fn share<D, T>(&self, data: D, turns: Turns, work: Work<D, T>) -> Result<T, StoreError>
    where
        D: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.side.call(data, turns, work).await
    }

    /// For the operations that are merged with others of their kind.
    pub(super) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// A connection of its own to the same database, for the runtime that calls. SQLite has one writer, which is shared.
    pub(super) async fn apart(&self) -> Result<Self, StoreError> {
        match &self.backend {
            Backend::Sqlite { .. } => Ok(self.with(Backend::Sqlite { readers: None, at_once: None })),
            Backend::Postgres(pool) => Ok(self.with(Backend::Postgres(dialect::postgres::small(pool).await?))),
        }
    }

    fn with(&self, backend: Backend) -> Self {
        Self { backend, writer: Arc::clone(&self.writer), side: Arc::clone(&self.side), voice: None }
    }

    /// Whether other processes work on the same database at the same time.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.backend, Backend::Postgres(_))
    }

    /// Payloads that are sent to a channel from now on.
    pub(super) async fn listen(&self, channel: &str) -> Result<BoxStream<'static, Result<String, StoreError>>, StoreError> {
        match &self.backend {
            Backend::Sqlite { .. } => Err(StoreError::Other("SQLite has no channels".to_owned())),
            Backend::Postgres(pool) => dialect::postgres::listen(pool, channel).await,
        }
    }

    /// Sends a payload to a channel.
    pub(super) async fn notify(&self, channel: &str, payload: &str) -> Result<(), StoreError> {
        let Some(voice) = &self.voice else { return Err(StoreError::Other("SQLite has no channels".to_owned())) };
        let mut conn = voice.acquire().await.map_err(dialect::error)?;
        let said = {
            let mut lent = Conn::Postgres(&mut conn);
            let rows = lent.rows("SELECT pg_notify($1, $2)", values![channel, payload]);
            tokio::time::timeout(SAY_TIMEOUT, rows).await
        };
        match said {
            Ok(rows) => rows.map(drop),
            Err(_) => {
                // The next goes by another: there is but one, and it may be dead.
                drop(conn.detach());
                Err(StoreError::Unavailable("the database did not take a signal in time".to_owned()))
            }
        }
    }

    pub(super) async fn close(&self) {
        self.writer.close().await;
        self.side.close().await;
        if let Some(voice) = &self.voice {
            voice.close().await;
        }
        match &self.backend {
            Backend::Sqlite { readers, at_once } => {
                if let Some(at_once) = at_once {
                    at_once.close();
                }
                if let Some(readers) = readers {
                    readers.close().await;
                }
            }
            Backend::Postgres(pool) => pool.close().await,
        }
    }
}

async fn transact<D, T>(pool: &PgPool, data: &D, work: Work<D, T>) -> Result<T, StoreError> {
    let mut transaction = pool.begin().await.map_err(dialect::error)?;
    let done = work(data, Conn::Postgres(&mut transaction)).await?;
    transaction.commit().await.map_err(dialect::error)?;
    Ok(done)
}

async fn open_sqlite(file: Option<&Path>, durability: Durability) -> Result<Db, StoreError> {
    let options = dialect::sqlite::options(file, durability);
    let deadline = Instant::now() + OPEN_TIMEOUT;
    let mut writer = loop {
        // Turning on the write-ahead log needs the file alone, and SQLite does not wait for that as it does for other locks.
        match options.connect().await.map_err(dialect::error) {
            Ok(conn) => break conn,
            Err(StoreError::Unavailable(_)) if Instant::now() < deadline && file.is_some_and(Path::exists) => {
                tokio::time::sleep(OPEN_PAUSE).await
            }
            Err(error) => return Err(error),
        }
    };
    migrate::run(Conn::Sqlite(&mut writer)).await?;
    // A file that may not be written SQLite opens for reading only, without a word, and this connection would stay so for ever.
    Conn::Sqlite(&mut writer).execute("UPDATE migrations SET number = number WHERE number = 0", Vec::new()).await?;
    let readers = file.is_some().then(|| readers(options));
    let writer = Arc::new(Writer::start(vec![Source::Sqlite(writer)]));
    Ok(Db {
        backend: Backend::Sqlite { readers, at_once: file.and_then(|file| AtOnce::open(file, durability)).map(Arc::new) },
        side: Arc::clone(&writer),
        writer,
        voice: None,
    })
}

fn readers(options: SqliteConnectOptions) -> SqlitePool {
    PoolOptions::new()
        .max_connections(READERS_MAX)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options.create_if_missing(false).pragma("query_only", "ON"))
}

async fn open_postgres(url: &str, durability: Durability) -> Result<Db, StoreError> {
    let pool = dialect::postgres::open(url, durability).await?;
    let mut conn = pool.acquire().await.map_err(dialect::error)?;
    migrate::run(Conn::Postgres(&mut conn)).await?;
    drop(conn);
    // Lanes of all nodes count apart, and so do those of two stores in one process.
    let own = i64::from(u16::from_be_bytes(sandmill_model::random::bytes())) << 8;
    let writer =
        |lanes: std::ops::Range<i64>| Arc::new(Writer::start(lanes.map(|lane| Source::Postgres(pool.clone(), own + lane)).collect()));
    let (writer, side) = (writer(1..1 + POSTGRES_LANES), writer(1 + POSTGRES_LANES..1 + POSTGRES_LANES + POSTGRES_SIDE_LANES));
    let voice = Some(dialect::postgres::voice(&pool));
    Ok(Db { backend: Backend::Postgres(pool), writer, side, voice })
}
