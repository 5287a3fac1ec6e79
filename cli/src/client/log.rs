//! A run's log as far as there is one, line by line: it may be longer than what fits into memory.

use reqwest::{Method, header};

use super::{
    LogLine, Server,
    events::{SILENCE_MAX, STREAM_MAX},
};
use crate::error::CliError;

/// Bytes of one line.
const LINE_BYTES_MAX: usize = 128 * 1024 * 1024;

impl Server {
    /// Hands over every line. An answer that breaks off is an error, after the lines that came.
    pub(crate) async fn log(&self, run: &str, mut each: impl FnMut(LogLine)) -> Result<(), CliError> {
        let request = self.request(Method::GET, &format!("runs/{run}/log")).timeout(STREAM_MAX);
        let mut response = self.send(request.header(header::ACCEPT, "application/x-ndjson")).await?;
        let mut rest = Vec::new();
        loop {
            let bytes = match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
                Ok(Ok(Some(bytes))) => bytes,
                Ok(Ok(None)) => break,
                Ok(Err(_)) => return Err(CliError::Unreachable("the log broke off: this is not all of it".to_owned())),
                Err(_) => return Err(CliError::Unreachable("the server sends no more of the log: this is not all of it".to_owned())),
            };
            for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
                rest.extend_from_slice(piece);
                if rest.len() > LINE_BYTES_MAX {
                    return Err(CliError::Unreachable("the server's log has a line without end".to_owned()));
                }
                if piece.ends_with(b"\n") {
                    each(parse(&rest)?);
                    rest.clear();
                }
            }
        }
        if rest.is_empty() { Ok(()) } else { parse(&rest).map(each) }
    }
}

fn parse(line: &[u8]) -> Result<LogLine, CliError> {
    let wrong = |error| CliError::Unreachable(format!("the server's log is not of the form expected: {error}"));
    serde_json::from_slice(line).map_err(wrong)
}
