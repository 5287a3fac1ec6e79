//! The workshop: everything that is done to this repository from the command line, behind `cargo xtask`.
//!
//! Nothing here links wasmtime or an async runtime, so the workshop is ready in seconds on a fresh checkout.

pub mod bench;
pub mod cache;
pub mod codegen;
pub mod exec;
pub mod fuzz;
pub mod lint;
pub mod runtimes;
pub mod serve;
pub mod setup;
pub mod test;
pub mod tidy;
pub mod tools;
pub mod tree;
