//! Each interface as a guest sees it, and scripts in the shared language runtime.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod blob;
mod config;
mod context;
mod hosted;
mod http;
mod incoming;
mod incoming_async;
mod keyvalue;
mod log;
mod output;
mod publish;
mod resources;
mod runs;
mod sql;
mod state;
mod testing;
mod variables;

/// Each interface has a guest program, and each of these a test here of the same name: without one this does not compile.
macro_rules! has_test {
    ($name:ident) => {
        const _: fn() -> crate::testing::Testbed = crate::$name::bed;
    };
}
sandmill_testkit::for_each_interface!(has_test);
