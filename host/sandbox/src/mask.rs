//! Secrets that a run has come near to do not leave it: in its log, result and error their letters are replaced by `*`, one for one.
//!
//! A secret is found by its parts, so that it is found in pieces too, over several lines or elements, and in the forms that text takes on its way:
//! base64, hexadecimal digits, percent-encoding, escapes of JSON, something between its letters. One that the run uses without reading it is found whole alone. It is a net for
//! accidents, not a wall: who may read a secret can also print it backwards.

mod forms;
mod json;
mod parts;
mod views;
mod whole;

use std::{collections::HashSet, ops::Range};

use sandmill_model::{JsonText, LogStream, Outcome, Output, RunError};

use self::{
    parts::{PART_BYTES_MAX, Parts, Trace},
    whole::Wholes,
};

/// Shorter secrets are not looked for, or they would be everywhere.
pub(crate) const SECRET_BYTES_MIN: usize = 4;
/// Bytes of a secret whose parts are looked for, from its begin.
const SECRET_BYTES_MAX: usize = 8 * 1024;
/// Parts of one run's secrets, of all forms: 8 bytes each and as many for the table.
const PARTS_MAX: usize = 512 * 1024;
/// The same of their letters alone.
const LETTERS_MAX: usize = 128 * 1024;
/// Entries at the end of a log that are kept from whoever follows it until more of them is there, at most.
const UNDECIDED_MAX: usize = 4 * PART_BYTES_MAX;
const MASK: u8 = b'*';

/// The secrets of one run.
#[derive(Default)]
pub(crate) struct Masks {
    /// Those that it cannot read.
    wholes: Wholes,
    whole_ones: HashSet<Box<str>>,
    /// The secrets that it can read, themselves: one that is used again is known.
    added: HashSet<Box<[u8]>>,
    parts: Parts,
    /// Of what is left of secrets if only letters and digits are.
    letters: Parts,
    log: LogTraces,
}

/// What of a log came last, read in several ways.
#[derive(Default)]
struct LogTraces {
    all: Trace<At>,
    /// Streams take turns, and say the same more than once.
    streams: Vec<(LogStream, Trace<At>)>,
    fields: json::Traces<At>,
}

/// Where a byte of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) entry: usize,
    /// Of the entry's fields, not of its message.
    pub(crate) in_fields: bool,
    pub(crate) spot: Spot,
    /// Nothing of the entry comes before it, as far as it is looked at.
    is_first: bool,
}

/// So many bytes to be masked from `at` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    at: usize,
    length: usize,
    is_number: bool,
}

impl Masks {
    /// Looks for `secret` from now on, which the run uses and does not have.
    pub(crate) fn add_whole(&mut self, secret: &str) {
        if !self.added.contains(secret.as_bytes()) && self.whole_ones.insert(secret.into()) {
            self.wholes.add(secret);
        }
    }

    /// Looks for `secret` and its parts from now on: the run has its text.
    pub(crate) fn add(&mut self, secret: &str) {
        let secret = &secret.as_bytes()[..secret.len().min(SECRET_BYTES_MAX)];
        if secret.len() < SECRET_BYTES_MIN || self.parts.count >= PARTS_MAX || !self.added.insert(secret.into()) {
            return;
        }
        for form in forms::of(secret) {
            self.parts.add(&form, PARTS_MAX);
        }
        let letters = views::letters(secret).bytes;
        // Fewer are found in any text that has something between its letters.
        if letters.len() >= 2 * PART_BYTES_MAX {
            self.letters.add(&letters, LETTERS_MAX);
        }
    }

    /// What of the log is to be masked when an entry comes to it: also of entries before it.
    pub(crate) fn in_entry(&mut self, entry: usize, stream: LogStream, message: &str, fields: Option<&JsonText>) -> Vec<At> {
        let mut log = std::mem::take(&mut self.log);
        let spot = |at| Spot { at, length: 1, is_number: false };
        let of_message = |at| At { entry, in_fields: false, spot: spot(at), is_first: at == 0 };
        let index = log.streams.iter().position(|(of, _)| *of == stream).unwrap_or_else(|| {
            log.streams.push((stream, Trace::default()));
            log.streams.len() - 1
        });
        let mut masked = Vec::new();
        for trace in [&mut log.all, &mut log.streams[index].1] {
            for (at, byte) in message.bytes().enumerate() {
                trace.step(byte, of_message(at));
                masked.extend(trace.last(self.parts.found(trace)));
            }
        }
        masked.extend(self.otherwise(message.as_bytes()).into_iter().flatten().map(of_message));
        if let Some(fields) = fields {
            let mut is_first = true;
            let place = |spot| At { entry, in_fields: true, spot, is_first: std::mem::take(&mut is_first) };
            masked.extend(json::spots(self, fields.as_str(), &mut log.fields, place));
        }
        self.log = log;
        masked.sort_unstable();
        masked.dedup();
        masked
    }

