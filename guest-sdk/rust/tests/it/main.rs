//! What holds of the crate as a whole: what it says is wrong, its README, and the components that it makes.
#![cfg(not(target_family = "wasm"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod components;
mod exports;
mod readme;

#[test]
fn wrong_use_is_told_at_its_place() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// Asked for as they run: a build that is kept may be that of another folder.
fn manifest_dir() -> std::ffi::OsString {
    std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is")
}
