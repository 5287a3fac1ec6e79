//! Masks in JSON, which stays JSON: letters in strings, and numbers that become strings.

use super::{MASK, Masks, Trace};

/// The same value with secrets in its strings masked, also where several strings have a part each. Of the same length.
pub(super) fn masked(masks: &Masks, json: &str) -> String {
    let mut walk = Walk { masks, json: json.as_bytes(), masked: json.as_bytes().to_vec(), trace: Trace::default() };
    let mut at = 0;
    while at < walk.json.len() {
        at = match walk.json[at] {
            b'"' => walk.string(at + 1),
            b'-' | b'0'..=b'9' => walk.number(at),
            _ => at + 1,
        };
    }
    super::of_letters(json.as_bytes().to_vec(), walk.masked)
}

struct Walk<'a> {
    masks: &'a Masks,
    json: &'a [u8],
    masked: Vec<u8>,
    /// Over all strings; a place is where a letter's escape begins and how many bytes it has.
    trace: Trace<(usize, usize)>,
}

impl Walk<'_> {
    /// Returns where the string that begins here is over.
    fn string(&mut self, mut at: usize) -> usize {
        // What it says, and where each byte of that stands.
        let (mut said, mut places) = (Vec::new(), Vec::new());
        let looks_for_wholes = !self.masks.wholes.is_empty();
        while at < self.json.len() && self.json[at] != b'"' {
            let (letter, length) = letter(&self.json[at..]);
            let mut utf8 = [0; 4];
            let bytes = match letter {
                Letter::Byte(byte) => {
                    utf8[0] = byte;
                    &utf8[..1]
                }
                Letter::Char(letter) => letter.encode_utf8(&mut utf8).as_bytes(),
            };
            for byte in bytes {
                self.trace.step(*byte, (at, length));
                if looks_for_wholes {
                    said.push(*byte);
                    places.push((at, length));
                }
                let found = self.masks.found(&self.trace);
                for (place, length) in self.trace.last(found) {
                    self.masked[place..place + length].fill(MASK);
                }
            }
            at += length;
        }
        for (place, length) in self.masks.wholes.found(&said).flat_map(|range| &places[range]) {
            self.masked[*place..place + length].fill(MASK);
        }
        at + 1
    }

    fn number(&mut self, at: usize) -> usize {
        let is_of_it = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.json[at..].iter().take_while(|byte| is_of_it(byte)).count();
        let digits = &self.json[at..at + length];
        let mut trace = Trace::default();
        let is_secret = digits.iter().any(|byte| {
            trace.step(*byte, ());
            self.masks.found(&trace) > 0
        });
        if is_secret || self.masks.wholes.found(digits).next().is_some() {
            self.masked[at..at + length].fill(MASK);
            (self.masked[at], self.masked[at + length - 1]) = (b'"', b'"');
        }
        at + length
    }
}

enum Letter {
    /// One as it stands, or a byte of one.
    Byte(u8),
    Char(char),
}

/// What stands at the beginning of a string's rest, and in how many bytes.
fn letter(rest: &[u8]) -> (Letter, usize) {
    if rest[0] != b'\\' {
        return (Letter::Byte(rest[0]), 1);
    }
    let plain = |byte| (Letter::Byte(byte), 2);
    match rest.get(1) {
        Some(b'n') => plain(b'\n'),
        Some(b't') => plain(b'\t'),
        Some(b'r') => plain(b'\r'),
        Some(b'b') => plain(8),
        Some(b'f') => plain(12),
        Some(b'u') => match (unit(&rest[2..]), rest.get(6..).and_then(|low| low.strip_prefix(b"\\u")).map(unit)) {
            (high @ 0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                (Letter::Char(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)), 12)
            }
            (code, _) => (Letter::Char(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)), 6.min(rest.len())),
        },
        Some(other) => plain(*other),
        None => (Letter::Byte(b'\\'), 1),
    }
}

/// Four hexadecimal digits.
fn unit(digits: &[u8]) -> u32 {
    let digits = digits.get(..4).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0)
}
