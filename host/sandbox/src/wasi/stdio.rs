//! Streams of stdout and stderr, which end in the run's log, and stdin, which is closed.

use std::sync::Arc;

use bytes::Bytes;
use sandmill_model::{Clock, LogStream};
use wasmtime_wasi::{
    async_trait,
    p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult},
};

use crate::{
    control::Control,
    guest::{Core, Pace},
};

/// Bytes that a guest may write before it asks again.
const WRITE_BYTES_MAX: usize = 64 * 1024;

pub(super) struct LogWriter {
    control: Arc<Control>,
    clock: Arc<dyn Clock>,
    stream: LogStream,
    permit_bytes: usize,
}

impl LogWriter {
    pub(super) fn new(core: &Core, stream: LogStream) -> Self {
        Self { control: Arc::clone(&core.control), clock: Arc::clone(&core.clock), stream, permit_bytes: 0 }
    }
}

#[async_trait]
impl Pollable for LogWriter {
    async fn ready(&mut self) {
        if self.control.turn_is_over() {
            Pace::Yield.await;
        }
    }
}

#[async_trait]
impl OutputStream for LogWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let Some(left) = self.permit_bytes.checked_sub(bytes.len()) else {
            return Err(StreamError::trap("the script wrote more to a stream than it was permitted to"));
        };
        self.permit_bytes = left;
        let now = self.clock.now();
        self.control.log().write(now, self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    /// Nothing may be written when the run's turn has lasted long enough: the guest then waits until the stream is ready.
    fn check_write(&mut self) -> StreamResult<usize> {
        self.permit_bytes = if self.control.turn_is_over() { 0 } else { WRITE_BYTES_MAX };
        Ok(self.permit_bytes)
    }
}

pub(super) struct Closed;

#[async_trait]
impl Pollable for Closed {
    async fn ready(&mut self) {}
}

#[async_trait]
impl InputStream for Closed {
    fn read(&mut self, _: usize) -> StreamResult<Bytes> {
        Err(StreamError::Closed)
    }
}
