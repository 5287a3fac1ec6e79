//! What the tests stand on: the built binary, real databases and brokers, guests.
pub mod binary;
pub mod confined;
pub mod foreign;
pub mod frozen;
pub mod guests;
pub mod postgres;
pub mod process;
pub mod registry;
pub mod s3;
pub mod schemathesis;
pub mod server;
pub mod sqlite;
pub mod toolchain;
pub mod wasmtime;

/// Says loudly that something cannot be tested here.
///
/// # Panics
/// In CI instead.
pub fn skipped(what: &str, error: &dyn std::fmt::Display) {
    #[expect(clippy::disallowed_methods, reason = "tests have no options")]
    let in_ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false");
    assert!(!in_ci, "{what}, in CI: {error:#}");
    eprintln!("SKIPPED: {what}: {error:#}");
}

// `for_each_interface!(each)` is `each!(name);` for each guest of `tests/guests/interfaces`.
include!(concat!(env!("OUT_DIR"), "/interfaces.rs"));
