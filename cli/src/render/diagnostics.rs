//! Faults in a source file, in the form that rustc made familiar.

use std::fmt::Write;

use sandmill_model::build::Diagnostic;

use super::{Paint, clean, clean_line};

/// Characters of a source line that are shown around the fault: bundled files have lines without end.
const LINE_CHARACTERS_MAX: usize = 160;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Warning,
}

pub(crate) fn diagnostics(severity: Severity, diagnostics: &[Diagnostic], paint: Paint) -> String {
    let all: Vec<String> = diagnostics.iter().map(|diagnostic| one(severity, diagnostic, paint)).collect();
    all.join("\n\n")
}

fn one(severity: Severity, diagnostic: &Diagnostic, paint: Paint) -> String {
    let label = match severity {
        Severity::Error => paint.red("error"),
        Severity::Warning => paint.yellow("warning"),
    };
    let number = diagnostic.line.to_string();
    let margin = " ".repeat(number.len());
    let (source, caret) = window(&diagnostic.source_line, usize::try_from(diagnostic.column).unwrap_or(usize::MAX));
    let bar = paint.blue("|");
    let mut text = format!("{label}: {}", paint.bold(&clean(&diagnostic.message)));
    let _infallible = write!(
        text,
        "\n{margin}{} {}:{}:{}\n{margin} {bar}\n{} {bar} {source}\n{margin} {bar} {}",
        paint.blue("-->"),
        clean_line(&diagnostic.file),
        diagnostic.line,
        diagnostic.column,
        paint.blue(&number),
        paint.red(&caret),
    );
    if let Some(help) = &diagnostic.help {
        let _infallible = write!(text, "\n{margin} {} {} {}", paint.blue("="), paint.bold("help:"), clean(help));
    }
    text
}

/// The part of a line around a column (from 1), and the caret below it. Tabs stay, in both, so that they line up.
fn window(line: &str, column: usize) -> (String, String) {
    let characters: Vec<char> = line.trim_end_matches(['\n', '\r']).chars().collect();
    let at = column.saturating_sub(1).min(characters.len());
    let from = if characters.len() <= LINE_CHARACTERS_MAX { 0 } else { at.saturating_sub(LINE_CHARACTERS_MAX / 2) };
    let to = (from + LINE_CHARACTERS_MAX).min(characters.len());
    let mut shown = String::new();
    let mut below = String::new();
    if from > 0 {
        shown.push('…');
        below.push(' ');
    }
    for (index, character) in characters.iter().enumerate().take(to).skip(from) {
        let visible = clean_line(&character.to_string());
        if index < at {
            below.push_str(&if *character == '\t' { "\t".to_owned() } else { " ".repeat(visible.chars().count() * width(*character)) });
        }
        shown.push_str(&visible);
    }
    if to < characters.len() {
        shown.push('…');
    }
    below.push('^');
    (shown, below)
}

/// Cells that a character takes: East Asian wide and emoji take two. Close enough for a caret.
fn width(character: char) -> usize {
    let wide = [
        0x1100..=0x115f,
        0x2e80..=0xa4cf,
        0xac00..=0xd7a3,
        0xf900..=0xfaff,
        0xfe30..=0xfe6f,
        0xff00..=0xff60,
        0x1f300..=0x1faff,
        0x20000..=0x3fffd,
    ];
    if wide.iter().any(|range| range.contains(&u32::from(character))) { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic(column: u32, source_line: &str, help: Option<&str>) -> Diagnostic {
        let message = "expected `;`".to_owned();
        Diagnostic { file: "hello.ts".into(), line: 12, column, message, source_line: source_line.into(), help: help.map(Into::into) }
    }

    #[test]
    fn looks_like_rustc() {
        let text = diagnostics(Severity::Error, &[diagnostic(7, "const a b", Some("add it"))], Paint::Plain);
        assert_eq!(text, "error: expected `;`\n  --> hello.ts:12:7\n   |\n12 | const a b\n   |       ^\n   = help: add it");
        let two = diagnostics(Severity::Warning, &[diagnostic(1, "a", None), diagnostic(1, "b", None)], Paint::Plain);
        assert_eq!(two.matches("warning: ").count(), 2);
        assert!(diagnostics(Severity::Error, &[diagnostic(1, "a", None)], Paint::Colour).contains("\u{1b}[1;31merror"));
    }

    #[test]
    fn the_caret_is_under_the_fault() {
        for (line, column, shown, caret) in [
            ("abc", 1, "abc", "^"),
            ("abc", 4, "abc", "   ^"),
            ("abc", 99, "abc", "   ^"),
            ("abc", 0, "abc", "^"),
            ("\tabc", 3, "\tabc", "\t ^"),
            ("äöü x", 5, "äöü x", "    ^"),
            ("日本 x", 4, "日本 x", "     ^"),
            ("a\u{1b}x", 3, "a\\u{1b}x", "       ^"),
            ("", 1, "", "^"),
            ("abc\r\n", 2, "abc", " ^"),
        ] {
            assert_eq!(window(line, column), (shown.to_owned(), caret.to_owned()), "{line:?} {column}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_fault() {
        let line = format!("{}X{}", "a".repeat(5_000), "b".repeat(5_000));
        let (shown, caret) = window(&line, 5_001);
        assert!(shown.chars().count() <= LINE_CHARACTERS_MAX + 2);
        assert_eq!(shown.chars().nth(caret.chars().count() - 1), Some('X'));
    }
}
