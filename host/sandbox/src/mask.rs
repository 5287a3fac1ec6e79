//! Secrets that a run has come near to do not leave it: in its log, result and error their letters are replaced by `*`, one for one.
//!
//! A secret is found by its parts, so that it is found in pieces too, over several lines or elements, and in the forms that text takes on its way:
//! base64, hexadecimal digits, percent-encoding, escapes of JSON, something between its letters. One that the run uses without reading it is found whole alone. It is a net for
//! accidents, not a wall: who may read a secret can also print it backwards.

mod canvas;
mod forms;
mod json;
mod parts;
mod views;
mod whole;

use std::{collections::HashSet, ops::Range};

use sandmill_model::{JsonText, LogEntry, LogStream, Outcome, Output, RunError};

pub(crate) use self::canvas::Spot;
use self::{
    canvas::Canvas,
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
/// Bytes that are read in other ways at once, which takes seventeen times as much memory for each way; and how many of them once more with what comes next. A
/// form of a whole secret that is longer than that is found if no border is in it.
const VIEWED_BYTES: usize = 256 * 1024;
const VIEWED_AGAIN_BYTES: usize = 64 * 1024;

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

    /// Masks an entry that comes to the log. Returns what of entries before it is to be masked now.
    pub(crate) fn in_entry(&mut self, number: usize, entry: &mut LogEntry) -> Vec<At> {
        let mut log = std::mem::take(&mut self.log);
        let index = log.streams.iter().position(|(of, _)| *of == entry.stream).unwrap_or_else(|| {
            log.streams.push((entry.stream, Trace::default()));
            log.streams.len() - 1
        });
        let mut message = Canvas::new(entry.message.as_bytes());
        let mut fields = entry.fields.as_ref().map(|fields| Canvas::new(fields.as_str().as_bytes()));
        let mut earlier = Vec::new();
        let mut found = |at: At| match &mut fields {
            _ if at.entry != number => earlier.push(at),
            Some(fields) if at.in_fields => fields.spot(at.spot),
            _ => message.spot(at.spot),
        };
        let of_message = |at| At { entry: number, in_fields: false, spot: Spot { at, length: 1, is_number: false }, is_first: at == 0 };
        for trace in [&mut log.all, &mut log.streams[index].1] {
            for (at, byte) in entry.message.bytes().enumerate() {
                trace.step(byte, of_message(at));
                trace.last(self.parts.found(trace)).for_each(&mut found);
            }
        }
        self.otherwise(entry.message.as_bytes(), &mut |range| range.map(of_message).for_each(&mut found));
        if let Some(fields) = &entry.fields {
            let mut is_first = true;
            let place = |spot| At { entry: number, in_fields: true, spot, is_first: std::mem::take(&mut is_first) };
            json::walk(self, fields.as_str(), &mut log.fields, place, &mut found);
        }
        let (message, fields) = (message.into_text(), fields.and_then(Canvas::into_text));
        if let Some(message) = message {
            entry.message = message;
        }
        if let Some(fields) = fields {
            entry.fields = Some(JsonText::trusted(fields));
        }
        self.log = log;
        earlier.sort_unstable();
        earlier.dedup();
        earlier
    }

    /// The first of the last of `entries` of which more may be masked by what comes next: too little of it is there to tell. None: none of them.
    pub(crate) fn undecided_from(&self, entries: usize) -> Option<usize> {
        let LogTraces { all, streams, fields } = &self.log;
        let traces = [all, &fields.all, &fields.values].into_iter().chain(streams.iter().map(|(_, trace)| trace));
        let begun = traces.flat_map(|trace| trace.last(PART_BYTES_MAX - 1)).filter(|at| at.is_first && at.entry + UNDECIDED_MAX >= entries);
        begun.map(|at| at.entry).min().filter(|_| !self.parts.is_empty())
    }

    /// What is found in `text` by itself, but for parts as they are: wholes, and what it says in another way.
    fn otherwise(&self, text: &[u8], found: &mut dyn FnMut(Range<usize>)) {
        self.wholes.found(text).for_each(&mut *found);
        let mut from = 0;
        loop {
            let to = text.len().min(from + VIEWED_BYTES);
            self.in_views(&text[from..to], &mut |range| found(from + range.start..from + range.end));
            if to == text.len() {
                return;
            }
            from = to - VIEWED_AGAIN_BYTES;
        }
    }

    fn in_views(&self, text: &[u8], found: &mut dyn FnMut(Range<usize>)) {
        for view in views::each_time(text, views::decoded).into_iter().chain(views::each_time(text, views::unescaped)) {
            self.parts.each(&view.bytes, &mut |range| found(view.place(&range)));
            self.wholes.found(&view.bytes).for_each(|range| found(view.place(&range)));
        }
        if !self.letters.is_empty() {
            let view = views::letters(text);
            self.letters.each(&view.bytes, &mut |range| found(view.place(&range)));
        }
    }

    /// All that is found in a text that is no JSON.
    fn canvas<'a>(&self, text: &'a [u8]) -> Canvas<'a> {
        let mut canvas = Canvas::new(text);
        self.otherwise(text, &mut |range| canvas.range(range));
        self.parts.each(text, &mut |range| canvas.range(range));
        canvas
    }

    pub(crate) fn text(&self, text: &mut String) {
        if let Some(masked) = self.canvas(text.as_bytes()).into_text() {
            *text = masked;
        }
    }

    pub(crate) fn json(&self, json: &JsonText) -> JsonText {
        let mut canvas = Canvas::new(json.as_str().as_bytes());
        json::walk(self, json.as_str(), &mut json::Traces::default(), |spot| spot, &mut |spot| canvas.spot(spot));
        canvas.into_text().map_or_else(|| json.clone(), JsonText::trusted)
    }

    /// What is shown of `data` in its place; none: it is as it is.
    pub(crate) fn bytes(&self, data: &[u8]) -> Option<Vec<u8>> {
        self.canvas(data).masked
    }

    /// All of an outcome that comes from the script, but for its log, which was masked line by line.
    pub(crate) fn outcome(&self, outcome: &mut Outcome) {
        match &mut outcome.output {
            Some(Output::Json(json)) => *json = self.json(json),
            Some(Output::Bytes { content_type, data }) => {
                self.text(content_type);
                if let Some(masked) = self.canvas(data).masked {
                    *data = masked.into();
                }
            }
            Some(Output::Kept(_)) | None => {}
        }
        if let Some(arguments) = &mut outcome.arguments {
            *arguments = self.json(arguments);
        }
        if let Some(RunError { name, message, stack, details, rejects: _ }) = &mut outcome.error {
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
pub(crate) fn mask(text: &mut String, spots: impl IntoIterator<Item = Spot>) {
    let mut canvas = Canvas::new(text.as_bytes());
    spots.into_iter().for_each(|spot| canvas.spot(spot));
    if let Some(masked) = canvas.into_text() {
        *text = masked;
    }
}

#[cfg(test)]
mod tests;
