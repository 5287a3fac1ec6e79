//! SQLite: a file for each name in the workspace's folder, opened anew for each call and transaction, so that nothing of a session is left.
//!
//! A statement runs on a thread for blocking work. It is looked at while it runs: it ends when its time is up or when whoever waits for it is gone.

mod functions;
mod guard;
mod values;

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, Statement, TransactionBehavior};
use sandmill_model::{Opening, ScriptPath, WorkspaceId, grants::Mode};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::guard::Guard;
use super::{
    Answered, Call, Error, PARAMETERS_MAX, Wants,
    databases::{Common, Share},
    room::FILE_BYTES_MIN,
    rows::Rows,
};
use crate::{bindings::sql::DatabaseError, resources::Revealed};

const NAME_BYTES_MAX: usize = 64;
/// Bytes of what was written and is not in the database itself yet; it cannot come there while somebody reads what was before.
const LOG_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A resource of the type `sqlite`.
#[derive(Deserialize)]
struct Spec {
    name: String,
}

pub(super) struct File {
    path: PathBuf,
    opening: Opening,
    /// Whether it is noted that it is opened.
    is_noted: AtomicBool,
    common: Arc<Common>,
    slots: Arc<Semaphore>,
    share: Arc<Share>,
}

/// A connection while a call or a transaction has it. Dropping it closes it, which undoes what was not committed.
pub(crate) struct Lease {
    /// None while a statement runs.
    open: Option<Open>,
    common: Arc<Common>,
    share: Arc<Share>,
    /// The database may grow by what its workspace may keep, and not by what a database may have.
    is_bound: bool,
    /// Of the database and of the workspace.
    _slots: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

struct Open {
    connection: Connection,
    guard: Arc<Guard>,
}

impl File {
    /// For a resource of a workspace.
    pub(super) fn new((workspace, path): (WorkspaceId, &ScriptPath), revealed: &Revealed, common: Arc<Common>) -> Result<Arc<Self>, Error> {
        let spec: Result<Spec, _> = revealed.value.read();
        let is_of_names = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        let name = match spec {
            Ok(spec) if (1..=NAME_BYTES_MAX).contains(&spec.name.len()) && spec.name.bytes().all(is_of_names) => spec.name,
            _ => {
                return Err(Error::Invalid(
                    "the resource is no `sqlite`: its name has 1 to 64 of the letters a-z, digits, `_` and `-`".to_owned(),
                ));
            }
        };
        let file = common.options.sqlite_folder.join(workspace.to_string()).join(format!("{name}.db"));
        let opening = Opening { workspace, path: path.clone(), revision: revealed.revision, name };
        let slots = Arc::new(Semaphore::new(common.options.connections_max));
        let share = common.sqlite_share(workspace);
        Ok(Arc::new(Self { path: file, opening, is_noted: AtomicBool::new(false), common, slots, share }))
    }

    pub(super) async fn once(self: &Arc<Self>, call: Call) -> Result<Answered, Error> {
        self.lease(call.mode, call.limit).await?.call(call).await
    }

    pub(super) async fn begin(self: &Arc<Self>, mode: Mode, limit: Duration) -> Result<Lease, Error> {
        let mut lease = self.lease(mode, limit).await?;
        let behavior = match mode {
            Mode::Read => TransactionBehavior::Deferred,
            Mode::Write => TransactionBehavior::Immediate,
        };
        let begin = move |open: &mut Open| open.guard.as_host(|| open.connection.execute_batch(guard::begin(behavior)));
        lease.work(limit, begin).await?;
        Ok(lease)
    }

    async fn lease(&self, mode: Mode, limit: Duration) -> Result<Lease, Error> {
        let options = &self.common.options;
        let (of_database, of_workspace) = (Arc::clone(&self.slots), Arc::clone(&self.share.connections));
        let slots = async { Some((of_database.acquire_owned().await.ok()?, of_workspace.acquire_owned().await.ok()?)) };
        let Ok(Some(slots)) = tokio::time::timeout(options.acquire_timeout.min(limit), slots).await else {
            return Err(Error::Unavailable("all connections to the database, or of its workspace, are in use; try again".to_owned()));
        };
        if mode == Mode::Write && guard::log_bytes(&self.path) > LOG_BYTES_MAX {
            return Err(Error::Unavailable(
                "the database's log is too long, since a transaction has been reading for long; try again once it has ended".to_owned(),
            ));
        }
        self.note().await?;
        let bytes_max = self.bytes_max(mode).await?;
        let path = self.path.clone();
        let opened = tokio::task::spawn_blocking(move || guard::open(&path, mode, bytes_max)).await;
        let (connection, guard) = opened.map_err(|_| gone())?.map_err(|error| failure(&error))?;
        Ok(Lease {
            open: Some(Open { connection, guard }),
            common: Arc::clone(&self.common),
            share: Arc::clone(&self.share),
            is_bound: bytes_max < options.sqlite_bytes_max,
            _slots: slots,
        })
    }

