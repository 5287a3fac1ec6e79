//! Streams of stdout and stderr, which end in the run's log, and stdin, which is closed; of a command stdout is the result, and stdin its arguments.

use std::sync::Arc;

use bytes::Bytes;
use sandmill_model::{Clock, LogStream};
use wasmtime_wasi::{
    async_trait,
    p2::{DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult},
};

use crate::{
    command::Stdout,
    control::Control,
    guest::{Core, Pace},
};

/// Bytes that a guest may write before it asks again.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Where written bytes go.
trait Target: Send + 'static {
    fn take(&mut self, control: &Control, bytes: &[u8]);
}

struct ToLog {
    clock: Arc<dyn Clock>,
    stream: LogStream,
}

impl Target for ToLog {
    fn take(&mut self, control: &Control, bytes: &[u8]) {
        control.log().write(self.clock.now(), self.stream, bytes);
    }
}

impl Target for Stdout {
    fn take(&mut self, _: &Control, bytes: &[u8]) {
        self.write(bytes);
    }
}

struct Writer<T> {
    control: Arc<Control>,
    target: T,
    permit_bytes: usize,
}

/// Lines for the log.
pub(super) fn log_writer(core: &Core, stream: LogStream) -> DynOutputStream {
    let target = ToLog { clock: Arc::clone(&core.clock), stream };
    Box::new(Writer { control: Arc::clone(&core.control), target, permit_bytes: 0 })
}

/// The result of a command.
pub(super) fn result_writer(core: &Core, stdout: &Stdout) -> DynOutputStream {
    Box::new(Writer { control: Arc::clone(&core.control), target: stdout.clone(), permit_bytes: 0 })
}

#[async_trait]
impl<T: Target> Pollable for Writer<T> {
    async fn ready(&mut self) {
        if self.control.turn_is_over() {
            Pace::Yield.await;
        }
    }
}

#[async_trait]
impl<T: Target> OutputStream for Writer<T> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let Some(left) = self.permit_bytes.checked_sub(bytes.len()) else {
            return Err(StreamError::trap("the script wrote more to a stream than it was permitted to"));
        };
        self.permit_bytes = left;
        self.target.take(&self.control, &bytes);
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
