//! The executor: from an attempt to its outcome. Finds the version's program, checks arguments, runs it in a fresh sandbox, and
//! moves scripts that are called often from the shared runtime to a program of their own.

mod arguments;
mod program;
mod programs;
mod runner;
mod versions;

pub use runner::{Options, Runner};
pub use versions::Versions;
