//! JUnit XML, as build servers read it.

use std::fmt::Write;

use super::report::{Report, Tested};
use crate::render::{Paint, log_line};

/// The whole document: a suite for each script.
pub(super) fn document(reports: &[Report]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for report in reports {
        let failed = report.cases.iter().filter(|tested| !tested.passed()).count();
        let seconds: f64 = report.cases.iter().map(|tested| tested.took.as_secs_f64()).sum();
        let _infallible = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"{seconds:.3}\">",
            escape(&report.script),
            report.cases.len(),
        );
        for tested in &report.cases {
            case(&mut text, &report.script, tested);
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(text: &mut String, script: &str, tested: &Tested) {
    let (script, name) = (escape(script), escape(&tested.name));
    let _infallible = writeln!(text, "    <testcase classname=\"{script}\" name=\"{name}\" time=\"{:.3}\">", tested.took.as_secs_f64());
    if let Some(first) = tested.faults.first() {
        let message = escape(first.lines().next().unwrap_or_default());
        let _infallible = writeln!(text, "      <failure message=\"{message}\">{}</failure>", escape(&tested.faults.join("\n")));
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

    #[test]
    fn a_suite_for_each_script() {
        let line = LogLine {
            at: "2026-01-02T03:04:05.678901Z".into(),
            level: "info".into(),
            stream: "log".into(),
            message: "<hi>".into(),
            fields: None,
        };
        let good =
            Tested { name: "a & b".into(), took: Duration::from_millis(12), faults: Vec::new(), log: Vec::new(), unseen: Vec::new() };
        let faults = vec!["/x: expected 1, got \"2\"".to_owned(), "more".to_owned()];
        let bad = Tested { name: "c".into(), took: Duration::from_millis(1), faults, log: vec![line], unseen: Vec::new() };
        let text = document(&[Report { script: "hello.ts".into(), cases: vec![good, bad] }]);
        for part in [
            "<testsuite name=\"hello.ts\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"0.013\">",
            "<testcase classname=\"hello.ts\" name=\"a &amp; b\" time=\"0.012\">",
            "<failure message=\"/x: expected 1, got &quot;2&quot;\">/x: expected 1, got &quot;2&quot;\nmore</failure>",
            "<system-out>03:04:05.678 INFO  &lt;hi&gt;</system-out>",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
