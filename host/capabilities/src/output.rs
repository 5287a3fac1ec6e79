//! `sandmill:output`: progress and partial results, for whoever follows the run. Both are entries of the run's log: in order with all else,
//! kept as long as it is, and they end where it does.

use base64::{Engine, engine::general_purpose::STANDARD};
use sandmill_model::{JsonText, LogLevel, LogStream, RunId, telling::Telling};
use sandmill_sandbox::Guest;
use wasmtime::Result;

use crate::{Host, bindings::output::Host as Output};

/// Bytes of a progress report's text that are kept.
const TEXT_BYTES_MAX: usize = 1_024;
const PERCENT_MAX: f64 = 100.0;

/// Who sees at once how far a run is.
pub trait OutputPort: Send + Sync + 'static {
    /// `percent` is from 0 to 100.
    fn progress(&self, run: RunId, percent: f64, text: &str);

    /// For a run that answers HTTP itself: where it is told to whoever waits for it here, if anybody does. Once.
    fn telling(&self, _run: RunId) -> Option<Telling> {
        None
    }
}

impl Output for Guest<Host> {
    /// Reports that come faster than anyone could follow are dropped, but never one that says that all is done.
    async fn progress(&mut self, percent: f64, mut text: String) -> Result<()> {
        self.pace().await;
        let percent = if percent.is_nan() { 0.0 } else { percent.clamp(0.0, PERCENT_MAX) };
        let is_last = percent >= PERCENT_MAX;
        if self.log_is_full() || !(is_last || self.host.run.may_report_progress()) {
            return Ok(());
        }
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        let text = self.masked(text);
        self.host.ports.output.progress(self.run(), percent, &text);
        let fields = JsonText::trusted(format!("{{\"percent\":{percent}}}"));
        self.log(LogLevel::Info, LogStream::Progress, text, Some(fields));
        Ok(())
    }

    async fn write(&mut self, chunk: Vec<u8>) -> Result<()> {
        self.pace().await;
        if self.log_is_full() {
            return Ok(());
        }
        let (message, fields) = match String::from_utf8(chunk) {
            Ok(text) => (text, None),
            Err(error) => (STANDARD.encode(error.as_bytes()), Some(JsonText::trusted(r#"{"encoding":"base64"}"#))),
        };
        self.log(LogLevel::Info, LogStream::Output, message, fields);
        Ok(())
    }
}
