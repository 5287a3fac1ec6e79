//! Interfaces that components export and a host calls, in the order in which it looks for them. Those of WASI stand for every version that is
//! compatible with theirs.

/// A script.
pub const MAIN: &str = "sandmill:script/main@0.1.0";
/// Of a script: takes its events.
pub const PREPROCESSOR: &str = "sandmill:script/preprocessor@0.1.0";
/// Describes the arguments.
pub const SCHEMA: &str = "sandmill:script/schema@0.1.0";
pub const HTTP_HANDLER: &str = "wasi:http/incoming-handler@0.2.0";
/// The same of WASI 0.3, where it waits for others while it goes on.
pub const ASYNC_HTTP_HANDLER: &str = "wasi:http/handler@0.3.0";
pub const COMMAND: &str = "wasi:cli/run@0.2.0";
/// Only a language runtime has one.
pub const LOADER: &str = "sandmill:runtime/loader@0.1.0";
