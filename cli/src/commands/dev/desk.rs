//! The server, and what is said of it and of scripts: lines for people, or one JSON object for each event.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    path::Path,
    time::Duration,
};

use sandmill_model::ScriptPath;
use serde_json::{Value, json, value::RawValue};

use super::tail::Found;
use crate::{
    client::{Answer, Deployed, LogLine, RunError, Server},
    console::Console,
    error::CliError,
    project::Entry,
    render::{self, Severity, clean, clean_line},
};

/// Characters of a result that people are shown.
const RESULT_CHARACTERS_MAX: usize = 2_000;

/// Deploying, calling and following share it, each for the time of a line.
pub(super) struct Desk {
    server: Server,
    console: RefCell<Console>,
    /// Whether it was said that the server cannot be reached.
    is_away: Cell<bool>,
    paths: RefCell<BTreeSet<String>>,
}

/// A deployment.
pub(super) struct News<'a> {
    pub(super) file: &'a Path,
    pub(super) deployed: &'a Deployed,
    /// From when the change was noticed.
    pub(super) took: Duration,
    pub(super) was_failing: bool,
    /// Whether other grants are missing than before.
    pub(super) is_missing_news: bool,
}

/// How long a result took.
pub(super) struct Took {
    /// From when the change was noticed.
    pub(super) whole: Duration,
    /// The call.
    pub(super) own: Duration,
}

/// To the microsecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

