//! Components of other people's toolchains: those of `tests/foreign`, as `cargo xtask test` had them built.

use std::{env, fs, path::PathBuf};

/// Bytes of the component, or none where its toolchain could not be had.
///
/// # Panics
/// In CI, if it is missing.
#[must_use]
pub fn foreign(name: &str) -> Option<Vec<u8>> {
    let folder = env::var_os("SANDMILL_FOREIGN").map(PathBuf::from);
    let bytes = folder.and_then(|folder| fs::read(folder.join(format!("{name}.wasm"))).ok());
    if bytes.is_none() {
        crate::skipped(&format!("the component {name} is missing"), &"`cargo xtask test` builds it, with tests/foreign/build.py");
    }
    bytes
}
