//! A text of which some is masked, byte for byte.

use std::ops::Range;

const MASK: u8 = b'*';

/// So many bytes to be masked from `at` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(super) at: usize,
    pub(super) length: usize,
    /// Of JSON, which must stay JSON.
    pub(super) is_number: bool,
}

pub(super) struct Canvas<'a> {
    original: &'a [u8],
    /// None as long as nothing is masked, as in most texts.
    pub(super) masked: Option<Vec<u8>>,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(original: &'a [u8]) -> Self {
        Self { original, masked: None }
    }

    pub(super) fn range(&mut self, range: Range<usize>) {
        if let Some(spot) = self.masked.get_or_insert_with(|| self.original.to_vec()).get_mut(range) {
            spot.fill(MASK);
        }
    }

    pub(super) fn spot(&mut self, Spot { at, length, is_number }: Spot) {
        if !is_number {
            return self.range(at..at + length);
        }
        let masked = self.masked.get_or_insert_with(|| self.original.to_vec());
        match &mut masked[at..at + length] {
            // A number becomes a string, if that has room.
            [digit] => *digit = b'0',
            [first, inner @ .., last] => {
                (*first, *last) = (b'"', b'"');
                inner.fill(MASK);
            }
            [] => {}
        }
    }

    /// Text in which no letter is masked in part: UTF-8 again. None if nothing is masked.
    pub(super) fn into_text(self) -> Option<String> {
        let mut masked = self.masked?;
        if let Ok(original) = std::str::from_utf8(self.original) {
            for (at, letter) in original.char_indices().filter(|(_, letter)| letter.len_utf8() > 1) {
                let bytes = at..at + letter.len_utf8();
                if masked[bytes.clone()] != self.original[bytes.clone()] {
                    masked[bytes].fill(MASK);
                }
            }
        }
        Some(String::from_utf8_lossy(&masked).into_owned())
    }
}