impl Desk {
    pub(super) fn new(server: Server, console: Console) -> Self {
        Self { server, console: RefCell::new(console), is_away: Cell::new(false), paths: RefCell::default() }
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    pub(super) fn is_json(&self) -> bool {
        self.console.borrow().is_json()
    }

    pub(super) fn set_paths(&self, entries: &[Entry]) {
        *self.paths.borrow_mut() = entries.iter().map(|entry| entry.path.to_string()).collect();
    }

    pub(super) fn watches(&self, path: &str) -> bool {
        self.paths.borrow().contains(path)
    }

    /// None if there are several, or none.
    pub(super) fn only_path(&self) -> Option<String> {
        let paths = self.paths.borrow();
        if paths.len() == 1 { paths.first().cloned() } else { None }
    }

    pub(super) fn watching(&self, dir: &Path, entries: &[Entry]) {
        let mut console = self.console.borrow_mut();
        if console.is_json() {
            console.json(&json!({"event": "watching", "dir": dir.display().to_string(), "scripts": entries.len()}));
        } else {
            console.progress(&format!("watching {} ({} scripts); Ctrl-C ends it", dir.display(), entries.len()));
        }
    }

    pub(super) fn deployed(&self, news: &News<'_>) {
        let News { file, deployed, took, was_failing, is_missing_news } = news;
        let mut console = self.console.borrow_mut();
        if console.is_json() {
            console.json(&json!({
                "event": "deployed", "path": deployed.path, "number": deployed.number, "file": file.display().to_string(),
                "ms": millis(*took), "fixed": was_failing, "warnings": deployed.warnings, "missing": deployed.missing,
            }));
            return;
        }
        console.diagnostics(Severity::Warning, &deployed.warnings);
        let paint = console.paint();
        let fixed = if *was_failing { format!("  {}", paint.green("fixed")) } else { String::new() };
        let took = paint.dim(&format!("{} ms", took.as_millis()));
        console.say(&format!("{}@{}  {took}{fixed}", clean_line(&deployed.path), deployed.number));
        if *is_missing_news && !deployed.missing.is_empty() {
            let missing = clean_line(&deployed.missing.join(", "));
            console.note(&format!("{0} was not given {missing}; give it with: sandmill grants give {0} all", clean_line(&deployed.path)));
        }
    }

    /// A file that cannot be deployed as it is.
    pub(super) fn failed(&self, file: &Path, error: &CliError, took: Duration) {
        let mut console = self.console.borrow_mut();
        if console.is_json() {
            let (file, error) = (file.display().to_string(), render::error_json(error));
            console.json(&json!({"event": "failed", "file": file, "ms": millis(took), "error": error}));
        } else {
            console.error(error);
        }
    }

    /// What was wrong is right again, and nothing is deployed because of it.
    pub(super) fn fixed(&self, file: &Path) {
        self.tell("fixed", file, &format!("{}  fixed", file.display()));
    }

    pub(super) fn gone(&self, file: &Path, path: &ScriptPath) {
        self.tell("gone", file, &format!("{} is gone; {path} stays deployed", file.display()));
    }

    fn tell(&self, event: &str, file: &Path, line: &str) {
        let mut console = self.console.borrow_mut();
        if console.is_json() {
            console.json(&json!({"event": event, "file": file.display().to_string()}));
        } else {
            console.say(&clean_line(line));
        }
    }

    pub(super) fn result(&self, path: &str, answer: &Answer, took: &Took) {
        let text = std::str::from_utf8(&answer.body).ok().filter(|_| answer.is_json());
        let result = text.and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
        let bytes = format!("{} bytes of {}", answer.body.len(), answer.content_type);
        let mut console = self.console.borrow_mut();
        if console.is_json() {
            // Digits as they came. A line feed in JSON is between its parts.
            let quoted = Value::from(bytes).to_string();
            let result = result.map_or(quoted, |result| result.get().replace(['\n', '\r'], " "));
            let head = result_event(path, took);
            let run = json!(answer.run_id);
            console.say(&format!("{},\"run\":{run},\"result\":{result}}}", head.trim_end_matches('}')));
            return;
        }
        let whole = clean(result.map_or(bytes.as_str(), RawValue::get));
        let mut shown: String = whole.chars().take(RESULT_CHARACTERS_MAX).collect();
        if shown.len() < whole.len() {
            shown.push('…');
        }
        let took = console.paint().dim(&format!("{} ms", took.own.as_millis()));
        console.say(&format!("-> {shown}  {took}"));
    }

    pub(super) fn no_result(&self, path: &str, error: &CliError, took: &Took) {
        let mut console = self.console.borrow_mut();
        if console.is_json() {
            let error = json!(render::error_json(error));
            console.say(&format!("{},\"error\":{error}}}", result_event(path, took).trim_end_matches('}')));
        } else {
            console.error(error);
            let took = console.paint().dim(&format!("{} ms", took.own.as_millis()));
            console.say(&format!("-> failed  {took}"));
        }
    }

    pub(super) fn log(&self, run: &Found, line: &LogLine) {
        let mut console = self.console.borrow_mut();
        if console.is_json() {
            let mut event = json!({"event": "log", "path": run.path, "run": run.id});
            if let (Some(event), Ok(Value::Object(line))) = (event.as_object_mut(), serde_json::to_value(line)) {
                event.extend(line);
            }
            console.json(&event);
        } else {
            let paint = console.paint();
            let from = paint.dim(&clean_line(&format!("{} {}", run.path, run.short())));
            console.say(&format!("{from} {}", render::log_line(line, paint)));
        }
    }

    /// A run that ended badly.
    pub(super) fn ended(&self, run: &Found, outcome: &str, error: Option<&RunError>) {
        let mut console = self.console.borrow_mut();
        let error = error.map(|error| format!("{}: {}", error.name, error.message));
        if console.is_json() {
            console.json(&json!({"event": "ended", "path": run.path, "run": run.id, "outcome": outcome, "error": error}));
        } else {
            let paint = console.paint();
            let from = paint.dim(&clean_line(&format!("{} {}", run.path, run.short())));
            console.say(&format!("{from} {} {}", paint.red(&clean_line(outcome)), clean_line(&error.unwrap_or_default())));
        }
    }

    /// Once, until it is back.
    pub(super) fn lost(&self, error: &CliError) {
        if self.is_away.replace(true) {
            return;
        }
        let mut console = self.console.borrow_mut();
        if console.is_json() {
            console.json(&json!({"event": "away", "error": render::error_json(error)}));
        } else {
            console.error(error);
        }
    }

    pub(super) fn back(&self) {
        if !self.is_away.replace(false) {
            return;
        }
        let mut console = self.console.borrow_mut();
        if console.is_json() {
            console.json(&json!({"event": "back"}));
        } else {
            console.note("the server is back");
        }
    }

    pub(super) fn note(&self, line: &str) {
        self.console.borrow_mut().note(&clean_line(line));
    }

    pub(super) fn error(&self, error: &CliError) {
        let mut console = self.console.borrow_mut();
        if console.is_json() {
            let text = render::error(error, render::Paint::Plain);
            console.note(&text);
        } else {
            console.error(error);
        }
    }
}

/// What all results have; its end is to be followed by what came.
fn result_event(path: &str, took: &Took) -> String {
    json!({"event": "result", "path": path, "ms": millis(took.whole), "call_ms": millis(took.own)}).to_string()
}
