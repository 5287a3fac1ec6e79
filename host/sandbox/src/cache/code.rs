//! The only unsafe code of the project: compiled code becomes code that runs here.
#![expect(unsafe_code, reason = "wasmtime cannot know who wrote the code that it is asked to run; this module's callers do")]

use std::path::Path;

use wasmtime::{Engine, Result, component::Component};

/// Maps compiled code from a file, whose pages stay shared with the kernel's cache.
///
/// The caller has checked the file's keyed digest, or has just written it. Between check and mapping only this user could alter
/// it (the folder is 0700), and whoever acts as this user can alter the process itself. Files are never written in place.
pub(super) fn map_file(engine: &Engine, file: &Path) -> Result<Component> {
    // SAFETY: the content was made by `Engine::precompile_component` in a build worker of ours, see above.
    unsafe { Component::deserialize_file(engine, file) }
}

/// The same from memory, for code that could not be written to disk.
///
/// The caller got the bytes from a build worker.
pub(super) fn read(engine: &Engine, compiled: &[u8]) -> Result<Component> {
    // SAFETY: as above; the bytes never were anywhere where others could alter them.
    unsafe { Component::deserialize(engine, compiled) }
}
