//! Clocks, which stand at 0 while the world is closed, and waiting.

use crate::phase;
use rquickjs::{Ctx, Object, Result, prelude::Func};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wasip2::{
    clocks::{monotonic_clock, wall_clock},
    io::poll::{self, Pollable},
};

/// When the first clock of a run was read, for `performance.now`; 0 before that.
static ORIGIN_NS: AtomicU64 = AtomicU64::new(0);

/// What QuickJS's `Date` calls, instead of libc's.
///
/// # Safety
/// `time` points to room for a `struct timeval`, as C demands.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut Timeval, _zone: *mut u8) -> i32 {
    let now = if phase::is_open() {
        let now = wall_clock::now();
        Timeval { seconds: now.seconds as i64, microseconds: i64::from(now.nanoseconds / 1000) }
    } else {
        Timeval { seconds: 0, microseconds: 0 }
    };
    // SAFETY: see above.
    unsafe { time.write(now) };
    0
}

/// `struct timeval` of wasi-libc.
#[repr(C)]
pub struct Timeval {
    seconds: i64,
    microseconds: i64,
}

/// As `gettimeofday`, for whatever measures durations.
///
/// # Safety
/// `time` points to room for a `struct timespec`, as C demands.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(_clock: *const u8, time: *mut Timespec) -> i32 {
    let now = if phase::is_open() { monotonic_clock::now() } else { 0 };
    // SAFETY: see above.
    unsafe { time.write(Timespec { seconds: (now / 1_000_000_000) as i64, nanoseconds: (now % 1_000_000_000) as i32 }) };
    0
}

/// `struct timespec` of wasi-libc.
#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanoseconds: i32,
}

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("elapsed", Func::from(elapsed_ms))?;
    native.set("requireOpen", Func::from(|ctx: Ctx<'_>, what: String| phase::require_open(&ctx, &what)))?;
    native.set("isOpen", Func::from(phase::is_open))
}

/// Milliseconds since the first look at this clock in this run.
fn elapsed_ms() -> f64 {
    if !phase::is_open() {
        return 0.0;
    }
    let now = monotonic_clock::now().max(1);
    if ORIGIN_NS.load(Relaxed) == 0 {
        ORIGIN_NS.store(now, Relaxed);
    }
    // Whole microseconds, which is plenty and prints well.
    ((now - ORIGIN_NS.load(Relaxed)) / 1000) as f64 / 1000.0
}

/// Blocks this component; the host goes on with others.
pub fn sleep(wait_ms: f64) {
    if wait_ms > 0.0 {
        poll::poll(&[&timer(wait_ms)]);
    }
}

/// What is ready after a while.
pub fn timer(wait_ms: f64) -> Pollable {
    monotonic_clock::subscribe_duration((wait_ms * 1e6) as u64)
}
