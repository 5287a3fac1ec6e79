//! What is said of cases while they run, and at the end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    Session,
    client::LogLine,
    error::CliError,
    render::{self, Paint, clean, clean_line, log_line},
};

/// The cases of one script, or a file of which nothing could be run.
pub(super) struct Report {
    /// The file, as it is shown.
    pub(super) script: String,
    pub(super) cases: Vec<Tested>,
    pub(super) broken: Vec<Broken>,
}

impl Report {
    /// Of a file with faults.
    pub(super) fn broken(file: String, fault: &CliError) -> Self {
        let broken = vec![Broken::of(file.clone(), fault)];
        Self { script: file, cases: Vec::new(), broken }
    }
}

/// What did not run: a case, or a whole file.
pub(super) struct Broken {
    pub(super) name: String,
    /// What is wrong, as it was said.
    pub(super) text: String,
}

impl Broken {
    pub(super) fn of(name: String, fault: &CliError) -> Self {
        let text = render::error(fault, Paint::Plain);
        Self { name, text: text.strip_prefix("error: ").unwrap_or(&text).to_owned() }
    }
}

pub(super) struct Tested {
    pub(super) name: String,
    pub(super) took: Duration,
    /// What is not as expected; none: it passed.
    pub(super) faults: Vec<String>,
    /// What to do about it, where that is known.
    pub(super) hint: Option<&'static str>,
    /// What it expects that was not looked at.
    pub(super) unseen: Vec<&'static str>,
    pub(super) log: Vec<LogLine>,
}

impl Tested {
    pub(super) fn passed(&self) -> bool {
        self.faults.is_empty()
    }
}

/// One case, as soon as it has ended.
pub(super) fn say(script: &str, tested: &Tested, session: &mut Session<'_>) {
    if session.console.is_json() {
        return;
    }
    let paint = session.console.paint();
    let label = if tested.passed() { paint.green("ok    ") } else { paint.red("FAILED") };
    let name = clean_line(&tested.name);
    let unseen = if tested.unseen.is_empty() { String::new() } else { format!("; not looked at: {}", tested.unseen.join(", ")) };
    session.console.say(&format!("{label} {}: {name} ({} ms{unseen})", clean_line(script), tested.took.as_millis()));
    if tested.passed() {
        return;
    }
    for fault in &tested.faults {
        session.console.say(&indented(&clean(fault)));
    }
    if let Some(hint) = tested.hint {
        session.console.say(&indented(&format!("{} {hint}", paint.bold("hint:"))));
    }
    if !tested.log.is_empty() {
        session.console.say(&indented("log:"));
        for line in &tested.log {
            session.console.say(&indented(&indented(&log_line(line, paint))));
        }
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

/// How many passed and failed.
pub(super) fn counts(reports: &[Report]) -> (usize, usize) {
    let all = || reports.iter().flat_map(|report| &report.cases);
    let passed = all().filter(|tested| tested.passed()).count();
    (passed, all().count() - passed)
}

pub(super) fn conclude(reports: &[Report], session: &mut Session<'_>) {
    let (passed, failed) = counts(reports);
    if session.console.is_json() {
        session.console.json(&whole(reports));
    } else {
        session.console.say(&format!("{passed} passed, {failed} failed"));
    }
}

fn whole(reports: &[Report]) -> Value {
    let (passed, failed) = counts(reports);
    let mut cases = Vec::new();
    for report in reports {
        for tested in &report.cases {
            cases.push(json!({
                "script": report.script,
                "name": tested.name,
                "passed": tested.passed(),
                "ms": tested.took.as_secs_f64() * 1_000.0,
                "faults": tested.faults,
                "hint": tested.hint,
                "not_looked_at": tested.unseen,
                "log": tested.log,
            }));
        }
    }
    json!({"passed": passed, "failed": failed, "cases": cases})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_json() {
        let tested = |faults: Vec<String>| Tested {
            name: "n".into(),
            took: Duration::from_millis(2),
            faults,
            hint: None,
            unseen: vec!["stream"],
            log: Vec::new(),
        };
        let reports = [Report { script: "a.ts".into(), cases: vec![tested(Vec::new()), tested(vec!["x".into()])], broken: Vec::new() }];
        assert_eq!(counts(&reports), (1, 1));
        let whole = whole(&reports);
        assert_eq!((&whole["passed"], &whole["cases"][1]["faults"]), (&json!(1), &json!(["x"])));
        assert_eq!(whole["cases"][0]["not_looked_at"], json!(["stream"]));
        assert_eq!(indented("a\nb"), "  a\n  b");
    }
}
