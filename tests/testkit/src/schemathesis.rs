//! schemathesis, which makes requests of a description of an API and holds the answers against it.

use std::path::PathBuf;

/// Path of the program that `cargo xtask test` names, or none where it could not be had.
///
/// # Panics
/// In CI, if it is missing.
#[must_use]
pub fn schemathesis() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("SANDMILL_SCHEMATHESIS") {
        return Some(path.into());
    }
    crate::skipped("schemathesis is missing", &"`cargo xtask test` installs it");
    None
}
