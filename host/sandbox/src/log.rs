//! The log of one run: entries in order, up to its limit; lines of stdout and stderr put together from what is written.

use std::collections::VecDeque;

use sandmill_model::{JsonText, LogEntry, LogLevel, LogStream, Outcome, OutcomeKind, Timestamp};

use crate::mask::{self, Masks};

/// A line of stdout or stderr that is longer is cut into several entries.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Denials of a run that are remembered.
const DENIALS_MAX: usize = 16;

pub(crate) struct LogBuffer {
    entries: Vec<LogEntry>,
    used_bytes: usize,
    limit_bytes: usize,
    is_cut: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// For a run that has come near a secret.
    masks: Option<Box<Masks>>,
    /// Words of the last denials, by which an error that nobody caught is known for one.
    denials: VecDeque<String>,
}

impl LogBuffer {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self {
            entries: Vec::new(),
            used_bytes: 0,
            limit_bytes: usize::try_from(limit_bytes).unwrap_or(usize::MAX),
            is_cut: false,
            stdout: Vec::new(),
            stderr: Vec::new(),
            masks: None,
            denials: VecDeque::new(),
        }
    }

    /// An error of the script that has these words is the denial of something.
    pub(crate) fn denied(&mut self, words: String) {
        if self.denials.len() == DENIALS_MAX {
            self.denials.pop_front();
        }
        self.denials.push_back(words);
    }

    /// What of `secret` comes from now on is masked.
    pub(crate) fn conceal(&mut self, secret: &str) {
        self.masks.get_or_insert_default().add(secret);
    }

    /// What of `secret`, as a whole, comes from now on is masked.
    pub(crate) fn conceal_whole(&mut self, secret: &str) {
        self.masks.get_or_insert_default().add_whole(secret);
    }

    /// `text` as it would come into the log by itself.
    pub(crate) fn masked(&self, mut text: String) -> String {
        if let Some(masks) = &self.masks {
            masks.text(&mut text);
        }
        text
    }

    /// Whether there is anything to mask.
    pub(crate) fn conceals(&self) -> bool {
        self.masks.is_some()
    }

    /// The same of bytes.
    pub(crate) fn masked_bytes(&self, data: &[u8]) -> Vec<u8> {
        self.masks.as_ref().and_then(|masks| masks.bytes(data)).unwrap_or_else(|| data.to_vec())
    }

    /// Masks what the run returned. A denial that it did not catch is its outcome.
    pub(crate) fn finish(&self, outcome: &mut Outcome) {
        if outcome.kind == OutcomeKind::Error
            && let Some(error) = &outcome.error
            && self.denials.iter().any(|words| error.name == *words || error.message.contains(words))
        {
            outcome.kind = OutcomeKind::Denied;
        }
        if let Some(masks) = &self.masks {
            masks.outcome(outcome);
        }
    }

    /// Appends an entry, or drops it if the limit is met: the first that is dropped leaves a note.
    pub(crate) fn push(&mut self, entry: LogEntry) {
        if self.is_cut {
            return;
        }
        let used_bytes = self.used_bytes.saturating_add(entry.charge_bytes());
        if used_bytes > self.limit_bytes {
            self.is_cut = true;
            let message = format!("the log's limit of {} bytes is met; the rest is dropped", self.limit_bytes);
            self.entries.push(LogEntry { at: entry.at, level: LogLevel::Warn, stream: LogStream::Host, message, fields: None });
            return;
        }
        self.used_bytes = used_bytes;
        self.entries.push(entry);
        self.mask_last();
    }

    /// Masks what the last entry shows, and what the ones before it do with it.
    fn mask_last(&mut self) {
        let (Some(masks), Some((last, before))) = (&mut self.masks, self.entries.split_last_mut()) else { return };
        let found = masks.in_entry(before.len(), last);
        for places in found.chunk_by(|one, other| (one.entry, one.in_fields) == (other.entry, other.in_fields)) {
            let (entry, spots) = (&mut before[places[0].entry], places.iter().map(|place| place.spot));
            if !places[0].in_fields {
                mask::mask(&mut entry.message, spots);
            } else if let Some(fields) = &entry.fields {
                let mut text = fields.as_str().to_owned();
                mask::mask(&mut text, spots);
                entry.fields = Some(JsonText::trusted(text));
            }
        }
    }

    /// Whether anything more would be dropped, so that nobody needs to make it.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Bytes that the guest wrote to `stream`, stdout or stderr: an entry for each line.
    pub(crate) fn write(&mut self, at: Timestamp, stream: LogStream, bytes: &[u8]) {
        if self.is_cut {
            return;
        }
        let mut pending = std::mem::take(self.pending(stream));
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            for part in text.chunks(LINE_BYTES_MAX) {
                if pending.len() + part.len() > LINE_BYTES_MAX {
                    self.push(line(at, stream, &pending));
                    pending.clear();
                }
                pending.extend_from_slice(part);
            }
            if ends {
                self.push(line(at, stream, pending.strip_suffix(b"\r").unwrap_or(&pending)));
                pending.clear();
            }
        }
        *self.pending(stream) = pending;
    }

    /// The entries, with what stdout and stderr had not ended with a newline.
    pub(crate) fn take(&mut self, at: Timestamp) -> Vec<LogEntry> {
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            let pending = std::mem::take(self.pending(stream));
            if !pending.is_empty() {
                self.push(line(at, stream, &pending));
            }
        }
        std::mem::take(&mut self.entries)
    }

    /// Entries from number `from` on: one at least if there is any, and no more once they count `bytes_max`. Without those at the end that may yet turn out to be
    /// parts of a secret.
    pub(crate) fn so_far(&self, from: usize, bytes_max: usize) -> Vec<LogEntry> {
        let mut bytes = 0_usize;
        let to = self.masks.as_ref().and_then(|masks| masks.undecided_from(self.entries.len())).unwrap_or(self.entries.len());
        let more = self.entries.get(from..to).unwrap_or_default().iter();
        let taken = more.take_while(|entry| {
            let fits = bytes < bytes_max;
            bytes = bytes.saturating_add(entry.charge_bytes());
            fits
        });
        taken.cloned().collect()
    }

    fn pending(&mut self, stream: LogStream) -> &mut Vec<u8> {
        if stream == LogStream::Stderr { &mut self.stderr } else { &mut self.stdout }
    }
}

