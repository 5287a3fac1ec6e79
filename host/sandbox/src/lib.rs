//! The sandbox: from a program and its input to an outcome, in a fresh WebAssembly instance for every run.
//!
//! A run waits for a slot ([`admission`]), is instantiated and polled where it was accepted, and mostly ends in that first poll.
//! One that does not moves to the sandbox's own threads ([`schedule`]), where workspaces share the processor fairly.
//! Whatever happens to it — an error, a trap, a limit, a cancellation — becomes an [`Outcome`](sandmill_model::Outcome) with
//! what it used and logged until then. Nothing of one run is seen by the next.

mod admission;
mod bindings;
mod cache;
mod call;
mod command;
mod control;
mod engine;
mod error;
mod exports;
mod fair;
mod function;
mod guest;
mod limiter;
mod log;
mod machine;
mod mask;
mod options;
mod outcome;
mod program;
mod realm;
mod run;
mod sandbox;
mod schedule;
mod stop;
mod wasi;

pub use cache::read_compiled;
pub use call::{Call, CallInput, Ended, HostCall, Validate};
pub use engine::{PoolSize, async_engine_config, engine_config};
pub use error::Error;
pub use function::{NoFunction, PlainFunction};
pub use guest::{Guest, Pace, RunLog};
pub use options::Options;
pub use program::{Program, ProgramKey, unlinkable};
pub use sandbox::Sandbox;
pub use stop::Stop;
