//! `sandmill:sql`: statements on databases that resources describe. What is here is what both kinds share: grants, limits, and who may do what;
//! `postgres` and `sqlite` run the statements.
//!
//! A call has a session of its own, or that of its transaction; nothing of a session is seen by the next. Whatever is dropped in the middle, a run
//! that ends among it, ends its statement too.

mod databases;
mod error;
mod postgres;
mod room;
mod rows;
mod sqlite;
mod statement;

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    Grant, JsonText, ScriptPath, WorkspaceId,
    grants::{Access, Mode, PathPattern},
};
use sandmill_sandbox::{Guest, RunLog};
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{Result, component::Resource};

use self::error::Error;
pub use self::{
    databases::{Allows, Databases, Options},
    room::{FilesPort, Sizes},
};
use crate::{
    Host,
    bindings::sql::{self as guest, Answer, Column, Host as Sql, HostTransaction},
    grants::told,
    http::TrafficPort,
    resources::OpenResource,
};

/// Bytes of a statement's text.
const STATEMENT_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the text of a call's parameters.
const PARAMETERS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Parameters of a statement; PostgreSQL takes no more.
const PARAMETERS_MAX: usize = 65_535;
/// Transactions that a run has under way at once.
pub(crate) const TRANSACTIONS_MAX: usize = 4;
/// A statement is stopped so long before its run, so that the script can still say what happened; less if the run has little time left.
const BEFORE_END: Duration = Duration::from_millis(500);

/// What a call asks of a database.
pub(crate) struct Call {
    statement: String,
    parameters: Vec<Box<RawValue>>,
    mode: Mode,
    /// How long it may take.
    limit: Duration,
    wants: Wants,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    Rows,
    /// Rows are not looked at.
    Count,
}

/// What a database answered.
pub(crate) struct Answered {
    /// Names and types.
    columns: Vec<(String, String)>,
    /// JSON array of objects.
    rows: String,
    written: u64,
}

/// What a transaction's handle stands for.
pub struct OpenTransaction {
    /// None once it has ended.
    session: Option<Session>,
    path: ScriptPath,
    mode: Mode,
    /// A statement failed, and so will the transaction.
    has_failed: bool,
    _permit: OwnedSemaphorePermit,
}

/// A session that a transaction keeps. Dropping it undoes what was not committed.
pub(crate) enum Session {
    Postgres(postgres::Lease),
    Sqlite(sqlite::Lease),
}

impl Session {
    async fn call(&mut self, call: Call) -> Result<Answered, Error> {
        match self {
            Self::Postgres(lease) => lease.call(&call).await,
            Self::Sqlite(lease) => lease.call(call).await,
        }
    }

    async fn commit(self, limit: Duration) -> Result<(), Error> {
        match self {
            Self::Postgres(lease) => lease.commit(limit).await,
            Self::Sqlite(lease) => lease.commit(limit).await,
        }
    }
}

impl Sql for Guest<Host> {
    async fn query(&mut self, on: Resource<OpenResource>, statement: String, parameters: String) -> Result<Result<Answer, guest::Error>> {
        let answered = once(self, &on, Request { statement, parameters, wants: Wants::Rows }).await?;
        Ok(answered.map(Into::into).map_err(Into::into))
    }

    async fn execute(&mut self, on: Resource<OpenResource>, statement: String, parameters: String) -> Result<Result<u64, guest::Error>> {
        let answered = once(self, &on, Request { statement, parameters, wants: Wants::Count }).await?;
        Ok(answered.map(|answered| answered.written).map_err(Into::into))
    }
}

impl HostTransaction for Guest<Host> {
    async fn begin(&mut self, on: Resource<OpenResource>) -> Result<Result<Resource<OpenTransaction>, guest::Error>> {
        self.pace().await;
        let path = self.table().get(&on)?.path.clone();
        let begun = begin(&self.host, &self.run_log(), path, limit(self)).await;
        Ok(match told(self, begun) {
            Ok(transaction) => Ok(self.table().push(transaction)?),
            Err(error) => Err(error.into()),
        })
    }

    async fn query(
        &mut self,
        this: Resource<OpenTransaction>,
        statement: String,
        parameters: String,
    ) -> Result<Result<Answer, guest::Error>> {
        let answered = within(self, &this, Request { statement, parameters, wants: Wants::Rows }).await?;
        Ok(answered.map(Into::into).map_err(Into::into))
    }

