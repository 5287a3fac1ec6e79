//! Masks in JSON, which stays JSON of the same length: letters in strings, and numbers that become strings.

use super::{
    Masks, SECRET_BYTES_MIN, Spot, VIEWED_AGAIN_BYTES, VIEWED_BYTES,
    parts::{PART_BYTES_MAX, Trace},
};

/// What came last of several JSON texts.
pub(super) struct Traces<P> {
    pub(super) all: Trace<P>,
    /// Without the keys of objects, which stand between them.
    pub(super) values: Trace<P>,
}

impl<P: Copy> Default for Traces<P> {
    fn default() -> Self {
        Self { all: Trace::default(), values: Trace::default() }
    }
}

/// Tells `found` what of the strings and numbers in `json` is secret, also where several have a part each. `traces` are of what came before; `place` says where a spot
/// is to whoever follows several.
pub(super) fn walk<P: Copy>(masks: &Masks, json: &str, traces: &mut Traces<P>, place: impl FnMut(Spot) -> P, found: &mut dyn FnMut(P)) {
    let mut walk = Walk { masks, json: json.as_bytes(), traces, place, found };
    let mut at = 0;
    while at < walk.json.len() {
        at = match walk.json[at] {
            b'"' => walk.string(at + 1),
            b'-' | b'0'..=b'9' => walk.number(at),
            _ => at + 1,
        };
    }
}

struct Walk<'a, P, F> {
    masks: &'a Masks,
    json: &'a [u8],
    traces: &'a mut Traces<P>,
    place: F,
    found: &'a mut dyn FnMut(P),
}

impl<P: Copy, F: FnMut(Spot) -> P> Walk<'_, P, F> {
    /// Returns where the string that begins here is over.
    fn string(&mut self, mut at: usize) -> usize {
        let mut end = at;
        while end < self.json.len() && self.json[end] != b'"' {
            end += if self.json[end] == b'\\' { 2 } else { 1 };
        }
        let after = self.json.get(end + 1..).unwrap_or_default();
        let is_key = after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
        // What it says, and where each byte of that stands.
        let (mut said, mut places) = (Vec::new(), Vec::new());
        while at < end.min(self.json.len()) {
            let (letter, length) = letter(&self.json[at..]);
            let place = (self.place)(Spot { at, length, is_number: false });
            for byte in letter.bytes(&mut [0; 4]) {
                self.step(*byte, place, is_key, SECRET_BYTES_MIN);
                said.push(*byte);
                places.push(place);
            }
            at += length;
            if said.len() >= VIEWED_BYTES {
                self.otherwise(&said, &places);
                let done = said.len() - VIEWED_AGAIN_BYTES;
                said.drain(..done);
                places.drain(..done);
            }
        }
        self.otherwise(&said, &places);
        end + 1
    }

    fn otherwise(&mut self, said: &[u8], places: &[P]) {
        let Self { masks, found, .. } = self;
        masks.otherwise(said, &mut |range| places[range].iter().for_each(|place| found(*place)));
    }

    /// One byte more; what it is the end of is found, if that has so many bytes.
    fn step(&mut self, byte: u8, place: P, is_key: bool, bytes_min: usize) {
        let Traces { all, values } = &mut *self.traces;
        for trace in [Some(all), (!is_key).then_some(values)].into_iter().flatten() {
            trace.step(byte, place);
            let length = self.masks.parts.found(trace);
            if length >= bytes_min {
                trace.last(length).for_each(&mut *self.found);
            }
        }
    }

    fn number(&mut self, at: usize) -> usize {
        let is_of_it = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.json[at..].iter().take_while(|byte| is_of_it(byte)).count();
        let digits = &self.json[at..at + length];
        let place = (self.place)(Spot { at, length, is_number: true });
        for byte in digits {
            // Short parts are found in any list of numbers.
            self.step(*byte, place, false, PART_BYTES_MAX);
        }
        let mut is_secret = self.masks.wholes.found(digits).next().is_some();
        self.masks.parts.each(digits, &mut |_| is_secret = true);
        if is_secret {
            (self.found)(place);
        }
        at + length
    }
}

pub(super) enum Letter {
    /// One as it stands, or a byte of one.
    Byte(u8),
    Char(char),
}

impl Letter {
    /// In UTF-8.
    pub(super) fn bytes<'a>(&self, room: &'a mut [u8; 4]) -> &'a [u8] {
        match self {
            Self::Byte(byte) => {
                room[0] = *byte;
                &room[..1]
            }
            Self::Char(letter) => letter.encode_utf8(room).as_bytes(),
        }
    }
}

/// What stands at the beginning of a string's rest, and in how many bytes.
pub(super) fn letter(rest: &[u8]) -> (Letter, usize) {
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