fn line(at: Timestamp, stream: LogStream, bytes: &[u8]) -> LogEntry {
    let level = if stream == LogStream::Stderr { LogLevel::Warn } else { LogLevel::Info };
    entry(at, level, stream, String::from_utf8_lossy(bytes).into_owned(), None)
}

pub(crate) fn entry(at: Timestamp, level: LogLevel, stream: LogStream, message: String, fields: Option<JsonText>) -> LogEntry {
    LogEntry { at, level, stream, message, fields }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_micros(1);

    fn messages(log: &mut LogBuffer) -> Vec<String> {
        log.take(AT).into_iter().map(|entry| format!("{:?}: {}", entry.stream, entry.message)).collect()
    }

    #[test]
    fn lines_are_put_together() {
        let mut log = LogBuffer::new(10_000);
        log.write(AT, LogStream::Stdout, b"a");
        log.write(AT, LogStream::Stderr, b"x\r\ny");
        log.write(AT, LogStream::Stdout, b"b\n\nc");
        log.write(AT, LogStream::Stdout, b"\xff");
        assert_eq!(messages(&mut log), ["Stderr: x", "Stdout: ab", "Stdout: ", "Stdout: c\u{fffd}", "Stderr: y"]);
    }

    #[test]
    fn what_is_there_is_read_in_parts() {
        let mut log = LogBuffer::new(10_000);
        log.write(AT, LogStream::Stdout, b"one\ntwo\nthree\nfour");
        let read = |from, bytes_max| log.so_far(from, bytes_max).into_iter().map(|entry| entry.message).collect::<Vec<_>>();
        assert_eq!(read(0, usize::MAX), ["one", "two", "three"], "the last line has not ended");
        assert_eq!(read(1, 1), ["two"]);
        assert_eq!(read(1, 36), ["two", "three"]);
        assert_eq!(read(3, 100), [""; 0]);
        assert_eq!(read(9, 100), [""; 0]);
    }

    #[test]
    fn long_lines_are_cut() {
        let mut log = LogBuffer::new(1_000_000);
        log.write(AT, LogStream::Stdout, &vec![b'x'; LINE_BYTES_MAX * 2 + 1]);
        log.write(AT, LogStream::Stdout, b"\n");
        let lengths: Vec<usize> = log.take(AT).iter().map(|entry| entry.message.len()).collect();
        assert_eq!(lengths, [LINE_BYTES_MAX, LINE_BYTES_MAX, 1]);
    }

    #[test]
    fn a_secret_is_masked_also_over_several_entries() {
        let mut log = LogBuffer::new(1_000_000);
        log.write(AT, LogStream::Stdout, b"hunter2-hunter2\n");
        log.conceal("hunter2-hunter2");
        log.write(AT, LogStream::Stdout, b"a hunter2-hunter2 b\nhunter2-\nhunter2\n");
        for letter in "hunter2-hunter2".chars() {
            log.push(entry(AT, LogLevel::Info, LogStream::Log, letter.to_string(), JsonText::of(&["hunter2-hunter2"]).ok()));
        }
        let entries = log.take(AT);
        let messages: Vec<&str> = entries.iter().map(|entry| entry.message.as_str()).collect();
        assert_eq!(messages[..4], ["hunter2-hunter2", "a *************** b", "********", "*******"]);
        assert!(messages[4..].iter().all(|message| *message == "*"), "{messages:?}");
        assert!(entries[4..].iter().all(|entry| !entry.fields.as_ref().unwrap().as_str().contains("hunter")));
    }

    #[test]
    fn letters_that_come_one_by_one_are_kept_back_until_it_is_clear_what_they_are() {
        const SECRET: &str = "correct-horse-battery";
        let mut log = LogBuffer::new(1_000_000);
        log.conceal(SECRET);
        let mut seen = Vec::new();
        for letter in SECRET.chars() {
            let fields = JsonText::of(&serde_json::json!({ "c": letter.to_string() })).ok();
            log.push(entry(AT, LogLevel::Info, LogStream::Log, letter.to_string(), None));
            log.push(entry(AT, LogLevel::Info, LogStream::Output, letter.to_string(), None));
            log.push(entry(AT, LogLevel::Info, LogStream::Stdout, "a line that says which letter".to_owned(), fields));
            let more = log.so_far(seen.len(), usize::MAX);
            seen.extend(more);
        }
        let all = log.take(AT);
        assert_eq!(seen[..], all[..seen.len()], "what was shown is what stays");
        for entry in &all {
            let fields = entry.fields.as_ref().map_or(String::new(), |fields| fields.as_str().replace("\"c\"", ""));
            let shown = if entry.stream == LogStream::Stdout { fields } else { entry.message.clone() };
            assert!(!shown.contains(|letter: char| letter.is_ascii_alphanumeric()), "{entry:?}");
        }
    }

    #[test]
    fn what_is_long_ago_is_not_kept_back() {
        let mut log = LogBuffer::new(1_000_000);
        log.conceal("correct-horse-battery");
        log.write(AT, LogStream::Stdout, b"done\n");
        assert_eq!(log.so_far(0, usize::MAX).len(), 0, "it may go on");
        log.push(entry(AT, LogLevel::Info, LogStream::Log, "a long line of something else".to_owned(), None));
        for _ in 0..32 {
            log.push(entry(AT, LogLevel::Info, LogStream::Log, "and another one".to_owned(), None));
        }
        assert_eq!(log.so_far(0, usize::MAX).len(), 34);
        log.write(AT, LogStream::Stderr, b"last\n");
        assert_eq!((log.so_far(0, usize::MAX).len(), log.take(AT).len()), (34, 35));
    }

    #[test]
    fn past_the_limit_one_note_and_nothing_else() {
        let entry = |text: &str| entry(AT, LogLevel::Info, LogStream::Log, text.to_owned(), None);
        let charge = u64::try_from(entry("12345").charge_bytes()).unwrap();
        let mut log = LogBuffer::new(2 * charge);
        for text in ["12345", "67890", "x", "y"] {
            log.push(entry(text));
        }
        log.write(AT, LogStream::Stdout, b"more\n");
        assert!(log.is_cut());
        let found = messages(&mut log);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[2].starts_with("Host: the log's limit"), "{found:?}");
    }
}
