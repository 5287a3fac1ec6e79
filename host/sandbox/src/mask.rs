//! Secrets that a run has come near to do not leave it: in its log, result and error their letters are replaced by `*`, one for one.
//!
//! A secret is found by its parts, so that it is found in pieces too, over several lines or elements, and in the forms that text takes on its way:
//! base64, percent-encoding, hexadecimal digits, escapes of JSON. One that the run uses without reading it is found whole alone. It is a net for accidents, not a wall: who may read a secret can also print it backwards.

mod forms;
mod json;
mod whole;

use std::collections::HashSet;

use sandmill_model::{JsonText, Outcome, Output, RunError};

use self::whole::Wholes;

/// Bytes of a part that is looked for, at most.
const PART_BYTES_MAX: usize = 8;
/// Half a form is looked for, but no less than that: shorter parts are found in any text.
const PART_BYTES_MIN: usize = 5;
/// Shorter secrets are not looked for, or they would be everywhere.
pub(crate) const SECRET_BYTES_MIN: usize = 4;
/// Bytes of a secret whose parts are looked for, from its begin.
const SECRET_BYTES_MAX: usize = 8 * 1024;
/// Parts of one run's secrets, of all forms: 8 bytes each and as many for the table.
const PARTS_MAX: usize = 512 * 1024;
const MASK: u8 = b'*';

/// The secrets of one run.
#[derive(Default)]
pub(crate) struct Masks {
    /// Those that it cannot read.
    wholes: Wholes,
    whole_ones: HashSet<Box<str>>,
    /// The secrets that it can read, themselves: one that is used again is known.
    added: HashSet<Box<[u8]>>,
    /// By the number of their bytes, these in the low bytes.
    parts: [HashSet<u64>; PART_BYTES_MAX + 1],
    count: usize,
    /// Bit for each pair of bytes that a part ends with: most of a text ends no part.
    ends: Ends,
    log: Trace<At>,
}

struct Ends(Vec<u64>);

impl Default for Ends {
    fn default() -> Self {
        Self(vec![0; (1 << 16) / 64])
    }
}

impl Ends {
    fn add(&mut self, pair: u64) {
        self.0[(pair >> 6) as usize] |= 1 << (pair & 63);
    }

    fn has(&self, pair: u64) -> bool {
        self.0[(pair >> 6) as usize] & (1 << (pair & 63)) != 0
    }
}

/// Where a byte of the log is: the entry, and the byte of its message.
pub(crate) type At = (usize, usize);

/// The last bytes of a text, with where each is.
struct Trace<P> {
    bytes: u64,
    places: [Option<P>; PART_BYTES_MAX],
    count: usize,
}

impl<P: Copy> Default for Trace<P> {
    fn default() -> Self {
        Self { bytes: 0, places: [None; PART_BYTES_MAX], count: 0 }
    }
}

impl<P: Copy> Trace<P> {
    fn step(&mut self, byte: u8, place: P) {
        self.bytes = (self.bytes << 8) | u64::from(byte);
        self.places[self.count % PART_BYTES_MAX] = Some(place);
        self.count += 1;
    }

    /// Where the last `bytes` of them are.
    fn last(&self, bytes: usize) -> impl Iterator<Item = P> {
        (1..=bytes.min(self.count)).filter_map(|back| self.places[(self.count - back) % PART_BYTES_MAX])
    }
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
        if secret.len() < SECRET_BYTES_MIN || self.count >= PARTS_MAX || !self.added.insert(secret.into()) {
            return;
        }
        for form in forms::of(secret) {
            let length = part_bytes(form.len());
            for part in form.windows(length) {
                if self.count >= PARTS_MAX {
                    return;
                }
                let packed = part.iter().fold(0_u64, |packed, byte| (packed << 8) | u64::from(*byte));
                if self.parts[length].insert(packed) {
                    self.count += 1;
                    self.ends.add(packed & 0xffff);
                }
            }
        }
    }

    /// How many bytes of a part end here; 0 if none does.
    fn found<P: Copy>(&self, trace: &Trace<P>) -> usize {
        if !self.ends.has(trace.bytes & 0xffff) {
            return 0;
        }
        let ends = |length: &usize| {
            let kept = u64::MAX >> (64 - 8 * length);
            *length <= trace.count && !self.parts[*length].is_empty() && self.parts[*length].contains(&(trace.bytes & kept))
        };
        (SECRET_BYTES_MIN..=PART_BYTES_MAX).rev().find(ends).unwrap_or(0)
    }

    /// What of the log is to be masked when `message` comes to it as the entry number `entry`: also of entries before it.
    pub(crate) fn in_message(&mut self, entry: usize, message: &str) -> Vec<At> {
        let mut trace = std::mem::take(&mut self.log);
        let mut masked = Vec::new();
        for (at, byte) in message.bytes().enumerate() {
            trace.step(byte, (entry, at));
            let found = self.found(&trace);
            masked.extend(trace.last(found));
        }
        self.log = trace;
        masked.extend(self.wholes.found(message.as_bytes()).flatten().map(|at| (entry, at)));
        masked.sort_unstable();
        masked.dedup();
        masked
    }

    fn bytes(&self, text: &mut [u8]) {
        let wholes: Vec<_> = self.wholes.found(text).collect();
        self.parts(text);
        for range in wholes {
            text[range].fill(MASK);
        }
    }

    fn parts(&self, text: &mut [u8]) {
        let mut trace = Trace::default();
        let mut done = 0;
        for at in 0..text.len() {
            trace.step(text[at], at);
            let found = self.found(&trace);
            // What is masked was looked at before: the trace keeps it as it was.
            if found > 0 {
                let from = (at + 1 - found).max(done);
                text[from..=at].fill(MASK);
                done = at + 1;
            }
        }
    }

    pub(crate) fn text(&self, text: &mut String) {
        let mut bytes = std::mem::take(text).into_bytes();
        let original = bytes.clone();
        self.bytes(&mut bytes);
        *text = of_letters(original, bytes);
    }

    pub(crate) fn json(&self, json: &JsonText) -> JsonText {
        JsonText::trusted(json::masked(self, json.as_str()))
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

/// Masks the bytes at `masked`, and what they are the beginning or the end of.
pub(crate) fn mask(text: &mut String, masked: impl Iterator<Item = usize>) {
    let original = std::mem::take(text).into_bytes();
    let mut bytes = original.clone();
    for at in masked {
        if let Some(byte) = bytes.get_mut(at) {
            *byte = MASK;
        }
    }
    *text = of_letters(original, bytes);
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

const fn part_bytes(form_bytes: usize) -> usize {
    if form_bytes <= PART_BYTES_MIN {
        return form_bytes;
    }
    let half = form_bytes / 2;
    if half < PART_BYTES_MIN {
        PART_BYTES_MIN
    } else if half > PART_BYTES_MAX {
        PART_BYTES_MAX
    } else {
        half
    }
}

#[cfg(test)]
mod tests;