    /// Notes that it is opened, before there is a file.
    async fn note(&self) -> Result<(), Error> {
        let Some(files) = self.common.options.files.as_ref().filter(|_| !is_set(&self.is_noted)) else { return Ok(()) };
        if !files.open(self.opening.clone()).await.map_err(Error::Unavailable)? {
            return Err(Error::Unavailable("the resource was changed at this moment; try again".to_owned()));
        }
        self.is_noted.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes that the file may have: those that it has, and those that its workspace may keep beside all that it keeps.
    async fn bytes_max(&self, mode: Mode) -> Result<u64, Error> {
        let (options, workspace) = (&self.common.options, self.opening.workspace);
        let present = fs::metadata(&self.path).map_or(0, |file| file.len());
        // Who only reads makes the file, too.
        let asks = mode == Mode::Write || present == 0;
        let Some(files) = options.files.as_ref().filter(|_| asks) else { return Ok(options.sqlite_bytes_max) };
        let Some(room) = files.room(workspace).await.map_err(Error::Unavailable)? else { return Ok(options.sqlite_bytes_max) };
        let left = room.saturating_sub(options.sizes.bytes(workspace).await.map_err(Error::Unavailable)?);
        if present == 0 && left < FILE_BYTES_MIN {
            return Err(Error::TooLarge("the workspace keeps as many bytes as it may (stored_bytes)".to_owned()));
        }
        Ok(present.max(FILE_BYTES_MIN).saturating_add(left).min(options.sqlite_bytes_max))
    }
}

impl Lease {
    pub(super) async fn call(&mut self, call: Call) -> Result<Answered, Error> {
        let limit = call.limit;
        let failed = Arc::new(std::sync::Mutex::new(None));
        let told = Arc::clone(&failed);
        let answered = self.work(limit, move |open| match run(&open.connection, &call) {
            Ok(answered) => Ok(Some(answered)),
            Err(Failed::At(error)) => Err(error),
            Err(Failed::Here(error)) => {
                *told.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
                Ok(None)
            }
        });
        match answered.await? {
            Some(answered) => Ok(answered),
            None => {
                let told = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                Err(told.unwrap_or_else(gone))
            }
        }
    }

    pub(super) async fn commit(mut self, limit: Duration) -> Result<(), Error> {
        self.work(limit, |open| open.guard.as_host(|| open.connection.execute_batch("COMMIT"))).await
    }

    /// Works on the connection on another thread. If whoever waits is dropped, the work is stopped and the connection closed.
    async fn work<T: Send + 'static>(
        &mut self,
        limit: Duration,
        work: impl FnOnce(&mut Open) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let Some(mut open) = self.open.take() else { return Err(gone()) };
        let deadline = Instant::now() + limit;
        let (of_workspace, of_node) = (Arc::clone(&self.share.turns), Arc::clone(&self.common.sqlite_statements));
        let turn = async { Some((of_workspace.acquire_owned().await.ok()?, of_node.acquire_owned().await.ok()?)) };
        let Ok(Some(turn)) = tokio::time::timeout(limit, turn).await else {
            return Err(Error::Unavailable("too many statements run on this node; try again".to_owned()));
        };
        open.guard.start(deadline);
        let stop = Stop(Arc::clone(&open.guard));
        let done = self.common.tracker.spawn_blocking(move || {
            let done = work(&mut open);
            drop(turn);
            (open, done)
        });
        let (open, done) = done.await.map_err(|_| gone())?;
        drop(stop);
        let (is_late, is_bound) = (Instant::now() >= deadline, self.is_bound);
        self.open = Some(open);
        done.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) if is_late => Error::Timeout("the statement took too long and was stopped".to_owned()),
            Some(ErrorCode::DiskFull) if is_bound => Error::TooLarge(
                "the workspace keeps as many bytes as it may (stored_bytes), unless temporary tables or the disk are full; \
                 what is deleted makes room in its own database"
                    .to_owned(),
            ),
            _ => failure(&error),
        })
    }
}

/// Stops the statement when dropped.
struct Stop(Arc<Guard>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

enum Failed {
    At(rusqlite::Error),
    Here(Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::At(error)
    }
}

/// Which of the parameters belongs into a place: to SQLite `$2` is but a name, and the first place is whatever comes first.
fn number_at(statement: &Statement<'_>, place: usize) -> Result<usize, String> {
    let Some(name) = statement.parameter_name(place) else { return Ok(place) };
    if name.starts_with('?') {
        return Ok(place);
    }
    let number = name.strip_prefix('$').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|digits| digits.parse().ok()).filter(|number| (1..=PARAMETERS_MAX).contains(number));
    number.ok_or_else(|| format!("parameters are `$1`, `$2`, … up to `${PARAMETERS_MAX}`, or `?`; `{name}` is none"))
}

