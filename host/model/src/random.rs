//! Randomness for ids and secrets. A thread keeps a small buffer from the system so that an id costs no system call.

use std::cell::RefCell;

/// Bytes fetched from the system at once, per thread.
const BUFFER_BYTES: usize = 1024;

thread_local! {
    static BUFFER: RefCell<([u8; BUFFER_BYTES], usize)> = const { RefCell::new(([0; BUFFER_BYTES], BUFFER_BYTES)) };
}

/// `N` bytes (at most 1 KiB) from the system's generator, fit for secrets. Bytes are wiped from the buffer as they are handed out.
///
/// # Panics
/// If the system has no source of randomness: nothing could be done safely without one.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    const { assert!(N <= BUFFER_BYTES) };
    BUFFER.with_borrow_mut(|(buffer, used)| {
        if BUFFER_BYTES - *used < N {
            #[expect(
                clippy::disallowed_methods,
                reason = "the one place that asks the system; without randomness no id or secret is safe"
            )]
            getrandom::fill(buffer).expect("the system's random generator");
            *used = 0;
        }
        let mut taken = [0; N];
        taken.copy_from_slice(&buffer[*used..*used + N]);
        buffer[*used..*used + N].fill(0);
        *used += N;
        taken
    })
}