    async fn execute(
        &mut self,
        this: Resource<OpenTransaction>,
        statement: String,
        parameters: String,
    ) -> Result<Result<u64, guest::Error>> {
        let answered = within(self, &this, Request { statement, parameters, wants: Wants::Count }).await?;
        Ok(answered.map(|answered| answered.written).map_err(Into::into))
    }

    async fn commit(&mut self, this: Resource<OpenTransaction>) -> Result<Result<(), guest::Error>> {
        self.pace().await;
        let limit = limit(self);
        let transaction = self.table().get_mut(&this)?;
        let Some(session) = transaction.session.take() else { return Ok(Err(ended().into())) };
        if transaction.has_failed {
            return Ok(Err(guest::Error::Invalid("a statement of the transaction failed, so all of it was undone".to_owned())));
        }
        Ok(session.commit(limit).await.map_err(Into::into))
    }

    async fn rollback(&mut self, this: Resource<OpenTransaction>) -> Result<Result<(), guest::Error>> {
        self.pace().await;
        let session = self.table().get_mut(&this)?.session.take();
        Ok(session.map(drop).ok_or_else(|| ended().into()))
    }

    async fn drop(&mut self, this: Resource<OpenTransaction>) -> Result<()> {
        self.table().delete(this)?;
        Ok(())
    }
}

/// What a guest asks, before anything of it is checked.
struct Request {
    statement: String,
    parameters: String,
    wants: Wants,
}

async fn once(guest: &mut Guest<Host>, on: &Resource<OpenResource>, request: Request) -> Result<Result<Answered, Error>> {
    guest.pace().await;
    let path = guest.table().get(on)?.path.clone();
    let (limit, log, host) = (limit(guest), guest.run_log(), &guest.host);
    let answered = async {
        let mode = allowed(host, &path).await?;
        let call = checked(request, mode, limit)?;
        let database = open(host, &log, &path).await?;
        let counted = Counted::of(database.is_elsewhere(), host);
        counted.send(&call).await?;
        let answered = database.once(call).await.map_err(|error| named(error, &path))?;
        counted.receive(&answered);
        Ok::<_, Error>(answered)
    };
    let answered = answered.await.map_err(|error| explained(host, error, &path));
    Ok(told(guest, answered))
}

async fn begin(host: &Host, log: &RunLog, path: ScriptPath, limit: Duration) -> Result<OpenTransaction, Error> {
    let mode = allowed(host, &path).await?;
    let permit = Arc::clone(host.run.transactions()).try_acquire_owned();
    let permit = permit.map_err(|_| Error::Invalid(format!("a run has at most {TRANSACTIONS_MAX} transactions at once")))?;
    let session = open(host, log, &path).await?.begin(mode, limit).await.map_err(|error| named(error, &path))?;
    Ok(OpenTransaction { session: Some(session), path, mode, has_failed: false, _permit: permit })
}

async fn within(guest: &mut Guest<Host>, this: &Resource<OpenTransaction>, request: Request) -> Result<Result<Answered, Error>> {
    guest.pace().await;
    let limit = limit(guest);
    let counted = Counted::of(matches!(guest.table().get(this)?.session, Some(Session::Postgres(_))), &guest.host);
    let transaction = guest.table().get_mut(this)?;
    let mode = transaction.mode;
    let Some(session) = &mut transaction.session else { return Ok(Err(ended())) };
    let answered = async {
        let call = checked(request, mode, limit)?;
        counted.send(&call).await?;
        let answered = session.call(call).await?;
        counted.receive(&answered);
        Ok::<_, Error>(answered)
    };
    let answered = answered.await;
    match &answered {
        Ok(_) | Err(Error::Denied(_) | Error::ReadOnly(_) | Error::Invalid(_)) => {}
        Err(Error::Database(_)) => transaction.has_failed = true,
        // The statement was cut off in the middle, and the session with it.
        Err(Error::TooLarge(_) | Error::Timeout(_) | Error::Unavailable(_)) => {
            transaction.session = None;
        }
    }
    let path = transaction.path.clone();
    let answered = answered.map_err(|error| explained(&guest.host, error, &path));
    Ok(told(guest, answered))
}

