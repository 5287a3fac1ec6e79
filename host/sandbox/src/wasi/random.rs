//! `wasi:random`: always the system's generator, for the interfaces that call themselves insecure too.

use sandmill_model::random::bytes;
use wasmtime::Result;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::{guest::Core, stop::Stop};

/// Bytes of one call: what can be had in about a millisecond. `crypto.getRandomValues` stops at 64 KiB.
const BYTES_MAX: u64 = 1024 * 1024;
/// Bytes that are fetched at once.
const CHUNK_BYTES: usize = 512;

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

impl random::Host for Core {
    fn get_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        some(len)
    }

    fn get_random_u64(&mut self) -> Result<u64> {
        Ok(number())
    }
}

impl insecure::Host for Core {
    fn get_insecure_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        some(len)
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        Ok(number())
    }
}

impl insecure_seed::Host for Core {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        Ok((number(), number()))
    }
}
