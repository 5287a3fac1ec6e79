//! Offsets to lines and columns, in characters from 1.

use sandmill_model::build::Diagnostic;

use super::Fault;
use crate::limits::{MESSAGE_CHARS_MAX, SOURCE_LINE_CHARS_MAX};

pub(crate) struct Lines<'a> {
    file: &'a str,
    text: &'a str,
    /// Offset of the start of each line.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(end, _)| end + 1)).collect();
        Self { file, text, starts }
    }

    pub(crate) fn diagnostic(&self, fault: Fault) -> Diagnostic {
        let mut offset = (fault.offset as usize).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let index = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(index).copied().unwrap_or(0);
        let column = self.text[start..offset].chars().count();
        self.diagnostic_at((index, column), fault)
    }

    /// `position` is line and column from 0.
    pub(crate) fn diagnostic_at(&self, position: (usize, usize), fault: Fault) -> Diagnostic {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
        Diagnostic {
            file: self.file.to_owned(),
            line: count(position.0),
            column: count(position.1),
            message: shorten(&fault.message, MESSAGE_CHARS_MAX),
            source_line: self.line(position),
            help: fault.help,
        }
    }

    /// The line, or of a long one the part around the column.
    fn line(&self, (index, column): (usize, usize)) -> String {
        let Some(start) = self.starts.get(index) else { return String::new() };
        let line = self.text[*start..].split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        if column < SOURCE_LINE_CHARS_MAX {
            return shorten(line, SOURCE_LINE_CHARS_MAX);
        }
        let from = column - SOURCE_LINE_CHARS_MAX / 2;
        let rest: String = line.chars().skip(from).collect();
        format!("…{}", shorten(&rest, SOURCE_LINE_CHARS_MAX))
    }
}

pub(crate) fn shorten(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let lines = Lines::new("a.ts", "one\r\n\nžluť x\nlast");
        for (offset, line, column, source_line) in [
            (0, 1, 1, "one"),
            (2, 1, 3, "one"),
            (5, 2, 1, ""),
            (6, 3, 1, "žluť x"),
            (13, 3, 6, "žluť x"),
            (15, 4, 1, "last"),
            (99, 4, 5, "last"),
        ] {
            let found = lines.diagnostic(Fault::new(offset, "m"));
            assert_eq!((found.line, found.column, found.source_line.as_str()), (line, column, source_line), "offset {offset}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_fault() {
        let text = format!("{}HERE{}", "a".repeat(5_000), "b".repeat(5_000));
        let found = Lines::new("a.ts", &text).diagnostic(Fault::new(5_000, "m"));
        assert_eq!(found.column, 5_001);
        assert!(found.source_line.contains("HERE") && found.source_line.len() < 2 * SOURCE_LINE_CHARS_MAX, "{}", found.source_line);
    }
}
