//! Randomness: `Math.random`, seeded anew in every run, and bytes fit for keys.

use crate::{bytes::Bytes, phase};
use rquickjs::{Ctx, Object, Result, prelude::Func};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use wasip2::random::random;

/// The same at every load, so that a top level yields the same snapshot whenever it is built.
static STATE: AtomicU64 = AtomicU64::new(0x9e37_79b9_7f4a_7c15);
static SEEDED_FOR_RUN: AtomicBool = AtomicBool::new(false);

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("random", Func::from(math_random))?;
    native.set("randomBytes", Func::from(random_bytes))
}

/// SplitMix64: `Math.random` promises no more than an even spread.
fn math_random() -> f64 {
    if phase::is_open() && !SEEDED_FOR_RUN.swap(true, Relaxed) {
        STATE.store(random::get_random_u64(), Relaxed);
    }
    let state = STATE.load(Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.store(state, Relaxed);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

fn random_bytes<'js>(ctx: Ctx<'js>, what: String, length: u32) -> Result<Bytes<'js>> {
    phase::require_open(&ctx, &what)?;
    Bytes::copy_of(ctx, random::get_random_bytes(u64::from(length)))
}
