//! What belongs to one run: the data of its store, reached by host functions.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use sandmill_model::{Clock, JsonText, Limits, LogLevel, LogStream, RunId, Timestamp};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, filesystem::WasiFilesystemCtx, sockets::WasiSocketsCtx};

use crate::{admission::Accounts, command::Pipes, control::Control, limiter::Limiter, log};

/// Handles that a guest may hold at once: streams, pollables.
pub(crate) const HANDLES_MAX: usize = 4_096;

/// A run's data. `host` is what the capabilities need; the rest is the sandbox's.
pub struct Guest<H> {
    pub(crate) core: Core,
    pub host: H,
}

pub(crate) struct Core {
    pub(crate) table: ResourceTable,
    pub(crate) control: Arc<Control>,
    pub(crate) limiter: Limiter,
    pub(crate) clock: Arc<dyn Clock>,
    /// When the run got its slot.
    pub(crate) began: Instant,
    pub(crate) limits: Limits,
    /// Without any directory.
    pub(crate) filesystem: WasiFilesystemCtx,
    /// Without any right; made when a guest first asks.
    pub(crate) sockets: Option<WasiSocketsCtx>,
    /// What WASI 0.3 has of its own; made when a guest first asks.
    pub(crate) wasi: Option<Box<WasiCtx>>,
    /// What the preprocessor made of the event.
    pub(crate) arguments: Option<JsonText>,
    /// Of a command, whose stdin and stdout are not what they are for a script.
    pub(crate) pipes: Option<Box<Pipes>>,
}

impl Core {
    pub(crate) fn new(control: Arc<Control>, accounts: Accounts, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self {
            table,
            control,
            limiter: Limiter::new(accounts, limits.memory_bytes),
            clock,
            began: Instant::now(),
            limits,
            filesystem: WasiFilesystemCtx::default(),
            sockets: None,
            wasi: None,
            arguments: None,
            pipes: None,
        }
    }

    /// Lets others have their turn if the run's own has lasted long enough. Host functions that do more than a few microseconds
    /// of work for little fuel wait for it, or a guest could keep its thread by calling nothing but them.
    pub(crate) fn pace(&self) -> Pace {
        if self.control.turn_is_over() { Pace::Yield } else { Pace::Done }
    }
}

impl<H> Guest<H> {
    pub fn run(&self) -> RunId {
        self.core.control.run
    }

    pub fn now(&self) -> Timestamp {
        self.core.clock.now()
    }

    /// The handles that the guest holds.
    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.core.table
    }

    /// When the run's time is up.
    pub fn deadline(&self) -> Timestamp {
        let left = Duration::from_millis(self.core.limits.wall_ms).saturating_sub(self.core.began.elapsed());
        self.now().plus(left)
    }

    /// Appends to the run's log; past the log's limit it is dropped.
    pub fn log(&self, level: LogLevel, stream: LogStream, message: String, fields: Option<JsonText>) {
        let entry = log::entry(self.now(), level, stream, message, fields);
        self.core.control.log().push(entry);
    }

    /// The run's log for what goes on beside the guest: a host function's tasks.
    pub fn run_log(&self) -> RunLog {
        RunLog { control: Arc::clone(&self.core.control), clock: Arc::clone(&self.core.clock) }
    }

    /// Drops all handles that the guest holds, once it has returned: whoever waits for one of them need not wait any longer.
    pub fn forget_handles(&mut self) {
        self.core.table = ResourceTable::new();
    }

    /// Bytes that a result may have.
    pub fn result_bytes_max(&self) -> usize {
        usize::try_from(self.core.limits.result_bytes).unwrap_or(usize::MAX)
    }

    /// The table of handles, for interfaces whose resources are another library's.
    pub fn table_and_host(&mut self) -> (&mut ResourceTable, &mut H) {
        (&mut self.core.table, &mut self.host)
    }

    /// Whether a log entry would be dropped.
    pub fn log_is_full(&self) -> bool {
        self.core.control.log().is_cut()
    }

    /// From now on the run's log, result and error show `*` in the place of `secret`, which the guest was told: also of parts and usual
    /// encodings of it.
    pub fn conceal(&self, secret: &str) {
        self.core.control.log().conceal(secret);
    }

    /// As [`Guest::conceal`], for a secret that the guest was not told: whole or encoded as a whole. Masked parts would tell it.
    pub fn conceal_whole(&self, secret: &str) {
        self.core.control.log().conceal_whole(secret);
    }

    /// Tells the log that the run was denied something; if the name of its error is that, or its message says it, that is its outcome.
    pub fn denied(&self, text: &str) {
        self.log(LogLevel::Warn, LogStream::Host, text.to_owned(), None);
        self.core.control.log().denied(text.to_owned());
    }

    /// `text` as it would be in the run's log.
    #[must_use]
    pub fn masked(&self, text: String) -> String {
        self.core.control.log().masked(text)
    }

    /// Host functions that take text or lists, or that do more than a few microseconds of work, wait for this first: it lets
    /// others have their turn if the run's own has lasted long enough.
    pub fn pace(&self) -> Pace {
        self.core.pace()
    }
}

/// A run's log. What is written after the run has ended is lost.
#[derive(Clone)]
pub struct RunLog {
    control: Arc<Control>,
    clock: Arc<dyn Clock>,
}

impl RunLog {
    /// As [`Guest::conceal_whole`].
    pub fn conceal_whole(&self, secret: &str) {
        self.control.log().conceal_whole(secret);
    }

    /// Whether the run has come near a secret, so that what it shows is masked.
    #[must_use]
    pub fn conceals(&self) -> bool {
        self.control.log().conceals()
    }

    /// `data` as it would be in the run's result.
    #[must_use]
    pub fn masked_bytes(&self, data: &[u8]) -> Vec<u8> {
        self.control.log().masked_bytes(data)
    }

    /// As [`Guest::denied`], where the guest is told other `words`.
    pub fn denied(&self, text: String, words: &str) {
        self.write(LogLevel::Warn, LogStream::Host, text, None);
        self.control.log().denied(words.to_owned());
    }

    /// As [`Guest::log`] does.
    pub fn write(&self, level: LogLevel, stream: LogStream, message: String, fields: Option<JsonText>) {
        let entry = log::entry(self.clock.now(), level, stream, message, fields);
        self.control.log().push(entry);
    }
}

/// See [`Guest::pace`].
#[must_use]
#[derive(Debug)]
pub enum Pace {
    Done,
    Yield,
}

impl Future for Pace {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match *self {
            Self::Done => Poll::Ready(()),
            Self::Yield => {
                *self = Self::Done;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
