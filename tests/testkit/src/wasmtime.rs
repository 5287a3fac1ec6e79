//! The engine's own command line, as other people's host for what is taken away from here.

use std::path::PathBuf;

/// Path of the `wasmtime` program that `cargo xtask test` names, or none where it could not be had.
///
/// # Panics
/// In CI, if it is missing.
#[must_use]
pub fn wasmtime() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("SANDMILL_WASMTIME") {
        return Some(path.into());
    }
    crate::skipped("the wasmtime program is missing", &"`cargo xtask test` builds it");
    None
}
