//! The sandbox against guests that do their worst.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cache;
mod cancel;
mod commands;
mod demanding;
mod fairness;
mod functions;
mod isolation;
mod leaks;
mod limits;
mod linking;
mod log;
mod outcomes;
mod preprocess;
mod testing;
