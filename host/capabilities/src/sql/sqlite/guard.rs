//! What a statement may do, asked by SQLite itself of each part of it while it is prepared, and how long, asked while it runs.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{
    Connection, Error, OpenFlags, TransactionBehavior,
    config::DbConfig,
    hooks::{AuthAction, AuthContext, Authorization},
    limits::Limit,
};
use sandmill_model::grants::Mode;

use super::{functions, is_set};

/// How long a statement waits for another's transaction.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// Steps of SQLite's machine between two looks at the time: a microsecond, or some milliseconds if each is about a large value.
const STEPS_BETWEEN: i32 = 100;
const PAGE_BYTES: i64 = 4_096;
/// Bytes of a value, a row or a statement's text: what is made in the middle of a statement is in this process's memory.
pub(super) const VALUE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Columns of a table or an answer.
const COLUMNS_MAX: i32 = 100;
/// Bytes of a pattern of LIKE and GLOB: how long one takes grows with it.
const PATTERN_BYTES_MAX: i32 = 100;
/// Bytes of all that SQLite has in this process's memory, the node's own database with it: statements that would take it beyond that fail. What is
/// sorted or kept for a while is in memory too, and not on a disk without limit.
const HEAP_BYTES_MAX: i64 = 1024 * 1024 * 1024;
/// KiB of pages that a connection keeps.
const CACHE_KIB: i64 = 4_096;
/// Bytes of the temporary tables of a connection: they are in memory as long as the transaction is open, also while no statement executes.
const TEMP_TABLES_BYTES_MAX: i64 = 16 * 1024 * 1024;

/// PRAGMAs that only tell what is there.
const TELLING: &[&str] =
    &["data_version", "foreign_key_list", "index_info", "index_list", "index_xinfo", "table_info", "table_list", "table_xinfo"];
/// Virtual tables that keep what they have in tables of the same file.
const MODULES: &[&str] = &["fts5", "rtree", "json_each", "json_tree"];

/// What a connection and whoever waits for it share.
#[derive(Default)]
pub(super) struct Guard {
    /// The host itself speaks.
    is_host: AtomicBool,
    is_stopped: AtomicBool,
    deadline: Mutex<Option<Instant>>,
}

impl Guard {
    pub(super) fn start(&self, deadline: Instant) {
        self.is_stopped.store(false, Ordering::Relaxed);
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
    }

    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Does what a script may not.
    pub(super) fn as_host<T>(&self, work: impl FnOnce() -> T) -> T {
        self.is_host.store(true, Ordering::Relaxed);
        let done = work();
        self.is_host.store(false, Ordering::Relaxed);
        done
    }

    fn is_over(&self) -> bool {
        let deadline = *self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        is_set(&self.is_stopped) || deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

pub(super) fn begin(behavior: TransactionBehavior) -> &'static str {
    match behavior {
        TransactionBehavior::Immediate => "BEGIN IMMEDIATE",
        _ => "BEGIN DEFERRED",
    }
}

/// A new connection, on which nothing but what the guard allows can be done.
pub(super) fn open(path: &Path, mode: Mode, bytes_max: u64) -> rusqlite::Result<(Connection, Arc<Guard>)> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| no_folder(&error))?;
    }
    // Neither URIs nor links: the path is ours and is taken as it is.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_LIMIT)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update_and_check(None, "hard_heap_limit", HEAP_BYTES_MAX, |_| Ok(()))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update_and_check(Some("temp"), "max_page_count", TEMP_TABLES_BYTES_MAX / PAGE_BYTES, |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "query_only", mode == Mode::Read)?;
    connection.pragma_update_and_check(None, "max_page_count", i64::try_from(bytes_max).unwrap_or(i64::MAX) / PAGE_BYTES, |_| Ok(()))?;
    for (config, value) in [
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        connection.set_db_config(config, value)?;
    }
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, i32::try_from(VALUE_BYTES_MAX).unwrap_or(i32::MAX)),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN_BYTES_MAX),
        (Limit::SQLITE_LIMIT_COLUMN, COLUMNS_MAX),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 100),
    ] {
        connection.set_limit(limit, value)?;
    }
    functions::define(&connection)?;
    let guard = Arc::new(Guard::default());
    let (asked, looked) = (Arc::clone(&guard), Arc::clone(&guard));
    connection.authorizer(Some(
        move |context: AuthContext<'_>| {
            if is_set(&asked.is_host) { Authorization::Allow } else { authorization(&context.action, mode) }
        },
    ))?;
    connection.progress_handler(STEPS_BETWEEN, Some(move || looked.is_over()))?;
    Ok((connection, guard))
}

/// Bytes of the log of the database at `path`.
pub(super) fn log_bytes(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).map_or(0, |log| log.len())
}

fn authorization(action: &AuthAction<'_>, mode: Mode) -> Authorization {
    let is_allowed = match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => {
            !matches!(function_name.to_ascii_lowercase().as_str(), "load_extension" | "fts3_tokenizer")
        }
        AuthAction::Pragma { pragma_name, .. } => TELLING.contains(&pragma_name.to_ascii_lowercase().as_str()),
        AuthAction::CreateVtable { module_name, .. } | AuthAction::DropVtable { module_name, .. } => {
            mode == Mode::Write && MODULES.contains(&module_name.to_ascii_lowercase().as_str())
        }
        AuthAction::Attach { .. }
        | AuthAction::Detach { .. }
        | AuthAction::Transaction { .. }
        | AuthAction::Savepoint { .. }
        | AuthAction::Unknown { .. } => false,
        AuthAction::CreateIndex { .. }
        | AuthAction::CreateTable { .. }
        | AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. }
        | AuthAction::CreateTrigger { .. }
        | AuthAction::CreateView { .. }
        | AuthAction::Delete { .. }
        | AuthAction::DropIndex { .. }
        | AuthAction::DropTable { .. }
        | AuthAction::DropTempIndex { .. }
        | AuthAction::DropTempTable { .. }
        | AuthAction::DropTempTrigger { .. }
        | AuthAction::DropTempView { .. }
        | AuthAction::DropTrigger { .. }
        | AuthAction::DropView { .. }
        | AuthAction::Insert { .. }
        | AuthAction::Update { .. }
        | AuthAction::AlterTable { .. }
        | AuthAction::Reindex { .. }
        | AuthAction::Analyze { .. } => mode == Mode::Write,
        // What a later SQLite may ask.
        _ => false,
    };
    if is_allowed { Authorization::Allow } else { Authorization::Deny }
}

fn no_folder(error: &io::Error) -> Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
    Error::SqliteFailure(code, Some(error.to_string()))
}
