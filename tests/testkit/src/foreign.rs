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

/// How to call the C compiler for wasm that those are built with, or none where it could not be had.
///
/// # Panics
/// In CI, if it is missing.
#[must_use]
pub fn zig() -> Option<String> {
    let tools = env::var_os("SANDMILL_FOREIGN").map(|folder| PathBuf::from(folder).join("tools"));
    let mut folders = tools.and_then(|tools| fs::read_dir(tools).ok()).into_iter().flatten().flatten();
    let zig = folders.find(|folder| folder.file_name().to_string_lossy().starts_with("ziglang-"));
    let python = zig.map(|folder| folder.path().join("venv/bin/python")).filter(|python| python.is_file());
    if python.is_none() {
        crate::skipped("zig is missing", &"`cargo xtask test` installs it, with tests/foreign/build.py");
    }
    python.map(|python| format!("{} -m ziglang cc", python.display()))
}
