//! Source to program. Whatever touches what a user sent — parsing, evaluating, snapshotting, Cranelift — happens in build
//! workers: child processes of the same binary with little memory, little time and nothing worth stealing.

mod compiler;
pub mod limits;
mod pool;
mod protocol;
mod runtime;
mod schema;
mod script;
pub mod stack;
mod worker;

pub use compiler::{Compiler, Inspected, Options};
#[doc(hidden)]
pub use worker::Unconfined;
pub use worker::worker_main;
