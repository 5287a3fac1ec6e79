//! Parts of secrets, and how one is found at the end of what was read so far.

use std::collections::HashSet;

use super::SECRET_BYTES_MIN;

/// Bytes of a part that is looked for, at most.
pub(super) const PART_BYTES_MAX: usize = 8;
/// Half a form is looked for, but no less than that: shorter parts are found in any text.
const PART_BYTES_MIN: usize = 5;

#[derive(Default)]
pub(super) struct Parts {
    /// By the number of their bytes, these in the low bytes.
    by_length: [HashSet<u64>; PART_BYTES_MAX + 1],
    pub(super) count: usize,
    /// Bit for each pair of bytes that a part ends with: most of a text ends no part.
    ends: Ends,
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

impl Parts {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All parts of `form`, as long as there are fewer than `count_max`.
    pub(super) fn add(&mut self, form: &[u8], count_max: usize) {
        let length = part_bytes(form.len());
        for part in form.windows(length) {
            if self.count >= count_max {
                return;
            }
            let packed = part.iter().fold(0_u64, |packed, byte| (packed << 8) | u64::from(*byte));
            if self.by_length[length].insert(packed) {
                self.count += 1;
                self.ends.add(packed & 0xffff);
            }
        }
    }

    /// How many bytes of a part end here; 0 if none does.
    pub(super) fn found<P: Copy>(&self, trace: &Trace<P>) -> usize {
        if !self.ends.has(trace.bytes & 0xffff) {
            return 0;
        }
        let ends = |length: &usize| {
            let kept = u64::MAX >> (64 - 8 * length);
            let parts = &self.by_length[*length];
            *length <= trace.count && !parts.is_empty() && parts.contains(&(trace.bytes & kept))
        };
        (SECRET_BYTES_MIN..=PART_BYTES_MAX).rev().find(ends).unwrap_or(0)
    }

    /// Where in `bytes` there is any, as ranges that may overlap.
    pub(super) fn each(&self, bytes: &[u8], found: &mut dyn FnMut(std::ops::Range<usize>)) {
        let mut trace = Trace::default();
        for (at, byte) in bytes.iter().enumerate() {
            trace.step(*byte, ());
            match self.found(&trace) {
                0 => {}
                length => found(at + 1 - length..at + 1),
            }
        }
    }
}

/// The last bytes of a text, with where each is.
pub(super) struct Trace<P> {
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
    pub(super) fn step(&mut self, byte: u8, place: P) {
        self.bytes = (self.bytes << 8) | u64::from(byte);
        self.places[self.count % PART_BYTES_MAX] = Some(place);
        self.count += 1;
    }

    /// Where the last `bytes` of them are.
    pub(super) fn last(&self, bytes: usize) -> impl Iterator<Item = P> {
        (1..=bytes.min(self.count)).filter_map(|back| self.places[(self.count - back) % PART_BYTES_MAX])
    }
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