fn run(connection: &Connection, call: &Call) -> Result<Answered, Failed> {
    let invalid = |text: String| Failed::Here(Error::Invalid(text));
    let mut statement = connection.prepare(&call.statement)?;
    if call.mode == Mode::Read && !statement.readonly() {
        return Err(Failed::Here(Error::ReadOnly("the statement writes".to_owned())));
    }
    let numbers = (1..=statement.parameter_count()).map(|place| number_at(&statement, place)).collect::<Result<Vec<_>, _>>();
    let numbers = numbers.map_err(invalid)?;
    let wanted = numbers.iter().copied().max().unwrap_or(0);
    if wanted != call.parameters.len() {
        return Err(invalid(format!("the statement has {wanted} parameters; {} were given", call.parameters.len())));
    }
    for (place, number) in (1..).zip(numbers) {
        let value = values::from_json(call.parameters[number - 1].get()).map_err(|fault| invalid(format!("${number}: {fault}")))?;
        statement.raw_bind_parameter(place, value)?;
    }
    let columns: Vec<(String, String)> = statement
        .columns()
        .iter()
        .map(|column| (column.name().to_owned(), column.decl_type().unwrap_or("any").to_ascii_lowercase()))
        .collect();
    let kinds: Vec<bool> = columns.iter().map(|(_, kind)| matches!(kind.as_str(), "json" | "jsonb")).collect();
    let before = connection.total_changes();
    let is_counted = call.wants == Wants::Count;
    let mut rows = if is_counted { None } else { Some(Rows::new(columns).map_err(Failed::Here)?) };
    let is_read_only = statement.readonly();
    let mut found = statement.raw_query();
    while let Some(row) = found.next()? {
        let Some(rows) = &mut rows else { continue };
        let pushed = rows.push(|number, out| {
            let value = row.get_ref(number).map_err(|error| error.to_string())?;
            values::to_json(out, value, kinds.get(number).copied().unwrap_or(false))
        });
        pushed.map_err(Failed::Here)?;
    }
    let written = if is_read_only { 0 } else { connection.total_changes().saturating_sub(before) };
    match rows {
        Some(rows) => rows.finish(written).map_err(Failed::Here),
        None => Ok(Answered { columns: Vec::new(), rows: String::new(), written }),
    }
}

fn gone() -> Error {
    Error::Unavailable("the statement was stopped in the middle".to_owned())
}

fn failure(error: &rusqlite::Error) -> Error {
    match error {
        rusqlite::Error::SqliteFailure(code, _) if matches!(code.code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::Unavailable("the database is locked by another transaction; try again".to_owned())
        }
        rusqlite::Error::SqliteFailure(code, _) if matches!(code.code, ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => {
            Error::Unavailable("the database's file cannot be used".to_owned())
        }
        rusqlite::Error::SqliteFailure(code, _) if code.code == ErrorCode::DiskFull => Error::Database(record(
            code.extended_code,
            "the database is full: it has reached its largest size, or the disk has no space".to_owned(),
            None,
        )),
        rusqlite::Error::SqliteFailure(code, _) if code.code == ErrorCode::OutOfMemory => {
            Error::TooLarge("the statement takes more memory than there is for databases of this node".to_owned())
        }
        rusqlite::Error::SqliteFailure(code, text) => {
            Error::Database(record(code.extended_code, text.clone().unwrap_or_else(|| code.to_string()), None))
        }
        rusqlite::Error::SqlInputError { error, msg, sql, offset } => {
            let position = usize::try_from(*offset).ok().and_then(|offset| sql.get(..offset)).map(|text| text.chars().count() + 1);
            Error::Database(record(error.extended_code, msg.clone(), position.and_then(|at| u32::try_from(at).ok())))
        }
        rusqlite::Error::MultipleStatement => Error::Invalid("a call takes one statement".to_owned()),
        rusqlite::Error::ToSqlConversionFailure(error) => Error::Invalid(error.to_string()),
        other => Error::Invalid(other.to_string()),
    }
}

fn record(code: i32, message: String, position: Option<u32>) -> Box<DatabaseError> {
    Box::new(DatabaseError { code: code.to_string(), message, detail: None, hint: None, constraint: None, position })
}

/// Whether a flag is set; a statement and whoever waits for it share it.
fn is_set(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}