async fn open(host: &Host, log: &RunLog, path: &ScriptPath) -> Result<databases::Database, Error> {
    let workspace = host.run.attempt.workspace;
    let revealed = host.ports.resources.reveal(workspace, path.clone()).await.map_err(Error::Unavailable)?;
    let revealed = revealed.ok_or_else(|| Error::Invalid(format!("there is no resource at {path} any more")))?;
    revealed.conceal(log);
    host.ports.sql.open(workspace, path, &revealed)
}

/// What the script may do with the database.
async fn allowed(host: &Host, path: &ScriptPath) -> Result<Mode, Error> {
    let granted = host.granted().await?;
    let mode = [Mode::Write, Mode::Read].into_iter().find(|mode| granted.covers(&need(*mode, path)));
    mode.ok_or_else(|| Error::Denied(host.denial(&[need(Mode::Read, path)])))
}

fn need(mode: Mode, path: &ScriptPath) -> Grant {
    Grant::Sql(Access { mode, of: PathPattern::from(path) })
}

fn checked(request: Request, mode: Mode, limit: Duration) -> Result<Call, Error> {
    let Request { statement, parameters, wants } = request;
    if statement.len() > STATEMENT_BYTES_MAX {
        return Err(Error::TooLarge(format!("a statement has at most {STATEMENT_BYTES_MAX} bytes; this one has {}", statement.len())));
    }
    if statement.contains('\0') {
        return Err(Error::Invalid("a statement has no NUL characters".to_owned()));
    }
    if parameters.len() > PARAMETERS_BYTES_MAX {
        return Err(Error::TooLarge(format!("the parameters have at most {PARAMETERS_BYTES_MAX} bytes; these have {}", parameters.len())));
    }
    statement::check(&statement, mode)?;
    let parameters = JsonText::parse(parameters).and_then(|json| json.read::<Vec<Box<RawValue>>>());
    let parameters = parameters.map_err(|error| Error::Invalid(format!("the parameters are no JSON array: {error}")))?;
    if parameters.len() > PARAMETERS_MAX {
        return Err(Error::TooLarge(format!("a statement has at most {PARAMETERS_MAX} parameters; these are {}", parameters.len())));
    }
    Ok(Call { statement, parameters, mode, limit, wants })
}

/// Where statements and answers are counted as what the workspace sends and receives.
struct Counted {
    workspace: WorkspaceId,
    /// None for a database of this node.
    traffic: Option<Arc<dyn TrafficPort>>,
}

impl Counted {
    fn of(is_elsewhere: bool, host: &Host) -> Self {
        let traffic = is_elsewhere.then(|| Arc::clone(&host.ports.http.traffic));
        Self { workspace: host.run.attempt.workspace, traffic }
    }

    async fn send(&self, call: &Call) -> Result<(), Error> {
        let Some(traffic) = &self.traffic else { return Ok(()) };
        traffic.admit(self.workspace).await.map_err(Error::Denied)?;
        let bytes = call.statement.len() + call.parameters.iter().map(|each| each.get().len()).sum::<usize>();
        traffic.count(self.workspace, bytes as u64, 0);
        Ok(())
    }

    /// What was written is written, so an answer is given whatever it counts: the next statement is refused.
    fn receive(&self, answered: &Answered) {
        if let Some(traffic) = &self.traffic {
            traffic.count(self.workspace, 0, answered.rows.len() as u64);
        }
    }
}

/// What is left of the run, and a little less.
fn limit(guest: &Guest<Host>) -> Duration {
    let left = guest.deadline().since(guest.now());
    left.saturating_sub(BEFORE_END.min(left / 10)).max(Duration::from_millis(1))
}

fn ended() -> Error {
    Error::Invalid("the transaction has ended".to_owned())
}

/// Says which resource it is about.
fn named(error: Error, path: &ScriptPath) -> Error {
    match error {
        Error::Denied(text) => Error::Denied(format!("{path}: {text}")),
        Error::Unavailable(text) => Error::Unavailable(format!("{path}: {text}")),
        other => other,
    }
}

/// Says how a script may write that may only read.
fn explained(host: &Host, error: Error, path: &ScriptPath) -> Error {
    match error {
        Error::ReadOnly(text) => Error::Denied(format!("{text}; {}", host.denial(&[need(Mode::Write, path)]))),
        other => other,
    }
}

impl From<Answered> for Answer {
    fn from(answered: Answered) -> Self {
        let columns = answered.columns.into_iter().map(|(name, kind)| Column { name, kind }).collect();
        Self { columns, rows: answered.rows }
    }
}
