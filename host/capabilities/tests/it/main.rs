//! Each interface as a guest sees it, and scripts in the shared language runtime.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod context;
mod hosted;
mod log;
mod output;
mod runs;
mod state;
mod testing;
