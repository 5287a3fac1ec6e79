//! A run's log, a line each.

use super::{Paint, clean};
use crate::client::LogLine;

pub(crate) fn log_line(line: &LogLine, paint: Paint) -> String {
    let level = format!("{:5}", line.level.to_uppercase());
    let level = match line.level.as_str() {
        "error" => paint.red(&level),
        "warn" => paint.yellow(&level),
        "info" => paint.green(&level),
        _ => paint.dim(&level),
    };
    // Time of day; the date is the run's.
    let time = line.at.split_once('T').map_or(line.at.as_str(), |(_, time)| time.get(..12).unwrap_or(time));
    let stream = if line.stream == "log" { String::new() } else { format!(" {}", paint.dim(&format!("[{}]", clean(&line.stream)))) };
    let fields = line.fields.as_ref().map(|fields| format!(" {}", paint.dim(&clean(&fields.to_string())))).unwrap_or_default();
    format!("{} {level}{stream} {}{fields}", paint.dim(&clean(time)), clean(line.message.trim_end_matches('\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = |stream: &str, message: &str| LogLine {
            at: "2026-01-02T03:04:05.678901Z".into(),
            level: "info".into(),
            stream: stream.into(),
            message: message.into(),
            fields: Some(serde_json::json!({"n": 1})),
        };
        assert_eq!(log_line(&line("log", "hi"), Paint::Plain), "03:04:05.678 INFO  hi {\"n\":1}");
        assert_eq!(log_line(&line("stdout", "a\u{1b}\n"), Paint::Plain), "03:04:05.678 INFO  [stdout] a\\u{1b} {\"n\":1}");
    }
}
