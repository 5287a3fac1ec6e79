//! JUnit XML, as build servers read it.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::report::{Broken, Report, Tested};
use crate::{
    error::CliError,
    render::{Paint, log_line},
};

/// The file of the document, empty until there is one: what an earlier command wrote is not taken for this one's.
pub(super) struct Sheet {
    path: PathBuf,
    file: File,
}

impl Sheet {
    /// With the folders that it lies in.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        let file = folder.and_then(|()| File::create(path)).map_err(|error| cannot(path, &error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    pub(super) fn write(mut self, reports: &[Report]) -> Result<(), CliError> {
        self.file.write_all(document(reports).as_bytes()).map_err(|error| cannot(&self.path, &error))
    }
}

fn cannot(path: &Path, error: &io::Error) -> CliError {
    CliError::input(format!("cannot write {} of --junit: {error}", path.display()))
}

/// How many there are, as attributes.
#[derive(Default)]
struct Totals {
    tests: usize,
    failures: usize,
    errors: usize,
    seconds: f64,
}

impl Totals {
    fn of(reports: &[Report]) -> Self {
        let mut totals = Self::default();
        for Report { cases, broken, .. } in reports {
            totals.tests += cases.len() + broken.len();
            totals.failures += cases.iter().filter(|tested| !tested.passed()).count();
            totals.errors += broken.len();
            totals.seconds += cases.iter().map(|tested| tested.took.as_secs_f64()).sum::<f64>();
        }
        totals
    }

    fn attributes(&self) -> String {
        let Self { tests, failures, errors, seconds } = self;
        format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" time=\"{seconds:.3}\"")
    }
}

/// The whole document: a suite for each script, and for each file of which nothing could be run.
fn document(reports: &[Report]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _infallible = writeln!(text, "<testsuites {}>", Totals::of(reports).attributes());
    for report in reports {
        let totals = Totals::of(std::slice::from_ref(report));
        let _infallible = writeln!(text, "  <testsuite name=\"{}\" {}>", escape(&report.script), totals.attributes());
        for tested in &report.cases {
            case(&mut text, &report.script, tested);
        }
        for broken in &report.broken {
            error(&mut text, &report.script, broken);
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn error(text: &mut String, script: &str, broken: &Broken) {
    let Broken { name, text: fault } = broken;
    let (script, name, message) = (escape(script), escape(name), escape(fault.lines().next().unwrap_or_default()));
    let _infallible = writeln!(text, "    <testcase classname=\"{script}\" name=\"{name}\" time=\"0.000\">");
    let _infallible = writeln!(text, "      <error message=\"{message}\">{}</error>\n    </testcase>", escape(fault));
}

fn case(text: &mut String, script: &str, tested: &Tested) {
    let (script, name) = (escape(script), escape(&tested.name));
    let _infallible = writeln!(text, "    <testcase classname=\"{script}\" name=\"{name}\" time=\"{:.3}\">", tested.took.as_secs_f64());
    if let Some(first) = tested.faults.first() {
        let message = escape(first.lines().next().unwrap_or_default());
        let hint = tested.hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        let _infallible =
            writeln!(text, "      <failure message=\"{message}\">{}</failure>", escape(&format!("{}{hint}", tested.faults.join("\n"))));
    }
    if !tested.log.is_empty() {
        let log: Vec<String> = tested.log.iter().map(|line| log_line(line, Paint::Plain)).collect();
        let _infallible = writeln!(text, "      <system-out>{}</system-out>", escape(&log.join("\n")));
    }
    text.push_str("    </testcase>\n");
}

/// For text and attributes alike. What XML cannot hold, however it is written, is shown as U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' => escaped.push('\n'),
            '\t' => escaped.push_str("&#9;"),
            '\r' => escaped.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            // XML 1.0 may hold these, and every reader takes them as references.
            '\u{7f}'..='\u{9f}' => {
                let _infallible = write!(escaped, "&#{};", u32::from(character));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::LogLine;

    #[test]
    fn what_xml_cannot_hold() {
        for (text, escaped) in [
            ("a<b>&\"'", "a&lt;b&gt;&amp;&quot;&apos;"),
            ("]]>", "]]&gt;"),
            ("\u{0}\u{8}\u{1b}[2J", "\u{fffd}\u{fffd}\u{fffd}[2J"),
            ("a\tb\r\nc", "a&#9;b&#13;\nc"),
            ("\u{85}\u{fffe}ü", "&#133;\u{fffd}ü"),
        ] {
            assert_eq!(escape(text), escaped, "{text:?}");
        }
    }

    fn tested(name: &str, millis: u64, faults: &[&str]) -> Tested {
        let faults = faults.iter().map(|fault| (*fault).to_owned()).collect();
        Tested { name: name.into(), took: Duration::from_millis(millis), faults, hint: None, unseen: Vec::new(), log: Vec::new() }
    }

    #[test]
    fn what_could_not_be_run_is_an_error() {
        let fault = CliError::input("a < b\nand more");
        let whole = Report::broken("bad \"x\".case.json".to_owned(), &fault);
        let broken = vec![Broken::of("d".to_owned(), &fault)];
        let part = Report { script: "hello.ts".into(), cases: vec![tested("c", 1, &["x"]), tested("e", 2, &[])], broken };
        let text = document(&[whole, part]);
        for part in [
            "<testsuites tests=\"4\" failures=\"1\" errors=\"2\" skipped=\"0\" time=\"0.003\">",
            "<testsuite name=\"bad &quot;x&quot;.case.json\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\" time=\"0.000\">",
            "<testcase classname=\"bad &quot;x&quot;.case.json\" name=\"bad &quot;x&quot;.case.json\" time=\"0.000\">",
            "<error message=\"a &lt; b\">a &lt; b\nand more</error>",
            "<testsuite name=\"hello.ts\" tests=\"3\" failures=\"1\" errors=\"1\" skipped=\"0\" time=\"0.003\">",
            "<testcase classname=\"hello.ts\" name=\"d\" time=\"0.000\">",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn the_file_is_there_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/report.xml");
        let sheet = Sheet::open(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        sheet.write(&[]).unwrap();
        assert!(fs::read_to_string(&path).unwrap().ends_with("</testsuites>\n"));
        for bad in [folder.path().to_owned(), path.join("report.xml")] {
            let fault = Sheet::open(&bad).err().map(|fault| format!("{fault:?}")).unwrap_or_default();
            assert!(fault.contains("--junit"), "{fault}");
        }
    }

    #[test]
    fn a_suite_for_each_script() {
        let line = LogLine {
            at: "2026-01-02T03:04:05.678901Z".into(),
            level: "info".into(),
            stream: "log".into(),
            message: "<hi>".into(),
            fields: None,
        };
        let good = tested("a & b", 12, &[]);
        let bad = Tested { log: vec![line], hint: Some("fake it"), ..tested("c", 1, &["/x: expected 1, got \"2\"", "more"]) };
        let text = document(&[Report { script: "hello.ts".into(), cases: vec![good, bad], broken: Vec::new() }]);
        for part in [
            "<testsuite name=\"hello.ts\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"0.013\">",
            "<testcase classname=\"hello.ts\" name=\"a &amp; b\" time=\"0.012\">",
            "<failure message=\"/x: expected 1, got &quot;2&quot;\">/x: expected 1, got &quot;2&quot;\nmore\nhint: fake it</failure>",
            "<system-out>03:04:05.678 INFO  &lt;hi&gt;</system-out>",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
