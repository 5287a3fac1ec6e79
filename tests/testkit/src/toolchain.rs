//! Compilers of other languages that tests start, where they are.

use std::process::Command;

/// Whether the program answers these arguments; without it the caller has nothing to test.
///
/// # Panics
/// In CI, if it is missing.
#[must_use]
pub fn is_here(program: &str, arguments: &[&str]) -> bool {
    let answered = Command::new(program).args(arguments).output();
    let is_here = answered.as_ref().is_ok_and(|output| output.status.success());
    if !is_here {
        let why = answered.map_or_else(|error| error.to_string(), |output| output.status.to_string());
        crate::skipped(&format!("`{program}` is missing"), &why);
    }
    is_here
}
