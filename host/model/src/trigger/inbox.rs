//! What a listener has of the host: where it delivers, the time, and the end.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};

use super::{File, ListenError, Network, NewEvent, Nowhere};
use crate::{clock::Timestamp, ids::RunId, json::JsonText, outcome::Outcome, path::ScriptPath};

/// Where a listener goes on after a restart, or on another node. Kept in the transaction that makes the events durable which it stands behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub JsonText);

impl Cursor {
    /// Bytes of a cursor.
    pub const BYTES_MAX: usize = 1024 * 1024;
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Its run is durable: acknowledge.
    Accepted(RunId),
    /// Its dedup key is this run's: acknowledge.
    Duplicate(RunId),
    /// No run was to start: it is kept to be looked at, does not fit the trigger's filter, or is recorded as skipped. Acknowledge.
    Kept,
    /// It can never be a run, for this reason. It is kept as a dead letter: acknowledge.
    Invalid(String),
    /// There is no room at present: nothing is kept of it. Do not acknowledge, pause, and deliver it again.
    Busy { retry_after: Duration },
}

impl Receipt {
    #[must_use]
    pub const fn is_acknowledged(&self) -> bool {
        !matches!(self, Self::Busy { .. })
    }
}

/// What one call delivers, in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    pub events: Vec<NewEvent>,
    /// Kept only if no event is answered with [`Receipt::Busy`].
    pub cursor: Option<Cursor>,
    /// A run that was [asked](Host::ask): what it wrote to its state becomes that of its script.
    pub adopts_state_of: Option<RunId>,
}

/// A run whose result a listener wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub path: ScriptPath,
    /// What it is started with, as an event of the trigger.
    pub event: NewEvent,
    /// Writes to its state are kept apart until a [`Delivery`] adopts them.
    pub stages_state: bool,
    pub wait_max: Duration,
}

/// The outcome of an [`Ask`].
#[derive(Clone, Debug)]
pub struct Answered {
    pub run: RunId,
    /// Large results are fetched.
    pub outcome: Arc<Outcome>,
}

/// The host, as a listener reaches it.
pub trait Host: Send + Sync + 'static {
    /// Many calls may be in flight; each is answered once what it delivers is durable, in the order of its events.
    ///
    /// # Errors
    /// `Transient` if nothing was kept: acknowledge nothing. After the lease is lost every call fails so.
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Result<Vec<Receipt>, ListenError>>;

    /// The cursor that was kept last.
    ///
    /// # Errors
    /// `Transient`.
    fn cursor(&self) -> BoxFuture<'_, Result<Option<Cursor>, ListenError>>;

    /// Starts a run and waits for its end. One that does not end in time, or whose answer is not waited for any more, is cancelled.
    ///
    /// # Errors
    /// `Config` if it may not be started, `Transient` if it did not end in time.
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answered, ListenError>>;

    /// Keeps a file that belongs to an event which is delivered after it.
    ///
    /// # Errors
    /// `Transient`.
    fn keep(&self, file: File) -> BoxFuture<'_, Result<(), ListenError>>;

    /// It is connected and hears whatever comes: the back-off begins anew.
    fn listening(&self);

    /// Events that its source has and that were not delivered; none: it cannot tell.
    fn lag(&self, events: Option<u64>);

    fn now(&self) -> Timestamp;

    /// Until it is `at`, by the clock of [`Host::now`].
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()>;

    /// Whereto it may connect.
    fn network(&self) -> Arc<dyn Network> {
        Nowhere::shared()
    }
}

/// A listener's hold on the host. Cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    host: Arc<dyn Host>,
    /// Path of the trigger.
    pub trigger: Arc<str>,
    /// Immutable, unlike the names of workspace and trigger: a name for what is durable at the broker.
    pub id: Arc<str>,
    /// Events that one delivery should have at most.
    pub events_max: usize,
    /// Deliveries that should be in flight at most.
    pub deliveries_max: usize,
    /// Bytes of an event's payload; more is delivered only to be kept as a dead letter without it.
    pub payload_bytes_max: usize,
}

impl Inbox {
    /// Events that one delivery has at most.
    pub const EVENTS_MAX: usize = 500;
    /// Deliveries of one listener that are in flight at most.
    pub const DELIVERIES_MAX: usize = 8;

    #[must_use]
    pub fn new(host: Arc<dyn Host>, trigger: Arc<str>, id: Arc<str>, payload_bytes_max: usize) -> Self {
        Self { host, trigger, id, events_max: Self::EVENTS_MAX, deliveries_max: Self::DELIVERIES_MAX, payload_bytes_max }
    }

    #[must_use]
    pub fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// See [`Host::deliver`].
    ///
    /// # Errors
    /// As there.
    pub async fn deliver(&self, events: Vec<NewEvent>, cursor: Option<Cursor>) -> Result<Vec<Receipt>, ListenError> {
        self.host.deliver(Delivery { events, cursor, adopts_state_of: None }).await
    }
}

/// When a listener is to end. It then takes nothing more, waits for what is in flight, acknowledges that, and returns. Cheap to clone.
#[derive(Clone)]
pub struct Shutdown(Shared<BoxFuture<'static, ()>>);

impl Shutdown {
    /// How long a listener may take; then it is dropped.
    pub const DEADLINE: Duration = Duration::from_secs(5);

    #[must_use]
    pub fn when(signal: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(signal.boxed().shared())
    }

    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.clone().now_or_never().is_some()
    }

    /// Until it is.
    pub async fn requested(&self) {
        self.0.clone().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_requested_once_for_all() {
        let (never, now) = (Shutdown::when(std::future::pending()), Shutdown::when(std::future::ready(())));
        assert!(!never.is_requested() && now.is_requested() && now.clone().is_requested());
    }
}