    /// The first of the last of `entries` of which more may be masked by what comes next: too little of it is there to tell. None: none of them.
    pub(crate) fn undecided_from(&self, entries: usize) -> Option<usize> {
        let LogTraces { all, streams, fields } = &self.log;
        let traces = [all, &fields.all, &fields.values].into_iter().chain(streams.iter().map(|(_, trace)| trace));
        let begun = traces.flat_map(|trace| trace.last(PART_BYTES_MAX - 1)).filter(|at| at.is_first && at.entry + UNDECIDED_MAX >= entries);
        begun.map(|at| at.entry).min().filter(|_| !self.parts.is_empty())
    }

    /// What is found in `text` by itself, but for parts as they are: wholes, and what it says in another way.
    fn otherwise(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<_> = self.wholes.found(text).collect();
        for view in views::each_time(text, views::decoded).into_iter().chain(views::each_time(text, views::unescaped)) {
            found.extend(self.parts.ranges(&view.bytes).iter().map(|range| view.place(range)));
            found.extend(self.wholes.found(&view.bytes).map(|range| view.place(&range)));
        }
        if !self.letters.is_empty() {
            let view = views::letters(text);
            found.extend(self.letters.ranges(&view.bytes).iter().map(|range| view.place(range)));
        }
        found
    }

    fn bytes(&self, text: &mut [u8]) {
        let mut found = self.otherwise(text);
        found.extend(self.parts.ranges(text));
        for range in found {
            text[range].fill(MASK);
        }
    }

    pub(crate) fn text(&self, text: &mut String) {
        let mut bytes = std::mem::take(text).into_bytes();
        let original = bytes.clone();
        self.bytes(&mut bytes);
        *text = of_letters(original, bytes);
    }

    pub(crate) fn json(&self, json: &JsonText) -> JsonText {
        let spots = json::spots(self, json.as_str(), &mut json::Traces::default(), |spot| spot);
        JsonText::trusted(mask(json.as_str(), spots))
    }

    /// All of an outcome that comes from the script, but for its log, which was masked line by line.
    pub(crate) fn outcome(&self, outcome: &mut Outcome) {
        match &mut outcome.output {
            Some(Output::Json(json)) => *json = self.json(json),
            Some(Output::Bytes { content_type, data }) => {
                self.text(content_type);
                let mut bytes = data.to_vec();
                self.bytes(&mut bytes);
                *data = bytes.into();
            }
            Some(Output::Kept(_)) | None => {}
        }
        if let Some(arguments) = &mut outcome.arguments {
            *arguments = self.json(arguments);
        }
        if let Some(RunError { name, message, stack, details }) = &mut outcome.error {
            self.text(name);
            self.text(message);
            if let Some(stack) = stack {
                self.text(stack);
            }
            if let Some(details) = details {
                *details = self.json(details);
            }
        }
    }
}

/// `text` with these spots masked.
pub(crate) fn mask(text: &str, spots: impl IntoIterator<Item = Spot>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for Spot { at, length, is_number } in spots {
        let Some(spot) = bytes.get_mut(at..at + length) else { continue };
        match spot {
            // A number becomes a string, if that has room.
            [digit] if is_number => *digit = b'0',
            [first, .., last] if is_number => (*first, *last) = (b'"', b'"'),
            _ => {}
        }
        let inner = if is_number { 1..length.saturating_sub(1).max(1) } else { 0..length };
        spot[inner].fill(MASK);
    }
    of_letters(text.as_bytes().to_vec(), bytes)
}

/// Text in which no letter is masked in part: UTF-8 again.
fn of_letters(original: Vec<u8>, mut masked: Vec<u8>) -> String {
    if let Ok(original) = String::from_utf8(original) {
        for (at, letter) in original.char_indices() {
            let bytes = at..at + letter.len_utf8();
            if letter.len_utf8() > 1 && masked[bytes.clone()] != original.as_bytes()[bytes.clone()] {
                masked[bytes].fill(MASK);
            }
        }
    }
    String::from_utf8_lossy(&masked).into_owned()
}

#[cfg(test)]
mod tests;
