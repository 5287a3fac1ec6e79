//! Other ways to read a text: what it says once percent-encoding or escapes are taken off, or its letters and digits alone. Each with where its bytes stand.

use std::ops::Range;

use super::json;

/// How often something is taken off.
const TIMES_MAX: usize = 3;

/// One way to read a text.
#[derive(Default)]
pub(super) struct View {
    pub(super) bytes: Vec<u8>,
    /// Where each of them stands in the text.
    places: Vec<Range<usize>>,
}

impl View {
    fn push(&mut self, byte: u8, place: Range<usize>) {
        self.bytes.push(byte);
        self.places.push(place);
    }

    /// Where in the text a range of this view stands, what lies between included.
    pub(super) fn place(&self, range: &Range<usize>) -> Range<usize> {
        let (first, last) = (self.places.get(range.start), self.places.get(range.end.wrapping_sub(1)));
        first.zip(last).map_or(0..0, |(first, last)| first.start..last.end)
    }
}

/// As URLs and forms have it. None if it would say the same as the text.
pub(super) fn decoded(text: &[u8]) -> Option<View> {
    memchr::memchr2(b'%', b'+', text)?;
    let mut view = View::default();
    let mut at = 0;
    while at < text.len() {
        let code = (text[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten().and_then(hex);
        let (byte, length) = match code {
            Some(byte) => (byte, 3),
            None if text[at] == b'+' => (b' ', 1),
            None => (text[at], 1),
        };
        view.push(byte, at..at + length);
        at += length;
    }
    Some(view)
}

/// Without the escapes of JSON. None if it would say the same as the text.
pub(super) fn unescaped(text: &[u8]) -> Option<View> {
    memchr::memchr(b'\\', text)?;
    let mut view = View::default();
    let mut at = 0;
    while at < text.len() {
        let (letter, length) = json::letter(&text[at..]);
        letter.bytes(&mut [0; 4]).iter().for_each(|byte| view.push(*byte, at..at + length));
        at += length;
    }
    Some(view)
}

/// What `take_off` leaves of the text, of that, and so on.
pub(super) fn each_time(text: &[u8], take_off: impl Fn(&[u8]) -> Option<View>) -> Vec<View> {
    let mut views: Vec<View> = Vec::new();
    while views.len() < TIMES_MAX {
        let Some(mut next) = take_off(views.last().map_or(text, |last| &last.bytes)) else { break };
        if let Some(last) = views.last() {
            next.places.iter_mut().for_each(|place| *place = last.place(place));
        }
        views.push(next);
    }
    views
}

/// Letters and digits of ASCII.
pub(super) fn letters(text: &[u8]) -> View {
    let mut view = View::default();
    for (at, byte) in text.iter().enumerate().filter(|(_, byte)| byte.is_ascii_alphanumeric()) {
        view.push(*byte, at..at + 1);
    }
    view
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()
}
