//! Commands: programs that read their arguments, as JSON, from stdin, and whose stdout is the result.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sandmill_model::{JsonText, LogStream, Output, RunError};
use wasmtime::{
    Store,
    component::{ComponentExportIndex, Instance},
};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;

use crate::{bindings::CommandResults, call::Ended, guest::Guest, stop::Stop};

/// The media type of a result that is not text.
const BINARY: &str = "application/octet-stream";

/// What a command has in the place of the log's streams.
pub(crate) struct Pipes {
    pub(crate) stdin: MemoryInputPipe,
    pub(crate) stdout: Stdout,
}

/// What was written, up to the limit of a result. Cheap to clone: each is the same.
#[derive(Clone)]
pub(crate) struct Stdout(Arc<Mutex<Written>>);

struct Written {
    bytes: Vec<u8>,
    /// Also of those that are not kept.
    count: usize,
    bytes_max: usize,
}

impl Stdout {
    fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Mutex::new(Written { bytes: Vec::new(), count: 0, bytes_max })))
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut written = self.written();
        written.count = written.count.saturating_add(bytes.len());
        let room = written.bytes_max - written.bytes.len();
        written.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Runs a command to its end: by returning, or by an exit.
pub(crate) async fn call<H: Send + 'static>(
    store: &mut Store<Guest<H>>,
    instance: &Instance,
    command: &ComponentExportIndex,
    arguments: &JsonText,
) -> wasmtime::Result<Ended> {
    let stdout = Stdout::new(store.data().result_bytes_max());
    let stdin = MemoryInputPipe::new(Bytes::copy_from_slice(arguments.as_str().as_bytes()));
    store.data_mut().core.pipes = Some(Box::new(Pipes { stdin, stdout: stdout.clone() }));
    let command = instance.get_typed_func::<(), CommandResults>(&mut *store, command)?;
    let code = match command.call_async(&mut *store, ()).await {
        Ok((returned,)) => u8::from(returned.is_err()),
        Err(error) => match error.downcast_ref::<Stop>() {
            Some(Stop::Exit { code }) => *code,
            _ => {
                to_log(store, &stdout);
                return Err(error);
            }
        },
    };
    if code != 0 {
        to_log(store, &stdout);
        let message = format!("the command ended with exit code {code}; what it wrote is in the log");
        return Ok(Ended::Error(RunError::new("Exit", message)));
    }
    let mut written = stdout.written();
    if written.count > written.bytes_max {
        return Ok(Ended::ResultTooLarge { bytes: written.count });
    }
    let output = result(std::mem::take(&mut written.bytes));
    // Control characters take six bytes in JSON.
    if output.len_bytes() > written.bytes_max {
        return Ok(Ended::ResultTooLarge { bytes: output.len_bytes() });
    }
    Ok(Ended::Ok(output))
}

/// What a command wrote that has no result.
fn to_log<H>(store: &Store<Guest<H>>, stdout: &Stdout) {
    let core = &store.data().core;
    core.control.log().write(core.clock.now(), LogStream::Stdout, &stdout.written().bytes);
}

/// JSON where it is JSON, else text without the line break at its end, else bytes; nothing is null.
fn result(bytes: Vec<u8>) -> Output {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Output::Bytes { content_type: BINARY.to_owned(), data: error.into_bytes().into() },
    };
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() {
        return Output::Json(JsonText::null());
    }
    // A text always has a JSON form.
    Output::Json(JsonText::parse(line).unwrap_or_else(|_| JsonText::of(line).unwrap_or_else(|_| JsonText::null())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stdout_means() {
        for (written, json) in [
            (&b""[..], "null"),
            (b"\n", "null"),
            (b"{\"a\":1}\n", "{\"a\":1}"),
            (b" [1, 2] \r\n", " [1, 2] "),
            (b"hello\n", "\"hello\""),
            (b"two\nlines\n\n", "\"two\\nlines\\n\""),
            (b"{\"a\":", "\"{\\\"a\\\":\""),
            (b"1 2", "\"1 2\""),
        ] {
            let output = result(written.to_vec());
            assert!(matches!(&output, Output::Json(text) if text.as_str() == json), "{output:?}");
        }
        assert!(matches!(result(vec![0xff, 0]), Output::Bytes { data, .. } if data.as_ref() == [0xff, 0]));
    }

    #[test]
    fn no_more_is_kept_than_a_result_may_have() {
        let stdout = Stdout::new(5);
        for _ in 0..3 {
            stdout.write(b"abc");
        }
        let written = stdout.written();
        assert_eq!((written.bytes.as_slice(), written.count), (&b"abcab"[..], 9));
    }
}
