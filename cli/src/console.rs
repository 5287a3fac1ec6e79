//! stdout, stderr, and whether a person is looking at them.

use std::io::{self, IsTerminal, Write};

use crate::{
    error::CliError,
    render::{self, Paint},
};

/// To the beginning of the line, which becomes empty.
const LINE_AGAIN: &str = "\r\u{1b}[2K";

pub(crate) struct Console {
    json: bool,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    paint_out: Paint,
    paint_err: Paint,
    is_watched: bool,
    /// Whether a line is shown that the next one replaces.
    has_status: bool,
}

impl Console {
    pub(crate) fn of_process(json: bool) -> Self {
        let paint = |is_terminal: bool| if is_terminal { Paint::Colour } else { Paint::Plain };
        let is_watched = io::stderr().is_terminal();
        Self {
            json,
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            paint_out: paint(io::stdout().is_terminal()),
            paint_err: paint(is_watched),
            is_watched,
            has_status: false,
        }
    }

    /// Writes to buffers instead of the process's streams, as if nobody looked.
    #[cfg(test)]
    pub(crate) fn captured(json: bool) -> (Self, tests::Captured, tests::Captured) {
        let (out, err) = (tests::Captured::default(), tests::Captured::default());
        let console = Self {
            json,
            out: Box::new(out.clone()),
            err: Box::new(err.clone()),
            paint_out: Paint::Plain,
            paint_err: Paint::Plain,
            is_watched: false,
            has_status: false,
        };
        (console, out, err)
    }

    /// Whether the output is for a program.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) const fn paint(&self) -> Paint {
        self.paint_out
    }

    /// A line on stdout. Whoever stopped reading does not want it.
    pub(crate) fn say(&mut self, line: &str) {
        let _gone = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _gone = self.out.write_all(bytes).and_then(|()| self.out.flush());
    }

    pub(crate) fn json(&mut self, value: &serde_json::Value) {
        self.say(&value.to_string());
    }

    /// A line on stderr.
    pub(crate) fn note(&mut self, line: &str) {
        let _gone = writeln!(self.err, "{line}");
    }

    /// Only where a person waits.
    pub(crate) fn progress(&mut self, line: &str) {
        if self.is_watched && !self.json {
            self.note(&self.paint_err.dim(line));
        }
    }

    /// The same in the place of what was said so before, until [`Self::status_ends`].
    pub(crate) fn status(&mut self, line: &str) {
        if self.is_watched && !self.json {
            let line = self.paint_err.dim(line);
            let _gone = write!(self.err, "{LINE_AGAIN}{line}").and_then(|()| self.err.flush());
            self.has_status = true;
        }
    }

    /// Nothing stays of it.
    pub(crate) fn status_ends(&mut self) {
        if self.has_status {
            let _gone = write!(self.err, "{LINE_AGAIN}").and_then(|()| self.err.flush());
            self.has_status = false;
        }
    }

    /// A question to whoever sits there; no if nobody does.
    pub(crate) fn agrees(&mut self, question: &str) -> bool {
        if !self.is_watched || self.json || !io::stdin().is_terminal() {
            return false;
        }
        let _gone = write!(self.err, "{question} [y/N] ").and_then(|()| self.err.flush());
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }

    pub(crate) fn error(&mut self, error: &CliError) {
        if self.json
            && let Some(value) = render::error_json(error)
        {
            self.json(&value);
            return;
        }
        let text = render::error(error, self.paint_err);
        if !text.is_empty() {
            self.note(&text);
        }
    }

    pub(crate) fn diagnostics(&mut self, severity: render::Severity, diagnostics: &[sandmill_model::build::Diagnostic]) {
        let text = render::diagnostics(severity, diagnostics, self.paint_err);
        if !text.is_empty() {
            self.note(&text);
        }
    }

    pub(crate) fn log(&mut self, entries: &[crate::client::LogLine]) {
        for entry in entries {
            let line = render::log_line(entry, self.paint_err);
            self.note(&line);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    /// A stream that can be read back.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
