//! `wasi:random`: always the system's generator, for the interfaces that call themselves insecure too.
//!
//! Linked by hand, because the generated bindings are synchronous: a megabyte of random bytes takes a millisecond and costs the
//! guest next to no fuel, so whoever asks for lists of them again and again must let others have their turn.

use sandmill_model::random::bytes;
use wasmtime::{
    Result, StoreContextMut,
    component::{Linker, LinkerInstance},
};
use wasmtime_wasi::p2::bindings::random::insecure_seed;

use super::{Own, own};
use crate::{
    guest::{Core, Guest},
    stop::Stop,
};

/// Bytes of one call: what can be had in about a millisecond. `crypto.getRandomValues` stops at 64 KiB.
const BYTES_MAX: u64 = 1024 * 1024;
/// Bytes that are fetched at once.
const CHUNK_BYTES: usize = 512;

pub(super) fn link<H: Send + 'static>(linker: &mut Linker<Guest<H>>) -> Result<()> {
    let mut random = linker.instance("wasi:random/random@0.2.12")?;
    add(&mut random, "get-random-bytes", "get-random-u64")?;
    let mut insecure = linker.instance("wasi:random/insecure@0.2.12")?;
    add(&mut insecure, "get-insecure-random-bytes", "get-insecure-random-u64")?;
    insecure_seed::add_to_linker::<_, Own>(linker, own)
}

fn add<H: Send + 'static>(interface: &mut LinkerInstance<'_, Guest<H>>, list: &str, one: &str) -> Result<()> {
    interface.func_wrap_async(list, |store: StoreContextMut<'_, Guest<H>>, (len,): (u64,)| {
        Box::new(async move {
            store.data().pace().await;
            Ok((some(len)?,))
        })
    })?;
    interface.func_wrap(one, |_: StoreContextMut<'_, Guest<H>>, (): ()| Ok((number(),)))
}

fn some(len: u64) -> Result<Vec<u8>> {
    let wanted = usize::try_from(len.min(BYTES_MAX + 1)).unwrap_or(usize::MAX);
    if len > BYTES_MAX {
        return Err(Stop::Misuse(format!("the script asked for {len} random bytes at once; the limit is {BYTES_MAX}")).into());
    }
    let mut all = Vec::with_capacity(wanted);
    while all.len() < wanted {
        let part: [u8; CHUNK_BYTES] = bytes();
        all.extend_from_slice(&part[..CHUNK_BYTES.min(wanted - all.len())]);
    }
    Ok(all)
}

fn number() -> u64 {
    u64::from_le_bytes(bytes())
}

impl insecure_seed::Host for Core {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        Ok((number(), number()))
    }
}
