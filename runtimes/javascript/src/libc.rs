//! What C and Rust's own library want of the world, by the means that scripts have. Libc's functions would import terminals, an environment and
//! clocks of its own, and every import costs every instance, used or not.

use crate::bindings::sandmill::log::log::{self, Level};
use std::{
    ffi::{c_char, c_int, c_void},
    ptr::null_mut,
};

/// `struct iovec`
#[repr(C)]
struct Piece {
    start: *const u8,
    bytes: usize,
}

/// What is written is about a fault of the runtime itself, such as a panic.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(_file: c_int, start: *const u8, bytes: usize) -> isize {
    // SAFETY: C's contract of write.
    let text = unsafe { std::slice::from_raw_parts(start, bytes) };
    log::write(Level::Error, &String::from_utf8_lossy(text), None);
    bytes as isize
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(file: c_int, pieces: *const Piece, count: c_int) -> isize {
    // SAFETY: C's contract of writev; a piece that is empty may start nowhere.
    unsafe {
        let pieces = std::slice::from_raw_parts(pieces, count as usize);
        pieces.iter().filter(|piece| piece.bytes > 0).map(|piece| write(file, piece.start, piece.bytes)).sum()
    }
}

#[unsafe(no_mangle)]
extern "C" fn close(_file: c_int) -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C" fn __isatty(_file: c_int) -> c_int {
    0
}

/// Nothing can be sought in.
#[unsafe(no_mangle)]
extern "C" fn __lseek(_file: c_int, _offset: i64, _from: c_int) -> i64 {
    -1
}

#[unsafe(no_mangle)]
extern "C" fn getenv(_name: *const c_char) -> *mut c_void {
    null_mut()
}
