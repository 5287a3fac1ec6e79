//! PostgreSQL: connections of one resource, taken for a call or a transaction and given back clean.

mod connection;
mod decode;
mod encode;
mod failure;
mod lease;
mod wire;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sandmill_model::grants::Mode;
use tokio::sync::Semaphore;

use self::connection::{Connection, Spec};
pub(super) use self::lease::Lease;
use super::{Answered, Call, Error, databases::Common};
use crate::resources::Revealed;

/// The second statement takes a snapshot: after it nothing makes the transaction one that writes.
const BEGIN_READING: &str = "BEGIN READ ONLY; SELECT 1";

pub(super) struct Pool {
    spec: Spec,
    common: Arc<Common>,
    /// One for each connection, idle ones not counted.
    slots: Arc<Semaphore>,
    idle: Mutex<Vec<(Connection, Instant)>>,
    is_closed: AtomicBool,
}

impl Pool {
    pub(super) fn new(revealed: &Revealed, common: Arc<Common>) -> Result<Arc<Self>, Error> {
        let spec = Spec::read(&revealed.value)?;
        let slots = Arc::new(Semaphore::new(common.options.connections_max));
        Ok(Arc::new(Self { spec, common, slots, idle: Mutex::default(), is_closed: AtomicBool::new(false) }))
    }

    /// A statement by itself. One that reads only is in a transaction that can write nothing and is always undone; another commits by itself,
    /// since some cannot be in a transaction.
    pub(super) async fn once(self: &Arc<Self>, call: &Call) -> Result<Answered, Error> {
        match call.mode {
            Mode::Read => {
                let mut lease = self.started(&format!("{BEGIN_READING}; {}", limit_to(call.limit, "true")), call.limit).await?;
                lease.is_in_transaction(Mode::Read);
                lease.call_alone(call).await
            }
            Mode::Write => self.started(&limit_to(call.limit, "false"), call.limit).await?.call_alone(call).await,
        }
    }

    pub(super) async fn begin(self: &Arc<Self>, mode: Mode, limit: Duration) -> Result<Lease, Error> {
        let begin = match mode {
            Mode::Read => BEGIN_READING,
            Mode::Write => "BEGIN",
        };
        let mut lease = self.started(begin, limit).await?;
        lease.is_in_transaction(mode);
        Ok(lease)
    }

    /// A connection on which `prelude` has run. One that was idle may have been closed by the other side: then there is another.
    async fn started(self: &Arc<Self>, prelude: &str, limit: Duration) -> Result<Lease, Error> {
        loop {
            let (mut lease, was_idle) = self.acquire(limit).await?;
            match lease.say(prelude, limit).await {
                Err(error) if was_idle && says_goodbye(&error) => {}
                Ok(()) => return Ok(lease),
                Err(error) => return Err(error),
            }
        }
    }

    async fn acquire(self: &Arc<Self>, limit: Duration) -> Result<(Lease, bool), Error> {
        let options = &self.common.options;
        let slot = tokio::time::timeout(options.acquire_timeout.min(limit), Arc::clone(&self.slots).acquire_owned());
        let Ok(Ok(slot)) = slot.await else {
            return Err(Error::Unavailable(format!("all {} connections are in use; try again", options.connections_max)));
        };
        let idle = self.idle().pop();
        let was_idle = idle.is_some();
        let connection = match idle {
            Some((connection, _)) => connection,
            None => self.connect().await?,
        };
        Ok((Lease::new(connection, Arc::clone(self), slot), was_idle))
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let connected = tokio::time::timeout(self.common.options.connect_timeout, Connection::open(&self.spec, &self.common));
        connected.await.unwrap_or_else(|_| Err(Error::Unavailable("the database did not answer in time".to_owned())))
    }

    /// Takes back a connection that is clean.
    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if !self.is_closed.load(Ordering::Acquire) {
            idle.push((connection, Instant::now()));
        }
    }

    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.idle().clear();
    }

    pub(super) fn close_idle(&self) {
        let limit = self.common.options.idle;
        self.idle().retain(|(_, since)| since.elapsed() < limit);
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.slots.available_permits() < self.common.options.connections_max || !self.idle().is_empty()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the other side had ended the session: by closing the connection, or with a word (57P01 and the like).
fn says_goodbye(error: &Error) -> bool {
    match error {
        Error::Unavailable(_) => true,
        Error::Database(said) => said.code.starts_with("57P"),
        _ => false,
    }
}

/// The statement that limits those after it, for the transaction only if `is_local`. At least a millisecond, since none at all means no limit.
fn limit_to(limit: Duration, is_local: &str) -> String {
    let millis = limit.as_millis().clamp(1, 0x7fff_ffff);
    format!("SELECT pg_catalog.set_config('statement_timeout', '{millis}', {is_local})")
}
